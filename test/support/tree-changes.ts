// The commands that change trees of disks, each carried out on the disks of a model and told to the model.
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { consolidateDisk } from '../../src/machine/consolidate-disk.ts';
import { promoteDisk } from '../../src/machine/promote-disk.ts';
import { rebaseDisk } from '../../src/machine/rebase-disk.ts';
import { shadowDisk } from '../../src/machine/shadow-disk.ts';
import type { TreeOptions, TreeReport } from '../../src/machine/tree-types.ts';
import type { ModelDisk, ModelTree } from './tree-model.ts';

export const TREE_VERBS = ['commit', 'rebase', 'consolidate', 'promote', 'shadow'] as const;
export type TreeVerb = (typeof TREE_VERBS)[number];

export interface TreeTarget {
  readonly disk: ModelDisk;
  /** Another one, where the verb needs it. */
  readonly second: ModelDisk;
  readonly seed: number;
}

type Change = (tree: ModelTree, target: TreeTarget, options?: TreeOptions) => Promise<TreeReport | undefined>;

const commit: Change = async (tree, { disk, seed }, options) => {
  const chain = tree.chainOf(disk);
  if (chain.length < 2) return undefined;
  const into = chain[1 + (seed % 3 === 0 ? seed % (chain.length - 1) : 0)]!;
  const remove = seed % 2 === 0;
  const inPlace = seed % 5 === 0;
  const report = await commitDisk(disk.path, {
    fs: tree.store,
    into: into.path,
    remove,
    inPlace,
    ...options,
  });
  into.content = disk.content;
  const between = chain.slice(1, chain.indexOf(into));
  if (!remove) {
    if (between.length > 0) between.at(-1)!.parent = into;
    disk.parent = into;
    return report;
  }
  for (const child of tree.childrenOf(disk)) child.parent = into;
  tree.drop(disk);
  for (const link of between) {
    if (tree.childrenOf(link).length > 0) break;
    tree.drop(link);
  }
  return report;
};

const rebase: Change = async (tree, { disk, second, seed }, options) => {
  const backing = seed % 6 === 0 ? undefined : second;
  const report = await rebaseDisk(disk.path, { fs: tree.store, backing: backing?.path, ...options });
  disk.parent = backing;
  return report;
};

const consolidate: Change = async (tree, { disk, seed }, options) => {
  const chain = tree.chainOf(disk);
  const first = seed % 4 === 0 ? seed % chain.length : 0;
  const end = seed % 3 === 0 ? first + 1 + (seed % (chain.length - first)) : chain.length;
  const range = { from: chain[first]!.path, ...(end < chain.length ? { above: chain[end]!.path } : {}) };
  const report = await consolidateDisk(disk.path, { fs: tree.store, ...range, ...options });
  let top = chain[first]!;
  for (const link of chain.slice(first + 1, end)) {
    const needed = tree.childrenOf(link).some((child) => child !== top);
    if (needed) top = link;
    else {
      top.parent = link.parent;
      tree.drop(link);
    }
  }
  return report;
};

const promote: Change = async (tree, { disk }, options) => {
  if (disk.parent === undefined) return undefined;
  const report = await promoteDisk(disk.path, { fs: tree.store, ...options });
  disk.parent = undefined;
  return report;
};

const shadow: Change = async (tree, { disk, second, seed }, options) => {
  const to = tree.newPath(seed);
  const clone = tree.newPath(seed + 1);
  const move = second.content.length === disk.content.length ? [second] : [];
  const report = await shadowDisk(disk.path, {
    fs: tree.store,
    to,
    move: move.map(({ path }) => path),
    clones: [clone],
    ...options,
  });
  const base = { path: to, parent: undefined, content: Buffer.from(disk.content) };
  for (const one of move) one.parent = base;
  tree.disks.push(base, { path: clone, parent: base, content: Buffer.from(disk.content) });
  return report;
};

/** Undefined when there is nothing of the kind to be done to the disk. */
export const treeChanges: Readonly<Record<TreeVerb, Change>> = {
  commit,
  rebase,
  consolidate,
  promote,
  shadow,
};
