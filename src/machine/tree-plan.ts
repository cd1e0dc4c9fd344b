// The change of a tree of disks, gathered while it is planned: what is made anew, edited, created and removed. Nothing is
// written here. Rule: a link is the business of one part of the plan only.
import { posix } from 'node:path';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import type { FileChange } from '../operations/file-change.ts';
import type { FileStore } from '../storage/file-store.ts';
import { descriptorChange } from './descriptor-change.ts';
import type { TreeLink } from './link-tree.ts';
import type { KeptDisk, ReparentedDisk, WrittenDisk } from './tree-types.ts';

export interface TreePlan {
  readonly store: FileStore;
  /** Real path of the disk that was named. */
  readonly disk: string;
  readonly changes: FileChange[];
  readonly written: WrittenDisk[];
  readonly moved: ReparentedDisk[];
  readonly kept: KeptDisk[];
  readonly notes: string[];
  /** Files that are locked while the plan is carried out. */
  readonly locks: Set<string>;
  /** Who stands on whom no more, and who now: parents and children by path. */
  readonly registers: { readonly forget: [string, string][]; readonly record: [string, string][] };
  /** Bytes by the folder that they go into. */
  readonly needed: Map<string, number>;
  /** Done before the changes, under the same locks; stopped, it leaves every disk above reading what it read. */
  readonly work: (() => Promise<void>)[];
  freed: number;
}

export function emptyTreePlan(store: FileStore, disk: string): TreePlan {
  return {
    store,
    disk,
    changes: [],
    written: [],
    moved: [],
    kept: [],
    notes: [],
    locks: new Set(),
    registers: { forget: [], record: [] },
    needed: new Map(),
    work: [],
    freed: 0,
  };
}

export function addNeeded(plan: TreePlan, folder: string, bytes: number): void {
  plan.needed.set(folder, (plan.needed.get(folder) ?? 0) + bytes);
  plan.freed -= bytes;
}

export function lockLink({ locks }: TreePlan, { files }: TreeLink): void {
  for (const file of files) locks.add(file);
}

/** The link goes with all its files. */
export function removeLink(plan: TreePlan, link: TreeLink): void {
  const { files, tracking, occupied } = link;
  for (const path of files) plan.changes.push({ kind: 'remove', path });
  if (tracking !== undefined) plan.changes.push({ kind: 'remove', path: tracking });
  lockLink(plan, link);
  plan.freed += occupied;
}

/** The link's descriptor changes where it stands. */
export async function editLink(plan: TreePlan, link: TreeLink, edits: DescriptorEdits): Promise<void> {
  const change = await descriptorChange(plan.store, link.path, edits);
  if (change === undefined) return;
  plan.changes.push(change);
  lockLink(plan, link);
}

/** Files of one folder that are made together; `make` gets the folder to make them in. */
export function createTogether(
  plan: TreePlan,
  path: string,
  names: readonly string[],
  make: (staging: string) => Promise<void>,
): void {
  plan.changes.push({ kind: 'create-together', path: posix.dirname(path), names, make });
}
