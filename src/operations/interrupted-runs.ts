// What runs that were interrupted left in a folder, and settling it: a run that had not made everything is undone, one
// that had is finished. Rule: a folder is only touched when it is a real one, its owner is gone and its journal sound.
import { join } from 'node:path';
import { VmdkError, isVmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { inParallel } from './in-parallel.ts';
import {
  assertJournalSize,
  JOURNAL_FILE,
  MADE_FOLDER,
  parseJournal,
  parseJournalFolder,
  type Journal,
  type JournalFolder,
  type JournalUnit,
} from './journal.ts';
import type { Runs } from './run-owner.ts';
import { closeStaging, dropUnit, placeUnit, undoStaging, type Staging } from './staging.ts';

export interface InterruptedRun {
  readonly folder: JournalFolder;
  /** Of the journal folder. */
  readonly path: string;
  /** Undefined when it ended before its journal was written, or after that was removed: nothing but that is left. */
  readonly journal: Journal | undefined;
  /** What settling will do with it. */
  readonly fate: 'undone' | 'finished';
}

export interface SettledRun extends InterruptedRun {
  /** What stands in its place now. */
  readonly placed: readonly JournalUnit[];
  /** What was made, and found its place taken: it is gone. */
  readonly dropped: readonly JournalUnit[];
}

export interface FindRunsOptions {
  runs: Runs;
  /** Treat runs of other hosts as gone: the caller knows that they are. */
  takeOver?: boolean | undefined;
}

/**
 * The interrupted runs of a folder, given by its real path; reads only.
 * @throws VmdkError `run-in-progress` (conflict) when one still runs; `bad-journal` for what is not ours.
 */
export async function findInterruptedRuns(
  store: FileStore,
  into: string,
  options: FindRunsOptions,
): Promise<InterruptedRun[]> {
  const found: InterruptedRun[] = [];
  for (const name of (await store.list(into)).sort()) {
    const folder = parseJournalFolder(name);
    if (folder === undefined) continue;
    const path = join(into, name);
    assertGone(folder, path, options);
    await assertRealFolder(store, path);
    const made = join(path, MADE_FOLDER);
    if (await store.exists(made)) await assertRealFolder(store, made);
    const journal = await readJournal(store, join(path, JOURNAL_FILE));
    found.push({ folder, path, journal, fate: folder.state === 'ready' ? 'finished' : 'undone' });
  }
  return found;
}

/** Undoes or finishes a run. @throws VmdkError `not-undone`; errors of the store. Another try goes on where it ended. */
export async function settleRun(store: FileStore, into: string, run: InterruptedRun): Promise<SettledRun> {
  const { path, fate } = run;
  const journal = run.journal ?? { request: '', layout: 'files', units: [] };
  const staging: Staging = { store, into, path, journal, durable: true };
  await assertRealUnits(staging);
  if (fate === 'undone') {
    await undoStaging(staging);
    return { ...run, placed: [], dropped: [] };
  }
  const placed: JournalUnit[] = [];
  const dropped: JournalUnit[] = [];
  await inParallel(journal.units, async (unit) => {
    const outcome = await placeUnit(staging, unit);
    if (outcome === 'placed') placed.push(unit);
    if (outcome === 'taken') {
      dropped.push(unit);
      await dropUnit(staging, unit);
    }
  });
  await closeStaging(staging);
  return { ...run, placed: inOrder(journal, placed), dropped: inOrder(journal, dropped) };
}

function inOrder({ units }: Journal, some: readonly JournalUnit[]): JournalUnit[] {
  const chosen = new Set(some);
  return units.filter((unit) => chosen.has(unit));
}

/** @throws VmdkError `run-in-progress` (conflict) unless the owner of a journal folder is known to be gone. */
export function assertGone(
  { owner }: Pick<JournalFolder, 'owner'>,
  path: string,
  { runs, takeOver }: FindRunsOptions,
  doing = 'making clones',
): void {
  if (owner === undefined) return;
  const state = runs.stateOf(owner);
  if (state === 'gone' || (state === 'unknown' && takeOver === true)) return;
  const running = state === 'running';
  throw new VmdkError('conflict', 'run-in-progress', `another run is ${doing} in this folder`, {
    path,
    found: running ? `process ${owner.pid}, which runs` : `process ${owner.pid} of another host`,
    expected: 'no journal, or one whose process is gone',
    hint: running
      ? 'Wait until it has ended.'
      : 'When it is certain that it has ended there, run again with --force.',
  });
}

/** Symbolic links lead out: what is ours was made as a folder. */
export async function assertRealFolder(store: FileStore, path: string): Promise<void> {
  const found = await store.resolve(path);
  if (found.path === path && found.kind === 'folder') return;
  throw new VmdkError('refused', 'bad-journal', 'what looks like a journal folder was not made by vmdkit', {
    path,
    found: found.kind === 'folder' ? `a link to ${found.path}` : 'no folder',
    expected: 'a folder',
    hint: 'Nothing was touched. Look at it, and remove it by hand.',
  });
}

async function assertRealUnits({ store, path, journal }: Staging): Promise<void> {
  if (journal.layout !== 'folders') return;
  await inParallel(journal.units, async ({ name }) => {
    const folder = join(path, MADE_FOLDER, name);
    if (await store.exists(folder)) await assertRealFolder(store, folder);
  });
}

async function readJournal(store: FileStore, path: string): Promise<Journal | undefined> {
  try {
    const found = await store.resolve(path);
    if (found.path !== path) await assertRealFolder(store, path);
    assertJournalSize(found.size, path);
    const file = await store.open(path, 'read');
    try {
      const bytes = new Uint8Array(found.size);
      await file.readExactly(bytes, 0);
      return parseJournal(bytes, path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}
