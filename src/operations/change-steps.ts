// The steps of a change set, each of which can be taken again after a crash at any point of it: make everything where
// nobody sees it, take names, move out what leaves, put in what comes, change contents, clear away. Rule: a step
// begins only once the one before it would survive a loss of power.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import {
  inState,
  OUT_FOLDER,
  type ChangeJournal,
  type ChangeRecord,
  type ChangeState,
} from './change-journal.ts';
import { inParallel } from './in-parallel.ts';
import { JOURNAL_FILE, MADE_FOLDER } from './journal.ts';
import { changedSince, emptiedBy, filledBy, fullPath, hashOf, readPart } from './plan-changes.ts';
import { targetExists } from './staging.ts';
import { claimName, isEmptyFile, readWhole, removeFolderIfThere, removeIfThere } from './tidy.ts';

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

function outPath(run: ChangeRun, index: number): string {
  return posix.join(folderOf(run, index), OUT_FOLDER, String(index));
}

function folderOf(run: ChangeRun, index: number): string {
  return run.folders[stagingRoot(run.journal.changes[index]!)]!;
}

/** What goes to a root is made in that root: it may be a file system of its own. */
function stagingRoot(record: ChangeRecord): number {
  return record.root;
}

/** Places that something leaves. */
export function emptiedPlaces({ journal, roots }: Pick<ChangeRun, 'journal' | 'roots'>): Set<string> {
  return new Set(journal.changes.flatMap((record) => emptiedBy(roots, record) ?? []));
}

/** Names that can be taken with an empty file: of new files whose places are free from the beginning. */
function claimable(run: ChangeRun, record: ChangeRecord, emptied: ReadonlySet<string>): string[] {
  if (record.kind === 'folder') return [];
  return filledBy(run.roots, record).filter((path) => !emptied.has(path));
}

/** Takes the names of new files, so that nobody else can. @throws VmdkError `target-exists`. */
export async function claimPlaces(run: ChangeRun): Promise<void> {
  const emptied = emptiedPlaces(run);
  await inParallel(run.journal.changes, async (record) => {
    if (record.kind === 'rename') return;
    for (const path of claimable(run, record, emptied)) {
      if (!(await claimName(run.store, path))) throw targetExists(path);
      run.claims?.add(path);
    }
  });
}

async function freePlaces(run: ChangeRun): Promise<void> {
  const { store, claims, journal } = run;
  const emptied = emptiedPlaces(run);
  await inParallel(journal.changes, async (record) => {
    if (record.kind === 'rename' || run.folders[record.root] === undefined) return;
    for (const path of claimable(run, record, emptied)) {
      if (claims?.has(path) === false) continue;
      if (await isEmptyFile(store, path)) await removeIfThere(store, path);
    }
  });
}

