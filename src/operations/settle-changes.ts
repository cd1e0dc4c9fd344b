// Change sets that were interrupted, and settling them: every command that changes files of a machine begins with it.
// Rule: a journal is only believed when its folders are real ones, its owner is gone, and every root that it names
// knows of it.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { FindLocksOptions } from '../storage/lock-state.ts';
import { clearOwnLocksIn } from '../storage/own-locks.ts';
import {
  badJournal,
  OUT_FOLDER,
  parseChangeFolder,
  parseChangeJournal,
  parsePart,
  parsePartFolder,
  partFolderName,
  type ChangeFolder,
  type ChangeJournal,
} from './change-journal.ts';
import { madePath, type ChangeRun } from './change-run.ts';
import { foreseeRun, type Fate } from './foresee-run.ts';
import { inParallel } from './in-parallel.ts';
import { assertGone, assertRealFolder } from './interrupted-runs.ts';
import { assertJournalSize, JOURNAL_FILE, MADE_FOLDER } from './journal.ts';
import { emptiedBy, filledBy, fullPath } from './plan-changes.ts';
import { localRuns, type Runs } from './run-owner.ts';
import { finishOrTakeBack } from './take-back.ts';
import { readWhole, removeFolderIfThere, removeIfThere } from './tidy.ts';
import { undoRun } from './undo-changes.ts';

export interface InterruptedChanges {
  /** Of the journal folder. */
  readonly path: string;
  readonly label: string;
  readonly request: string;
  /** What settling will do with it. */
  readonly fate: Fate;
}

interface FoundRun extends Omit<InterruptedChanges, 'fate'> {
  readonly run: ChangeRun;
  readonly folder: ChangeFolder;
}

export interface SettledChanges {
  readonly label: string;
  readonly request: string;
  readonly outcome: 'finished' | 'undone';
}

export interface SettleOptions {
  /** Treat runs of other hosts as gone: the caller knows that they are. */
  takeOver?: boolean | undefined;
  runs?: Runs | undefined;
  /** Who holds locks, as far as it can be told; as this machine sees it unless given. */
  locks?: Pick<FindLocksOptions, 'host'> | undefined;
}

/** What a run leaves that ended before its journal was written, or while that was removed. */
const NOTHING: ChangeJournal = { label: 'change', request: '', otherRoots: [], changes: [] };

/**
 * The interrupted change sets that concern a folder; reads only. A folder that is missing has none.
 * @throws VmdkError `run-in-progress` (conflict) when one still runs; `bad-journal` for what is not ours.
 */
export async function findInterrupted(
  store: FileStore,
  root: string,
  options: SettleOptions = {},
): Promise<readonly InterruptedChanges[]> {
  const { runs } = await locate(store, root, options);
  return Promise.all(
    runs.map(async ({ run, folder, path, label, request }) => {
      return { path, label, request, fate: await foreseeRun(run, folder.state) };
    }),
  );
}

/**
 * Finishes or takes back what was interrupted in a folder, wherever else it had reached. What should be finished and meets
 * the border of a file system is taken back.
 * @throws VmdkError as `findInterrupted`; `in-the-way`, `changed-since` (conflict) when somebody changed the files
 * since; `not-finished` (io), which says where everything is; errors of the store. It can be tried again.
 */
export async function settleChangeSets(
  store: FileStore,
  root: string,
  options: SettleOptions = {},
): Promise<readonly SettledChanges[]> {
  if (!(await store.exists(root))) return [];
  const { runs, orphans } = await locate(store, root, options);
  const settled: SettledChanges[] = [];
  for (const { run, folder, label, request } of runs) {
    await assertRealPlaces(run);
    let outcome: SettledChanges['outcome'] = 'undone';
    if (folder.state === 'new') await undoRun(run);
    else {
      if (folder.state !== 'done') await removeTemporaries(run);
      outcome = await finishOrTakeBack(run, folder.state);
    }
    settled.push({ label, request, outcome });
  }
  for (const path of orphans) await removeOrphan(store, path);
  // A run that is gone holds no lock either.
  const { path } = await store.resolve(root);
  await clearOwnLocksIn(store, path, options.locks?.host);
  return settled;
}

interface Located {
  readonly runs: readonly FoundRun[];
  /** Folders in this root whose journal is gone: nothing is left to do. */
  readonly orphans: readonly string[];
}

async function locate(store: FileStore, root: string, options: SettleOptions): Promise<Located> {
  if (!(await store.exists(root))) return { runs: [], orphans: [] };
  const { path: into } = await store.resolve(root);
  const runs = new Map<string, FoundRun>();
  const orphans: string[] = [];
  for (const name of (await store.list(into)).sort()) {
    const folder = parseChangeFolder(name);
    const random = parsePartFolder(name);
    if (folder !== undefined) runs.set(folder.random, await readRun(store, into, folder, options));
    if (random === undefined) continue;
    const found = await followPart(store, posix.join(into, name), random, options);
    if (found === undefined) orphans.push(posix.join(into, name));
    else runs.set(random, found);
  }
  return { runs: [...runs.values()], orphans };
}

/** The run whose journal lies in another root; undefined when it is gone. */
async function followPart(
  store: FileStore,
  path: string,
  random: string,
  options: SettleOptions,
): Promise<FoundRun | undefined> {
  await assertRealFolder(store, path);
  const first = await firstRootOf(store, path);
  if (first === undefined) return undefined;
  if (!(await store.exists(first)) || (await store.resolve(first)).path !== first)
    throw elsewhere(path, first);
  const folder = (await store.list(first))
    .map((name) => parseChangeFolder(name))
    .find((found) => found?.random === random);
  return folder === undefined ? undefined : readRun(store, first, folder, options);
}

