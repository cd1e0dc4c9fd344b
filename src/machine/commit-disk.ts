// Commits a delta into a disk below it, which then reads as the delta does. Rule: every other disk reads as before. What
// stands beside the delta keeps the old content by taking into itself what changes under it.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { assertMergesCanEnd, assertNotMixed } from '../chain/half-merged.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { longIdOf } from './consolidate.ts';
import {
  assertNoMachine,
  assertUnguarded,
  childrenOf,
  cidOf,
  linkAt,
  lookAround,
  machinesOf,
  openDiskTree,
  parentOf,
  readableChildren,
  type Around,
  type DiskTree,
} from './disk-tree.ts';
import type { TreeLink } from './link-tree.ts';
import { endingHalfMerge, planMergeInPlace } from './merge-in-place.ts';
import { measureMerge, type Merge } from './merge-links.ts';
import { remakeLink } from './remake-link.ts';
import { editsFor, restand, tellMove, type NewParent } from './restand.ts';
import { changeTree } from './tree-change.ts';
import { addNeeded, editLink, lockLink, removeLink, type TreePlan } from './tree-plan.ts';
import type { TreeOptions, TreeReport } from './tree-types.ts';

export interface CommitOptions extends TreeOptions {
  /** The link that is committed into: the delta's parent unless told. */
  readonly into?: string | undefined;
  /** The delta goes, and so do links between that nobody else needs. Default false: it stays, empty. */
  readonly remove?: boolean | undefined;
  /**
   * Write into the disk where it stands, without a copy of it. Stopped half-way, every disk above reads as before and
   * the disk itself is between old and new, until the same is run again. Default false.
   */
  readonly inPlace?: boolean | undefined;
}

interface Commit {
  readonly plan: TreePlan;
  readonly tree: DiskTree;
  readonly around: Around;
  readonly delta: TreeLink;
  readonly target: TreeLink;
  /** Links over the target, top first, that are neither it nor the delta. */
  readonly between: readonly TreeLink[];
  readonly parent: NewParent;
  readonly options: CommitOptions;
}

/**
 * @throws VmdkError `base-has-children`, `half-merged`, `disk-of-machine`, `disk-guarded`, `disk-locked`, `no-space`,
 * `parent-without-cid` (refused), which name who stands in the way; `not-mergeable` (unsupported); `usage`.
 */
export function commitDisk(path: string, options: CommitOptions = {}): Promise<TreeReport> {
  const { into, remove = false, inPlace = false } = options;
  const others = into === undefined ? [] : [into];
  const wanted = [into === undefined ? null : posix.resolve(into), remove, inPlace];
  return changeTree({ action: 'commit', disk: path, others, wanted }, options, async (plan) => {
    const commit = await lookAt(plan, path, options);
    await assertAllowed(commit);
    const { above, removed } = linksAbove(commit);
    assertMergesHold(commit, removed);
    for (const link of removed) removeLink(plan, link);
    await planTarget(commit, above);
    await planSiblings(commit, above);
    await planDelta(commit, removed);
  });
}

async function lookAt(plan: TreePlan, path: string, options: CommitOptions): Promise<Commit> {
  const { into } = options;
  const tree = await openDiskTree(plan.store, path, options, into === undefined ? [] : [into]);
  const delta = tree.chain[0]!;
  if (tree.chain.length === 1) {
    throw usageError(
      `${path} has no parent to be committed into`,
      'Name a delta: vmdkit chain shows which are.',
    );
  }
  const target = into === undefined ? tree.chain[1]! : linkAt(tree, into);
  const index = tree.chain.findIndex(({ identity }) => identity === target.identity);
  if (index < 1)
    throw usageError(`${into} is not below ${path}`, 'vmdkit chain shows the links below a disk.');
  const between = tree.chain.slice(1, index);
  const around = await lookAround(plan.store, [target, ...between, delta], options);
  plan.notes.push(...around.notes);
  const parent = { path: target.path, cid: cidOf(delta), content: delta };
  return { plan, tree, around, delta, target, between, parent, options };
}

async function assertAllowed({ plan, around, delta, target, options }: Commit): Promise<void> {
  if (options.force !== true) {
    assertNoMachine(around, target, {
      why: 'a machine knows the disk whose content would change',
      hint: 'If it is a snapshot of this machine, delete that: vmdkit snapshot VM delete NAME. --force goes ahead.',
    });
  }
  if (options.remove === true) {
    assertNoMachine(around, delta, {
      why: 'machines name the delta that would go',
      hint: 'Without --remove it stays, empty, under its name.',
    });
  }
  await assertUnguarded(plan.store, [target, delta]);
}

