// Converting what is damaged: without --salvage nothing is made; with it all that is there is kept, byte for byte, and
// the list of what is lost says exactly the rest.
import { beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';

const SECTORS = 5003;
const content = pattern(SECTORS * SECTOR_BYTES, 11);

let store: FileStore;

beforeEach(() => {
  store = createMemoryFileStore({ '/d/source.raw': Buffer.from(content) });
});

const make = (type: string, splitSectors?: number) =>
  convertDisk('/d/source.raw', '/d/x.vmdk', { fs: store, from: 'raw', type, splitSectors });

async function whole(path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  const data = Buffer.alloc(await file.size());
  await file.readExactly(data, 0);
  await file.close();
  return data;
}

async function cut(path: string, size: number): Promise<void> {
  const file = await store.open(path, 'update');
  await file.resize(size);
  await file.close();
}

/** Refused without salvage; with it, what is lost, and that everything else is there. */
async function saved(path: string, code: string, expected = content) {
  const before = await store.list('/d');
  await expect(convertDisk(path, '/d/out.raw', { fs: store })).rejects.toMatchObject({ code });
  expect(await store.list('/d')).toEqual(before);
  const { lost } = await convertDisk(path, '/d/out.raw', { fs: store, salvage: true });
  const kept = Buffer.from(expected);
  for (const { start, count } of lost) kept.fill(0, start * SECTOR_BYTES, (start + count) * SECTOR_BYTES);
  expect((await whole('/d/out.raw')).equals(kept)).toBe(true);
  return lost.map(({ start, count, error }) => ({ start, count, code: error.code }));
}

it('a flat file that was cut short: what lies behind its end', async () => {
  await make('vmfs');
  await cut('/d/x-flat.vmdk', 3000 * SECTOR_BYTES + 100);
  expect(await saved('/d/x.vmdk', 'extent-too-short')).toEqual([
    { start: 3000, count: SECTORS - 3000, code: 'extent-too-short' },
  ]);
});

/** Byte of the marker of the grain that begins at this sector of the disk. */
async function markerOf(path: string, lba: number): Promise<number> {
  const bytes = await whole(path);
  // The header and the text, then grains in order.
  for (let at = 128 * SECTOR_BYTES; at < bytes.length; at += SECTOR_BYTES)
    if (bytes.readBigUInt64LE(at) === BigInt(lba) && bytes.readUInt32LE(at + 8) > 0) return at;
  throw new Error(`no marker of sector ${lba}`);
}

it('a stream that was cut short, or that cannot be followed: the grains from there on', async () => {
  await make('streamOptimized');
  await cut('/d/x.vmdk', (await markerOf('/d/x.vmdk', 2048)) + 100);
  expect(await saved('/d/x.vmdk', 'stream-cut-short')).toEqual([
    { start: 2048, count: SECTORS - 2048, code: 'stream-cut-short' },
  ]);
  const file = await store.open('/d/x.vmdk', 'update');
  await file.write(Buffer.from([1]), await markerOf('/d/x.vmdk', 512));
  await file.close();
  await store.remove('/d/out.raw');
  expect(await saved('/d/x.vmdk', 'stream-damaged')).toEqual([
    { start: 512, count: SECTORS - 512, code: 'stream-damaged' },
  ]);
});

it('a sparse file that was cut short: the grains behind its end', async () => {
  await make('monolithicSparse');
  const { size } = await store.resolve('/d/x.vmdk');
  await cut('/d/x.vmdk', size - 10 * 128 * SECTOR_BYTES);
  // The last grain of the disk is stored whole, although the disk ends within it.
  const start = Math.floor(SECTORS / 128) * 128 - 9 * 128;
  expect(await saved('/d/x.vmdk', 'grain-out-of-range')).toEqual([
    { start, count: SECTORS - start, code: 'grain-out-of-range' },
  ]);
});

it('a part of a split disk that is gone, and one that is no extent any more', async () => {
  await make('twoGbMaxExtentSparse', 1024);
  await store.remove('/d/x-s002.vmdk');
  const file = await store.open('/d/x-s004.vmdk', 'update');
  await file.write(Buffer.alloc(512), 0);
  await file.close();
  expect(await saved('/d/x.vmdk', 'extent-missing')).toEqual([
    { start: 1024, count: 1024, code: 'extent-missing' },
    { start: 3072, count: 1024, code: 'not-an-extent' },
  ]);
});

it('a delta whose parent is gone: all that is not its own', async () => {
  await make('vmfs');
  await createDelta('/d/delta.vmdk', '/d/x.vmdk', { fs: store });
  const chain = await openChain('/d/delta.vmdk', 'update', { fs: store });
  const own = pattern(128 * SECTOR_BYTES, 12);
  await chain.write(256 as Sectors, own);
  await chain.close();
  await store.remove('/d/x.vmdk');
  const merged = Buffer.from(content);
  own.copy(merged, 256 * SECTOR_BYTES);
  expect(await saved('/d/delta.vmdk', 'parent-missing', merged)).toEqual([
    { start: 0, count: 256, code: 'parent-missing' },
    { start: 384, count: SECTORS - 384, code: 'parent-missing' },
  ]);
});

it.each(['streamOptimized', 'monolithicSparse'])('takes a %s disk from a pipe', async (type) => {
  await make(type);
  const bytes = await whole('/d/x.vmdk');
  async function* pipe() {
    for (let at = 0; at < bytes.length; at += 100_000)
      yield await Promise.resolve(bytes.subarray(at, at + 100_000));
  }
  await convertDisk(pipe(), '/d/out.raw', { fs: store, from: 'vmdk' });
  expect((await whole('/d/out.raw')).equals(content)).toBe(true);
  expect((await store.list('/d')).sort()).toEqual(['out.raw', 'source.raw', 'x.vmdk']);
});
