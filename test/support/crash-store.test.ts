// The crash store itself: what was synced is always found, what was not is found in every state it may be in.
import { describe, expect, it } from 'vitest';
import type { FileStore } from '../../src/storage/file-store.ts';
import { contentOf, describeStore, put } from '../storage/store-suite.ts';
import { crashStoreOf, createCrashStore, isPowerCut, type CrashStore } from './crash-store.ts';

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const block = (letter: string, sectors = 1): Uint8Array => text(letter.repeat(512 * sectors));

const empty = await createCrashStore();
let next = 0;
await empty.makeFolder('/suite');
describeStore('a crash store with its power on', () => {
  const folder = `/suite/${next++}`;
  void empty.makeFolder(folder);
  return { store: empty, folder };
});

/** Contents of `path` over many states, `undefined` where it does not exist; each once. */
async function outcomes(store: CrashStore, path: string, seeds = 8): Promise<Set<string | undefined>> {
  const found = new Set<string | undefined>();
  for (let seed = 0; seed < seeds; seed++) {
    for await (const state of store.afterCrash(seed)) found.add(await contentIfThere(state, path));
  }
  return found;
}

async function contentIfThere(store: FileStore, path: string): Promise<string | undefined> {
  return (await store.exists(path)) ? contentOf(store, path) : undefined;
}

/** All states of `path` by the first letters of its sectors, sorted. */
async function sectorStates(store: CrashStore, path: string, seeds = 8): Promise<string[]> {
  const states = [...(await outcomes(store, path, seeds))].map((content) => sectors(content) ?? 'none');
  return states.toSorted((a, b) => (a < b ? -1 : 1));
}

/** The first letter of each sector: `ab-` with `-` for zeros. */
function sectors(content: string | undefined): string | undefined {
  return content?.replace(/([\s\S])[\s\S]{0,511}/g, (_, letter: string) => (letter === '\0' ? '-' : letter));
}

async function withFile(content: Uint8Array): Promise<CrashStore> {
  return createCrashStore({ '/d/a': content });
}

describe('bytes of a file', () => {
  it('that were synced are always found', async () => {
    const store = await withFile(block('a', 2));
    const file = await store.open('/d/a', 'update');
    await file.write(block('b'), 512);
    await file.sync();
    expect(await sectorStates(store, '/d/a')).toEqual(['ab']);
  });

  it('that were not are found old, new or torn between sectors, each combination in time', async () => {
    const store = await withFile(block('a', 3));
    const file = await store.open('/d/a', 'update');
    await file.write(block('b', 2), 512);
    const found = await sectorStates(store, '/d/a', 32);
    expect(found).toEqual(['aaa', 'aab', 'aba', 'abb']);
  });

  it('keep no order between writes', async () => {
    const store = await withFile(block('a', 2));
    const file = await store.open('/d/a', 'update');
    await file.write(block('1'), 0);
    await file.write(block('2'), 512);
    expect(await sectorStates(store, '/d/a', 32)).toEqual(['12', '1a', 'a2', 'aa']);
  });

  it('are never torn within a sector, wherever the write begins', async () => {
    const store = await withFile(block('a', 2));
    const file = await store.open('/d/a', 'update');
    await file.write(text('b'.repeat(200)), 412);
    const found = new Set<string | undefined>();
    for (const content of await outcomes(store, '/d/a', 32)) {
      found.add(content?.replace(/(a|b)\1*/g, (run) => `${run[0]}${run.length} `));
    }
    expect(found).toEqual(new Set(['a1024 ', 'a412 b100 a512 ', 'a512 b100 a412 ', 'a412 b200 a412 ']));
  });

  it('past the old end may be zeros, or the file shorter', async () => {
    const store = await withFile(block('a'));
    const file = await store.open('/d/a', 'update');
    await file.write(block('b', 2), 512);
    const found = await sectorStates(store, '/d/a', 64);
    expect(found).toEqual(['a', 'a--', 'a-b', 'ab', 'abb']);
  });

  it('cut off or added by resize may come back or be missing', async () => {
    const store = await withFile(block('a', 2));
    await (await store.open('/d/a', 'update')).resize(512);
    expect(await sectorStates(store, '/d/a')).toEqual(['a', 'aa']);
  });

  it('are not saved by a sync that began while the write was under way', async () => {
    const store = await withFile(block('a'));
    const file = await store.open('/d/a', 'update');
    await Promise.all([file.write(block('b'), 0), file.sync()]);
    expect(await sectorStates(store, '/d/a')).toEqual(['a', 'b']);
    await file.sync();
    expect(await sectorStates(store, '/d/a')).toEqual(['b']);
  });
});

