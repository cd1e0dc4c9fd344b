// Stores over promises-shaped file systems: memfs and node:fs/promises keep what every store promises.
import * as fs from 'node:fs';
import * as promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFsFromVolume, Volume } from 'memfs';
import { describe, expect, it } from 'vitest';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createFileStore, storeFor, type PromisesFs } from '../../src/storage/promises-file-store.ts';
import { contentOf, describeStore, expectFailure } from './store-suite.ts';

const memfs = (content: Record<string, string | null> = {}): PromisesFs =>
  createFsFromVolume(Volume.fromJSON(content)).promises;

describeStore('memfs', () => ({
  store: createFileStore(memfs({ '/base/work': null })),
  folder: '/base/work',
}));

describeStore('node:fs/promises', () => {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-promises-')));
  return { store: createFileStore(promises), folder, cleanUp: () => fs.rmSync(folder, { recursive: true }) };
});

describe('the store for an fs argument', () => {
  it('is the argument itself when that is a store', () => {
    const store = createMemoryFileStore();
    expect(storeFor(store)).toBe(store);
  });

  it('wraps what is shaped like node:fs/promises', async () => {
    expect(await contentOf(storeFor(memfs({ '/a': 'hello' })), '/a')).toBe('hello');
  });

  it('takes what has its promises beside other calls: node:fs as it is imported, memfs as a whole', async () => {
    const whole = createFsFromVolume(Volume.fromJSON({ '/a': 'hello' }));
    expect(await contentOf(storeFor(whole), '/a')).toBe('hello');
    const here = new URL(import.meta.url).pathname;
    expect(await contentOf(storeFor(fs), here)).toContain('takes what has its promises');
  });

  it('is the real file system when there is no argument', async () => {
    const here = new URL(import.meta.url).pathname;
    expect(await contentOf(storeFor(undefined), here)).toContain('is the real file system when');
  });
});

describe('a store over promises', () => {
  it('does not wait on a FIFO-like file, by looking before it opens', async () => {
    const fifo = { isFile: () => false, isDirectory: () => false, isBlockDevice: () => false };
    const kinds = { ...fifo, isCharacterDevice: () => false, isFIFO: () => true, isSocket: () => false };
    let opened = 0;
    const store = createFileStore({
      ...memfs(),
      stat: async () => ({ dev: 1, ino: 1, size: 0, mtimeMs: 0, mode: 0, ...kinds }),
      open: async () => {
        opened++;
        throw new Error('opened');
      },
    });
    await expectFailure(store.open('/fifo', 'read'), 'not-a-file', 'found a FIFO');
    expect(opened).toBe(0);
  });

  it('reads on after short reads and writes on after short writes', async () => {
    const real = memfs({ '/a': '' });
    const slow: PromisesFs = {
      ...real,
      stat: (path, options) => real.stat(path, options),
      open: async (path, flags) => {
        const handle = await real.open(path, flags);
        return {
          read: (into, offset, length, position) => handle.read(into, offset, Math.min(length, 3), position),
          write: (data, offset, length, position) =>
            handle.write(data, offset, Math.min(length, 2), position),
          truncate: (size) => handle.truncate(size),
          datasync: () => handle.datasync(),
          stat: () => handle.stat(),
          close: () => handle.close(),
        };
      },
    };
    const file = await createFileStore(slow).open('/a', 'update');
    await file.write(new TextEncoder().encode('hello world'), 0);
    const bytes = new Uint8Array(11);
    await file.readExactly(bytes, 0);
    expect(new TextDecoder().decode(bytes)).toBe('hello world');
    await file.close();
  });

  it('removes its temporary file when a replacement fails', async () => {
    const real = memfs({ '/d/a': 'old' });
    const names = new Set<string>();
    const broken = Object.assign(Object.create(real) as PromisesFs, {
      rename: async (from: string) => {
        names.add(from);
        throw Object.assign(new Error('no'), { code: 'EIO' });
      },
    });
    const store = createFileStore(broken);
    await expectFailure(store.replace('/d/a', new Uint8Array(2)), 'io-error', '/d/a');
    expect(names.size).toBe(1);
    expect(await store.list('/d')).toEqual(['a']);
    expect(await contentOf(store, '/d/a')).toBe('old');
  });
});