/** What goes, and the link that then stands directly on the target on the way to the delta: none when all go. */
function linksAbove({ around, delta, between, options }: Commit): {
  above: TreeLink | undefined;
  removed: TreeLink[];
} {
  if (options.remove !== true) return { above: between.at(-1), removed: [] };
  const removed = [delta];
  // What the delta stood on goes as long as nobody else needs it.
  for (const link of between) {
    const own = childrenOf(around, link).every(({ identity }) =>
      removed.some((one) => one.identity === identity),
    );
    const needed = machinesOf(around, link).length > 0 || around.unconfirmed.has(link.identity);
    if (!own || needed) break;
    removed.push(link);
  }
  return { above: removed.length > between.length ? undefined : between.at(-1), removed };
}

/** @throws VmdkError `half-merged` (refused) when a merge that was stopped would not be ended here, nor could be later. */
function assertMergesHold({ tree, delta, target, between }: Commit, removed: readonly TreeLink[]): void {
  assertNotMixed(tree.chain);
  assertMergesCanEnd(tree.chain, {
    over: (into) => into === target || removed.includes(into),
    // The delta stands on the target then, no more on what is between.
    parts: (into, from) => removed.includes(from) || (from === delta && between.includes(into)),
  });
}

/** The target gets the content of the delta, and its CID with it. */
async function planTarget(commit: Commit, above: TreeLink | undefined): Promise<void> {
  const { plan, tree, around, delta, target, between, parent, options } = commit;
  const merge: Merge = { links: [delta, ...between, target], into: 'bottom' };
  const reading = { ...options, fs: plan.store };
  const { data, zero } = await measureMerge(merge, reading);
  const longContentId = longIdOf(delta, target, parent.cid, options.random ?? randomBytes);
  const edits = endingHalfMerge(merge, {
    cid: parent.cid,
    ...(longContentId === undefined ? {} : { longContentId }),
  });
  if (data + zero === 0) return editLink(plan, target, edits);
  if (options.inPlace !== true) {
    const below = parentOf(tree, target);
    return remakeLink(plan, target, { content: delta, below, edits, newContent: true }, options);
  }
  const others = childrenOf(around, target).filter(
    ({ identity }) => !tree.chain.some((link) => link.identity === identity),
  );
  const names = [...others.map(({ path }) => path), ...(above === undefined ? [] : [above.path])];
  if (names.length > 0) throw needsCopy(target, names);
  const planned = await planMergeInPlace(plan.store, merge, edits, reading);
  lockLink(plan, target);
  plan.work.push(planned.run);
  plan.changes.push(...planned.changes);
  plan.written.push({ path: target.path, 'create-type': target.createType, bytes: data * SECTOR_BYTES });
  const full = target.occupied >= target.capacity * SECTOR_BYTES;
  addNeeded(plan, posix.dirname(target.path), full ? 0 : data * SECTOR_BYTES);
  if (target.tracking !== undefined) {
    plan.changes.push({ kind: 'remove', path: target.tracking });
    plan.notes.push(`${target.path} loses its change tracking: the next backup is a full one`);
  }
}

function needsCopy({ path }: TreeLink, others: readonly string[]): VmdkError {
  return new VmdkError(
    'refused',
    'base-has-children',
    'other disks read what would be written over in place',
    {
      path,
      found: others.join(', '),
      expected: 'no disk but the delta and what is between',
      hint: 'Without --in-place they keep what they read: the disk is then made anew beside the old one.',
    },
  );
}

/** Everything else that stands on the target. */
async function planSiblings(commit: Commit, above: TreeLink | undefined): Promise<void> {
  const { plan, tree, around, target, delta, between, parent, options } = commit;
  const way = new Set([delta, ...between].map(({ identity }) => identity));
  const children = await readableChildren(plan, around, target, options);
  const siblings = children.filter(({ identity }) => !way.has(identity));
  const paths = siblings.map(({ path }) => path);
  const opened = paths.length === 0 ? undefined : await openDiskTree(plan.store, paths[0]!, options, paths);
  for (const path of paths) await restand(plan, linkAt(opened!, path), target, parent, options);
  if (above !== undefined && above !== delta)
    await restand(plan, above, parentOf(tree, above), parent, options);
}

/** The delta holds nothing any more; or it is gone, and what stood on it stands on the target. */
async function planDelta(commit: Commit, removed: readonly TreeLink[]): Promise<void> {
  const { plan, tree, around, delta, parent, options } = commit;
  const old = parentOf(tree, delta)!;
  if (!removed.includes(delta)) {
    const edits = editsFor(delta, old, parent);
    // Over itself: nothing differs.
    await remakeLink(plan, delta, { content: delta, below: delta, edits }, options);
    tellMove(plan, delta, old, parent, edits);
    return;
  }
  plan.registers.forget.push([old.path, delta.path]);
  const children = await readableChildren(plan, around, delta, options);
  const paths = children.map(({ path }) => path);
  if (paths.length === 0) return;
  const opened = await openDiskTree(plan.store, paths[0]!, options, paths);
  for (const path of paths) await restand(plan, linkAt(opened, path), delta, parent, options);
}
