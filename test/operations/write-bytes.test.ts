// Bytes and zeros into a leaf, held against a plain buffer; what does not fit is refused before it begins.
import { beforeEach, expect, it } from 'vitest';
import { readBytes } from '../../src/block/byte-access.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { WritableChain } from '../../src/chain/writable-chain.ts';
import { bytes } from '../../src/core/units.ts';
import { chunksOf, writeStream, zeroBytes } from '../../src/operations/write-bytes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { CHAIN_BYTES, makeSmallChain } from '../support/small-chain.ts';
import { seededNumbers } from '../support/qemu-images.ts';

let store: FileStore;
let chain: WritableChain;
let model: Buffer;

beforeEach(async () => {
  store = createMemoryFileStore();
  const small = await makeSmallChain('/', store);
  model = small.contents;
  chain = await openChain(small.leaf, 'update', { fs: store });
  return () => chain.close();
});

async function expectModel(): Promise<void> {
  const found = Buffer.alloc(CHAIN_BYTES);
  await readBytes(chain, bytes(0), found);
  expect(found.equals(model)).toBe(true);
}

async function* pieces(data: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += length) yield data.subarray(at, at + length);
}

it.each([
  [0, 1, 1],
  [511, 2, 1],
  [1000, 5000, 7],
  [65_536 * 15 + 100, 300_000, 1000],
  [(1 << 20) - 1, (3 << 20) + 2, 65_536],
  [CHAIN_BYTES - 10, 10, 3],
  [CHAIN_BYTES, 0, 1],
])('writes at byte %d %d bytes that come %d at a time', async (at, length, step) => {
  const next = seededNumbers(at + length);
  const data = Buffer.from(Array.from({ length }, () => next(256)));
  const { capacity } = chain;
  expect(await writeStream(chain, at, pieces(data, step))).toBe(length);
  data.copy(model, at);
  expect(chain.capacity).toBe(capacity);
  await expectModel();
});

it.each([
  [0, 0],
  [100, 50],
  [500, 30],
  [512, 1024],
  [(1 << 20) + 1, 65_536],
  [(1 << 20) - 300, 70_000],
  [4 << 20, 65_536],
  [0, CHAIN_BYTES],
])('makes from byte %d %d bytes read as zeros', async (at, length) => {
  await zeroBytes(chain, at, length);
  model.fill(0, at, at + length);
  await expectModel();
});

it('refuses what reaches past the end, before a byte is written when the length is known', async () => {
  const data = Buffer.alloc(2048, 1);
  const at = CHAIN_BYTES - 1024;
  await expect(writeStream(chain, at, pieces(data, 512), { length: 2048 })).rejects.toMatchObject({
    kind: 'usage',
  });
  await expect(zeroBytes(chain, at, 2048)).rejects.toThrow('reach past the end of the disk');
  await expect(writeStream(chain, CHAIN_BYTES + 1, pieces(data, 1))).rejects.toThrow(
    'is past the end of the disk',
  );
  await expectModel();
});

it('stops between pieces when it is told to', async () => {
  const controller = new AbortController();
  controller.abort(new Error('enough'));
  const writing = writeStream(chain, 0, pieces(Buffer.alloc(10, 1), 5), { signal: controller.signal });
  await expect(writing).rejects.toThrow('enough');
  await expectModel();
});

it('reads a file in chunks', async () => {
  const data = Buffer.alloc((1 << 20) + 5, 7);
  await store.replace('/piece', data);
  const file = await store.open('/piece', 'read');
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(file)) chunks.push(chunk);
  await file.close();
  expect(chunks.map(({ length }) => length)).toEqual([1 << 20, 5]);
  expect(Buffer.concat(chunks).equals(data)).toBe(true);
});
