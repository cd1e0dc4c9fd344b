// Disks made to hurt a checker: huge counts, tables full of ones, everything over everything. Rule: findings are
// bounded and counted, and it ends in seconds within a few hundred MiB.
import { expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { encodeTable } from '../../src/format/tables.ts';
import { KEPT_PER_CODE } from '../../src/grain/check-findings.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import {
  cowdImage,
  descriptorFor,
  findingsOf,
  reportOf,
  seSparseImage,
  sparseImage,
  streamImage,
} from './check-images.ts';

const at = (field: Parameters<typeof SparseExtentHeader.offsetOf>[0]): number =>
  SparseExtentHeader.offsetOf(field);
const SECONDS = 20_000;

async function within<T>(work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  expect(performance.now() - start).toBeLessThan(SECONDS);
  return result;
}

it('tables full of ones give as many findings as are kept, and the full count', async () => {
  const { bytes, layout } = sparseImage();
  bytes.fill(0xff, (layout.gdOffset + 1) * SECTOR_BYTES, (layout.gdOffset + 13) * SECTOR_BYTES);
  const report = await within(reportOf({ '/vm/disk.vmdk': bytes }));
  expect(report.problems.filter(({ code }) => code === 'GTE-RANGE')).toHaveLength(KEPT_PER_CODE);
  expect(report.counts).toContainEqual({ code: 'GTE-RANGE', severity: 'error', count: 1100 });
  expect(report.corruptions).toBe(1100);
});

it('a directory full of ones is one finding for each entry that counts', async () => {
  const { bytes, layout } = sparseImage();
  bytes.fill(0xff, layout.gdOffset * SECTOR_BYTES, (layout.gdOffset + 1) * SECTOR_BYTES);
  expect(await findingsOf({ '/vm/disk.vmdk': bytes })).toEqual([
    'error GD-RANGE',
    'error GD-RANGE',
    'error GD-RANGE',
  ]);
});

it('every grain at one place, and every table at one place, ends', async () => {
  const image = sparseImage();
  for (let grain = 0; grain < 1100; grain++) {
    image.bytes.writeUInt32LE(image.sectorOf(0), image.entryAt(grain));
    image.bytes.writeUInt32LE(image.sectorOf(0), image.copyAt(grain));
  }
  const report = await within(reportOf({ '/vm/disk.vmdk': image.bytes }));
  expect(report.counts).toEqual([{ code: 'GRAIN-OVERLAP', severity: 'error', count: 1099 }]);
  expect(report.problems).toHaveLength(KEPT_PER_CODE);
});

it('a directory of a million entries that all name one table reads that table once', async () => {
  const { bytes, layout } = sparseImage([]);
  const tables = 1 << 20;
  const capacity = tables * 512 * 128;
  bytes.writeBigUInt64LE(BigInt(capacity), at('capacity'));
  bytes.writeUInt32LE(1, at('flags'));
  bytes.writeUInt32LE(200, at('gdOffset'));
  const directory = encodeTable(new Uint32Array(tables).fill(layout.gdOffset + 4));
  const fs = createMemoryFileStore({ '/vm/disk.vmdk': bytes });
  const { reads } = await spiedReads(fs, async (spied) => {
    const file = await fs.open('/vm/disk.vmdk', 'update');
    await file.write(directory, 200 * SECTOR_BYTES);
    await file.close();
    const report = await within(checkDisk('/vm/disk.vmdk', { fs: spied }));
    expect(report.counts.find(({ code }) => code === 'GT-OVERLAP')?.count).toBe(tables - 1);
    expect(report.problems.length).toBeLessThanOrEqual(3 * KEPT_PER_CODE);
  });
  expect(reads).toBeLessThan(100);
});

