// Making the files of a change set where nobody sees them. Rule: every byte survives a loss of power before the run
// passes the point of no return; what is made here has a name that the journal lists.
import { posix } from 'node:path';
import { errorAbout, isVmdkError, usageError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileStore, RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { madePath, type ChangeRun, type OnSkipped } from './change-run.ts';
import type { PlannedPart, PlannedFill } from './disk-plan.ts';
import type { FileChange, FileContent, FolderChange } from './file-change.ts';
import { inParallel } from './in-parallel.ts';
import { MADE_FOLDER } from './journal.ts';
import { fullPath, type PlannedChange } from './plan-changes.ts';
import { writeWhole } from './tidy.ts';
import { dropMade } from './undo-changes.ts';

const COPY_BYTES = 1 << 20;
const ZEROS = new Uint8Array(COPY_BYTES);

export interface StageOptions extends TaskOptions {
  /** Told of an optional folder that could not be made, or whose place was taken. */
  onSkipped?: OnSkipped | undefined;
}

/** Makes everything; optional folders that fail are dropped and told of. */
export async function stageChanges(
  run: ChangeRun,
  planned: readonly PlannedChange[],
  options: StageOptions,
): Promise<void> {
  const total = planned.reduce((sum, { change }) => sum + filesOf(change), 0);
  let done = 0;
  await inParallel(planned, async (item, index) => {
    throwIfAborted(options);
    try {
      await stageOne(run, item, index, options);
    } catch (error) {
      // Where it was to be: of what lies in the journal nobody has heard.
      if (!isOptional(item.change) || !isVmdkError(error))
        throw errorAbout(error, madePath(run, index), fullPath(run.roots, item.record));
      await dropMade(run, index);
      options.onSkipped?.(index, error);
    }
    if (filesOf(item.change) === 0) return;
    done += filesOf(item.change);
    options.onProgress?.({ phase: run.journal.label, done, total, unit: 'files' });
  });
  if (!run.durable) return;
  for (const folder of run.folders) {
    if (folder === undefined) continue;
    await run.store.syncFolder(posix.join(folder, MADE_FOLDER));
    await run.store.syncFolder(folder);
  }
}

export function isOptional(change: FileChange): change is FolderChange {
  return change.kind === 'folder' && change.optional === true;
}

function filesOf(change: FileChange): number {
  switch (change.kind) {
    case 'create':
    case 'replace':
    case 'patch':
      return 1;
    case 'create-together':
      return change.names.length;
    case 'folder':
      return change.files.length;
    case 'rename':
    case 'remove':
    case 'remove-folder':
      return 0;
  }
}

async function stageOne(
  run: ChangeRun,
  { change, old }: PlannedChange,
  index: number,
  task: TaskOptions,
): Promise<void> {
  const { store, durable } = run;
  const path = madePath(run, index);
  switch (change.kind) {
    case 'create':
      return makeFile(run, path, change.file, task);
    case 'replace':
      return writeWhole(store, path, change.data, durable);
    case 'patch':
      return writeWhole(store, path, Buffer.concat([change.data, old!]), durable);
    case 'folder':
      await store.makeFolder(path);
      for (const { name, content } of change.files) {
        throwIfAborted(task);
        await makeFile(run, posix.join(path, name), content, task);
      }
      if (durable) await store.syncFolder(path);
      return;
    case 'create-together':
      await store.makeFolder(path);
      await change.make(path);
      await assertMade(store, path, change.names);
      for (const name of change.names) if (durable) await syncFile(store, posix.join(path, name));
      if (durable) await store.syncFolder(path);
      return;
    case 'rename':
    case 'remove':
    case 'remove-folder':
      return;
  }
}

async function assertMade(store: FileStore, folder: string, names: readonly string[]): Promise<void> {
  const made = (await store.list(folder)).sort();
  if (made.join('/') === [...names].sort().join('/')) return;
  throw usageError(`made ${made.join(', ')} in place of ${names.join(', ')}`);
}

async function makeFile(
  { store, durable }: ChangeRun,
  path: string,
  content: FileContent,
  task: TaskOptions,
): Promise<void> {
  if (content instanceof Uint8Array) return writeWhole(store, path, content, durable);
  if ('make' in content) {
    await content.make(path);
    if (durable) await syncFile(store, path);
    return;
  }
  const file = await store.create(path);
  try {
    if ('copyOf' in content) await copyInto(store, content.copyOf, file, task);
    else await fillFile(file, content, task);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFile(store: FileStore, path: string): Promise<void> {
  const file = await store.open(path, 'update');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function fillFile(
  file: WritableFile,
  {
    size,
    parts,
    fills = [],
  }: { size: number; parts: readonly PlannedPart[]; fills?: readonly PlannedFill[] },
  task: TaskOptions,
): Promise<void> {
  const end = parts.reduce((most, { at, data }) => Math.max(most, at + data.length), 0);
  if (end < size) await file.resize(size);
  for (const { from, to } of fills) {
    for (let at = from; at < to; at += ZEROS.length) {
      throwIfAborted(task);
      await file.write(ZEROS.subarray(0, Math.min(ZEROS.length, to - at)), at);
    }
  }
  for (const { at, data } of parts) await file.write(data, at);
}

/** Holes stay holes, where the store can tell them. */
async function copyInto(store: FileStore, path: string, to: WritableFile, task: TaskOptions): Promise<void> {
  const from = await store.open(path, 'read');
  try {
    const size = await from.size();
    await to.resize(size);
    const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, size));
    for (let at = 0; at < size;) {
      const [stretch] = (await from.stretches?.(at, size - at)) ?? [{ length: size - at, data: true }];
      const length = stretch?.length ?? size - at;
      if (stretch?.data !== false) await copyStretch(from, to, at, length, buffer, task);
      at += length;
    }
  } finally {
    await from.close();
  }
}

async function copyStretch(
  from: RandomAccessFile,
  to: WritableFile,
  start: number,
  length: number,
  buffer: Buffer,
  task: TaskOptions,
): Promise<void> {
  for (let at = start; at < start + length; at += buffer.length) {
    throwIfAborted(task);
    const piece = buffer.subarray(0, Math.min(buffer.length, start + length - at));
    await from.readExactly(piece, at);
    await to.write(piece, at);
  }
}
