// Changes to many files that happen together or not at all: the journal of every operation on a machine. Everything
// is made in a hidden folder first; one rename of it is the point of no return; then files only take their places.
// Rule: killed before that point, the next run takes everything back; after it, the next run finishes.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { errorAbout, isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import type { FileStore } from '../storage/file-store.ts';
import {
  changeFolderName,
  encodeChangeJournal,
  encodePart,
  givenUpName,
  OUT_FOLDER,
  parseChangeFolder,
  partFolderName,
  parsePartFolder,
  type ChangeJournal,
} from './change-journal.ts';
import { advance, emptiedPlaces, type ChangeRun } from './change-run.ts';
import type { FileChange } from './file-change.ts';
import { inParallel } from './in-parallel.ts';
import { assertJournalSize, JOURNAL_FILE, MADE_FOLDER } from './journal.ts';
import { assertReached } from './one-file-system.ts';
import { assertStillSo, planChanges, type PlannedChange } from './plan-changes.ts';
import { localRuns, type Runs } from './run-owner.ts';
import { isOptional, stageChanges, type StageOptions } from './stage-changes.ts';
import { finishOrTakeBack } from './take-back.ts';
import { makeFolderIfMissing, writeWhole } from './tidy.ts';
import { claimPlaces, dropMade, undoRun } from './undo-changes.ts';

export interface ChangeSet {
  /** The folder that the changes are in, with all below it; holds the journal. Made when it is missing. */
  readonly root: string;
  /** Further folders that changes are in; they exist. */
  readonly otherRoots?: readonly string[] | undefined;
  /** What is done, in a word: `clone`, `snapshot`. Lower case and hyphens. */
  readonly label: string;
  readonly changes: readonly FileChange[];
  /** Equal for two runs of the same command, so that one can tell that the other has finished its work. */
  readonly request: string;
}

export interface ChangeSetOptions extends StageOptions {
  /** Each step survives a loss of power before the next is taken. Default true. */
  durable?: boolean | undefined;
  /** Called when all is made and nothing is changed yet: what it throws takes everything back. */
  beforeCommit?: (() => Promise<void>) | undefined;
  runs?: Runs | undefined;
}

/**
 * Carries out a change set, whole or not at all. Settle the roots first (`settleChangeSets`).
 * @throws VmdkError `target-exists`, `outside-roots`, `other-file-system` (refused), `changed-since`, `run-in-progress` (conflict), errors
 * of the store: nothing is changed then. `not-undone` (io): what was made could not all be removed, the next run
 * tries again. `not-finished` (io): all is made and not all in place, the next run finishes it. The abort reason, with
 * nothing changed.
 */
export async function applyChangeSet(
  store: FileStore,
  set: ChangeSet,
  options: ChangeSetOptions = {},
): Promise<void> {
  const durable = options.durable ?? true;
  const madeFolders: string[] = [];
  let run: ChangeRun | undefined;
  try {
    throwIfAborted(options);
    const roots = await rootsOf(store, set, durable, madeFolders);
    const planned = await planChanges(store, roots, set.changes);
    if (planned.length === 0) return;
    await assertReached(store, roots, planned);
    run = await openRun(store, set, roots, planned, options);
    await assertAlone(run);
    await stageChanges(run, planned, options);
    await claimPlaces(run);
    await options.beforeCommit?.();
    await assertAllStillSo(run, planned, options);
    throwIfAborted(options);
    run = await advance(run, 'ready');
  } catch (error) {
    if (run !== undefined) await undo(run, error);
    for (const folder of madeFolders.toReversed()) await store.removeFolder(folder).catch(() => {});
    throw error;
  }
  if ((await finish(run, options)) === 'finished') return;
  for (const folder of madeFolders.toReversed()) await store.removeFolder(folder).catch(() => {});
  throw otherMount(run);
}

/** Real paths of the roots; a first root that is missing is made. */
async function rootsOf(
  store: FileStore,
  { root, otherRoots = [] }: ChangeSet,
  durable: boolean,
  made: string[],
): Promise<string[]> {
  const missing: string[] = [];
  for (let at = posix.resolve(root); !(await store.exists(at)); at = posix.dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    if (!(await makeFolderIfMissing(store, folder))) continue;
    made.push(folder);
    if (durable) await store.syncFolder(posix.dirname(folder));
  }
  const roots: string[] = [];
  for (const folder of [root, ...otherRoots]) {
    const { path, kind } = await store.resolve(folder);
    if (kind !== 'folder') throw usageError(`${folder} is no folder`);
    if (!roots.includes(path)) roots.push(path);
  }
  return roots;
}

