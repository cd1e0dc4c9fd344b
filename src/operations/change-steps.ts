// The steps of a change set after its point of no return, each of which can be taken again after a crash at any point of
// it: move out what leaves, put in what comes, change contents, clear away. Rule: a step begins only once the one before
// it would survive a loss of power.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { OUT_FOLDER, type ChangeRecord, type ChangeState } from './change-journal.ts';
import {
  advance,
  inTheWay,
  leavesPlaces,
  madePath,
  outPath,
  place,
  removeFolders,
  syncPlaces,
  type ChangeRun,
  type OnSkipped,
} from './change-run.ts';
import { inParallel } from './in-parallel.ts';
import { MADE_FOLDER } from './journal.ts';
import { changedSince, emptiedBy, fullPath, hashOf, readPart } from './plan-changes.ts';
import { readWhole, removeFolderIfThere, removeIfThere } from './tidy.ts';
import { dropMade } from './undo-changes.ts';

export interface FinishOptions {
  readonly onSkipped?: OnSkipped | undefined;
  /** Told how far the run is, each time that changes. */
  readonly onAdvance?: ((reached: { run: ChangeRun; state: ChangeState }) => void) | undefined;
}

/** Everything from the point of no return on. @throws VmdkError when something is in the way; it can be tried again. */
export async function finishRun(
  run: ChangeRun,
  state: ChangeState,
  { onSkipped, onAdvance }: FinishOptions,
): Promise<void> {
  let at = run;
  if (state === 'ready' && leavesPlaces(at)) {
    await moveOut(at);
    at = await advance(at, 'moved');
    onAdvance?.({ run: at, state: 'moved' });
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
    if (await store.exists(to)) throw inTheWay(to, from);
    await store.rename(from, to);
  } catch (error) {
    if (!optional || !isVmdkError(error)) throw error;
    await dropMade(run, index);
    onSkipped?.(index, error);
  }
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
