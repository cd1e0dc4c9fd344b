// Deletes snapshots of a machine that is off: their names go from the .vmsd, and links that nobody names any more are
// merged or removed. Rule: what every other snapshot and the running machine read stays the same, byte for byte, and
// nothing is touched that a linked clone or any other disk stands on.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { editDictionary } from '../format/edit-dictionary.ts';
import { removeSnapshot } from '../format/edit-vmsd.ts';
import { showText } from '../format/plain-text.ts';
import { childrenOf, type Snapshot } from '../format/vmsd.ts';
import { consolidate } from './consolidate.ts';
import { consolidateSnapshots } from './consolidate-machine.ts';
import { planConsolidation, type ConsolidationPlan } from './consolidation-plan.ts';
import { lookForClones } from './listed-clones.ts';
import {
  assertChangeable,
  assertRoom,
  beginChange,
  emptyPlan,
  finishChange,
  vmsdOf,
  type ChangePlan,
} from './machine-change.ts';
import { neededBy, openMachineTree, planLeftovers, type MachineTree } from './machine-tree.ts';
import { findSnapshot } from './find-snapshot.ts';
import type { Machine } from './machine.ts';
import { nameFew } from './name-few.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

export interface DeleteSnapshotOptions extends SnapshotOptions {
  /** Delete all snapshots that come from this one too. Default false: they come from its parent then. */
  children?: boolean | undefined;
  /** Leave every disk as it is: only the names go. Default false. */
  keepDisks?: boolean | undefined;
}

/**
 * Deletes `snapshot` (name or uid). `force` takes linked clones that cannot be looked up from here for gone.
 * @throws VmdkError `snapshot-has-clones`, `disks-in-use` (refused), which name who would break; `no-space` (refused);
 * `not-mergeable` (unsupported); `snapshot-missing`, `snapshot-ambiguous`; what stands against changing the machine.
 */
export async function deleteSnapshot(
  vmxPath: string,
  snapshot: string,
  options: DeleteSnapshotOptions = {},
): Promise<SnapshotReport> {
  const wanted = [snapshot, options.children === true, options.keepDisks === true];
  const plan = await beginChange(vmxPath, { action: 'delete', wanted }, options);
  const { machine, store } = plan;
  if (plan.done) {
    const left = options.inPlace === true && machine.snapshots.needConsolidate;
    return left ? consolidateSnapshots(vmxPath, options) : finishChange(plan, options);
  }
  const target = findSnapshot(machine, snapshot);
  assertChangeable(machine, 'change the snapshots of', options.force === true);
  const going = options.children === true ? withDescendants(machine, target) : [target];
  for (const one of going) {
    throwIfAborted(options);
    plan.notes.push(...(await lookForClones(store, machine, one, options)));
    plan.snapshots.push({ uid: one.uid, name: one.displayName });
  }
  for (const { uid } of going.toReversed()) plan.vmsd = removeSnapshot(vmsdOf(plan), uid);
  if (options.keepDisks === true) {
    await leaveDisks(plan, going, options);
    await dropMemory(plan, going);
    return finishChange(plan, options);
  }
  const drop = await planDrop(plan, going, options);
  await consolidate(plan, drop.tree, drop.consolidation, options);
  await dropMemory(plan, going);
  const inOne = plan.work.length === 0 || options.dryRun === true;
  return inOne ? finishChange(plan, options) : inTwoSteps(plan, drop, going, options);
}

/** What goes and what becomes one once the names are gone. */
interface Drop {
  readonly tree: MachineTree;
  readonly consolidation: ConsolidationPlan;
}

/**
 * What a merge in place writes over is what the snapshots read: their names go first, for good, with all that nobody
 * reads then. From there on the machine is one that needs to be consolidated, whatever happens.
 */
async function inTwoSteps(
  whole: ChangePlan,
  { tree, consolidation }: Drop,
  going: readonly Snapshot[],
  options: DeleteSnapshotOptions,
): Promise<SnapshotReport> {
  await assertRoom(whole, options);
  const { machine, notes } = whole;
  const plan = emptyPlan(whole);
  for (const { uid } of going.toReversed()) plan.vmsd = removeSnapshot(vmsdOf(plan), uid);
  plan.vmsd = editDictionary(vmsdOf(plan), { 'snapshot.needConsolidate': 'TRUE' });
  const merges = consolidation.merges.filter(({ into }) => into === 'top');
  await consolidate(plan, tree, { ...consolidation, merges }, options);
  await dropMemory(plan, going);
  const first = await finishChange(plan, options);
  // That the machine needs it is no news here.
  const second = await consolidateSnapshots(machine.path, { ...options, onFinding: undefined });
  return {
    ...second,
    action: 'delete',
    snapshots: whole.snapshots,
    merged: [...first.merged, ...second.merged],
    changed: [...new Set([...first.changed, ...second.changed])],
    removed: [...first.removed, ...second.removed],
    'bytes-needed': Math.max(first['bytes-needed'], second['bytes-needed']),
    'bytes-freed': first['bytes-freed'] + second['bytes-freed'],
    notes: [...new Set([...notes, ...first.notes, ...second.notes])],
  };
}

