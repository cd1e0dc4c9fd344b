// The plug pulled at every few operations of each change of a tree: once the next run has settled what was left, the tree
// is as before or as after, every disk reads as it did, nothing half-made lies about, and the same command ends the work.
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { consolidateDisk } from '../../src/machine/consolidate-disk.ts';
import { promoteDisk } from '../../src/machine/promote-disk.ts';
import { rebaseDisk } from '../../src/machine/rebase-disk.ts';
import { shadowDisk } from '../../src/machine/shadow-disk.ts';
import type { TreeOptions } from '../../src/machine/tree-types.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { filesBelow, runsOf } from '../support/clone-bench.ts';
import { crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';
import { ModelTree, TREE_FOLDERS } from '../support/tree-model.ts';

type Change = (options: TreeOptions) => Promise<unknown>;
/** Contents by path, and the names of all files. */
interface State {
  readonly disks: Readonly<Record<string, string>>;
  readonly files: string;
}

let start: FileStore;
/** base ← mid ← { leaf ← top, side } and base ← other, over three folders. */
let at: Record<'base' | 'mid' | 'leaf' | 'top' | 'side' | 'other', string>;

beforeAll(async () => {
  const tree = await ModelTree.open(createMemoryFileStore());
  const base = await tree.addBase(3);
  const mid = await tree.addDelta(base, 10);
  const leaf = await tree.addDelta(mid, 18);
  const [top, side, other] = [
    await tree.addDelta(leaf, 11),
    await tree.addDelta(mid, 20),
    await tree.addDelta(base, 12),
  ];
  at = {
    base: base.path,
    mid: mid.path,
    leaf: leaf.path,
    top: top.path,
    side: side.path,
    other: other.path,
  };
  start = tree.store;
});

async function stateOf(store: FileStore): Promise<State> {
  const disks: Record<string, string> = {};
  for (const path of [...Object.values(at), SHADOW, CLONE]) {
    if (!(await store.exists(path))) continue;
    const chain = await openChain(path, 'read', { fs: store });
    const content = Buffer.alloc(chain.capacity * SECTOR_BYTES);
    await chain.read(wholeOf(chain), content);
    const links = chain.links.map((link) => link.path).join(' ');
    const marked = chain.leaf.findings.some(({ code }) => code === 'DESC-HALF-MERGED');
    await chain.close();
    const hash = createHash('sha256').update(content).digest('hex');
    disks[path] = `${hash} through ${links}${marked ? ', half merged' : ''}`;
  }
  const files = await filesBelow(store, '/t');
  return { disks, files: files.filter((path) => !/\.lck\/|sharers/.test(path)).join('\n') };
}

const SHADOW = '/t/c/shadow.vmdk';
const CLONE = '/t/a/clone.vmdk';

async function settled(store: FileStore): Promise<State> {
  for (const folder of TREE_FOLDERS) await settleChangeSets(store, folder, { runs: runsOf(2) });
  return stateOf(store);
}

/** `between` is what holds of a state that is neither. */
async function cutEverywhere(
  change: Change,
  { every, between }: { every: number; between?: (now: State, before: State, after: State) => void },
): Promise<void> {
  const before = await stateOf(start);
  const whole = await memoryCopyOf(start);
  await change({ fs: whole, runs: runsOf(1) });
  const after = await stateOf(whole);
  expect(after).not.toEqual(before);
  const met = { before: 0, between: 0, after: 0 };
  const seen = new Set<string>();
  for (let n = 0; ; n += every) {
    const store = await crashStoreOf(start);
    store.crashAt(n);
    const cut = await isCut(() => change({ fs: store, runs: runsOf(1) }));
    for await (const state of store.afterCrash(n, 2, seen)) {
      const what = `cut at ${n}: ${store.log[n]}`;
      const now = await settled(state);
      const same = (one: State): boolean => JSON.stringify(one) === JSON.stringify(now);
      const which = same(after) ? 'after' : same(before) || between === undefined ? 'before' : 'between';
      met[which]++;
      if (which === 'between') between!(now, before, after);
      else expect(now, what).toEqual(which === 'after' ? after : before);
      if (which === 'after') continue;
      // The process that held the locks is this one, and lives.
      await change({ fs: state, runs: runsOf(2), locked: 'ignore' });
      expect(await stateOf(state), what).toEqual(after);
    }
    if (!cut) break;
  }
  expect(Math.min(met.before, met.after)).toBeGreaterThan(0);
  if (between !== undefined) expect(met.between).toBeGreaterThan(0);
}

async function isCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    for (let cause: unknown = error; isVmdkError(cause); cause = cause.cause)
      if (isPowerCut(cause)) return true;
    throw error;
  }
}

describe('when the power is cut', { timeout: 180_000 }, () => {
  it('a commit that copies into siblings is done or undone', () =>
    cutEverywhere((options) => commitDisk(at.leaf, options), { every: 29 }));

  it('a commit into the base, with the links between removed, is done or undone', () =>
    cutEverywhere((options) => commitDisk(at.leaf, { ...options, into: at.base, remove: true }), {
      every: 29,
    }));

  it('a commit in place leaves all but the disk itself as before or as after, and is finished', () =>
    cutEverywhere((options) => commitDisk(at.top, { ...options, inPlace: true }), {
      every: 3,
      between: (now, before, after) => {
        const others = ({ disks }: State): [string, string][] =>
          Object.entries(disks).filter(([path]) => path !== at.leaf);
        expect([others(before), others(after)]).toContainEqual(others(now));
        expect(now.files).toBe(before.files);
        const [was, is] = [before, now].map(({ disks }) => disks[at.leaf]!);
        // Whatever is neither old nor new says so; what says so may not have begun yet.
        expect(is, was).toContain('half merged');
      },
    }));

  it('a rebase onto another branch is done or undone', () =>
    cutEverywhere((options) => rebaseDisk(at.leaf, { ...options, backing: at.other }), { every: 13 }));

  it('a consolidation is done or undone', () =>
    cutEverywhere((options) => consolidateDisk(at.top, { ...options, above: at.mid }), { every: 13 }));

  it('a promotion is done or undone', () =>
    cutEverywhere((options) => promoteDisk(at.leaf, options), { every: 13 }));

  it('a shadow with what moves onto it is made or not', () =>
    cutEverywhere(
      (options) => shadowDisk(at.leaf, { ...options, to: SHADOW, move: [at.top, at.leaf], clones: [CLONE] }),
      { every: 13 },
    ));
});