describe('names', () => {
  it('of new files are lost until the folder is synced, synced bytes or not', async () => {
    const store = await withFile(block('a'));
    const file = await store.create('/d/new');
    await file.write(text('x'), 0);
    await file.sync();
    expect(await outcomes(store, '/d/new')).toEqual(new Set([undefined, 'x']));
    await store.syncFolder('/d');
    expect(await outcomes(store, '/d/new')).toEqual(new Set(['x']));
  });

  it('that were removed may come back until the folder is synced', async () => {
    const store = await withFile(text('a'));
    await store.remove('/d/a');
    expect(await outcomes(store, '/d/a')).toEqual(new Set(['a', undefined]));
    await store.syncFolder('/d');
    expect(await outcomes(store, '/d/a')).toEqual(new Set([undefined]));
  });

  it('are renamed at once: never both, never neither, and replacing the old file whole', async () => {
    const store = await createCrashStore({ '/d/a': text('a'), '/d/b': text('b') });
    await store.rename('/d/a', '/d/b');
    const found = new Set<string>();
    for await (const state of store.afterCrash(1, 32)) {
      found.add(`${await contentIfThere(state, '/d/a')} ${await contentIfThere(state, '/d/b')}`);
    }
    expect(found).toEqual(new Set(['a b', 'undefined a']));
  });

  it('renamed from one folder to another need both folders synced', async () => {
    const store = await createCrashStore({ '/d/a': text('a'), '/e/z': text('z') });
    await store.rename('/d/a', '/e/a');
    await store.syncFolder('/e');
    expect(await outcomes(store, '/e/a')).toEqual(new Set([undefined, 'a']));
    await store.syncFolder('/d');
    expect(await outcomes(store, '/e/a')).toEqual(new Set(['a']));
  });

  it('in a folder that is lost are lost with it, and a renamed folder takes them along', async () => {
    const store = await createCrashStore({ '/d/a': text('a') });
    await store.makeFolder('/n');
    await put(store, '/n/x', 'x');
    await store.syncFolder('/n');
    expect((await outcomes(store, '/n/x')).has(undefined)).toBe(true);
    await store.rename('/d', '/e');
    expect(await outcomes(store, '/e/a')).toEqual(new Set(['a', undefined]));
  });

  it('lead to old or new bytes, whole, after replace, wherever it was cut', async () => {
    const found = new Set<string | undefined>();
    for (let n = 0; ; n++) {
      const store = await createCrashStore({ '/d/a': text('old') });
      store.crashAt(n);
      const error: unknown = await store.replace('/d/a', text('new text')).catch((reason: unknown) => reason);
      const states = await outcomes(store, '/d/a');
      for (const state of states) found.add(state);
      if (error === undefined) {
        expect(store.log.map((line) => line.split(' ')[0])).toEqual([
          'create',
          'write',
          'sync',
          'rename',
          'syncFolder',
        ]);
        expect(states).toEqual(new Set(['new text']));
        break;
      }
      expect(isPowerCut(error)).toBe(true);
    }
    expect(found).toEqual(new Set(['old', 'new text']));
  });

  it('of a file replaced without a sync may lead to a file without its bytes: the store tells the difference', async () => {
    const store = await createCrashStore({ '/d/a': text('old') });
    await put(store, '/d/t', 'new');
    await store.rename('/d/t', '/d/a');
    await store.syncFolder('/d');
    expect((await outcomes(store, '/d/a')).has('')).toBe(true);
  });
});

