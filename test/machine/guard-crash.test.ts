// The plug pulled at every operation of guarding a base, of giving its CID back and of releasing it: the contents of
// the base and of what stands on it are never touched, and the same command completes whatever was left.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { VmdkError } from '../../src/core/errors.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { checkGuard, releaseGuard, restoreCid, setGuard } from '../../src/machine/guard.ts';
import type { GuardOptions, GuardReport } from '../../src/machine/guard-types.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { contentOf, filesBelow, hashesBelow, runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { makeFolders } from '../support/scan-model.ts';

const BASE = '/ds/golden/golden.vmdk';
const CHILD = '/ds/a/a.vmdk';
const DATA = pattern(4096, 5);

type Verb = (path: string, options: GuardOptions) => Promise<GuardReport>;

const guarding = (store: FileStore, pid: number): GuardOptions => ({ fs: store, runs: runsOf(pid) });

async function datastore(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeFolders(store, '/ds', '/ds/golden', '/ds/a');
  await createDisk(BASE, bytes(1 << 20), { fs: store, type: 'vmfs' });
  await write(store, DATA);
  await createDelta(CHILD, BASE, { fs: store });
  return store;
}

async function write(store: FileStore, data: Uint8Array): Promise<void> {
  const chain = await openChain(BASE, 'update', { fs: store });
  await chain.write(sectors(8), data);
  await chain.close();
}

/** As a start by mistake that left every byte as it was: the CID is another one. */
async function rolled(store: FileStore): Promise<void> {
  for (const path of await filesBelow(store, '/ds/golden'))
    await store.changeMode!(path, (mode) => mode | 0o200);
  await write(store, DATA);
}

/** Cuts the power of `verb` at every operation; gives each state found, and what completes it. */
async function cutEverywhere(
  start: FileStore,
  verb: Verb,
  judge: (state: FileStore, what: string) => Promise<void>,
): Promise<number> {
  const seen = new Set<string>();
  for (let n = 0; ; n++) {
    const store = await crashStoreOf(start);
    store.crashAt(n);
    try {
      await verb(BASE, guarding(store, 1));
      return n;
    } catch (error) {
      if (!isPowerCut(error) && !(error instanceof VmdkError && isPowerCut(error.cause))) throw error;
    }
    let index = 0;
    for await (const state of store.afterCrash(n, 3, seen))
      await judge(state, `cut at ${n}: ${store.log[n]}, ${index++}`);
  }
}

describe('guarding a base whose power is cut', () => {
  it('leaves every disk as it was, and can be done again', async () => {
    const start = await datastore();
    const before = await hashesBelow(start, '/ds');
    const cuts = await cutEverywhere(start, setGuard, async (state, what) => {
      const again = await setGuard(BASE, { ...guarding(state, 2), force: true, locked: 'ignore' });
      expect(again.recorded, what).not.toBe('');
      expect(await checkGuard(BASE, guarding(state, 2)), what).toMatchObject({ verdict: 'as-recorded' });
      const now = await hashesBelow(state, '/ds');
      for (const [path, hash] of Object.entries(before)) expect(now[path], `${what}: ${path}`).toBe(hash);
    });
    expect(cuts).toBeGreaterThan(10);
  });

  it('gives the CID back whole or not at all', async () => {
    const start = await datastore();
    await setGuard(BASE, guarding(start, 1));
    await rolled(start);
    const content = await contentOf(start, BASE);
    const cuts = await cutEverywhere(start, restoreCid, async (state, what) => {
      expect((await contentOf(state, BASE)).equals(content), what).toBe(true);
      await restoreCid(BASE, { ...guarding(state, 2), locked: 'ignore' });
      expect(await checkGuard(BASE, guarding(state, 2)), what).toMatchObject({ verdict: 'as-recorded' });
      expect((await contentOf(state, CHILD)).equals(content), what).toBe(true);
    });
    expect(cuts).toBeGreaterThan(10);
  });

  it('is released or still guarded', async () => {
    const start = await datastore();
    await setGuard(BASE, guarding(start, 1));
    const content = await contentOf(start, CHILD);
    const cuts = await cutEverywhere(start, releaseGuard, async (state, what) => {
      expect((await contentOf(state, CHILD)).equals(content), what).toBe(true);
      try {
        await releaseGuard(BASE, guarding(state, 2));
      } catch (error) {
        if (!(error instanceof VmdkError) || error.code !== 'not-guarded') throw error;
      }
      expect(await state.exists(`${BASE}.guard`), what).toBe(false);
      await write(state, DATA);
    });
    expect(cuts).toBeGreaterThan(5);
  });
});
