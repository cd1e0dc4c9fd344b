// The digest of a file for the record: which of the two it is, that holes make no difference, and that it is what the
// documents say it is.
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestFile } from '../../src/examine/file-digest.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const BLOCK = 65_536;
const LENGTH = 40 * BLOCK + 1000;
let store: FileStore;
let bytes: Buffer;

beforeEach(async () => {
  store = createMemoryFileStore();
  bytes = Buffer.alloc(LENGTH);
  for (const at of [0, 3 * BLOCK - 1, 20 * BLOCK + 17, LENGTH - 1]) bytes[at] = 1 + (at % 255);
  const sparse = await store.create('/sparse');
  await sparse.resize(LENGTH);
  for (let at = 0; at < LENGTH; at++) if (bytes[at] !== 0) await sparse.write(bytes.subarray(at, at + 1), at);
  await sparse.close();
  await store.replace('/full', bytes);
});

/** As docs/cli.md tells it, without any of our code. */
function asDocumented(): string {
  const hash = createHash('sha256');
  for (let at = 0; at < LENGTH; at += BLOCK) {
    const block = Buffer.alloc(BLOCK);
    bytes.copy(block, 0, at, Math.min(LENGTH, at + BLOCK));
    if (block.every((byte) => byte === 0)) continue;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt(at / BLOCK));
    hash.update(number).update(block);
  }
  return hash.digest('hex');
}

describe('digestFile', () => {
  it('hashes what is not zeros, wherever the holes are', async () => {
    const expected = { sparseSha256: asDocumented() };
    expect(await digestFile(store, '/sparse', 'sparse')).toEqual(expected);
    expect(await digestFile(store, '/full', 'sparse')).toEqual(expected);
    const file = await store.open('/full', 'update');
    await file.write(Buffer.from([7]), 3 * BLOCK);
    await file.close();
    expect(await digestFile(store, '/full', 'sparse')).not.toEqual(expected);
  });

  it('hashes a file whole, unless it is nearly all holes', async () => {
    const whole = { sha256: createHash('sha256').update(bytes).digest('hex') };
    expect(await digestFile(store, '/sparse', 'auto')).toEqual(whole);
    expect(await digestFile(store, '/full', 'whole')).toEqual(whole);
    const file = await store.open('/sparse', 'update');
    await file.resize(17 * 2 ** 30);
    await file.close();
    expect(await digestFile(store, '/sparse', 'auto')).toEqual({ sparseSha256: asDocumented() });
  });
});