describe('the cut', () => {
  it('fails its operation, perhaps after part of the effect, and everything after it', async () => {
    const store = await withFile(block('a'));
    const file = await store.open('/d/a', 'update');
    store.crashAt(1);
    await file.write(block('b'), 0);
    const after = [
      file.sync(),
      file.write(block('c'), 0),
      file.readExactly(new Uint8Array(1), 0),
      file.size(),
      store.list('/d'),
      store.exists('/d'),
      store.resolve('/d'),
      store.open('/d/a', 'read'),
      store.remove('/d/a'),
    ];
    for (const result of await Promise.allSettled(after)) {
      expect(result.status === 'rejected' && isPowerCut(result.reason)).toBe(true);
    }
    expect(store.log).toEqual(['write /d/a 0+512', 'sync /d/a']);
    expect(await sectorStates(store, '/d/a')).toEqual(['a', 'b']);
    await file.close();
  });

  it('of a write leaves it torn, whole or lost', async () => {
    const store = await withFile(block('a', 2));
    const file = await store.open('/d/a', 'update');
    store.crashAt(0);
    await expect(file.write(block('b', 2), 0)).rejects.toMatchObject({ code: 'power-cut' });
    expect(await sectorStates(store, '/d/a', 32)).toEqual(['aa', 'ab', 'ba', 'bb']);
  });

  it('is survived in the same states for the same seed, first all lost, then none', async () => {
    const store = await withFile(block('a', 8));
    const file = await store.open('/d/a', 'update');
    await file.write(block('b', 8), 0);
    const run = async (seed: number): Promise<(string | undefined)[]> => {
      const states: (string | undefined)[] = [];
      for await (const state of store.afterCrash(seed)) states.push(sectors(await contentOf(state, '/d/a')));
      return states;
    };
    const first = await run(7);
    expect(first.slice(0, 2)).toEqual(['aaaaaaaa', 'bbbbbbbb']);
    expect(first.length).toBeGreaterThan(3);
    expect(new Set(first).size).toBe(first.length);
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  it('can come again while recovering from the first', async () => {
    const store = await createCrashStore({ '/d/e/a': text('a'), '/d/empty': new Uint8Array(0) });
    for await (const state of store.afterCrash(0, 1)) {
      const again = await crashStoreOf(state);
      expect(again.log).toEqual([]);
      expect(await outcomes(again, '/d/e/a', 1)).toEqual(new Set(['a']));
      expect(await outcomes(again, '/d/empty', 1)).toEqual(new Set(['']));
    }
  });
});

describe('states of several cuts', () => {
  const work = async (store: CrashStore): Promise<void> => {
    const file = await store.open('/d/a', 'update');
    await file.write(block('1'), 0);
    await file.write(block('2'), 512);
    await file.sync();
    await file.write(block('3'), 0);
    await store.replace('/d/b', block('x'));
    await store.remove('/d/a');
  };

  /** What all cuts leave, as contents of both files, in the order met. */
  async function met(seen?: Set<string>): Promise<string[]> {
    const found: string[] = [];
    for (let n = 0; n < 12; n++) {
      const store = await withFile(block('a', 2));
      store.crashAt(n);
      await work(store).catch((error: unknown) => expect(error).toSatisfy(isPowerCut));
      for await (const state of store.afterCrash(n, 16, seen)) {
        const names = (await state.exists('/d')) ? (await state.list('/d')).sort() : [];
        const parts = names.map(async (name) => `${name}=${sectors(await contentOf(state, `/d/${name}`))}`);
        found.push((await Promise.all(parts)).join(' '));
      }
    }
    return found;
  }

  it('are the same ones when each is given once, and fewer', async () => {
    const [all, once] = [await met(), await met(new Set())];
    expect(new Set(once)).toEqual(new Set(all));
    expect(once.length).toBeLessThan(all.length / 2);
  });
});
