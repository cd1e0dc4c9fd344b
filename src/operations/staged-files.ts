// New files that take long to make: made in a hidden folder beside their place, which names the process that works in
// it, then put in place together. Rule: what stands under a final name is complete; a folder whose process is gone is
// cleared by the next run here, and one whose process works is left alone.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { errorAbout, isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileStore } from '../storage/file-store.ts';
import { applyChangeSet } from './change-set.ts';
import type { FileChange } from './file-change.ts';
import { afterOthers } from './others-first.ts';
import { localRuns, type Runs } from './run-owner.ts';
import { findInterrupted, settleChangeSets } from './settle-changes.ts';
import { removeIfThere } from './tidy.ts';

const STAGE_NAME = /^\.convert-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}\.part$/;
/** Of the journal that puts several files in place together. */
const LABEL = 'convert';

export interface StagedOptions extends TaskOptions {
  /** Replace files that are there. Default false: refused. */
  overwrite?: boolean | undefined;
  /** Real paths and identities of files that must not be replaced, whatever is asked for. */
  sources?: ReadonlySet<string> | undefined;
  /** Survives a loss of power once done. Default true. */
  durable?: boolean | undefined;
  runs?: Runs | undefined;
}

/**
 * Lets `make` make the files `names` in a folder it is given, then puts them into `folder` as one.
 * @throws VmdkError `target-exists`, `target-is-source`, `target-is-no-file` (refused); `file-missing`; nothing is left
 * of an attempt that failed or was stopped.
 */
export async function makeStaged<T>(
  store: FileStore,
  folder: string,
  names: readonly string[],
  make: (stage: string) => Promise<T>,
  options: StagedOptions = {},
): Promise<T> {
  // One file needs no journal, and is not to do what any journal here says.
  if (names.length > 1) await settlePlacing(store, folder, options.runs);
  await clearStages(store, folder, options.runs);
  await assertPlaces(store, folder, names, options);
  const { root, stage } = await openStage(store, folder, options.runs);
  try {
    const result = await make(stage);
    if (options.durable !== false) await syncAll(store, stage, names);
    throwIfAborted(options);
    const there = await assertPlaces(store, folder, names, options);
    await putInPlace(store, { root, stage, names, there }, options);
    await removeStage(store, stage);
    return result;
  } catch (error) {
    // What went wrong first matters more than a folder that is left.
    await removeStage(store, stage).catch(() => {});
    throw errorAbout(error, stage, root);
  }
}

/** A hidden folder in `folder` for work that has no place yet. */
export async function openStage(
  store: FileStore,
  folder: string,
  runs: Runs = localRuns(),
): Promise<{ root: string; stage: string }> {
  const { path: root } = await store.resolve(folder);
  const { host, pid, started } = runs.self;
  const random = randomBytes(8).toString('hex');
  const stage = posix.join(root, `.convert-${host}-${pid}-${started}-${random}.part`);
  try {
    await store.makeFolder(stage);
  } catch (error) {
    throw errorAbout(error, stage, root);
  }
  return { root, stage };
}

/**
 * Clears what killed runs left in `folder` before it was complete; to be called before anything else is looked at. Where it
 * cannot be done, it is left as it is.
 */
export async function clearStages(store: FileStore, folder: string, runs: Runs = localRuns()): Promise<void> {
  if (!(await store.exists(folder))) return;
  const { path: root } = await store.resolve(folder);
  try {
    // A journal may still have files to take out of them.
    const left = await findInterrupted(store, root, { runs });
    if (left.length === 0) await clearAbandoned(store, root, runs);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
  }
}

/** Files of a run of this kind that were on their way into their places get there. */
async function settlePlacing(store: FileStore, folder: string, runs?: Runs): Promise<void> {
  try {
    const left = await findInterrupted(store, folder, { runs });
    // What other commands left is for them to settle, or for the change set of this run, when nothing is read any more. A
    // journal without a request is none yet.
    if (left.some(({ label, request }) => label !== LABEL && request !== '')) return;
    if (left.length > 0) await settleChangeSets(store, folder, { runs });
  } catch (error) {
    if (!isVmdkError(error)) throw error;
  }
}

