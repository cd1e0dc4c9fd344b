// Another parent for a disk. Safe, it reads as before: what the new parent does not have is copied into it. Unsafe, only
// its descriptor changes, which is right when the new parent holds what the old one held.
import { posix } from 'node:path';
import { MOST_SUPPORTED_LINKS } from '../chain/chain-options.ts';
import { assertMayLeave, assertNotMixed } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import type { Chain } from '../chain/chain.ts';
import { openDisk } from '../disk/open-disk.ts';
import type { Disk } from '../disk/disk.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import { hintNotes, parentHintFor } from '../operations/parent-hint.ts';
import { filesOfDisk } from '../operations/with-locks.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { descriptorChange } from './descriptor-change.ts';
import {
  assertUnguarded,
  chainFrom,
  cidOf,
  linkAt,
  lookAround,
  openDiskTree,
  parentOf,
  type DiskTree,
} from './disk-tree.ts';
import { dependantsOf } from './forest.ts';
import type { TreeLink } from './link-tree.ts';
import { planPromotion } from './promote-disk.ts';
import { restand } from './restand.ts';
import { changeTree } from './tree-change.ts';
import type { TreePlan } from './tree-plan.ts';
import type { TreeOptions, TreeReport } from './tree-types.ts';

export interface RebaseOptions extends TreeOptions {
  /** The new parent; undefined: none, the disk then stands alone. */
  readonly backing: string | undefined;
  /** Change only what the disk says of its parent, whatever it reads as then. Default false. */
  readonly unsafe?: boolean | undefined;
}

/**
 * Puts the disk `path` on `backing`.
 * @throws VmdkError `stands-on-itself`, `backing-capacity`, `chain-too-deep`, `parent-without-cid`, `half-merged`, `base-has-children`
 * (unsafe, with disks above that read well now), `disk-guarded`, `disk-locked`, `no-space` (refused); what reading finds.
 */
export function rebaseDisk(path: string, options: RebaseOptions): Promise<TreeReport> {
  const { backing, unsafe = false } = options;
  const others = backing === undefined ? [] : [backing];
  const wanted = [backing === undefined ? null : posix.resolve(backing), unsafe];
  return changeTree({ action: 'rebase', disk: path, others, wanted }, options, async (plan) => {
    if (unsafe) await planUnsafe(plan, path, options);
    else if (backing === undefined) await planPromotion(plan, path, options);
    else await planSafe(plan, path, backing, options);
  });
}

async function planSafe(
  plan: TreePlan,
  path: string,
  backing: string,
  options: RebaseOptions,
): Promise<void> {
  const tree = await openDiskTree(plan.store, path, options, [backing]);
  const disk = tree.chain[0]!;
  const parent = linkAt(tree, backing);
  assertMayLeave(tree.chain);
  assertNotMixed(chainFrom(tree, parent));
  const depth = assertMayStandOn(tree, disk, parent);
  await assertRoomForAll(plan, disk, depth, options);
  await assertUnguarded(plan.store, [disk]);
  const cid = cidOf(parent);
  await restand(plan, disk, parentOf(tree, disk), { path: parent.path, cid, content: parent }, options);
  await noteHint(plan, disk.path, parent, options);
}

/** Whether the new parent will be found by its hint alone. */
async function noteHint(
  { store, moved, notes }: TreePlan,
  disk: string,
  parent: Pick<TreeLink, 'path' | 'identity'>,
  { allow, confine }: RebaseOptions,
): Promise<void> {
  const guard = createPathGuard({ store, allow, confine });
  notes.push(...(await hintNotes(guard, disk, moved.at(-1)!.hint, parent)));
}

/** Returns the links of the new parent. @throws VmdkError `stands-on-itself`, `backing-capacity` (refused). */
export function assertMayStandOn(tree: DiskTree, disk: TreeLink, parent: TreeLink): number {
  let depth = 0;
  for (let at: TreeLink | undefined = parent; at !== undefined; at = parentOf(tree, at)) {
    depth++;
    if (at.identity !== disk.identity) continue;
    throw new VmdkError('refused', 'stands-on-itself', 'a disk cannot stand on itself', {
      path: disk.path,
      found: parent === disk ? 'itself as its parent' : `${parent.path}, which stands on it`,
      expected: 'a parent that does not need this disk',
    });
  }
  assertSameCapacity(disk, parent);
  return depth;
}

function assertSameCapacity(
  disk: Pick<TreeLink, 'path' | 'capacity'>,
  parent: Pick<TreeLink, 'path' | 'capacity'>,
): void {
  if (disk.capacity === parent.capacity) return;
  throw new VmdkError('refused', 'backing-capacity', 'a delta and its parent have the same size', {
    path: disk.path,
    field: 'capacity',
    found: `${disk.capacity} sectors, and ${parent.capacity} in ${parent.path}`,
    expected: 'two disks of one size',
  });
}

