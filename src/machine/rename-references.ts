// The machines that name a disk which gets another name: their .vmx and .vmsd follow. Rule: only lines that lead to this
// very disk change, and only of machines that are off; a running one would write its old .vmx back.
import { posix } from 'node:path';
import { printDictionary, type Dictionary } from '../format/dictionary.ts';
import { editDictionary } from '../format/edit-dictionary.ts';
import { setSnapshotDisks } from '../format/edit-vmsd.ts';
import type { FileChange } from '../operations/file-change.ts';
import type { FileStore } from '../storage/file-store.ts';
import { assertMachineOff, type OffOptions } from './assert-machine-off.ts';
import { assertUidsDiffer } from './find-snapshot.ts';
import type { Machine } from './machine.ts';
import { spelledLike } from './machine-change.ts';

/** A line that names the disk. */
export interface RenamedReference {
  /** The .vmx or .vmsd. */
  readonly path: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface References {
  readonly changes: readonly FileChange[];
  readonly references: readonly RenamedReference[];
  /** The .vmx files, which are locked meanwhile. */
  readonly machines: readonly string[];
}

/** @throws VmdkError `machine-running`, `machine-suspended`, `machine-unclean` (refused); `duplicate-uid` (corrupt). */
export async function planReferences(
  store: FileStore,
  machines: readonly string[],
  { from, to }: { from: string; to: string },
  options: OffOptions,
): Promise<References> {
  const changes: FileChange[] = [];
  const references: RenamedReference[] = [];
  for (const path of machines) {
    const machine = await assertMachineOff(store, path, options);
    // Its lines could not be told apart.
    assertUidsDiffer(machine);
    const [vmx, inVmx] = renamedInVmx(machine, from, to);
    const [vmsd, inVmsd] = renamedInVmsd(machine, from, to);
    references.push(...inVmx, ...inVmsd);
    for (const [before, after] of [
      [machine.vmx, vmx],
      [machine.vmsd, vmsd],
    ] as const) {
      if (before === undefined || after === undefined || before === after) continue;
      changes.push({
        kind: 'replace',
        path: before.path,
        data: printDictionary(after),
        old: printDictionary(before),
      });
    }
  }
  return { changes, references, machines };
}

function renamedInVmx(machine: Machine, from: string, to: string): [Dictionary, RenamedReference[]] {
  const edits: Record<string, string> = {};
  const references: RenamedReference[] = [];
  for (const { node, fileName, path } of machine.disks) {
    if (path !== from) continue;
    const name = `${node}.fileName`;
    const spelled = spelledLike(machine, { fileName, path }, to);
    edits[name] = spelled;
    references.push({ path: machine.path, name, from: fileName, to: spelled });
  }
  return [references.length === 0 ? machine.vmx : editDictionary(machine.vmx, edits), references];
}

/** The disks of snapshots, and the sentinels of a linked clone. */
function renamedInVmsd(
  machine: Machine,
  from: string,
  to: string,
): [Dictionary | undefined, RenamedReference[]] {
  let { vmsd } = machine;
  const references: RenamedReference[] = [];
  if (vmsd === undefined) return [vmsd, references];
  const file = vmsd.path;
  for (const { uid, index, disks } of machine.snapshots.snapshots) {
    const places = machine.snapshotDisks.get(uid) ?? [];
    const renamed = disks.map((disk, number) => {
      if (places[number]?.path !== from) return disk;
      const spelled = spelledLike(machine, { fileName: disk.fileName, path: from }, to);
      const name = `snapshot${index}.disk${number}.fileName`;
      references.push({ path: file, name, from: disk.fileName, to: spelled });
      return { ...disk, fileName: spelled };
    });
    if (renamed.some((disk, number) => disk !== disks[number])) vmsd = setSnapshotDisks(vmsd, uid, renamed);
  }
  for (const { name, key, value } of vmsd.entries) {
    if (!/^sentinel\d{1,5}$/.test(key) || posix.resolve(machine.folder, value) !== from) continue;
    const spelled = spelledLike(machine, { fileName: value, path: from }, to);
    references.push({ path: file, name, from: value, to: spelled });
    vmsd = editDictionary(vmsd, { [name]: spelled });
  }
  return [vmsd, references];
}
