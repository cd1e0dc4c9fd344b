// What is left of a lock when its process dies, in every moment of taking it; and several who clear that at once and draw
// from very few numbers: never do two hold the lock, and never goes an entry of somebody who lives.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { LockHost } from '../../src/storage/node-lock-host.ts';
import { findLocks } from '../../src/storage/lock-state.ts';
import { clearOwnLocksIn } from '../../src/storage/own-locks.ts';
import { takeLock } from '../../src/storage/take-lock.ts';

/** Numbers that are drawn are below this. */
const draw = vi.hoisted(() => ({ below: 65_536 }));
vi.mock('node:crypto', async (original: () => Promise<object>) => ({
  ...(await original()),
  randomInt: () => Math.floor(Math.random() * draw.below),
}));

const DISK = '/vm/a.vmdk';
const LOCK = `${DISK}.lck`;
const THEIRS = new TextEncoder().encode('other 1-1 1 S [ lc=1'.padEnd(512, '\0'));

/** A process as it sees itself and the others. */
function hostOf(pid: number, alive: ReadonlySet<number>): LockHost {
  return {
    id: 'vmdkit=test',
    pid,
    process: (asked) => (alive.has(asked) ? { alive: true, started: 7 } : { alive: false }),
    lockTable: () => undefined,
    holder: () => undefined,
  };
}

async function newStore(): Promise<FileStore> {
  const store = createMemoryFileStore({ [DISK]: Buffer.from('disk') });
  await store.makeFolder(LOCK);
  const file = await store.create(`${LOCK}/M00000.lck`);
  await file.write(THEIRS, 0);
  await file.close();
  return store;
}

/** Before each thing that is asked of the store, or of a file of it, `before` is waited for. */
function interrupted(store: FileStore, before: (what: string) => Promise<void>): FileStore {
  const wrap = <T extends object>(object: T): T => {
    const copy = { ...object } as Record<string, unknown>;
    for (const [key, value] of Object.entries(object)) {
      if (typeof value !== 'function') continue;
      copy[key] = async (...args: unknown[]) => {
        await before([key, ...args.filter((arg) => typeof arg === 'string')].join(' '));
        const result = (await (value as (...all: unknown[]) => unknown).apply(object, args)) as object;
        return key === 'create' || key === 'open' ? wrap(result) : result;
      };
    }
    return copy as T;
  };
  return wrap(store);
}

const DEAD = new Error('the process is gone');
/** The process dies before the Nth thing that it asks. */
function killedAt(store: FileStore, moment: number, asked: string[] = []): FileStore {
  return interrupted(store, async (what) => {
    if (asked.length >= moment) throw DEAD;
    asked.push(what);
  });
}

describe('a process that dies while it takes or gives back a lock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const useLock = async (store: FileStore, pid: number, alive: ReadonlySet<number>): Promise<void> =>
    (await takeLock(store, DISK, { host: hostOf(pid, alive), mode: 'shared' })).release();

  it("is in nobody's way, and leaves nothing; an entry of others stays", async () => {
    const asked: string[] = [];
    await useLock(killedAt(await newStore(), Infinity, asked), 1, new Set([1]));
    expect(asked.length).toBeGreaterThan(20);
    const waited: string[] = [];
    const live: string[] = [];
    for (let moment = 1; moment < asked.length; moment++) {
      const store = await newStore();
      await expect(useLock(killedAt(store, moment), 1, new Set([1]))).rejects.toBe(DEAD);
      const seen = await findLocks(store, DISK, { host: hostOf(2, new Set([2])) });
      if (seen.some(({ state }) => state === 'live')) live.push(asked[moment]!);
      const began = Date.now();
      const next = useLock(store, 2, new Set([2]));
      let over = false;
      void next.then(() => (over = true));
      while (!over) await vi.advanceTimersByTimeAsync(50);
      if (Date.now() - began > 1000) waited.push(asked[moment]!);
      expect({ moment, names: await store.list(LOCK) }).toEqual({ moment, names: ['M00000.lck'] });
    }
    // Only where the claim did not say yet that the mark was made; and where the mark was to go, and may be another's by now.
    const [made, gone] = ['write', expect.stringMatching(/^removeFolder .*D\d{5}\.lck$/) as string];
    expect([waited, live]).toEqual([
      [made, gone],
      [made, gone],
    ]);
  });

  it('is cleared away with the other locks of a folder, unless it lives, or is of another machine', async () => {
    const store = await newStore();
    await takeLock(store, DISK, { host: hostOf(1, new Set([1])), mode: 'shared' });
    const [ours] = (await store.list(LOCK)).filter((name) => name !== 'M00000.lck');
    for (const host of [hostOf(2, new Set([1, 2])), { ...hostOf(2, new Set([2])), id: 'vmdkit=other' }]) {
      await clearOwnLocksIn(store, '/vm', host);
      expect(await store.list(LOCK)).toContain(ours);
    }
    await clearOwnLocksIn(store, '/vm', hostOf(2, new Set([2])));
    expect(await store.list(LOCK)).toEqual(['M00000.lck']);
    await store.remove(`${LOCK}/M00000.lck`);
    await clearOwnLocksIn(store, '/vm', hostOf(2, new Set([2])));
    expect(await store.list('/vm')).toEqual(['a.vmdk']);
  });
});

describe('several processes at once', () => {
  afterEach(() => {
    draw.below = 65_536;
  });

  it('clear what is left and take the lock one after the other, though all draw the same few numbers', async () => {
    draw.below = 4;
    let [taken, cleared] = [0, 0];
    for (let round = 0; round < 25; round++) {
      const store = createMemoryFileStore({ [DISK]: Buffer.from('disk') });
      const alive = new Set([2, 3, 4, 5]);
      await takeLock(store, DISK, { host: hostOf(1, new Set([1])) });
      const [left] = await store.list(LOCK);
      let holders = 0;
      const use = async (pid: number): Promise<void> => {
        const slow = interrupted(store, async () => {
          for (let turns = Math.floor(Math.random() * 4); turns > 0; turns--) await Promise.resolve();
        });
        for (let tries = 0; tries < 4; tries++) {
          const lock = await takeLock(slow, DISK, { host: hostOf(pid, alive) }).catch((error: unknown) => {
            expect(error).toMatchObject({ code: 'disk-locked' });
          });
          if (lock === undefined) continue;
          expect(++holders).toBe(1);
          taken++;
          // It is still there: nobody took it for what was left.
          const own = (await store.list(LOCK)).filter((name) => name.startsWith('M'));
          expect(own).toHaveLength(1);
          for (let turns = 0; turns < 20; turns++) await Promise.resolve();
          expect((await store.list(LOCK)).filter((name) => name.startsWith('M'))).toEqual(own);
          holders--;
          await lock.release();
        }
      };
      await Promise.all([...alive].map(use));
      await (await takeLock(store, DISK, { host: hostOf(6, new Set([6])) })).release();
      expect(await store.list('/vm')).toEqual(['a.vmdk']);
      if (left !== undefined) cleared++;
    }
    expect(cleared).toBe(25);
    expect(taken).toBeGreaterThan(25);
  });
});
