// Consolidates a machine that is off: links that no snapshot and no running disk names any more are merged, as after a
// delete that left its disks, or one of VMware's that did not end. Rule: what every point reads stays the same.
import { editDictionary } from '../format/edit-dictionary.ts';
import { consolidate } from './consolidate.ts';
import { planConsolidation } from './consolidation-plan.ts';
import { assertChangeable, beginChange, finishChange, vmsdOf } from './machine-change.ts';
import { openMachineTree } from './machine-tree.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

/**
 * Merges what nobody names; links that others stand on stay, and are told.
 * @throws VmdkError `no-space` (refused), `not-mergeable` (unsupported); what stands against changing the machine.
 */
export async function consolidateSnapshots(
  vmxPath: string,
  options: SnapshotOptions = {},
): Promise<SnapshotReport> {
  const plan = await beginChange(vmxPath, { action: 'consolidate', wanted: [] }, options);
  const { machine } = plan;
  if (plan.done) return finishChange(plan, options);
  assertChangeable(machine, 'consolidate', options.force === true);
  const tree = await openMachineTree(plan, { running: machine.disks }, options);
  const unnamed = [...tree.planLinks.values()].filter(({ id, own }) => own && !tree.points.has(id));
  const consolidation = planConsolidation(
    tree.planLinks,
    tree.points,
    unnamed.map(({ id }) => id),
  );
  await consolidate(plan, tree, consolidation, options);
  const settled = consolidation.kept.every(({ reason }) => reason !== 'strangers');
  if (machine.snapshots.needConsolidate && settled)
    plan.vmsd = editDictionary(vmsdOf(plan), { 'snapshot.needConsolidate': 'FALSE' });
  return finishChange(plan, options);
}