/** Begins: the journal is safe on disk before anything else is made, and every root knows of it. */
async function openRun(
  store: FileStore,
  { label, request }: ChangeSet,
  roots: readonly string[],
  planned: readonly PlannedChange[],
  options: ChangeSetOptions,
): Promise<ChangeRun> {
  const durable = options.durable ?? true;
  const { self } = options.runs ?? localRuns();
  const random = randomBytes(8).toString('hex');
  const changes = planned.map(({ record }) => record);
  const journal: ChangeJournal = { label, request, otherRoots: roots.slice(1), changes };
  const data = encodeChangeJournal(journal);
  const folders = roots.map((root, index) =>
    posix.join(root, index === 0 ? changeFolderName(self, random, 'new') : partFolderName(random)),
  );
  assertJournalSize(data.length, folders[0]!);
  const run: ChangeRun = { store, journal, roots, folders, durable, claims: new Set() };
  const made: string[] = [];
  try {
    for (const [index, folder] of folders.entries()) {
      await store.makeFolder(folder);
      made.push(folder);
      await writeWhole(
        store,
        posix.join(folder, JOURNAL_FILE),
        index === 0 ? data : encodePart(roots[0]!),
        durable,
      );
      if (durable) await store.syncFolder(folder);
      if (durable) await store.syncFolder(roots[index]!);
    }
    for (const folder of folders) {
      await store.makeFolder(posix.join(folder, MADE_FOLDER));
      await store.makeFolder(posix.join(folder, OUT_FOLDER));
      if (durable) await store.syncFolder(folder);
    }
    return run;
  } catch (error) {
    await undo(
      { ...run, folders: folders.map((folder) => (made.includes(folder) ? folder : undefined)) },
      error,
    );
    throw folders.reduce(
      (told: unknown, folder, index) =>
        errorAbout(errorAbout(told, posix.join(folder, JOURNAL_FILE), folder), folder, roots[index]!),
      error,
    );
  }
}

/** Two runs that began at the same moment see each other here, and both give way. */
async function assertAlone({ store, roots, folders }: ChangeRun): Promise<void> {
  for (const root of roots) {
    for (const name of await store.list(root)) {
      if (parseChangeFolder(name) === undefined && parsePartFolder(name) === undefined) continue;
      const path = posix.join(root, name);
      if (folders.includes(path)) continue;
      throw new VmdkError('conflict', 'run-in-progress', 'another run began to change files here', {
        path,
        found: 'its journal',
        expected: 'no other journal',
        hint: 'Wait until it has ended, then run again.',
      });
    }
  }
}

async function assertAllStillSo(
  run: ChangeRun,
  planned: readonly PlannedChange[],
  options: ChangeSetOptions,
): Promise<void> {
  const emptied = emptiedPlaces(run);
  await inParallel(planned, async (item, index) => {
    try {
      await assertStillSo(run.store, run.roots, item, emptied);
    } catch (error) {
      if (!isOptional(item.change) || !isVmdkError(error)) throw error;
      await dropMade(run, index);
      options.onSkipped?.(index, error);
    }
  });
}

async function undo(run: ChangeRun, cause: unknown): Promise<void> {
  try {
    await undoRun(run);
  } catch (error) {
    await giveUp(run);
    throw new VmdkError(
      'io',
      'not-undone',
      'a run failed, and what it had made could not all be removed',
      {
        path: run.folders[0]!,
        found: error instanceof Error ? error.message : String(error),
        hint: 'The next run here tries again; else remove this folder by hand.',
      },
      cause,
    );
  }
}

async function finish(run: ChangeRun, { onSkipped }: ChangeSetOptions): Promise<'finished' | 'undone'> {
  try {
    return await finishOrTakeBack(run, 'ready', onSkipped);
  } catch (error) {
    await giveUp(run);
    throw new VmdkError(
      'io',
      'not-finished',
      'everything is made, and not all of it could be put in its place',
      {
        path: run.folders[0]!,
        found: error instanceof Error ? error.message : String(error),
        hint: 'Run the same command again: it finishes this first.',
      },
      error,
    );
  }
}

/** Two mounts of one file system, which nothing but a rename tells. */
function otherMount({ roots }: ChangeRun): VmdkError {
  return new VmdkError('refused', 'other-file-system', 'files cannot be renamed from one mount to another', {
    path: roots[0]!,
    found: 'a border between the folders of this change',
    expected: 'folders on one mount',
    hint: 'Everything is as it was. Copy the files there, then vmdkit relink what stands on them.',
  });
}

/** Lets the next run settle what this one could not, although this process lives on. */
async function giveUp({ store, roots, folders }: ChangeRun): Promise<void> {
  try {
    const { random } = parseChangeFolder(posix.basename(folders[0]!))!;
    const name = (await store.list(roots[0]!)).find((other) => parseChangeFolder(other)?.random === random);
    if (name !== undefined)
      await store.rename(posix.join(roots[0]!, name), posix.join(roots[0]!, givenUpName(name)));
  } catch {
    // Then the next run can settle it once this process has ended.
  }
}
