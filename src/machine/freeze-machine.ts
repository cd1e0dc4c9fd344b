// Forks the running point of a machine: each of its disks gets a new delta that the machine goes on with, so that what
// it had written until now is never written again. Rule: of the machine's own files only the .vmx changes.
import { posix } from 'node:path';
import type { RandomBytes } from '../format/content-id.ts';
import { printDictionary } from '../format/dictionary.ts';
import { editDictionary } from '../format/edit-dictionary.ts';
import type { CloneBase } from '../operations/clone-bases.ts';
import { allocatedBytes } from '../operations/disk-plan.ts';
import type { FileChange } from '../operations/file-change.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import { planDelta } from '../operations/plan-delta.ts';
import type { FileStore } from '../storage/file-store.ts';
import { deltaFolder, ReservedNames } from './fork-disks.ts';
import { spelledLike } from './machine-change.ts';
import type { Machine } from './machine.ts';
import type { PlannedFork } from './machine-clone-types.ts';

export interface FrozenDisk {
  readonly node: string;
  readonly base: CloneBase;
}

export interface FreezePlan {
  readonly forks: readonly PlannedFork[];
  /** The deltas, then the .vmx that names them: for one change set with whatever is to stand on the frozen disks. */
  readonly changes: readonly FileChange[];
  /** Folders that the changes are made in. */
  readonly folders: readonly string[];
  readonly 'bytes-needed': number;
}

/** Plans the fork of `disks`, the leaves of the machine's running point; reads names of files only. */
export async function planFreeze(
  store: FileStore,
  machine: Machine,
  disks: readonly FrozenDisk[],
  random: RandomBytes,
): Promise<FreezePlan> {
  const reserved = new ReservedNames({ store, machine });
  const folders = new Set([machine.folder]);
  const forks: PlannedFork[] = [];
  const changes: FileChange[] = [];
  const names: Record<string, string> = {};
  let bytes = 0;
  for (const { node, base } of disks) {
    const folder = deltaFolder(machine, base.path);
    const path = await reserved.next(folder, base.path, base.links.length > 1);
    folders.add(folder);
    const plan = planDelta(base, { path, hint: parentHintFor('relative', folder, base.path), random });
    forks.push({
      node,
      base: base.path,
      path,
      type: plan.createType,
      files: plan.files.map((file) => file.path),
    });
    for (const { path: file, ...content } of plan.files)
      changes.push({ kind: 'create', path: file, file: content });
    names[`${node}.fileName`] = nameInVmx(machine, node, path);
    bytes += allocatedBytes(plan);
  }
  const edited = printDictionary(editDictionary(machine.vmx, names));
  changes.push({ kind: 'replace', path: machine.path, data: edited, old: printDictionary(machine.vmx) });
  return { forks, changes, folders: [...folders], 'bytes-needed': bytes };
}

/** As the machine names the disk now, with the new name; by its place where what it says is not so. */
function nameInVmx(machine: Machine, node: string, path: string): string {
  const { fileName, guessed, path: old } = machine.disks.find((disk) => disk.node === node)!;
  if (guessed === true) return posix.relative(machine.folder, path);
  return spelledLike(machine, { fileName, path: old! }, path);
}
