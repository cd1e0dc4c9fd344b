// The plug pulled at every operation of a change set in two roots, and again while the next run settles it: in
// whatever state the medium is found, every file is as before or every file is as after.
import { describe, expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { applyChangeSet } from '../../src/operations/change-set.ts';
import type { FileChange } from '../../src/operations/file-change.ts';
import { findInterrupted, settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { textsBelow } from '../support/change-bench.ts';
import { runsOf } from '../support/clone-bench.ts';
import { createCrashStore, crashStoreOf, isPowerCut } from '../support/crash-store.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
/** Longer than a sector, so that it can be torn. */
const long = (letter: string): string => letter.repeat(1300);

const BEFORE: Record<string, string> = {
  '/into/other': 'other',
  '/vm/a.vmx': long('o'),
  '/vm/base.vmdk': long('b'),
  '/vm/gone': long('g'),
  '/vm/kept': 'kept',
  '/vm/leaf': long('l'),
  '/vm/sub/f': 'f',
};

const CHANGES: readonly FileChange[] = [
  {
    kind: 'folder',
    path: '/into/c1',
    files: [
      { name: 'a', content: text(long('1')) },
      { name: 'b', content: text('2') },
    ],
  },
  { kind: 'create', path: '/vm/new', file: text(long('n')) },
  { kind: 'replace', path: '/vm/a.vmx', data: text(long('v')) },
  { kind: 'patch', path: '/vm/base.vmdk', at: 100, data: text('P'.repeat(1000)) },
  // A file in the place of another, which takes the place of a third.
  { kind: 'remove', path: '/vm/gone' },
  { kind: 'rename', from: '/vm/leaf', to: '/vm/gone' },
  { kind: 'create', path: '/vm/leaf', file: text(long('L')) },
  { kind: 'remove', path: '/vm/sub/f' },
  { kind: 'remove-folder', path: '/vm/sub' },
];

const AFTER: Record<string, string> = {
  '/into/c1/a': long('1'),
  '/into/c1/b': '2',
  '/into/other': 'other',
  '/vm/a.vmx': long('v'),
  '/vm/base.vmdk': `${'b'.repeat(100)}${'P'.repeat(1000)}${'b'.repeat(200)}`,
  '/vm/gone': long('l'),
  '/vm/kept': 'kept',
  '/vm/leaf': long('L'),
  '/vm/new': long('n'),
};

const bytesOf = (texts: Record<string, string>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(texts).map(([path, value]) => [path, text(value)]));

/** Runs until the power is cut at operation `n`; false when there was no such operation. */
async function cutIn(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (isPowerCut(error) || (error instanceof VmdkError && isPowerCut(error.cause))) return true;
    throw error;
  }
}

const apply = (store: FileStore, changes = CHANGES): Promise<void> =>
  applyChangeSet(
    store,
    { root: '/into', otherRoots: ['/vm'], label: 'test', request: 'r', changes },
    { runs: runsOf(1) },
  );

/** What the next command does, whichever of the roots it looks at first, and as was foretold. */
async function settle(store: FileStore, first: number, pid = 2): Promise<void> {
  const roots = first % 2 === 0 ? ['/into', '/vm'] : ['/vm', '/into'];
  for (const root of roots) {
    const runs = runsOf(pid);
    const fates = (await findInterrupted(store, root, { runs })).map(({ fate }) => fate);
    const outcomes = (await settleChangeSets(store, root, { runs })).map(({ outcome }) => outcome);
    // There is one mount.
    expect(outcomes).toEqual(fates.map((fate) => (fate === 'finished-or-undone' ? 'finished' : fate)));
  }
}

async function expectBeforeOrAfter(store: FileStore, what: string): Promise<'before' | 'after'> {
  const texts = { ...(await textsBelow(store, '/into')), ...(await textsBelow(store, '/vm')) };
  const names = Object.keys(texts).sort();
  const isAfter = texts['/vm/a.vmx'] === AFTER['/vm/a.vmx'];
  expect(names, what).toEqual(Object.keys(isAfter ? AFTER : BEFORE).sort());
  expect(texts, what).toEqual(isAfter ? AFTER : BEFORE);
  expect(await store.exists('/vm/sub'), what).toBe(!isAfter);
  expect((await store.list('/into')).sort(), what).toEqual(isAfter ? ['c1', 'other'] : ['other']);
  return isAfter ? 'after' : 'before';
}

describe('a change set whose power is cut', () => {
  it('is done or undone by the next run, wherever it was', async () => {
    const outcomes = new Map<string, number>();
    let n = 0;
    for (; ; n++) {
      const store = await createCrashStore(bytesOf(BEFORE));
      store.crashAt(n);
      const cut = await cutIn(() => apply(store));
      let index = 0;
      for await (const state of store.afterCrash(n, 6)) {
        await settle(state, index++);
        const outcome = await expectBeforeOrAfter(state, `cut at ${n}: ${store.log[n]}, state ${index}`);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      if (!cut) break;
    }
    expect(n).toBeGreaterThan(80);
    expect(outcomes.get('before')).toBeGreaterThan(100);
    expect(outcomes.get('after')).toBeGreaterThan(100);
  });

  it('is done or undone although settling it is cut as well', async () => {
    let tried = 0;
    for (let n = 5; ; n += 7) {
      const store = await createCrashStore(bytesOf(BEFORE));
      store.crashAt(n);
      if (!(await cutIn(() => apply(store)))) break;
      for await (const first of store.afterCrash(n, 3)) {
        for (let m = 0; ; m += 5) {
          const second = await crashStoreOf(first);
          second.crashAt(m);
          if (!(await cutIn(() => settle(second, m)))) break;
          for await (const state of second.afterCrash(m, 3)) {
            await settle(state, tried++, 3);
            await expectBeforeOrAfter(state, `cut at ${store.log[n]}, then at ${second.log[m]}`);
          }
        }
      }
    }
    expect(tried).toBeGreaterThan(200);
  });

  it('leaves nothing undone to whoever asks again after it returned', async () => {
    const store = await createCrashStore(bytesOf(BEFORE));
    await apply(store);
    for await (const state of store.afterCrash(1, 8)) {
      expect(await expectBeforeOrAfter(state, 'after its end')).toBe('after');
    }
  });
});
