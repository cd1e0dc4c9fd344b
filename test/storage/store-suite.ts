// What every FileStore promises, as one suite: run against node:fs, memfs and memory, so that code tested on one
// of them works on the others.
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileStore } from '../../src/storage/file-store.ts';

export interface StoreUnderTest {
  readonly store: FileStore;
  /** An empty folder, absolute. */
  readonly folder: string;
  readonly cleanUp?: () => void;
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

/** Reads a whole file through the store. */
export async function contentOf(store: FileStore, path: string): Promise<string> {
  const file = await store.open(path, 'read');
  try {
    const bytes = new Uint8Array(await file.size());
    await file.readExactly(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    await file.close();
  }
}

export async function put(store: FileStore, path: string, content: string | Uint8Array): Promise<void> {
  const file = await store.create(path);
  await file.write(typeof content === 'string' ? text(content) : content, 0);
  await file.close();
}

/** Makes a FIFO, which Node cannot. */
export function makeFifo(path: string): void {
  execFileSync('sh', ['-c', 'mkfifo "$0"', path]);
}

/** Asserts that `work` fails with a VmdkError of this code which names the path. */
export async function expectFailure(work: Promise<unknown>, code: string, path: string): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'VmdkError', code });
  expect((error as Error).message).toContain(path);
}

