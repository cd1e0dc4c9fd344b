// Merges links of one chain, so that fewer are left: each link that only the one above needs goes into that one. Rule: a
// link that anybody else stands on, or that a machine names, stays; every disk that stays reads as before, under its name.
import { posix } from 'node:path';
import { assertMergesCanEnd, assertNotMixed } from '../chain/half-merged.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import {
  assertUnguarded,
  childrenOf,
  cidOf,
  linkAt,
  lookAround,
  machinesOf,
  openDiskTree,
  parentOf,
  type Around,
  type DiskTree,
} from './disk-tree.ts';
import type { TreeLink } from './link-tree.ts';
import { makeIndependent } from './promote-disk.ts';
import { remakeLink } from './remake-link.ts';
import { editsFor, tellMove } from './restand.ts';
import { changeTree } from './tree-change.ts';
import { removeLink, type TreePlan } from './tree-plan.ts';
import type { TreeOptions, TreeReport } from './tree-types.ts';

export interface ConsolidateOptions extends TreeOptions {
  /** The highest link that may change: the disk itself unless told. */
  readonly from?: string | undefined;
  /** The link that stays below all that is merged: none unless told, so that the base may go as well. */
  readonly above?: string | undefined;
}

/**
 * Merges what can be merged of the chain of `path`.
 * @throws VmdkError `nothing-to-merge`, `half-merged`, `disk-guarded`, `disk-locked`, `no-space` (refused), which name who stands in the
 * way; `usage`; what reading finds. Nothing is changed then.
 */
export function consolidateDisk(path: string, options: ConsolidateOptions = {}): Promise<TreeReport> {
  const { from, above } = options;
  const others = [from, above].filter((one) => one !== undefined);
  const wanted = [from, above].map((one) => (one === undefined ? null : posix.resolve(one)));
  return changeTree({ action: 'consolidate', disk: path, others, wanted }, options, async (plan) => {
    const tree = await openDiskTree(plan.store, path, options, others);
    const range = rangeOf(tree, path, options);
    const around = await lookAround(plan.store, range, options);
    plan.notes.push(...around.notes);
    const runs = runsOf(range, around, plan);
    if (runs.length === 0) nothingToMerge(plan, range);
    assertMergesHold(tree.chain, runs);
    for (const run of runs) await planRun(plan, tree, run, options);
  });
}

/** The links that may change, top first. */
function rangeOf(
  { chain, ...tree }: DiskTree,
  path: string,
  { from, above }: ConsolidateOptions,
): TreeLink[] {
  const indexOf = (name: string): number => {
    const index = chain.indexOf(linkAt(tree, name));
    if (index < 0)
      throw usageError(
        `${name} is not in the chain of ${path}`,
        'vmdkit chain shows the links below a disk.',
      );
    return index;
  };
  const first = from === undefined ? 0 : indexOf(from);
  const end = above === undefined ? chain.length : indexOf(above);
  if (end <= first) throw usageError(`there is no link from ${from ?? path} down to ${above}`);
  return chain.slice(first, end);
}

/** Links that become one each, top first, at least two. */
function runsOf(range: readonly TreeLink[], around: Around, plan: TreePlan): TreeLink[][] {
  const runs: TreeLink[][] = [[range[0]!]];
  for (const [index, link] of range.entries()) {
    if (index === 0) continue;
    const reason = whyKept(link, range[index - 1]!, around);
    if (reason === undefined) runs.at(-1)!.push(link);
    else {
      plan.kept.push({ path: link.path, reason });
      runs.push([link]);
    }
  }
  return runs.filter(({ length }) => length > 1);
}

function whyKept(link: TreeLink, above: TreeLink, around: Around): string | undefined {
  const others = childrenOf(around, link)
    .filter(({ identity }) => identity !== above.identity)
    .map(({ path }) => path);
  if (others.length > 0) return `others stand on it: ${others.join(', ')}`;
  const unseen = around.unconfirmed.get(link.identity) ?? [];
  if (unseen.length > 0) return `others may stand on it: ${unseen.join(', ')}`;
  const machines = machinesOf(around, link);
  return machines.length > 0 ? `a machine names it: ${machines.join(', ')}` : undefined;
}

/** @throws VmdkError `nothing-to-merge` (refused) when every link of the range is needed. */
function nothingToMerge(plan: TreePlan, range: readonly TreeLink[]): void {
  const { kept, notes } = plan;
  if (kept.length === 0) {
    notes.push(`${range[0]!.path} is one link here: nothing is to be done`);
    return;
  }
  throw new VmdkError('refused', 'nothing-to-merge', 'no link of this chain can go: all are needed', {
    path: range[0]!.path,
    found: kept.map(({ path, reason }) => `${path}: ${reason}`).join('; '),
    expected: 'a link that only the one above it needs',
    hint: 'vmdkit promote makes the disk independent of all of them; snapshots of a machine go with vmdkit snapshot VM delete.',
  });
}

/** @throws VmdkError `half-merged` (refused) when a merge that was stopped would be neither part of one of these nor left alone. */
function assertMergesHold(chain: readonly TreeLink[], runs: readonly (readonly TreeLink[])[]): void {
  assertNotMixed(chain);
  const goes = (link: TreeLink): boolean => runs.some(([, ...rest]) => rest.includes(link));
  assertMergesCanEnd(chain, {
    over: (into, from) => goes(into) && runs.some((run) => run.includes(into) && run.includes(from)),
    parts: (into, from) => goes(into) || goes(from),
  });
}

async function planRun(
  plan: TreePlan,
  tree: DiskTree,
  run: readonly TreeLink[],
  options: ConsolidateOptions,
): Promise<void> {
  const [top, ...rest] = run;
  const bottom = rest.at(-1)!;
  const below = parentOf(tree, bottom);
  await assertUnguarded(plan.store, run);
  for (const link of rest) removeLink(plan, link);
  if (below === undefined) return makeIndependent(plan, top!, tree.chain, options);
  plan.registers.forget.push([below.path, bottom.path]);
  const parent = { path: below.path, cid: cidOf(below), content: below };
  const edits = editsFor(top!, parentOf(tree, top!), parent);
  await remakeLink(plan, top!, { content: top!, below, edits }, options);
  tellMove(plan, top!, parentOf(tree, top!), parent, edits);
}
