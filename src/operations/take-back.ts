// A change set that met the border of a file system after its point of no return: no rename brings a file across, so it
// can never be finished, and is taken back instead. Rule: what left its place goes back there; where anybody may have
// used what came already, nothing is moved, and the error says where everything is.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { OUT_FOLDER, type ChangeRecord, type ChangeState } from './change-journal.ts';
import {
  advance,
  leavesPlaces,
  madePath,
  outPath,
  syncPlaces,
  type ChangeRun,
  type OnSkipped,
} from './change-run.ts';
import { finishRun } from './change-steps.ts';
import { inParallel } from './in-parallel.ts';
import { MADE_FOLDER } from './journal.ts';
import { filledBy, fullPath, hashOf, readPart } from './plan-changes.ts';
import { readWhole } from './tidy.ts';
import { undoRun } from './undo-changes.ts';

/** Files that an error lists. */
const MOST_LISTED = 20;

/**
 * Everything from the point of no return on, or all of it back where a rename ends at a border.
 * @throws VmdkError `not-finished` (io) when neither can be done; else as `finishRun`.
 */
export async function finishOrTakeBack(
  run: ChangeRun,
  state: ChangeState,
  onSkipped?: OnSkipped,
): Promise<'finished' | 'undone'> {
  let reached = { run, state };
  try {
    await finishRun(run, state, { onSkipped, onAdvance: (at) => (reached = at) });
    return 'finished';
  } catch (error) {
    if (!isVmdkError(error, 'other-file-system')) throw error;
    await takeBack(reached.run, reached.state, error);
    return 'undone';
  }
}

async function takeBack(run: ChangeRun, state: ChangeState, cause: VmdkError): Promise<void> {
  // Until all has left that leaves, nothing has come.
  const placing = state === 'moved' || !leavesPlaces(run);
  if (placing) {
    if (!(await isUntouched(run))) throw await neither(run, cause);
    await moveBack(run);
  }
  // From here on the next run takes back, too, however little of it is left.
  await undoRun(await advance(run, 'new'));
}

/** Whether all that came can be taken away again: nobody needs it, and no content has changed yet. */
async function isUntouched(run: ChangeRun): Promise<boolean> {
  let untouched = true;
  await inParallel(run.journal.changes, async (record, index) => {
    if (!(await mayGoBack(run, record, index))) untouched = false;
  });
  return untouched;
}

/** Whether what came of one change can be taken away again. */
export async function mayGoBack(run: ChangeRun, record: ChangeRecord, index: number): Promise<boolean> {
  const { store, roots, journal } = run;
  switch (record.kind) {
    case 'rename': {
      const to = fullPath(roots, { root: record.toRoot, path: record.to });
      return (await store.exists(outPath(run, index))) || (await store.exists(to));
    }
    case 'create':
      // What else is made may have been written to since. Of a disk that is renamed it is the text that names its
      // extents, of which some are not there.
      return journal.label === 'rename' || (await store.exists(madePath(run, index)));
    case 'create-together':
    case 'folder':
      for (const file of record.files)
        if (!(await store.exists(posix.join(madePath(run, index), file)))) return false;
      return true;
    case 'replace': {
      const path = fullPath(roots, record);
      return !(await store.exists(path)) || hashOf(await readWhole(store, path)) === record.before;
    }
    case 'patch': {
      const { at, length } = record;
      const path = fullPath(roots, record);
      // It comes by a rename that has not brought it yet.
      if (!(await store.exists(path))) return true;
      const old = await readPart(store, madePath(run, index), length, length);
      return (await readPart(store, path, at, length)).equals(old);
    }
    case 'remove':
    case 'remove-folder':
      return true;
  }
}

/** What came goes back to where it came from in the journal folder. */
async function moveBack(run: ChangeRun): Promise<void> {
  const { store, roots, journal } = run;
  await inParallel(journal.changes, async (record, index) => {
    if (record.kind !== 'rename' && record.kind !== 'create') return;
    const [place] = filledBy(roots, record);
    const from = record.kind === 'rename' ? outPath(run, index) : madePath(run, index);
    if ((await store.exists(from)) || !(await store.exists(place!))) return;
    await store.rename(place!, from);
  });
  await syncPlaces(run, MADE_FOLDER, OUT_FOLDER);
}

/** Says of each file that is not in its place where it is and where it belongs. */
async function neither(run: ChangeRun, cause: VmdkError): Promise<VmdkError> {
  const { store, roots, journal, folders } = run;
  const lines: string[] = [];
  for (const [index, record] of journal.changes.entries()) {
    for (const [at, place] of waiting(run, record, index, filledBy(roots, record)))
      if (await store.exists(at)) lines.push(`${at} belongs at ${place}`);
  }
  const more = lines.length - MOST_LISTED;
  const hint = [
    ...lines.slice(0, MOST_LISTED),
    ...(more > 0
      ? [`and ${more} more: made/N and out/N are those of the changes in journal.json, counted from 0`]
      : []),
    'Move each there by hand (mv copies where it must), then run the command again: it finishes the rest. Delete nothing in this folder before.',
  ].join('\n  ');
  const what = `an interrupted ${journal.label} run can be neither finished nor taken back: its files lie on two file systems, and some have been changed since`;
  const context = { path: folders[0]!, found: cause.message.split('\n')[0]!, hint };
  return new VmdkError('io', 'not-finished', what, context, cause);
}

function waiting(
  run: ChangeRun,
  { kind }: ChangeRecord,
  index: number,
  places: readonly string[],
): (readonly [at: string, place: string])[] {
  switch (kind) {
    case 'rename':
      return [[outPath(run, index), places[0]!]];
    case 'create':
    case 'folder':
      return [[madePath(run, index), places[0]!]];
    case 'create-together':
      return places.map((place) => [posix.join(madePath(run, index), posix.basename(place)), place]);
    case 'replace':
    case 'patch':
    case 'remove':
    case 'remove-folder':
      return [];
  }
}
