// Puts a machine back to a snapshot: new, empty deltas above the snapshot's disks, and the running deltas go. Rule: what
// the machine wrote since is only given up when that was asked for plainly.
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openDisk } from '../disk/open-disk.ts';
import { setCurrent } from '../format/edit-vmsd.ts';
import type { Snapshot } from '../format/vmsd.ts';
import { assertMergesHold } from './consolidate.ts';
import { planConsolidation } from './consolidation-plan.ts';
import { dropLink } from './drop-link.ts';
import { addDelta, ReservedNames } from './fork-disks.ts';
import { keptText, openMachineTree } from './machine-tree.ts';
import { assertChangeable, beginChange, finishChange, vmsdOf, type ChangePlan } from './machine-change.ts';
import { findSnapshot } from './find-snapshot.ts';
import type { Machine, MachineDisk, NamedDisk } from './machine.ts';
import type { TreeLink } from './link-tree.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

/**
 * Makes the machine run from `snapshot` (name or uid) again; its configuration other than disks stays as it is.
 * `force` gives up what the running disks hold.
 * @throws VmdkError `running-state-lost` (refused) for want of that; `controller-missing` (refused) for a disk that
 * has no place any more; `snapshot-missing`, `snapshot-ambiguous`; what stands against changing the machine.
 */
export async function revertSnapshot(
  vmxPath: string,
  snapshot: string,
  options: SnapshotOptions = {},
): Promise<SnapshotReport> {
  const plan = await beginChange(vmxPath, { action: 'revert', wanted: [snapshot] }, options);
  const { machine } = plan;
  if (plan.done) return finishChange(plan, options);
  const target = findSnapshot(machine, snapshot);
  assertChangeable(machine, 'revert', options.force === true);
  if (target.type !== undefined && target.type !== '0')
    plan.notes.push('the memory of the snapshot is not put back: the machine starts from its disks');
  const reserved = new ReservedNames(plan);
  const left: MachineDisk[] = [];
  for (const disk of machine.snapshotDisks.get(target.uid) ?? []) {
    throwIfAborted(options);
    const running = machine.disks.find(({ node }) => node === disk.node);
    if (running?.device.independent === true) {
      plan.notes.push(`${disk.node} is independent by now: it stays as it is`);
      continue;
    }
    if (disk.path === undefined) throw disk.problem!;
    if (running === undefined) attachAgain(plan, disk);
    else left.push(running);
    const { node, fileName, path } = disk;
    await addDelta(plan, { node, fileName, path }, reserved, options);
  }
  noteOthers(plan, target);
  await leave(plan, left, options);
  plan.vmsd = setCurrent(vmsdOf(plan), target.uid);
  plan.snapshots.push({ uid: target.uid, name: target.displayName });
  return finishChange(plan, options);
}

/** A disk that was taken off the machine since comes back to its place, if the machine still has that. */
function attachAgain({ machine, vmxEdits, notes }: ChangePlan, { node }: NamedDisk): void {
  const controller = /^([a-z]+\d+):\d+$/.exec(node)?.[1];
  const there =
    controller?.startsWith('ide') === true ||
    machine.vmx.get(`${controller}.present`)?.toUpperCase() === 'TRUE';
  if (controller === undefined || !there) {
    throw new VmdkError(
      'refused',
      'controller-missing',
      'a disk of the snapshot has no place in the machine',
      {
        path: machine.path,
        field: node === '' ? 'node' : node,
        found:
          controller === undefined
            ? 'a disk that does not say where it was attached'
            : `no controller ${controller}`,
        expected: 'the controller that it was attached to',
        hint: 'Add the controller to the machine again, then revert.',
      },
    );
  }
  vmxEdits[`${node}.present`] = 'TRUE';
  notes.push(`${node} is attached again, as it was in the snapshot`);
}

function noteOthers({ machine, notes }: ChangePlan, { uid }: Snapshot): void {
  const nodes = new Set((machine.snapshotDisks.get(uid) ?? []).map(({ node }) => node));
  for (const { node, device } of machine.disks) {
    if (!nodes.has(node) && !device.independent)
      notes.push(`${node} is not in the snapshot: it stays attached as it is`);
  }
}

/** The running disks are nobody's now: those that no snapshot names go. */
async function leave(
  plan: ChangePlan,
  left: readonly MachineDisk[],
  options: SnapshotOptions,
): Promise<void> {
  const { machine } = plan;
  const stays = machine.disks.filter((disk) => !left.includes(disk));
  const tree = await openMachineTree(plan, { running: stays, also: left }, options);
  const doomed = left.map(({ path }) => tree.idOf.get(path!)!);
  const { removed, kept } = planConsolidation(tree.planLinks, tree.points, doomed);
  assertMergesHold(tree, removed, []);
  const gone = removed.map((id) => tree.links.get(id)!);
  await assertNothingLost(machine, gone, options);
  for (const link of gone) dropLink(plan, link);
  for (const one of kept) plan.kept.push({ path: tree.links.get(one.id)!.path, reason: keptText(tree, one) });
}

async function assertNothingLost(
  machine: Machine,
  gone: readonly TreeLink[],
  options: SnapshotOptions,
): Promise<void> {
  if (options.force === true) return;
  const written: string[] = [];
  let total = 0;
  for (const { path } of gone) {
    const bytes = await bytesIn(path, options);
    if (bytes > 0) written.push(path);
    total += bytes;
  }
  if (total === 0) return;
  throw new VmdkError('refused', 'running-state-lost', 'reverting gives up what the machine wrote since', {
    path: machine.path,
    found: `${total} bytes in ${written.join(', ')}`,
    expected: 'running disks that nothing was written to',
    hint: 'Take a snapshot first to keep it, or pass --force to give it up.',
  });
}

/** Bytes of guest data and zeros that a link itself holds. */
async function bytesIn(path: string, options: SnapshotOptions): Promise<number> {
  const disk = await openDisk(path, { ...options, onFinding: undefined });
  try {
    let sectors = 0;
    for await (const runs of walkRuns(disk, wholeOf(disk))) {
      for (let index = 0; index < runs.length; index++) {
        if (!runs.isAbsentAt(index)) sectors += runs.endAt(index) - runs.startAt(index);
      }
    }
    return sectors * SECTOR_BYTES;
  } finally {
    await disk.close();
  }
}
