// Consolidates a machine that is off: links that no snapshot and no running disk names any more are merged, as after a
// delete that left its disks, or one of VMware's that did not end. Rule: what every point reads stays the same.
import { editDictionary } from '../format/edit-dictionary.ts';
import { consolidate } from './consolidate.ts';
import { assertChangeable, beginChange, finishChange, vmsdOf } from './machine-change.ts';
import { neededBy, openMachineTree, planLeftovers } from './machine-tree.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

const NEEDED_BY_OTHERS =
  'what is left over stays for those who stand on it, and VMware is no longer asked to consolidate the machine (snapshot.needConsolidate): it would break them. Once they are gone, consolidate it here again';

/**
 * Merges what nobody names; links that others stand on stay, and are told. The mark that the machine needs this goes in
 * any case: VMware, which does not know who stands on what, takes it for a demand.
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
  const consolidation = planLeftovers(tree);
  await consolidate(plan, tree, consolidation, options);
  if (machine.snapshots.needConsolidate) {
    plan.vmsd = editDictionary(vmsdOf(plan), { 'snapshot.needConsolidate': 'FALSE' });
    if (neededBy(tree, consolidation).length > 0) plan.notes.push(NEEDED_BY_OTHERS);
  }
  return finishChange(plan, options);
}