async function firstRootOf(store: FileStore, part: string): Promise<string | undefined> {
  const bytes = await readReal(store, posix.join(part, JOURNAL_FILE));
  return bytes === undefined ? undefined : parsePart(bytes);
}

async function readRun(
  store: FileStore,
  into: string,
  folder: ChangeFolder,
  { runs = localRuns(), takeOver }: SettleOptions,
): Promise<FoundRun> {
  const path = posix.join(into, folder.name);
  assertGone(folder, path, { runs, takeOver }, 'changing files');
  await assertRealFolder(store, path);
  const file = posix.join(path, JOURNAL_FILE);
  const bytes = await readReal(store, file);
  const journal = bytes === undefined ? undefined : parseChangeJournal(bytes, file);
  const { state } = folder;
  if (journal === undefined && state !== 'new' && state !== 'done')
    throw badJournal(file, 'none', 'a journal');
  const { label, request, otherRoots } = journal ?? NOTHING;
  const roots = [into, ...otherRoots];
  const folders: (string | undefined)[] = [path];
  for (const root of otherRoots) folders.push(await partIn(store, root, folder, into));
  const run: ChangeRun = { store, journal: journal ?? NOTHING, roots, folders, durable: true };
  return { path, label, request, run, folder };
}

/** The folder of a run in another root, where it must be if the run reached so far. */
async function partIn(
  store: FileStore,
  root: string,
  { random, state }: ChangeFolder,
  into: string,
): Promise<string | undefined> {
  const path = posix.join(root, partFolderName(random));
  if (await store.exists(path)) {
    await assertRealFolder(store, path);
    if ((await firstRootOf(store, path)) === into) return path;
  }
  if (state === 'new' || state === 'done') return undefined;
  throw elsewhere(posix.join(into, random), root);
}

/** What the journal lists is where it says, and not behind a link. */
async function assertRealPlaces(run: ChangeRun): Promise<void> {
  const { store, journal, roots, folders } = run;
  const places = new Set<string>();
  for (const [index, record] of journal.changes.entries()) {
    places.add(posix.dirname(fullPath(roots, record)));
    const from = emptiedBy(roots, record);
    for (const path of [...(from === undefined ? [] : [from]), ...filledBy(roots, record)])
      places.add(posix.dirname(path));
    if (folders[record.root] === undefined) continue;
    if (record.kind === 'folder' || record.kind === 'create-together') places.add(madePath(run, index));
  }
  for (const folder of folders) {
    if (folder === undefined) continue;
    for (const name of [MADE_FOLDER, OUT_FOLDER]) places.add(posix.join(folder, name));
  }
  await inParallel([...places], async (path) => {
    if (await store.exists(path)) await assertRealFolder(store, path);
  });
  await inParallel(journal.changes, async (record, index) => {
    if (record.kind !== 'replace' && record.kind !== 'patch') return;
    await assertRealFile(store, fullPath(roots, record));
    if (folders[record.root] !== undefined) await assertRealFile(store, madePath(run, index));
  });
}

async function assertRealFile(store: FileStore, path: string): Promise<void> {
  if (!(await store.exists(path))) return;
  const found = await store.resolve(path);
  if (found.path !== path || found.kind !== 'file') throw badJournal(path, 'a link or no file', 'a file');
}

/** What a file store leaves beside a file that it was replacing. */
async function removeTemporaries({ store, journal, roots }: ChangeRun): Promise<void> {
  const replaced = journal.changes.flatMap((record) =>
    record.kind === 'replace' ? [fullPath(roots, record)] : [],
  );
  for (const folder of new Set(replaced.map((path) => posix.dirname(path)))) {
    const names = new Set(
      replaced
        .filter((path) => posix.dirname(path) === folder)
        .map((path) => posix.basename(path).slice(0, 40)),
    );
    for (const name of await store.list(folder)) {
      const [, of] = /^\.(.{1,40})\.vmdkit-[0-9a-f]+\.tmp$/.exec(name) ?? [];
      if (of !== undefined && names.has(of)) await removeIfThere(store, posix.join(folder, name));
    }
  }
}

/** Only what is empty is removed: what a run took out of its place is never lost here. */
async function removeOrphan(store: FileStore, path: string): Promise<void> {
  for (const name of [MADE_FOLDER, OUT_FOLDER]) await removeFolderIfThere(store, posix.join(path, name));
  await removeIfThere(store, posix.join(path, JOURNAL_FILE));
  await removeFolderIfThere(store, path);
  await store.syncFolder(posix.dirname(path));
}

async function readReal(store: FileStore, path: string): Promise<Buffer | undefined> {
  try {
    const found = await store.resolve(path);
    if (found.path !== path || found.kind !== 'file') throw badJournal(path, 'a link or no file', 'a file');
    assertJournalSize(found.size, path);
    return await readWhole(store, path);
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}

function elsewhere(path: string, root: string): VmdkError {
  return new VmdkError(
    'conflict',
    'journal-elsewhere',
    'an interrupted run also changed files in a folder that is not as it was',
    {
      path,
      found: `no part of the run in ${root}`,
      expected: 'both folders where they were',
      hint: 'Mount or move the folder back to that path, and run the command again.',
    },
  );
}
