// Gives a snapshot another name or description. Rule: two lines of the .vmsd change, nothing else.
import { usageError } from '../core/errors.ts';
import { renameSnapshot as renamed } from '../format/edit-vmsd.ts';
import { assertChangeable, beginChange, finishChange, vmsdOf } from './machine-change.ts';
import { findSnapshot } from './find-snapshot.ts';
import { assertSnapshotName, nameTwiceNote } from './snapshot-create.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

export interface RenameRequest {
  /** Name or uid. */
  readonly snapshot: string;
  readonly name?: string | undefined;
  /** An empty one is removed. */
  readonly description?: string | undefined;
}

/** @throws VmdkError `snapshot-missing`, `snapshot-ambiguous`; what stands against changing the machine. */
export async function renameSnapshot(
  vmxPath: string,
  { snapshot, name, description }: RenameRequest,
  options: SnapshotOptions = {},
): Promise<SnapshotReport> {
  if (name === undefined && description === undefined)
    throw usageError('rename needs a new name, or a description');
  if (name !== undefined) assertSnapshotName(name);
  const plan = await beginChange(
    vmxPath,
    { action: 'rename', wanted: [snapshot, name, description] },
    options,
  );
  if (plan.done) return finishChange(plan, options);
  const { uid, displayName } = findSnapshot(plan.machine, snapshot);
  assertChangeable(plan.machine, 'change the snapshots of', options.force === true);
  const { snapshots } = plan.machine.snapshots;
  if (name !== undefined && snapshots.some((other) => other.uid !== uid && other.displayName === name))
    plan.notes.push(nameTwiceNote(name));
  plan.vmsd = renamed(vmsdOf(plan), uid, { displayName: name, description });
  plan.snapshots.push({ uid, name: name ?? displayName });
  return finishChange(plan, options);
}