/** Which of `names` are there already and may be replaced. */
async function assertPlaces(
  store: FileStore,
  folder: string,
  names: readonly string[],
  { overwrite, sources }: StagedOptions,
): Promise<string[]> {
  const there: string[] = [];
  for (const name of names) {
    const path = posix.join(folder, name);
    if (!(await store.exists(path))) {
      if ((await store.list(folder)).includes(name)) throw noFile(path, 'a link that leads nowhere');
      continue;
    }
    const { identity, kind } = await store.resolve(path);
    if (kind !== 'file') throw noFile(path, kind === 'folder' ? 'a folder' : 'a special file');
    if (sources?.has(identity) === true) {
      throw new VmdkError('refused', 'target-is-source', 'the target is a file of the disk that is read', {
        path,
      });
    }
    if (overwrite !== true) {
      throw new VmdkError('refused', 'target-exists', 'the target exists already', {
        path,
        hint: 'Pass --force to replace it.',
      });
    }
    there.push(name);
  }
  return there;
}

function noFile(path: string, found: string): VmdkError {
  const expected = 'a file or nothing';
  return new VmdkError('refused', 'target-is-no-file', 'the target is there and is no file', {
    path,
    found,
    expected,
  });
}

interface Placing {
  readonly root: string;
  readonly stage: string;
  readonly names: readonly string[];
  /** Names that are replaced. */
  readonly there: readonly string[];
}

/** One file is one rename; several go through a journal, so that they come as one. */
async function putInPlace(
  store: FileStore,
  { root, stage, names, there }: Placing,
  options: StagedOptions,
): Promise<void> {
  const durable = options.durable ?? true;
  const [only] = names;
  if (names.length === 1) {
    await store.rename(posix.join(stage, only!), posix.join(root, only!));
    if (durable) await store.syncFolder(root);
    return;
  }
  const changes: FileChange[] = [
    ...there.map((name) => ({ kind: 'remove', path: posix.join(root, name) }) as const),
    ...names.map(
      (name) => ({ kind: 'rename', from: posix.join(stage, name), to: posix.join(root, name) }) as const,
    ),
  ];
  const { runs } = options;
  // Another run may be putting its own files in place in the same moment: that takes it milliseconds.
  await afterOthers(async () => {
    await settleChangeSets(store, root, { runs });
    await applyChangeSet(store, { root, label: LABEL, changes, request: stage }, { durable, runs });
  }, options);
}

async function syncAll(store: FileStore, stage: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const file = await store.open(posix.join(stage, name), 'update');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await store.syncFolder(stage);
}

/** Folders of runs of this host that are gone; nothing else looks like one of ours by its name. */
async function clearAbandoned(store: FileStore, root: string, runs: Runs): Promise<void> {
  for (const name of await store.list(root)) {
    const match = STAGE_NAME.exec(name);
    if (match === null) continue;
    const owner = { host: match[1]!, pid: Number(match[2]), started: match[3]! };
    if (runs.stateOf(owner) !== 'gone') continue;
    const path = posix.join(root, name);
    try {
      const found = await store.resolve(path);
      // A link leads out: what is ours was made as a folder.
      if (found.kind === 'folder' && found.path === path) await removeStage(store, path);
    } catch (error) {
      // Somebody else clears it as well, or nobody can: no reason to stop.
      if (!isVmdkError(error)) throw error;
    }
  }
}

export async function removeStage(store: FileStore, stage: string): Promise<void> {
  if (!(await store.exists(stage))) return;
  for (const name of await store.list(stage)) await removeIfThere(store, posix.join(stage, name));
  await store.removeFolder(stage);
}
