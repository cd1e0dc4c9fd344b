// Taking a change set back: names that it took, what it made, and what it moved out of its place. Rule: a claim is only ever
// an empty file, and nothing is removed that the journal does not list.
import { posix } from 'node:path';
import { OUT_FOLDER, type ChangeRecord } from './change-journal.ts';
import {
  emptiedPlaces,
  madePath,
  outPath,
  place,
  removeFolders,
  syncPlaces,
  type ChangeRun,
} from './change-run.ts';
import { inParallel } from './in-parallel.ts';
import { emptiedBy, filledBy } from './plan-changes.ts';
import { targetExists } from './staging.ts';
import type { FileStore } from '../storage/file-store.ts';
import { claimName, isEmptyFile, removeFolderIfThere, removeIfThere } from './tidy.ts';

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
  if (run.folders[record.root] === undefined) return;
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

async function namesIn(store: FileStore, folder: string): Promise<string[]> {
  return (await store.exists(folder)) ? store.list(folder) : [];
}

/** Takes back everything that was made and claimed, and puts back what left its place in a run that could not go on. */
export async function undoRun(run: ChangeRun): Promise<void> {
  await putBack(run);
  await freePlaces(run);
  await inParallel(run.journal.changes, (_, index) => dropMade(run, index));
  await removeFolders(run);
}

async function putBack(run: ChangeRun): Promise<void> {
  const { store, roots, journal, folders } = run;
  let left = false;
  await inParallel(journal.changes, async (record, index) => {
    const from = emptiedBy(roots, record);
    if (from === undefined || folders[record.root] === undefined) return;
    const out = outPath(run, index);
    if (!(await store.exists(out))) return;
    left = true;
    await place(store, out, from);
  });
  if (left) await syncPlaces(run, OUT_FOLDER);
}