export function describeStore(name: string, make: () => StoreUnderTest): void {
  describe(name, () => {
    let it_: StoreUnderTest;
    let store: FileStore;
    let at: (name: string) => string;

    beforeEach(() => {
      it_ = make();
      store = it_.store;
      at = (name) => `${it_.folder}/${name}`;
    });
    afterEach(() => it_.cleanUp?.());

    describe('files', () => {
      it('reads back what was written, at its place', async () => {
        const file = await store.create(at('a'));
        await file.write(text('world'), 6);
        await file.write(text('hello '), 0);
        const bytes = new Uint8Array(5);
        await file.readExactly(bytes, 3);
        expect(new TextDecoder().decode(bytes)).toBe('lo wo');
        await file.sync();
        await file.close();
        expect(await contentOf(store, at('a'))).toBe('hello world');
      });

      it('reads zeros between what was written and after growing, also where there was something before', async () => {
        const file = await store.create(at('a'));
        await file.write(text('abc'), 0);
        await file.write(text('z'), 200_000);
        expect(await file.size()).toBe(200_001);
        await file.resize(1);
        await file.resize(100_000);
        const bytes = new Uint8Array(100_000).fill(7);
        await file.readExactly(bytes, 0);
        expect(bytes[0]).toBe(97);
        expect(bytes.subarray(1).every((byte) => byte === 0)).toBe(true);
        await file.close();
      });

      it('does not grow a file by writing nothing', async () => {
        const file = await store.create(at('a'));
        await file.write(new Uint8Array(0), 1000);
        expect(await file.size()).toBe(0);
        await file.readExactly(new Uint8Array(0), 1000);
        await file.close();
      });

      it('names place, found and expected when the file ends too soon', async () => {
        await put(store, at('a'), 'hello');
        const file = await store.open(at('a'), 'read');
        await expect(file.readExactly(new Uint8Array(10), 2)).rejects.toMatchObject({
          code: 'file-too-short',
          kind: 'corrupt',
          context: { path: at('a'), offset: 2, found: '3 bytes', expected: '10 bytes' },
        });
        await expectFailure(file.readExactly(new Uint8Array(1), 99), 'file-too-short', 'found 0 bytes');
        await file.close();
      });

      it('has no way to write into a file opened for reading', async () => {
        await put(store, at('a'), 'hello');
        const file = await store.open(at('a'), 'read');
        expect(Object.keys(file).filter((key) => ['write', 'resize', 'sync'].includes(key))).toEqual([]);
        await file.close();
      });

      it('updates a file in place', async () => {
        await put(store, at('a'), 'hello');
        const file = await store.open(at('a'), 'update');
        await file.write(text('J'), 0);
        await file.close();
        expect(await contentOf(store, at('a'))).toBe('Jello');
      });

      it('refuses positions that are no safe integers, BigInts included', async () => {
        const file = await store.create(at('a'));
        const bytes = new Uint8Array(1);
        for (const position of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER, 0n as unknown as number]) {
          await expect(file.readExactly(bytes, position)).rejects.toBeInstanceOf(RangeError);
          await expect(file.write(bytes, position)).rejects.toBeInstanceOf(RangeError);
        }
        await expect(file.resize(-1)).rejects.toBeInstanceOf(RangeError);
        await file.close();
      });

      it('closes twice without harm and is of no use afterwards', async () => {
        const file = await store.create(at('a'));
        await file.close();
        await file.close();
        const other = await store.create(at('b'));
        await expect(file.write(text('x'), 0)).rejects.toMatchObject({ code: 'file-closed' });
        await expect(file.readExactly(new Uint8Array(1), 0)).rejects.toBeInstanceOf(TypeError);
        await expect(file.size()).rejects.toBeInstanceOf(TypeError);
        await expect(file.sync()).rejects.toBeInstanceOf(TypeError);
        expect(await other.size()).toBe(0);
        await other.close();
      });

      it('lets reads that are under way finish before it closes', async () => {
        await put(store, at('a'), new Uint8Array(1 << 20).fill(5));
        const file = await store.open(at('a'), 'read');
        const pieces = Array.from({ length: 64 }, () => new Uint8Array(1 << 14));
        const reads = pieces.map((piece, i) => file.readExactly(piece, i << 14));
        const [closed] = await Promise.all([file.close(), ...reads]);
        expect(closed).toBeUndefined();
        expect(pieces.every((piece) => piece.every((byte) => byte === 5))).toBe(true);
      });

      it('answers stretches that lie end to end within the file, data where there is data, or nothing', async () => {
        const file = await store.create(at('a'));
        await file.resize(8 << 20);
        await file.write(new Uint8Array(65_536).fill(1), 4 << 20);
        const stretches = await file.stretches?.(65_536, 16 << 20);
        let end = 65_536;
        for (const stretch of stretches ?? []) {
          expect(stretch.start).toBe(end);
          end += stretch.length;
        }
        if (stretches !== undefined) {
          expect(end).toBe(8 << 20);
          const data = stretches.filter((stretch) => stretch.data);
          expect(
            data.some(({ start, length }) => start <= 4 << 20 && start + length >= (4 << 20) + 65_536),
          ).toBe(true);
        }
        expect(await file.stretches?.(8 << 20, 512)).toBeUndefined();
        await file.close();
      });
    });

    describe('names', () => {
      it('says which file is missing', async () => {
        await expectFailure(store.open(at('no'), 'read'), 'file-missing', at('no'));
        await expectFailure(store.open(at('no'), 'update'), 'file-missing', at('no'));
        await expectFailure(store.resolve(at('no')), 'file-missing', at('no'));
        await expectFailure(store.remove(at('no')), 'file-missing', at('no'));
        await expectFailure(store.rename(at('no'), at('b')), 'file-missing', at('no'));
        await expectFailure(store.list(at('no')), 'file-missing', at('no'));
        await expectFailure(store.create(at('no/a')), 'file-missing', at('no/a'));
        await expectFailure(store.makeFolder(at('no/a')), 'file-missing', at('no/a'));
        expect(await store.exists(at('no'))).toBe(false);
      });

      it('never makes a file over another', async () => {
        await put(store, at('a'), 'first');
        await expectFailure(store.create(at('a')), 'file-exists', at('a'));
        await expectFailure(store.makeFolder(at('a')), 'file-exists', at('a'));
        expect(await contentOf(store, at('a'))).toBe('first');
      });

      it('opens no folder as a file', async () => {
        await store.makeFolder(at('d'));
        await expectFailure(store.open(at('d'), 'read'), 'not-a-file', at('d'));
        await expectFailure(store.open(at('d'), 'update'), 'not-a-file', at('d'));
        await expectFailure(store.replace(at('d'), text('x')), 'not-a-file', at('d'));
      });

      it('refuses a name with a NUL byte', async () => {
        await expectFailure(store.open(at('a\0b'), 'read'), 'nul-in-name', 'a\\u0000b');
        await expectFailure(store.resolve(at('a\0b')), 'nul-in-name', 'a\\u0000b');
        await expectFailure(store.create(at('a\0b')), 'nul-in-name', 'a\\u0000b');
      });

      it('lists, makes, renames and removes', async () => {
        await store.makeFolder(at('d'));
        await put(store, at('d/a'), 'a');
        await put(store, at('b'), 'b');
        expect((await store.list(it_.folder)).toSorted()).toEqual(['b', 'd']);
        await expectFailure(store.removeFolder(at('d')), 'folder-not-empty', at('d'));
        await store.rename(at('d/a'), at('b'));
        expect(await contentOf(store, at('b'))).toBe('a');
        expect(await store.list(at('d'))).toEqual([]);
        await store.syncFolder(at('d'));
        await store.syncFolder(it_.folder);
        await store.removeFolder(at('d'));
        await store.remove(at('b'));
        expect(await store.list(it_.folder)).toEqual([]);
        expect(await store.exists(at('b'))).toBe(false);
      });

      it('renames a folder with all that is in it', async () => {
        await store.makeFolder(at('d'));
        await store.makeFolder(at('d/e'));
        await put(store, at('d/e/a'), 'a');
        await store.rename(at('d'), at('f'));
        expect(await contentOf(store, at('f/e/a'))).toBe('a');
        expect(await store.exists(at('d/e/a'))).toBe(false);
      });

      it('lists only folders', async () => {
        await put(store, at('a'), 'a');
        await expectFailure(store.list(at('a')), 'not-a-folder', at('a'));
      });

      it('keeps an open file usable after its name is gone', async () => {
        await put(store, at('a'), 'still here');
        const file = await store.open(at('a'), 'read');
        await store.remove(at('a'));
        const bytes = new Uint8Array(5);
        await file.readExactly(bytes, 0);
        expect(new TextDecoder().decode(bytes)).toBe('still');
        await file.close();
      });

      it('replaces a file whole, shrinks it, makes it when missing, and leaves nothing beside it', async () => {
        await put(store, at('a'), 'a long text');
        const before = await store.open(at('a'), 'read');
        await store.replace(at('a'), text('short'));
        await store.replace(at('b'), text('new'));
        expect(await contentOf(store, at('a'))).toBe('short');
        expect(await contentOf(store, at('b'))).toBe('new');
        expect(await before.size()).toBe(11);
        await before.close();
        expect((await store.list(it_.folder)).toSorted()).toEqual(['a', 'b']);
      });

      it('fails to replace in a folder that is missing', async () => {
        await expectFailure(store.replace(at('no/a'), text('x')), 'file-missing', `${at('no/a')}: `);
      });

      it('changes permission bits, tells those there were, and keeps them when a file is replaced', async () => {
        await put(store, at('a'), 'a');
        const first = await store.changeMode?.(at('a'), () => 0o640);
        // Not every file system has permissions.
        if (first === undefined) return;
        expect(await store.changeMode!(at('a'), (mode) => mode & ~0o222)).toBe(0o640);
        expect(await store.changeMode!(at('a'), (mode) => mode)).toBe(0o440);
        await store.replace(at('a'), text('b'));
        expect(await store.changeMode!(at('a'), (mode) => mode)).toBe(0o440);
        await expectFailure(
          store.changeMode!(at('b'), (mode) => mode),
          'file-missing',
          at('b'),
        );
      });

      it('resolves to kind, size and an identity of the file, not of the name', async () => {
        const before = Date.now();
        await put(store, at('a'), 'hello');
        await put(store, at('b'), 'hello');
        await store.makeFolder(at('d'));
        const a = await store.resolve(at('d/../a'));
        expect(a).toMatchObject({ path: at('a'), kind: 'file', size: 5 });
        expect(Math.abs(a.modified - before)).toBeLessThan(60_000);
        expect((await store.resolve(at('b'))).identity).not.toBe(a.identity);
        expect((await store.resolve(at('d'))).kind).toBe('folder');
        await store.rename(at('a'), at('c'));
        expect((await store.resolve(at('c'))).identity).toBe(a.identity);
      });
    });
  });
}