/** The snapshot and all that come from it, parents before children. */
function withDescendants({ snapshots }: Machine, target: Snapshot): Snapshot[] {
  const found = [target];
  for (let at = 0; at < found.length; at++) {
    for (const child of childrenOf(snapshots, found[at]!.uid)) if (!found.includes(child)) found.push(child);
  }
  return found;
}

/**
 * VMware's own mark for deltas that no snapshot stands for any more. It takes that for a demand, and does not know who else
 * stands on them: then it is not set.
 */
async function leaveDisks(
  plan: ChangePlan,
  going: readonly Snapshot[],
  options: DeleteSnapshotOptions,
): Promise<void> {
  const others = await whoWouldBreak(plan, going, options);
  if (others.length === 0) {
    plan.vmsd = editDictionary(vmsdOf(plan), { 'snapshot.needConsolidate': 'TRUE' });
    plan.notes.push('all disks stay as they are: the machine needs to be consolidated');
    return;
  }
  const who = nameFew(others.map(showText));
  plan.notes.push(
    `all disks stay as they are; VMware is not asked to consolidate the machine (snapshot.needConsolidate), since that would break what stands on them: ${who}`,
  );
}

/** Nobody where the disks cannot be read that would tell. */
async function whoWouldBreak(
  plan: ChangePlan,
  going: readonly Snapshot[],
  options: DeleteSnapshotOptions,
): Promise<string[]> {
  try {
    const tree = await openTree(plan, going, options);
    return neededBy(tree, planLeftovers(tree));
  } catch (error) {
    if (isVmdkError(error)) return [];
    throw error;
  }
}

/** With the snapshots gone. */
function openTree(
  plan: ChangePlan,
  going: readonly Snapshot[],
  options: DeleteSnapshotOptions,
): Promise<MachineTree> {
  const without = new Set(going.map(({ uid }) => uid));
  return openMachineTree(plan, { running: plan.machine.disks, without }, options);
}

async function planDrop(
  plan: ChangePlan,
  going: readonly Snapshot[],
  options: DeleteSnapshotOptions,
): Promise<Drop> {
  const { machine } = plan;
  const tree = await openTree(plan, going, options);
  const doomed = going.flatMap(({ uid }) =>
    (machine.snapshotDisks.get(uid) ?? []).map(({ path }) => tree.idOf.get(path!)!),
  );
  const consolidation = planConsolidation(tree.planLinks, tree.points, doomed);
  assertNobodyBreaks(tree.planLinks, consolidation.kept, going, machine);
  return { tree, consolidation };
}

/** A link that strangers stand on could stay; but whoever deletes a snapshot must know of them. */
function assertNobodyBreaks(
  links: ReadonlyMap<string, { readonly strangers: readonly string[] }>,
  kept: readonly { id: string; reason: string }[],
  going: readonly Snapshot[],
  { path }: Machine,
): void {
  const strangers = kept.flatMap(({ id, reason }) =>
    reason === 'strangers' ? links.get(id)!.strangers : [],
  );
  if (strangers.length === 0) return;
  throw new VmdkError('refused', 'disks-in-use', 'other disks stand on what this snapshot leaves', {
    path,
    field: going.map(({ uid, displayName }) => `snapshot ${uid} "${showText(displayName)}"`).join(', '),
    found: nameFew([...new Set(strangers)].map(showText)),
    expected: 'nobody but this machine',
    hint: 'Delete or move those clones first; or pass --keep-disks, which removes the name and leaves every disk.',
  });
}

/** The state of memory and configuration that VMware kept with a snapshot. */
async function dropMemory(
  { store, machine, changes }: ChangePlan,
  going: readonly Snapshot[],
): Promise<void> {
  const stays = new Set(
    machine.snapshots.snapshots.filter((other) => !going.includes(other)).map(({ vmsn }) => vmsn),
  );
  for (const { vmsn } of going) {
    // A name with a folder, or of another kind, is not what VMware writes.
    if (vmsn === undefined || !/\.vmsn$/i.test(vmsn) || /[/\\]/.test(vmsn) || stays.has(vmsn)) continue;
    for (const name of [vmsn, vmsn.replace(/\.vmsn$/i, '.vmem')]) {
      const path = posix.join(machine.workingFolder, name);
      if (await isPlainFile(store, path)) changes.push({ kind: 'remove', path });
    }
  }
}

async function isPlainFile(store: ChangePlan['store'], path: string): Promise<boolean> {
  try {
    const found = await store.resolve(path);
    return found.kind === 'file' && found.path === path;
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}
