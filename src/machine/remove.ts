// Removes clones: machines with everything that is their own, or single disks. Rule: exactly their own files go, all of
// them or none, and never one that anything else needs.
import { posix } from 'node:path';
import { isVmdkError, usageError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { assertNotLocked } from '../disk/assert-not-locked.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import { foretell } from '../operations/foresee-run.ts';
import { findInterrupted, settleChangeSets } from '../operations/settle-changes.ts';
import { removeIfThere } from '../operations/tidy.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { lookForClones } from './listed-clones.ts';
import { planRemoval } from './remove-plan.ts';
import { openTargets, type RemoveTargets } from './remove-targets.ts';
import type { RemoveOptions, RemoveReport } from './remove-types.ts';
import { forgetSharers } from './sharers.ts';

/**
 * Removes the machines (.vmx, or a folder with one) and disks named, together.
 * @throws VmdkError `disks-in-use`, `disk-guarded`, `snapshot-has-clones`, `machine-running`, `machine-unclean`, `not-a-clone`,
 * `half-merged`, `disk-locked` (refused); errors of reading and of the change set. Nothing is changed then.
 */
export async function removeClones(
  targets: readonly string[],
  options: RemoveOptions = {},
): Promise<RemoveReport> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  if (targets.length === 0) throw usageError('remove needs a machine or a disk');
  const request = JSON.stringify(['remove', targets.map((path) => posix.resolve(path))]);
  const { notes, done } = await settleAround(store, targets, request, options);
  if (done) return nothingLeft(notes);
  const opened = await openTargets(store, targets, options);
  notes.push(...(await assertNoClones(opened, options)));
  const { report, changes, registers, roots, watched, parents } = await planRemoval(opened, options);
  const told = { ...report, notes: [...notes, ...report.notes] };
  if (options.locked !== 'ignore') await assertNotLocked(store, watched);
  if (options.dryRun === true) return told;
  await applyChangeSet(
    store,
    { root: roots[0]!, otherRoots: roots.slice(1), label: 'remove', changes, request },
    {
      ...options,
      beforeCommit: async () => {
        for (const path of registers) await removeIfThere(store, path);
      },
    },
  );
  const remarks: string[] = [];
  for (const [parent, children] of parents) {
    const { note } = await forgetSharers(store, parent, children);
    if (note !== undefined) remarks.push(note);
  }
  return { ...told, notes: [...told.notes, ...remarks] };
}

/** What earlier runs left in the folders concerned; a removal of the same has then been finished. */
async function settleAround(
  store: FileStore,
  targets: readonly string[],
  request: string,
  options: RemoveOptions,
): Promise<{ notes: string[]; done: boolean }> {
  const guard = createPathGuard({ store, allow: options.allow, confine: options.confine });
  const folders = new Set<string>();
  for (const target of targets) {
    const path = await realPathOf(store, guard, target);
    for (const folder of [path, posix.dirname(path), posix.dirname(posix.dirname(path))])
      if (folder !== '/' && (await isFolder(store, folder))) folders.add(folder);
  }
  const notes: string[] = [];
  let done = false;
  for (const folder of folders) {
    if (!(await store.exists(folder))) continue;
    if (options.dryRun === true) {
      notes.push(...(await findInterrupted(store, folder, options)).map(foretell));
      continue;
    }
    for (const run of await settleChangeSets(store, folder, options)) {
      notes.push(`a ${run.label} run that was interrupted was ${run.outcome} first`);
      done ||= run.outcome === 'finished' && run.request === request;
    }
  }
  return { notes, done };
}

/** Of a target, or as far as there is something of it: what is gone may be half removed. */
async function realPathOf(
  store: FileStore,
  guard: ReturnType<typeof createPathGuard>,
  target: string,
): Promise<string> {
  try {
    return (await guard.assertNamedAllowed(target)).path;
  } catch (error) {
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
  const path = posix.resolve(target);
  const [folder, holder] = [posix.dirname(path), posix.dirname(posix.dirname(path))];
  if (await isFolder(store, folder))
    return posix.join((await store.resolve(folder)).path, posix.basename(path));
  if (await isFolder(store, holder))
    return posix.join((await store.resolve(holder)).path, posix.basename(folder), posix.basename(path));
  return path;
}

async function isFolder(store: FileStore, path: string): Promise<boolean> {
  try {
    return (await store.resolve(path)).kind === 'folder';
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

/** Clones that the machines' own databases list, and that are not removed with them. */
async function assertNoClones(
  { store, machines }: RemoveTargets,
  { pathMap, force }: RemoveOptions,
): Promise<string[]> {
  const going = new Set(machines.map(({ path }) => path));
  const notes: string[] = [];
  for (const machine of machines) {
    for (const snapshot of machine.snapshots.snapshots) {
      const clones = snapshot.clones.filter(
        (name) => !going.has(posix.resolve(machine.folder, name.replaceAll('\\', '/'))),
      );
      notes.push(...(await lookForClones(store, machine, { ...snapshot, clones }, { pathMap, force })));
    }
  }
  return notes;
}

function nothingLeft(notes: readonly string[]): RemoveReport {
  return {
    schema: 'vmdkit-remove/v1',
    'dry-run': false,
    machines: [],
    disks: [],
    files: [],
    folders: [],
    kept: [],
    forgotten: [],
    'bytes-freed': 0,
    notes,
  };
}