it.each<[string, (bytes: Buffer) => void, string]>([
  [
    'capacity of 2^62 sectors',
    (bytes) => void bytes.writeBigUInt64LE(2n ** 62n, at('capacity')),
    'HDR-FIELD',
  ],
  ['capacity of 2^38 sectors', (bytes) => void bytes.writeBigUInt64LE(2n ** 38n, at('capacity')), 'TRUNC'],
  [
    'millions of tables of one entry',
    (bytes) => {
      bytes.writeBigUInt64LE(2n ** 38n, at('capacity'));
      bytes.writeUInt32LE(1, at('numGTEsPerGT'));
    },
    'GD-RANGE',
  ],
  ['tables of no entry', (bytes) => void bytes.writeUInt32LE(0, at('numGTEsPerGT')), 'HDR-FIELD'],
  ['tables of 506 entries', (bytes) => void bytes.writeUInt32LE(506, at('numGTEsPerGT')), 'HDR-FIELD'],
  [
    'a grain of 2^40 sectors',
    (bytes) => void bytes.writeBigUInt64LE(2n ** 40n, at('grainSize')),
    'HDR-FIELD',
  ],
  [
    'a descriptor of 2^40 sectors',
    (bytes) => void bytes.writeBigUInt64LE(2n ** 40n, at('descriptorSize')),
    'DESC-RANGE',
  ],
  ['metadata of 2^50 sectors', (bytes) => void bytes.writeBigUInt64LE(2n ** 40n, at('overHead')), 'TRUNC'],
])('%s: found at once', async (_, damage, code) => {
  const { bytes } = sparseImage();
  damage(bytes);
  const report = await within(reportOf({ '/vm/disk.vmdk': bytes }));
  expect(report.problems.map((problem) => problem.code)).toContain(code);
});

it('garbage anywhere in any format never crashes it, and what it calls sound can be read', async () => {
  const images: [string, string, Buffer][] = [
    ['monolithicSparse', 'SPARSE', sparseImage().bytes],
    ['custom', 'SPARSE', streamImage().bytes],
    ['vmfsSparse', 'VMFSSPARSE', cowdImage().bytes],
    ['seSparse', 'SESPARSE', seSparseImage().bytes],
  ];
  let seed = 1;
  const random = (): number => (seed = (seed * 48271) % 2147483647);
  for (const [type, line, sound] of images) {
    for (let round = 0; round < 75; round++) {
      const bytes = Buffer.from(sound);
      // Eight bytes of garbage somewhere in the metadata, behind the magic.
      const spot = 8 + (random() % Math.min(bytes.length - 16, round % 2 === 0 ? 208 : 80_000));
      for (let index = 0; index < 8; index++)
        bytes[spot + index] = random() % 3 === 0 ? 0xff : random() & 0xff;
      const files = {
        '/vm/disk.vmdk': descriptorFor(type as 'custom', 128 * 1100, line, 'extent.vmdk'),
        '/vm/extent.vmdk': bytes,
      };
      // What a compressed grain holds is proved only when it is inflated.
      const report = await within(reportOf(files, { deep: type === 'custom' || round % 5 === 0 }));
      expect(report.problems.length).toBeLessThan(20 * KEPT_PER_CODE);
      const unreadable = await readingFails(files);
      if (report.verdict === 'sound') expect(unreadable).toBeUndefined();
    }
  }
});

it('a descriptor of tens of thousands of extents is judged line by line in seconds', async () => {
  const lines = Array.from({ length: 40_000 }, (_, index) => `RW 1 FLAT "f" ${index}`).join('\n');
  const text = `version=1\nCID=1\nparentCID=ffffffff\ncreateType="custom"\n${lines}\n`;
  const files = { '/vm/disk.vmdk': Buffer.from(text), '/vm/f': Buffer.alloc(40_000 * 512, 1) };
  expect((await within(reportOf(files))).verdict).toBe('sound');
});

/** What goes wrong when the whole disk is mapped and its first sectors are read. */
async function readingFails(files: Readonly<Record<string, Uint8Array>>): Promise<unknown> {
  try {
    const disk = await openDisk('/vm/disk.vmdk', { fs: createMemoryFileStore(files) });
    for (let at = 0; at < disk.capacity;) at = (await disk.map(sectorRange(at, disk.capacity - at))).end;
    await disk.read(sectorRange(0, 8), Buffer.alloc(8 * SECTOR_BYTES));
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Counts the reads of everything that `work` opens. */
async function spiedReads(
  store: FileStore,
  work: (spied: FileStore) => Promise<void>,
): Promise<{ reads: number }> {
  const seen = { reads: 0 };
  const spied: FileStore = {
    ...store,
    open: (async (path: string, mode: 'read') => {
      const file = await store.open(path, mode);
      return {
        path: file.path,
        size: () => file.size(),
        readExactly(into: Uint8Array, from: number) {
          seen.reads++;
          return file.readExactly(into, from);
        },
        close: () => file.close(),
      };
    }) as FileStore['open'],
  };
  await work(spied);
  return seen;
}
