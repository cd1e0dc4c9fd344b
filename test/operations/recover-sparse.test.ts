// A sparse disk in one file whose directory or text is lost: the copy has all that another copy proves, and the file
// itself stays byte for byte.
import { expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { recoverDisk, type RecoverOptions } from '../../src/operations/recover.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { descriptorFor, sparseImage, streamImage } from './check-images.ts';
import { expectHolds, type Files } from './repair-bench.ts';

async function contents(fs: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all;
}

async function recover(files: Files, options: RecoverOptions = {}) {
  const fs = createMemoryFileStore(files);
  const report = await recoverDisk(['/vm/disk.vmdk'], '/vm/new.vmdk', { ...options, fs });
  await expectHolds(fs, files);
  expect((await fs.list('/vm')).sort()).toEqual(
    [...Object.keys(files).map((path) => path.slice(4)), 'new.vmdk'].sort(),
  );
  return { fs, report };
}

type Image = ReturnType<typeof sparseImage>;
/** Small grains: the disk is read whole, and three tables are few MiB. */
const SMALL = { grainSize: 8 };
const wipeDirectory = ({ bytes, layout }: Image): void =>
  void bytes.fill(0, layout.gdOffset * 512, layout.gdOffset * 512 + 512);
const wipeText = ({ bytes }: Image): void => void bytes.fill(0, 512, 21 * 512);

it.each<[string, (image: Image) => void, number]>([
  ['directory', wipeDirectory, 0],
  ['text', wipeText, 2],
  [
    'directory and text',
    (image) => {
      wipeDirectory(image);
      wipeText(image);
    },
    2,
  ],
])('lost its %s', async (_, damage, unknown) => {
  const image = sparseImage(undefined, SMALL);
  const before = await contents(
    createMemoryFileStore({ '/vm/disk.vmdk': Buffer.from(image.bytes) }),
    '/vm/disk.vmdk',
  );
  damage(image);
  const { fs, report } = await recover({ '/vm/disk.vmdk': image.bytes });
  expect(report).toMatchObject({ made: 'disk', 'create-type': 'monolithicSparse' });
  expect(report.lost).toHaveLength(unknown);
  const { verdict, problems } = await checkDisk('/vm/new.vmdk', { fs });
  expect({ verdict, problems }).toEqual({ verdict: 'sound', problems: [] });
  expect((await contents(fs, '/vm/new.vmdk')).equals(before)).toBe(true);
});

it('lost its text above a parent, which is named', async () => {
  const image = sparseImage(undefined, SMALL);
  wipeText(image);
  const capacity = Number(image.layout.capacity);
  const base = {
    '/vm/base.vmdk': descriptorFor('vmfs', capacity, 'VMFS', 'base-flat.vmdk'),
    '/vm/base-flat.vmdk': Buffer.alloc(capacity * SECTOR_BYTES, 1),
  };
  const { fs, report } = await recover(
    { '/vm/disk.vmdk': image.bytes, ...base },
    { parent: '/vm/base.vmdk' },
  );
  expect(report).toMatchObject({ parent: '/vm/base.vmdk', 'parent-by': '--parent' });
  expect((await contents(fs, '/vm/new.vmdk')).at(-1)).toBe(1);
});

it('lost both copies of a table: what stays is listed', async () => {
  const image = sparseImage(undefined, SMALL);
  image.bytes.writeUInt32LE(0x7fffffff, image.layout.gdOffset * 512);
  image.bytes.writeUInt32LE(0x7fffffff, image.layout.rgdOffset * 512);
  image.bytes.fill(0xff, image.entryAt(0), image.entryAt(512));
  image.bytes.fill(0xff, image.copyAt(0), image.copyAt(512));
  const { report } = await recover({ '/vm/disk.vmdk': image.bytes });
  expect(report.lost.length).toBeGreaterThan(0);
  expect(report.lost[0]!.what).toMatch(/^[A-Z-]+: /);
});

it.each([
  ['entries', /^LEAK: /],
  ['directories and tables', /^GD-RANGE: /],
])('lost both copies of its %s: the space that nothing refers to is listed', async (what, listed) => {
  const image = sparseImage(undefined, SMALL);
  const { rgdOffset, overHead } = image.layout;
  if (what === 'entries')
    image.bytes.fill(0, image.copyAt(0), image.copyAt(512)).fill(0, image.entryAt(0), image.entryAt(512));
  else image.bytes.fill(0, rgdOffset * 512, overHead * 512);
  const { report } = await recover({ '/vm/disk.vmdk': image.bytes });
  expect(report.lost.map((part) => part.what)).toEqual([expect.stringMatching(listed)]);
});

it('a stream becomes a disk when it is to be called one', async () => {
  const image = streamImage(undefined, SMALL);
  const files = { '/vm/disk.vmdk': image.bytes.subarray(0, image.directory * 512) };
  const { fs, report } = await recover(files);
  expect(report).toMatchObject({ made: 'disk', 'create-type': 'monolithicSparse', lost: [] });
  const before = await contents(
    createMemoryFileStore({ '/vm/s.vmdk': streamImage(undefined, SMALL).bytes }),
    '/vm/s.vmdk',
  );
  expect((await contents(fs, '/vm/new.vmdk')).equals(before)).toBe(true);
});
