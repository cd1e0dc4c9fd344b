// Digests of whole disks, of what a link has itself and of pieces, against node:crypto over plain buffers.
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { ALGORITHMS, parseAlgorithm } from '../../src/examine/digests.ts';
import { hashBytes, ownData, wholeDisk, wholeFile } from '../../src/examine/hash-bytes.ts';
import { createPieceDigester, type PieceHash } from '../../src/examine/piece-digests.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let store: FileStore;
let chain: SmallChain;

beforeAll(async () => {
  store = createMemoryFileStore();
  chain = await makeSmallChain('/', store);
});

function digestsOf(data: Uint8Array): Record<string, string> {
  return Object.fromEntries(
    ALGORITHMS.map((algorithm) => [algorithm, createHash(algorithm).update(data).digest('hex')]),
  );
}

describe('hashBytes', () => {
  it('hashes what a chain reads as, every algorithm in one pass, and reads only data', async () => {
    const opened = await openChain(chain.leaf, 'read', { fs: store });
    const hashed = await hashBytes(wholeDisk(opened), ALGORITHMS);
    await opened.close();
    // Three grains of 64 KiB below the zeros, one of the leaf, less the zeroed one.
    expect(hashed).toEqual({ digests: digestsOf(chain.contents), bytes: 8 << 20, read: 3 << 16 });
  });

  it('hashes what a link has itself', async () => {
    const opened = await openChain(chain.leaf, 'read', { fs: store });
    const { digests, bytes } = await hashBytes(ownData(opened.leaf, 0), ['sha256']);
    await opened.close();
    expect(bytes).toBe(1 << 16);
    expect(digests).toEqual({ sha256: digestsOf(Buffer.alloc(1 << 16, 0xb3))['sha256'] });
  });

  it('gives the same from threads', async () => {
    const size = (96 << 20) + 5;
    const file = await store.create('/large');
    await file.write(Buffer.alloc(3 << 20, 0x5a), 40 << 20);
    await file.resize(size);
    const plain = Buffer.alloc(size);
    plain.fill(0x5a, 40 << 20, 43 << 20);
    const { digests, bytes } = await hashBytes(await wholeFile(file), ['md5', 'sha1']);
    await file.close();
    const { md5, sha1 } = digestsOf(plain);
    expect({ digests, bytes }).toEqual({ digests: { md5, sha1 }, bytes: size });
  });

  it.each([1000, 65_536, 1 << 20, 3 << 20, 8 << 20, 9 << 20])('hashes pieces of %i bytes', async (size) => {
    const found: PieceHash[] = [];
    const pieces = createPieceDigester(['md5'], size, (piece) => void found.push(piece));
    const opened = await openChain(chain.leaf, 'read', { fs: store });
    await hashBytes(wholeDisk(opened), ['md5'], { pieces });
    await opened.close();
    const expected: PieceHash[] = [];
    for (let start = 0; start < chain.contents.length; start += size) {
      const part = chain.contents.subarray(start, start + size);
      const digests = { md5: createHash('md5').update(part).digest('hex') };
      expected.push({ start, length: part.length, digests });
    }
    expect(found).toEqual(expected);
  });

  it('gives up when it is told to', async () => {
    const opened = await openChain(chain.leaf, 'read', { fs: store });
    const reason = new Error('enough');
    const work = hashBytes(wholeDisk(opened), ['md5'], { signal: AbortSignal.abort(reason) });
    await expect(work).rejects.toBe(reason);
    await opened.close();
  });
});

describe('parseAlgorithm', () => {
  it('takes the usual spellings and refuses others', () => {
    expect(['SHA-256', 'md5', 'Sha1', 'sha-512'].map(parseAlgorithm)).toEqual([
      'sha256',
      'md5',
      'sha1',
      'sha512',
    ]);
    try {
      parseAlgorithm('crc32');
      expect.unreachable();
    } catch (error) {
      expect(isVmdkError(error, 'usage')).toBe(true);
    }
  });
});
