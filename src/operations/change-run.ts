// A change set at work, and what its steps and their undoing share: where things are in the journal folder, how far the run
// is, and putting one file in its place. Rule: nothing is ever put in the place of a file that holds something.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { inState, OUT_FOLDER, type ChangeJournal, type ChangeState } from './change-journal.ts';
import { inParallel } from './in-parallel.ts';
import { JOURNAL_FILE, MADE_FOLDER } from './journal.ts';
import { emptiedBy, filledBy } from './plan-changes.ts';
import { isEmptyFile, removeFolderIfThere, removeIfThere } from './tidy.ts';

/** A change set at work. */
export interface ChangeRun {
  readonly store: FileStore;
  readonly journal: ChangeJournal;
  /** Real paths; the first holds the journal. */
  readonly roots: readonly string[];
  /** The journal folder, and the folder in each other root; undefined where that was not made or is gone. */
  readonly folders: readonly (string | undefined)[];
  readonly durable: boolean;
  /** Names taken so far. Undefined when another run began this: then any empty file in such a place is a claim. */
  readonly claims?: Set<string>;
}

/** Told of an optional change that could not be made; the index counts the changes. */
export type OnSkipped = (index: number, error: unknown) => void;

export function madePath(run: ChangeRun, index: number): string {
  return posix.join(folderOf(run, index), MADE_FOLDER, String(index));
}

export function outPath(run: ChangeRun, index: number): string {
  return posix.join(folderOf(run, index), OUT_FOLDER, String(index));
}

function folderOf(run: ChangeRun, index: number): string {
  // What goes to a root is made in that root: it may be a file system of its own.
  return run.folders[run.journal.changes[index]!.root]!;
}

/** Places that something leaves. */
export function emptiedPlaces({ journal, roots }: Pick<ChangeRun, 'journal' | 'roots'>): Set<string> {
  return new Set(journal.changes.flatMap((record) => emptiedBy(roots, record) ?? []));
}

/** Whether anything leaves its place. */
export function leavesPlaces({ journal, roots }: ChangeRun): boolean {
  return journal.changes.some((record) => emptiedBy(roots, record) !== undefined);
}

/** Renames the journal folder, which says how far the run is. */
export async function advance(run: ChangeRun, state: ChangeState): Promise<ChangeRun> {
  const { store, durable, folders, roots } = run;
  const path = folders[0]!;
  const next = posix.join(posix.dirname(path), inState(posix.basename(path), state));
  if (next === path) return run;
  await store.rename(path, next);
  try {
    if (durable) await store.syncFolder(roots[0]!);
  } catch (error) {
    // What is not known to have happened must not be built on.
    await store.rename(next, path);
    throw error;
  }
  return { ...run, folders: [next, ...folders.slice(1)] };
}

/** Puts a file in its place, or finds that it was put there before. */
export async function place(store: FileStore, from: string, to: string): Promise<void> {
  if (!(await store.exists(from))) return;
  const { kind } = await store.resolve(from);
  if (kind === 'file' && (await isEmptyFile(store, to))) return store.rename(from, to);
  if (await store.exists(to)) throw inTheWay(to, from);
  const folder = posix.dirname(to);
  if (!(await store.exists(folder))) {
    throw new VmdkError('conflict', 'folder-missing', 'the folder is gone that a file is to come to', {
      path: folder,
      found: 'nothing',
      expected: `a folder for ${posix.basename(to)}`,
      hint: `The file is in ${from}. Make or mount the folder, and run the command again.`,
    });
  }
  await store.rename(from, to);
}

export function inTheWay(path: string, from: string): VmdkError {
  return new VmdkError(
    'conflict',
    'in-the-way',
    'something has taken the place of a file that is to come here',
    {
      path,
      found: 'a file or folder',
      expected: 'nothing',
      hint: `Move it away, and run the command again. What belongs here is in ${from} until then.`,
    },
  );
}

/** Makes renames in the places of all changes, and in these folders of the journal, survive a loss of power. */
export async function syncPlaces(run: ChangeRun, ...inJournal: readonly string[]): Promise<void> {
  const { store, roots, journal, durable } = run;
  if (!durable) return;
  const folders = new Set<string>();
  for (const record of journal.changes) {
    const from = emptiedBy(roots, record);
    for (const path of [...(from === undefined ? [] : [from]), ...filledBy(roots, record)])
      folders.add(posix.dirname(path));
  }
  for (const folder of run.folders) {
    if (folder !== undefined) for (const name of inJournal) folders.add(posix.join(folder, name));
  }
  // Files that are made together come out of a folder of their own.
  for (const [index, record] of journal.changes.entries()) {
    if (record.kind === 'create-together' && inJournal.includes(MADE_FOLDER))
      folders.add(madePath(run, index));
  }
  await inParallel([...folders], async (folder) => {
    if (await store.exists(folder)) await store.syncFolder(folder);
  });
}

/** The folders of other roots go first, then the journal, then its folder: who finds the last finds nothing to do. */
export async function removeFolders(run: ChangeRun): Promise<void> {
  const { store, roots, folders, durable } = run;
  const places = [...folders.entries()].reverse();
  for (const [root, folder] of places) {
    if (folder === undefined) continue;
    for (const name of [MADE_FOLDER, OUT_FOLDER]) await removeFolderIfThere(store, posix.join(folder, name));
    if (durable) await store.syncFolder(folder);
    if (durable) await store.syncFolder(roots[root]!);
    await removeIfThere(store, posix.join(folder, JOURNAL_FILE));
    if (durable) await store.syncFolder(folder);
    await removeFolderIfThere(store, folder);
    if (durable) await store.syncFolder(roots[root]!);
  }
}