/** What stands on the disk gets as much deeper as it does. */
async function assertRoomForAll(
  { store, notes }: TreePlan,
  disk: TreeLink,
  below: number,
  options: TreeOptions,
): Promise<void> {
  const around = await lookAround(store, [disk], options);
  notes.push(...around.notes);
  const own = around.forest.disks.find(({ identity }) => identity === disk.identity);
  const above = own === undefined ? [] : dependantsOf(around.forest, own.path);
  for (const { path, links } of [{ path: disk.path, links: own?.links ?? 1 }, ...above]) {
    const after = below + 1 + links - (own?.links ?? 1);
    if (after <= MOST_SUPPORTED_LINKS) continue;
    throw new VmdkError('refused', 'chain-too-deep', 'a chain would become too deep', {
      path,
      found: `${after} links`,
      expected: `at most ${MOST_SUPPORTED_LINKS}, as VMware supports`,
      hint: 'Take a new base for it first (vmdkit shadow), or merge links (vmdkit consolidate).',
    });
  }
}

async function planUnsafe(plan: TreePlan, path: string, options: RebaseOptions): Promise<void> {
  const { store } = plan;
  const reading = { ...options, fs: store, onFinding: undefined };
  // The chain may be broken: that is what this is for.
  const disk = await openDisk(path, reading);
  try {
    await assertNothingBreaks(plan, disk, options);
    const edits = await unsafeEdits(plan, disk, options);
    const change = await descriptorChange(store, disk.path, edits);
    if (change === undefined) {
      plan.notes.push(`${disk.path} names this parent already: nothing is to be done`);
      return;
    }
    plan.changes.push(change);
    for (const file of filesOfDisk(disk)) plan.locks.add(file);
  } finally {
    await disk.close();
  }
}

async function unsafeEdits(plan: TreePlan, disk: Disk, options: RebaseOptions): Promise<DescriptorEdits> {
  const { backing } = options;
  if (backing === undefined) {
    plan.notes.push('what the disk leaves to its parent reads as zeros from now on');
    return { parentCid: NO_PARENT_CID, parentFileNameHint: null };
  }
  const chain = await openChain(backing, 'read', { ...options, fs: plan.store, onFinding: undefined });
  try {
    const circle = chain.links.some(({ identity }) => identity === disk.identity);
    if (circle) throw usageError(`${backing} stands on ${disk.path}: a disk cannot stand on itself`);
    assertNotMixed(chain.links);
    assertSameCapacity(disk, chain.leaf);
    const { path } = chain.leaf;
    const style = disk.descriptor.parentFileNameHint?.startsWith('/') === true ? 'absolute' : 'relative';
    const hint = parentHintFor(style, posix.dirname(disk.path), path);
    plan.moved.push({ path: disk.path, parent: path, hint });
    plan.registers.record.push([path, disk.path]);
    plan.notes.push('what the disk leaves to its parent is now what the new one has: nothing was compared');
    await noteHint(plan, disk.path, chain.leaf, options);
    return { parentCid: cidOf(chain.leaf), parentFileNameHint: hint };
  } finally {
    await chain.close();
  }
}

/** Disks above that read well today would read something else. @throws VmdkError `base-has-children` (refused). */
async function assertNothingBreaks(plan: TreePlan, disk: Disk, options: RebaseOptions): Promise<void> {
  const around = await lookAround(plan.store, [disk], options);
  plan.notes.push(...around.notes);
  const links = await linksOf(plan, disk, options);
  if (links !== undefined) assertMayLeave(links);
  if (options.force === true || links === undefined) return;
  const own = around.forest.disks.find(({ identity }) => identity === disk.identity);
  const above = own === undefined ? [] : dependantsOf(around.forest, own.path);
  const all = [...above.map(({ path }) => path), ...(around.unconfirmed.get(disk.identity) ?? [])];
  if (all.length === 0) return;
  throw new VmdkError('refused', 'base-has-children', 'an unsafe rebase may change what other disks read', {
    path: disk.path,
    found: all.join(', '),
    expected: 'no disk that stands on it, or a chain that does not open today',
    hint: 'Without --unsafe all of them read as before; --force goes ahead.',
  });
}

/** Undefined for a chain that does not open. */
async function linksOf(
  { store }: TreePlan,
  { path }: Disk,
  options: RebaseOptions,
): Promise<Chain['links'] | undefined> {
  try {
    const chain = await openChain(path, 'read', { ...options, fs: store, onFinding: undefined });
    await chain.close();
    return chain.links;
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}
