// What measure tells is what convert makes, to the byte: every type, sizes that are no multiple of anything, sources that
// are chains, with and without a parent to stand on.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { seededBytes } from '../../src/fixture/seeded.ts';
import { convertDisk, type ConvertOptions } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { measureDisk } from '../../src/operations/measure-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { contentOf } from '../support/clone-bench.ts';

/** One sector, one less and one more than grains, tables' and extents' ends, 1 MiB and a sector, and what chance gives. */
const CAPACITIES = [1, 2, 7, 8, 9, 127, 128, 129, 2047, 2049, 4097] as const;
const SPLIT = { splitSectors: 1024 };
const ALONE: readonly ConvertOptions[] = [
  { type: 'raw' },
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', ...SPLIT },
  { type: 'twoGbMaxExtentSparse', grainSize: 16, ...SPLIT },
  { type: 'twoGbMaxExtentFlat', ...SPLIT },
  { type: 'vmfs' },
  { type: 'vmfs', thin: true },
  { type: 'vmfs', adapter: 'legacyESX', hardwareVersion: 8 },
  { type: 'streamOptimized' },
  { type: 'streamOptimized', level: 1, grainSize: 16 },
  { type: 'seSparse' },
];
const ABOVE: readonly ConvertOptions[] = [
  { type: 'monolithicSparse' },
  { type: 'twoGbMaxExtentSparse', ...SPLIT },
  { type: 'vmfsSparse' },
  { type: 'seSparse' },
];

/** Its name is part of what a descriptor there says. */
const FAR = '/a folder with a long name, far from the disks';

interface Write {
  /** Where it begins, of 1,000 parts of the disk. */
  readonly part: number;
  readonly sectors: number;
  /** Zeros, one byte over and over, or noise that cannot be compressed. */
  readonly what: 'zeros' | 'text' | 'noise';
}
const writes = fc.array(
  fc.record<Write>({
    part: fc.nat(999),
    sectors: fc.integer({ min: 1, max: 300 }),
    what: fc.constantFrom('zeros', 'text', 'noise'),
  }),
  { maxLength: 6 },
);

async function write(fs: FileStore, path: string, all: readonly Write[]): Promise<void> {
  const chain = await openChain(path, 'update', { fs });
  for (const [index, { part, sectors, what }] of all.entries()) {
    const start = Math.floor((chain.capacity * part) / 1000) as Sectors;
    const count = Math.min(sectors, chain.capacity - start) as Sectors;
    const length = count * SECTOR_BYTES;
    if (what === 'zeros') await chain.zero({ start, count });
    else
      await chain.write(
        start,
        what === 'noise' ? seededBytes(`${index}`, length) : Buffer.alloc(length, 'text'),
      );
  }
  await chain.close();
}

/** base ← leaf, with these writes. */
async function chainOf(
  sectors: number,
  below: readonly Write[],
  above: readonly Write[],
): Promise<FileStore> {
  const fs = createMemoryFileStore();
  for (const folder of ['/d', '/d/in', FAR]) await fs.makeFolder(folder);
  await createDisk('/d/base.vmdk', bytes(sectors * SECTOR_BYTES), {
    fs,
    type: 'monolithicSparse',
    grainSize: 8,
  });
  await write(fs, '/d/base.vmdk', below);
  await createDelta('/d/leaf.vmdk', '/d/base.vmdk', { fs });
  await write(fs, '/d/leaf.vmdk', above);
  return fs;
}

/** Measured, then made: the same number of bytes, and room for all of it in what a full one would take. */
async function expectExact(fs: FileStore, options: ConvertOptions, folder = '/d'): Promise<void> {
  const file = options.type === 'raw' ? 'made.raw' : 'made.vmdk';
  const name = folder === '/d' ? file : `${folder}/${file}`;
  const before = (await fs.list('/d')).length;
  const measured = await measureDisk('/d/leaf.vmdk', { ...options, fs, name });
  expect((await fs.list('/d')).length).toBe(before);
  const made = await convertDisk('/d/leaf.vmdk', `${folder}/${file}`, { ...options, fs, durable: false });
  let size = 0;
  for (const { path } of made.files) size += (await fs.resolve(path)).size;
  const { required, written, fullyAllocated } = measured;
  const what = { ...options, fs: folder };
  expect({ what, required, written }).toEqual({ what, required: size, written: made.written });
  expect(fullyAllocated).toBeGreaterThanOrEqual(required);
  if (options.type !== 'raw')
    expect(
      (await contentOf(fs, `${folder}/${file}`, ['/d'])).equals(await contentOf(fs, '/d/leaf.vmdk')),
    ).toBe(true);
  for (const { path } of made.files) await fs.remove(path);
}

it('every type takes what was measured, whatever the size and the chain', async () => {
  const capacity = fc.oneof(fc.constantFrom(...CAPACITIES), fc.integer({ min: 1, max: 5000 }));
  await fc.assert(
    fc.asyncProperty(capacity, writes, writes, async (sectors, below, above) => {
      const fs = await chainOf(sectors, below, above);
      for (const options of ALONE) await expectExact(fs, options);
      for (const options of ABOVE) await expectExact(fs, { ...options, backing: '/d/base.vmdk' });
    }),
    {
      numRuns: 14,
      seed: 20,
      examples: CAPACITIES.map((each): [number, Write[], Write[]] => [each, [], NOISE]),
    },
  );
}, 60_000);

it('a delta that lies elsewhere than its source takes what was measured, however it names its parent', async () => {
  const fs = await chainOf(2049, NOISE.slice(0, 3), NOISE.slice(1, 5));
  for (const options of ABOVE)
    for (const folder of ['/d/in', FAR])
      for (const hint of ['relative', 'absolute', '/d/./in/../base.vmdk'])
        await expectExact(fs, { ...options, backing: '/d/base.vmdk', hint }, folder);
});

/** All of a small disk. */
const NOISE: Write[] = Array.from({ length: 16 }, (_, index) => ({
  part: Math.floor((index * 1000) / 16),
  sectors: 300,
  what: 'noise',
}));
