// Takes a snapshot of a machine that is off: each disk gets an empty delta in the next free number, the .vmx runs on
// those, and the .vmsd knows what was left. Rule: no disk that exists is opened for anything but reading.
import { posix } from 'node:path';
import { usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { addSnapshot } from '../format/edit-vmsd.ts';
import { addDelta, ReservedNames } from './fork-disks.ts';
import { assertChangeable, beginChange, finishChange, vmsdOf } from './machine-change.ts';
import type { Machine } from './machine.ts';
import type { SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

export interface NewSnapshotRequest {
  readonly name: string;
  readonly description?: string | undefined;
}

/** VMware shows names of up to this many characters. */
const LONGEST_NAME = 80;

/**
 * Takes a snapshot of the machine at `vmxPath` and makes it the current one.
 * @throws VmdkError what `assertMachineUsable` refuses; `chain-too-deep` (refused); `usage` for a name that cannot be.
 */
export async function createSnapshot(
  vmxPath: string,
  { name, description }: NewSnapshotRequest,
  options: SnapshotOptions = {},
): Promise<SnapshotReport> {
  assertSnapshotName(name);
  const plan = await beginChange(vmxPath, { action: 'create', wanted: [name, description] }, options);
  const { machine, notes } = plan;
  const { snapshots, lastUid, currentUid } = machine.snapshots;
  if (plan.done) {
    const made = snapshots.find((snapshot) => snapshot.uid === currentUid);
    if (made !== undefined) plan.snapshots.push({ uid: made.uid, name: made.displayName });
    return finishChange(plan, options);
  }
  assertChangeable(machine, 'snapshot', options.force === true);
  const uid = lastUid + 1;
  if (snapshots.some(({ displayName }) => displayName === name)) notes.push(nameTwiceNote(name));
  const frozen: { node: string; fileName: string }[] = [];
  const reserved = new ReservedNames(plan);
  for (const disk of machine.disks) {
    throwIfAborted(options);
    const { node, fileName, path, device } = disk;
    if (device.independent) {
      notes.push(`${node} is independent: no snapshot includes it`);
      continue;
    }
    if (path === undefined) throw disk.problem!;
    await addDelta(plan, { node, fileName, path }, reserved, options);
    frozen.push({ node, fileName });
  }
  const parent = snapshots.find((snapshot) => snapshot.uid === currentUid);
  plan.vmsd = addSnapshot(vmsdOf(plan), {
    uid,
    ...(parent === undefined ? {} : { parentUid: parent.uid }),
    displayName: name,
    ...(description === undefined ? {} : { description }),
    createdMicros: options.nowMicros ?? BigInt(Date.now()) * 1000n,
    vmsn: `${stemOf(machine)}-Snapshot${uid}.vmsn`,
    disks: frozen,
  });
  plan.snapshots.push({ uid, name });
  return finishChange(plan, options);
}

/** @throws VmdkError `usage` for a name that VMware could not show. */
export function assertSnapshotName(name: string): void {
  if (name.trim() === '') throw usageError('a snapshot needs a name');
  if (name.length > LONGEST_NAME) {
    throw new VmdkError('usage', 'name-too-long', 'VMware shows no snapshot of so long a name', {
      field: 'name',
      found: `${name.length} characters`,
      expected: `at most ${LONGEST_NAME}`,
    });
  }
}

export function nameTwiceNote(name: string): string {
  return `another snapshot is called ${JSON.stringify(name)} too: from now on name both by uid`;
}

function stemOf({ path }: Machine): string {
  return posix.basename(path).replace(/\.vmx$/i, '');
}