/** Takes back what is made of one change. */
export async function dropMade(run: ChangeRun, index: number): Promise<void> {
  const { store, journal } = run;
  const record = journal.changes[index]!;
  if (run.folders[stagingRoot(record)] === undefined) return;
  const path = madePath(run, index);
  switch (record.kind) {
    case 'folder':
      for (const file of record.files) await removeIfThere(store, posix.join(path, file));
      return removeFolderIfThere(store, path);
    case 'create-together':
      // Whoever made them may have been stopped with temporary files of its own beside them.
      for (const file of await namesIn(store, path)) await removeIfThere(store, posix.join(path, file));
      return removeFolderIfThere(store, path);
    case 'create':
    case 'replace':
    case 'patch':
      return removeIfThere(store, path);
    case 'rename':
    case 'remove':
    case 'remove-folder':
      return;
  }
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

/** Everything from the point of no return on. @throws VmdkError when something is in the way; it can be tried again. */
export async function finishRun(run: ChangeRun, state: ChangeState, onSkipped?: OnSkipped): Promise<void> {
  let at = run;
  if (state === 'ready' && at.journal.changes.some((record) => emptiedBy(at.roots, record) !== undefined)) {
    await moveOut(at);
    at = await advance(at, 'moved');
  }
  if (state !== 'done') {
    await moveIn(at, onSkipped);
    await changeContents(at);
    await removeEmptyFolders(at);
    at = await advance(at, 'done');
  }
  await clearAway(at);
}

async function moveOut(run: ChangeRun): Promise<void> {
  const { store, roots, journal } = run;
  await inParallel(journal.changes, async (record, index) => {
    const from = emptiedBy(roots, record);
    if (from === undefined) return;
    const out = outPath(run, index);
    if (await store.exists(out)) return;
    try {
      await store.rename(from, out);
    } catch (error) {
      // Gone by other hands is gone.
      if (record.kind !== 'remove' || !isVmdkError(error, 'file-missing')) throw error;
    }
  });
  await syncPlaces(run, OUT_FOLDER);
}

async function moveIn(run: ChangeRun, onSkipped?: OnSkipped): Promise<void> {
  await inParallel(run.journal.changes, async (record, index) => {
    const { store, roots } = run;
    switch (record.kind) {
      case 'create':
        await place(store, madePath(run, index), fullPath(roots, record));
        break;
      case 'create-together':
        for (const file of record.files) {
          await place(
            store,
            posix.join(madePath(run, index), file),
            posix.join(fullPath(roots, record), file),
          );
        }
        break;
      case 'rename':
        await place(store, outPath(run, index), fullPath(roots, { root: record.toRoot, path: record.to }));
        break;
      case 'folder':
        await placeFolder(run, index, record.optional, onSkipped);
        break;
      case 'replace':
      case 'patch':
      case 'remove':
      case 'remove-folder':
        break;
    }
  });
  await syncPlaces(run, MADE_FOLDER, OUT_FOLDER);
}

async function namesIn(store: FileStore, folder: string): Promise<string[]> {
  return (await store.exists(folder)) ? store.list(folder) : [];
}

/** Puts a file in its place, or finds that it was put there before. */
async function place(store: FileStore, from: string, to: string): Promise<void> {
  if (!(await store.exists(from))) return;
  const { kind } = await store.resolve(from);
  if (kind === 'file' && (await isEmptyFile(store, to))) return store.rename(from, to);
  if (await store.exists(to)) throw inTheWay(to);
  await store.rename(from, to);
}

async function placeFolder(
  run: ChangeRun,
  index: number,
  optional: boolean,
  onSkipped?: OnSkipped,
): Promise<void> {
  const { store, journal, roots } = run;
  const [from, to] = [madePath(run, index), fullPath(roots, journal.changes[index]!)];
  if (!(await store.exists(from))) return;
  try {
    if (await store.exists(to)) throw inTheWay(to);
    await store.rename(from, to);
  } catch (error) {
    if (!optional || !isVmdkError(error)) throw error;
    await dropMade(run, index);
    onSkipped?.(index, error);
  }
}

function inTheWay(path: string): VmdkError {
  return new VmdkError(
    'conflict',
    'in-the-way',
    'something has taken the place of a file that is to come here',
    {
      path,
      found: 'a file or folder',
      expected: 'nothing',
      hint: 'Move it away, and run the command again.',
    },
  );
}

async function changeContents(run: ChangeRun): Promise<void> {
  await inParallel(run.journal.changes, async (record, index) => {
    if (record.kind === 'replace') await replaceContent(run, index, record);
    if (record.kind === 'patch') await patchContent(run, index, record);
  });
}

const REPLACED_SINCE = 'Move it away, and run the command again: what was to stand there takes its place.';
const PATCHED_SINCE = 'Put back what was there, and run the command again.';

async function replaceContent(
  run: ChangeRun,
  index: number,
  record: ChangeRecord & { kind: 'replace' },
): Promise<void> {
  const { store, roots } = run;
  const path = fullPath(roots, record);
  // A file that somebody moved away since is in nobody's way.
  const found = (await store.exists(path)) ? hashOf(await readWhole(store, path)) : record.before;
  if (found === record.after) return;
  if (found !== record.before) throw changedSince(path, REPLACED_SINCE);
  const data = await readWhole(store, madePath(run, index));
  if (hashOf(data) !== record.after) throw changedSince(madePath(run, index), PATCHED_SINCE);
  await store.replace(path, data);
}

/** What is made for a patch is the new bytes, then the old ones. */
async function patchContent(
  run: ChangeRun,
  index: number,
  record: ChangeRecord & { kind: 'patch' },
): Promise<void> {
  const { store, roots, durable } = run;
  const { at, length } = record;
  const path = fullPath(roots, record);
  const both = await readPart(store, madePath(run, index), 0, 2 * length);
  const [data, old] = [both.subarray(0, length), both.subarray(length)];
  const found = await readPart(store, path, at, length);
  // Between the two after a crash in the middle of writing.
  if (found.some((byte, i) => byte !== old[i] && byte !== data[i])) throw changedSince(path, PATCHED_SINCE);
  const file = await store.open(path, 'update');
  try {
    await file.write(data, at);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

async function removeEmptyFolders({ store, roots, journal, durable }: ChangeRun): Promise<void> {
  const paths = journal.changes.flatMap((record) =>
    record.kind === 'remove-folder' ? [fullPath(roots, record)] : [],
  );
  // The longer path is the deeper one.
  for (const path of paths.sort((a, b) => b.length - a.length)) {
    try {
      await removeFolderIfThere(store, path);
      if (durable) await store.syncFolder(posix.dirname(path));
    } catch (error) {
      if (!isVmdkError(error, 'folder-not-empty', 'file-exists', 'file-missing')) throw error;
    }
  }
}

/** Makes renames in the places of all changes, and in these folders of the journal, survive a loss of power. */
async function syncPlaces(run: ChangeRun, ...inJournal: readonly string[]): Promise<void> {
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

/** All is in place: what left its place is deleted, and the journal after it. What came was moved, so is not here. */
async function clearAway(run: ChangeRun): Promise<void> {
  const { store, journal, folders } = run;
  await inParallel(journal.changes, async ({ kind, root }, index) => {
    if (folders[root] === undefined) return;
    if (kind === 'replace' || kind === 'patch') await removeIfThere(store, madePath(run, index));
    if (kind === 'create-together') await removeFolderIfThere(store, madePath(run, index));
    if (kind === 'remove') await removeIfThere(store, outPath(run, index));
  });
  await removeFolders(run);
}

/** Takes back everything that was made and claimed. */
export async function undoRun(run: ChangeRun): Promise<void> {
  await freePlaces(run);
  await inParallel(run.journal.changes, (_, index) => dropMade(run, index));
  await removeFolders(run);
}

/** The folders of other roots go first, then the journal, then its folder: who finds the last finds nothing to do. */
async function removeFolders(run: ChangeRun): Promise<void> {
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
