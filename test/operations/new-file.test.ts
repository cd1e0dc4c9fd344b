// Raw files out of chains: whole under their own name, or not at all; never in the place of what is read.
import { beforeEach, describe, expect, it } from 'vitest';
import { copySectors } from '../../src/block/copy-sectors.ts';
import type { Chain } from '../../src/chain/chain.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { VmdkError } from '../../src/core/errors.ts';
import { copyOut } from '../../src/operations/copy-out.ts';
import { writeNewFile } from '../../src/operations/new-file.ts';
import type { FileStore, WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let store: FileStore;
let small: SmallChain;
let chain: Chain;

beforeEach(async () => {
  store = createMemoryFileStore();
  await store.makeFolder('/vm');
  small = await makeSmallChain('/vm', store);
  chain = await openChain(small.leaf, 'read', { fs: store });
  return () => chain.close();
});

async function bytesOf(path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  const data = Buffer.alloc(await file.size());
  await file.readExactly(data, 0);
  await file.close();
  return data;
}

const DISKS = ['base.vmdk', 'leaf.vmdk', 'mid.vmdk'];
const names = async (): Promise<string[]> => (await store.list('/vm')).sort();

/** The store, with new files changed by `change`. */
function failing(change: (file: WritableFile) => Partial<WritableFile>): FileStore {
  return {
    ...store,
    create: async (path) => {
      const file = await store.create(path);
      return { ...file, ...change(file) };
    },
  };
}

interface RawOptions {
  readonly fs: FileStore;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
}

/** All of the chain as one new file. */
function rawFile(source: Chain, path: string, { fs, overwrite = false, signal }: RawOptions) {
  return writeNewFile(fs, path, source, overwrite, async (file) => {
    await file.resize(CHAIN_BYTES);
    const written = await copySectors(source, (data, at) => file.write(data, at), { signal });
    signal?.throwIfAborted();
    return { size: CHAIN_BYTES, written };
  });
}

describe('a new file out of a chain', () => {
  it('writes only what is not zero, and all of what is', async () => {
    const written: [number, number][] = [];
    const fs = failing((file) => ({
      write: (data, at) => {
        written.push([at, data.length]);
        return file.write(data, at);
      },
    }));
    const result = await rawFile(chain, '/vm/leaf.raw', { fs });
    expect(result).toEqual({ size: CHAIN_BYTES, written: 3 * 65_536 });
    expect(written.reduce((sum, [, length]) => sum + length, 0)).toBe(3 * 65_536);
    expect((await bytesOf('/vm/leaf.raw')).equals(small.contents)).toBe(true);
    expect(await names()).toEqual([...DISKS, 'leaf.raw'].sort());
  });

  it('leaves the old file and nothing new when it fails or is stopped', async () => {
    await store.replace('/vm/leaf.raw', Buffer.from('precious'));
    const full = new VmdkError('io', 'no-space', 'the file system is full');
    const noRoom = failing(() => ({ write: () => Promise.reject(full) }));
    await expect(rawFile(chain, '/vm/leaf.raw', { fs: noRoom, overwrite: true })).rejects.toBe(full);
    const controller = new AbortController();
    const reason = new Error('stopped');
    const stopping = failing((file) => ({
      write: (data, at) => {
        controller.abort(reason);
        return file.write(data, at);
      },
    }));
    const options = { fs: stopping, overwrite: true, signal: controller.signal };
    await expect(rawFile(chain, '/vm/leaf.raw', options)).rejects.toBe(reason);
    expect(await names()).toEqual([...DISKS, 'leaf.raw'].sort());
    expect((await bytesOf('/vm/leaf.raw')).toString()).toBe('precious');
  });

  it('refuses what is there, what it reads and what is no file', async () => {
    await store.replace('/vm/there', Buffer.from('x'));
    await store.makeFolder('/vm/folder');
    const codeOf = (path: string, overwrite = true): Promise<string> =>
      rawFile(chain, path, { fs: store, overwrite }).then(
        () => 'done',
        (error: unknown) => (error as VmdkError).code,
      );
    expect(await codeOf('/vm/there', false)).toBe('target-exists');
    expect(await codeOf('/vm/mid.vmdk')).toBe('target-is-source');
    expect(await codeOf('/vm/folder')).toBe('target-is-no-file');
    expect(await codeOf('/nowhere/x')).toBe('file-missing');
    expect(await codeOf('/vm/there')).toBe('done');
  });

  it('refuses a file that appears while it works', async () => {
    const fs = failing((file) => ({
      close: async () => {
        await store.replace('/vm/late', Buffer.from('mine'));
        await file.close();
      },
    }));
    await expect(rawFile(chain, '/vm/late', { fs })).rejects.toMatchObject({ code: 'target-exists' });
    expect((await bytesOf('/vm/late')).toString()).toBe('mine');
    expect(await names()).toEqual([...DISKS, 'late'].sort());
  });
});

describe('copying out', () => {
  it('hands over any range in order, with progress in bytes', async () => {
    const pieces: Buffer[] = [];
    const seen: number[] = [];
    const range = { start: (1 << 20) - 7, end: (1 << 20) + 70_001 };
    await copyOut(chain, range, async (data) => void pieces.push(Buffer.from(data)), {
      onProgress: ({ done, total }) => seen.push(done, total),
    });
    expect(Buffer.concat(pieces).equals(small.contents.subarray(range.start, range.end))).toBe(true);
    expect(seen.slice(-2)).toEqual([70_008, 70_008]);
  });

  it('passes on the failure of the reader and the reason of an abort', async () => {
    const range = { start: 0, end: CHAIN_BYTES };
    const gone = new Error('gone');
    await expect(copyOut(chain, range, () => Promise.reject(gone))).rejects.toBe(gone);
    const controller = new AbortController();
    const copying = copyOut(chain, range, async () => controller.abort(gone), { signal: controller.signal });
    await expect(copying).rejects.toMatchObject({ name: expect.stringMatching(/Error/) as string });
  });
});
