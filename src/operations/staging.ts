// Files that appear together or not at all. They are made in a hidden folder beside their places; one rename of that
// folder says that all is made, and from then on they only move into their places. Rule: nothing is ever put in the
// place of a file that holds something, and nothing is removed that the journal does not list.
import { basename, dirname, join } from 'node:path';
import { errorAbout, isVmdkError, VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { inParallel } from './in-parallel.ts';
import {
  encodeJournal,
  JOURNAL_FILE,
  journalFolderName,
  MADE_FOLDER,
  readyName,
  releasedName,
  type Journal,
  type JournalUnit,
  type RunOwner,
} from './journal.ts';
import { claimName, isEmptyFile, removeFolderIfThere, removeIfThere, writeWhole } from './tidy.ts';

/** A journal folder and what it promises. */
export interface Staging {
  readonly store: FileStore;
  /** Real path of the folder that the files are for. */
  readonly into: string;
  /** Real path of the journal folder. */
  readonly path: string;
  readonly journal: Journal;
  /**
   * Names taken so far. Undefined when another run began this: then any empty file in the place of a listed one is
   * taken for a claim of that run.
   */
  readonly claims?: Set<string>;
  /** Whether each step survives a loss of power before the next is taken. */
  readonly durable: boolean;
}

/** Begins: the journal is safe on disk before anything else is made. */
export async function openStaging(
  store: FileStore,
  into: string,
  journal: Journal,
  { owner, random, durable }: { owner: RunOwner; random: string; durable: boolean },
): Promise<Staging> {
  const path = join(into, journalFolderName(owner, random));
  const staging = { store, into, path, journal, claims: new Set<string>(), durable };
  try {
    await store.makeFolder(path);
  } catch (error) {
    throw errorAbout(error, path, into);
  }
  try {
    await writeWhole(store, join(path, JOURNAL_FILE), encodeJournal(journal), durable);
    if (durable) await store.syncFolder(path);
    if (durable) await store.syncFolder(into);
    await store.makeFolder(join(path, MADE_FOLDER));
    return staging;
  } catch (error) {
    await removeStaging(staging).catch(() => {});
    throw error;
  }
}

/** Where a file of a unit is made. */
export function stagedPath({ path, journal }: Staging, unit: JournalUnit, file: string): string {
  return journal.layout === 'folders'
    ? join(path, MADE_FOLDER, unit.name, file)
    : join(path, MADE_FOLDER, file);
}

/** Where it goes. */
export function finalPath(
  { into, journal }: Pick<Staging, 'into' | 'journal'>,
  unit: JournalUnit,
  file: string,
): string {
  return journal.layout === 'folders' ? join(into, unit.name, file) : join(into, file);
}

/** To be called before the first file of a unit is made. */
export async function beginUnit({ store, path, journal }: Staging, unit: JournalUnit): Promise<void> {
  if (journal.layout === 'folders') await store.makeFolder(join(path, MADE_FOLDER, unit.name));
}

/** Takes back what is made of a unit so far. */
export async function dropUnit(staging: Staging, unit: JournalUnit): Promise<void> {
  const { store, path, journal } = staging;
  for (const file of unit.files.toReversed()) await removeIfThere(store, stagedPath(staging, unit, file));
  if (journal.layout === 'folders') await removeFolderIfThere(store, join(path, MADE_FOLDER, unit.name));
}

/**
 * Gives a unit up while the others go on. The mark keeps the next run, should this one be interrupted, from taking
 * for ours what stands in the unit's place.
 */
export async function abandonUnit(staging: Staging, unit: JournalUnit): Promise<void> {
  const { store, path, durable } = staging;
  await (await store.create(abandonedMark(staging, unit))).close();
  if (durable) await store.syncFolder(path);
  await dropUnit(staging, unit);
}

function abandonedMark({ path, journal }: Staging, unit: JournalUnit): string {
  return join(path, `abandoned-${journal.units.indexOf(unit)}`);
}

/**
 * Takes the names of a unit, so that nobody else can and the move to come overwrites nothing: an empty file in the
 * place of each. A folder needs none, since a folder that holds something cannot be replaced.
 * @throws VmdkError `target-exists`.
 */
export async function claimPlaces(staging: Staging, unit: JournalUnit): Promise<void> {
  const { store, into, journal } = staging;
  if (journal.layout === 'folders') {
    const path = join(into, unit.name);
    if (await store.exists(path)) throw targetExists(path);
    return;
  }
  try {
    for (const file of unit.files) {
      const path = join(into, file);
      const claim = await createClaim(store, path);
      staging.claims?.add(path);
      await claim.close();
    }
  } catch (error) {
    await freePlaces(staging, unit);
    throw error;
  }
}

/** The point of no return: from here on an interrupted run is finished, not undone. */
export async function commitStaging(staging: Staging): Promise<Staging> {
  const { store, into, path, journal, durable } = staging;
  const made = join(path, MADE_FOLDER);
  if (durable && journal.layout === 'folders') {
    await inParallel(journal.units, async ({ name }) => {
      const folder = join(made, name);
      if (await store.exists(folder)) await store.syncFolder(folder);
    });
  }
  if (durable) await store.syncFolder(made);
  if (durable) await store.syncFolder(path);
  const ready = readyName(path);
  await store.rename(path, ready);
  try {
    if (durable) await store.syncFolder(into);
  } catch (error) {
    await store.rename(ready, path);
    throw error;
  }
  return { ...staging, path: ready };
}

/** `missing`: neither made nor in place. `taken`: something else is in its place, and what was made stays staged. */
export type PlacedUnit = 'placed' | 'missing' | 'taken';

/** Moves a unit of this run's own committed staging into its place, whose names it has claimed. */
export async function placeOwnUnit(staging: Staging, unit: JournalUnit): Promise<PlacedUnit> {
  const { store, journal } = staging;
  if (journal.layout === 'folders') return placeFolder(staging, unit);
  for (const file of unit.files) {
    await store.rename(stagedPath(staging, unit, file), finalPath(staging, unit, file));
  }
  return 'placed';
}

/** The same for a run that was interrupted, wherever it was. */
export async function placeUnit(staging: Staging, unit: JournalUnit): Promise<PlacedUnit> {
  const { store, path, journal } = staging;
  if (await store.exists(abandonedMark(staging, unit))) return 'missing';
  if (journal.layout === 'files') return placeFiles(staging, unit);
  if (await store.exists(join(path, MADE_FOLDER, unit.name))) return placeFolder(staging, unit);
  return (await store.exists(join(staging.into, unit.name))) ? 'placed' : 'missing';
}

async function placeFolder({ store, into, path }: Staging, { name }: JournalUnit): Promise<PlacedUnit> {
  const [from, to] = [join(path, MADE_FOLDER, name), join(into, name)];
  if (await store.exists(to)) return 'taken';
  try {
    await store.rename(from, to);
  } catch (error) {
    if (isVmdkError(error, 'folder-not-empty', 'file-exists', 'not-a-folder')) return 'taken';
    throw error;
  }
  return 'placed';
}

async function placeFiles(staging: Staging, unit: JournalUnit): Promise<PlacedUnit> {
  const { store } = staging;
  const moves: { from: string; to: string }[] = [];
  for (const file of unit.files) {
    const [from, to] = [stagedPath(staging, unit, file), finalPath(staging, unit, file)];
    if (await store.exists(from)) moves.push({ from, to });
    else if (!(await store.exists(to))) return 'missing';
  }
  for (const { to } of moves) {
    if ((await isEmptyFile(store, to)) || (await claimName(store, to))) continue;
    await freePlaces(staging, unit);
    return 'taken';
  }
  for (const { from, to } of moves) await store.rename(from, to);
  return 'placed';
}

/** Takes the names of a unit back; only ever removes files that are empty. */
export async function freePlaces(staging: Staging, unit: JournalUnit): Promise<void> {
  const { store, journal, claims } = staging;
  if (journal.layout === 'folders') return;
  for (const file of unit.files) {
    const path = finalPath(staging, unit, file);
    if (claims?.has(path) === false) continue;
    if (await isEmptyFile(store, path)) await removeIfThere(store, path);
  }
}

/** Everything is in its place, or dropped: removes the journal and its folder. */
export async function closeStaging(staging: Staging): Promise<void> {
  const { store, into, path, durable } = staging;
  if (durable) await store.syncFolder(into);
  const made = join(path, MADE_FOLDER);
  if (durable && (await store.exists(made))) await store.syncFolder(made);
  await removeJournal(staging);
  try {
    await removeRemains(staging);
  } catch {
    // All is in place and safe; an empty folder is left for the next run to remove.
    await releaseStaging(staging);
  }
}

/**
 * Takes back everything that was made and claimed.
 * @throws VmdkError `not-undone` when something could not be removed; the next run into the folder tries again.
 */
export async function undoStaging(staging: Staging, cause?: unknown): Promise<void> {
  try {
    await inParallel(staging.journal.units, async (unit) => {
      await freePlaces(staging, unit);
      await dropUnit(staging, unit);
    });
    await removeStaging(staging);
  } catch (error) {
    await releaseStaging(staging);
    throw new VmdkError(
      'io',
      'not-undone',
      'a run failed, and what it had made could not all be removed',
      {
        path: staging.path,
        found: error instanceof Error ? error.message : String(error),
        hint: 'The next run into this folder tries again; else remove this folder by hand.',
      },
      cause ?? error,
    );
  }
}

/** Lets the next run settle what this one could not, although this process lives on. */
export async function releaseStaging({ store, path }: Staging): Promise<void> {
  try {
    await store.rename(path, join(dirname(path), releasedName(basename(path))));
  } catch {
    // Then the next run can settle it once this process has ended.
  }
}

async function removeStaging(staging: Staging): Promise<void> {
  await removeJournal(staging);
  await removeRemains(staging);
}

/** The journal goes after all that it lists, durably, and before the marks that qualify it. */
async function removeJournal({ store, into, path, durable }: Staging): Promise<void> {
  await removeFolderIfThere(store, join(path, MADE_FOLDER));
  if (durable) await store.syncFolder(path);
  if (durable) await store.syncFolder(into);
  await removeIfThere(store, join(path, JOURNAL_FILE));
}

async function removeRemains({ store, into, path, durable }: Staging): Promise<void> {
  const marks = (await store.list(path)).filter((name) => /^abandoned-\d+$/.test(name));
  if (durable && marks.length > 0) await store.syncFolder(path);
  for (const mark of marks) await removeIfThere(store, join(path, mark));
  await removeFolderIfThere(store, path);
  if (durable) await store.syncFolder(into);
}

async function createClaim(store: FileStore, path: string): ReturnType<FileStore['create']> {
  try {
    return await store.create(path);
  } catch (error) {
    if (isVmdkError(error, 'file-exists')) throw targetExists(path, error);
    throw error;
  }
}

/** Something is in the place of a file that is to be made. */
export function targetExists(path: string, cause?: unknown): VmdkError {
  return new VmdkError(
    'refused',
    'target-exists',
    'there is something of this name already, and vmdkit does not overwrite',
    {
      path,
      found: 'a file or folder',
      expected: 'nothing',
      hint: `Choose another name, or remove it from ${dirname(path)} first.`,
    },
    cause,
  );
}
