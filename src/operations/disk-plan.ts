// A disk that is about to be: every file with its exact bytes, decided before anything is made. Carrying a plan
// out makes all of its files or none, touches no file that exists, and makes the one that opens the disk last.
import { posix } from 'node:path';
import { VmdkError, isVmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { roundDown, roundUp, type Sectors } from '../core/units.ts';
import type { CowdLayout } from '../format/cowd-layout.ts';
import type { Descriptor } from '../format/descriptor.ts';
import type { SeSparseLayout } from '../format/sesparse-layout.ts';
import type { SparseLayout } from '../format/sparse-layout.ts';
import type { StreamLayout } from '../format/stream-layout.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';

/** Bytes at a place in a file. */
export interface PlannedPart {
  /** Byte offset. */
  readonly at: number;
  readonly data: Uint8Array;
}

/** A stretch that is to occupy disk although it holds zeros: bytes, `to` exclusive. */
export interface PlannedFill {
  readonly from: number;
  readonly to: number;
}

/** What sort of extent a planned file holds, and where everything will stand in it. */
export type ExtentShape =
  | { readonly kind: 'flat'; readonly sectors: number }
  | { readonly kind: 'sparse'; readonly layout: SparseLayout; readonly descriptor?: Uint8Array }
  | { readonly kind: 'cowd'; readonly layout: CowdLayout }
  | { readonly kind: 'sesparse'; readonly layout: SeSparseLayout }
  | { readonly kind: 'stream'; readonly layout: StreamLayout; readonly descriptor: Uint8Array };

export interface PlannedFile {
  readonly path: string;
  /** Length in bytes; what neither `parts` nor `fills` cover is holes. */
  readonly size: number;
  /** Written in this order: what makes the file recognisable comes last. */
  readonly parts: readonly PlannedPart[];
  readonly fills?: readonly PlannedFill[];
  /** Undefined for a descriptor that stands alone. */
  readonly extent?: ExtentShape;
}

export interface DiskPlan {
  readonly descriptorPath: string;
  readonly createType: string;
  readonly capacity: Sectors;
  readonly cid: number;
  /** `NO_PARENT_CID` for a base. */
  readonly parentCid: number;
  /** As it will stand in the descriptor; deltas only. */
  readonly parentFileNameHint?: string;
  /** The descriptor, or the file that holds it, last: a disk that can be opened is complete. */
  readonly files: readonly PlannedFile[];
  /** What a user should know, one sentence each, e.g. that a disk is not for ESXi. */
  readonly notes: readonly string[];
}

/** What a delta needs to know of the disk below it; an open Disk has all of it. */
export interface ParentFacts {
  /** Real path of the descriptor, or of the file that holds it. */
  readonly path: string;
  readonly capacity: Sectors;
  readonly descriptor: Descriptor;
}

export interface CarryOutOptions extends TaskOptions {
  /** Return only once the disk would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Called after each file was made, before anything is written into it: for a journal. */
  onCreated?: ((path: string) => Promise<void> | void) | undefined;
}

/** File systems give out space in blocks of this many bytes. */
const BLOCK = 4096;
const FILL = new Uint8Array(1024 * 1024);

/** Bytes that the plan will really occupy on disk, in whole file-system blocks of 4 KiB; holes are free. */
export function allocatedBytes(plan: Pick<DiskPlan, 'files'>): number {
  return plan.files.reduce((sum, file) => sum + allocatedBytesOf(file), 0);
}

function allocatedBytesOf(file: PlannedFile): number {
  const stretches = [
    ...file.parts.map(({ at, data }) => ({ from: at, to: at + data.length })),
    ...(file.fills ?? []),
  ].sort((a, b) => a.from - b.from);
  let total = 0;
  let end = 0;
  for (const { from, to } of stretches) {
    if (to <= from) continue;
    const first = Math.max(roundDown(from, BLOCK), end);
    end = Math.max(end, roundUp(to, BLOCK));
    total += Math.max(0, end - first);
  }
  return total;
}

/**
 * Makes the files of a plan. On failure or abort, exactly the files it made are gone again.
 * @throws VmdkError `target-exists` (refused), naming the file, before anything was made; `not-undone` (io) when
 * a file it made could not be removed again; errors of the store and of `onCreated`; the abort reason.
 */
export async function carryOutPlan(
  store: FileStore,
  plan: DiskPlan,
  options: CarryOutOptions = {},
): Promise<void> {
  for (const { path } of plan.files) {
    throwIfAborted(options);
    if (await store.exists(path)) throw targetExists(path);
  }
  const made: string[] = [];
  try {
    const report = progressOf(plan, options);
    for (const [index, file] of plan.files.entries()) {
      // Without this, power could fail with the descriptor's name on disk and an extent's not.
      if (options.durable !== false && index > 0 && index === plan.files.length - 1) {
        await syncFolders(store, plan.files.slice(0, -1));
      }
      throwIfAborted(options);
      await makeFile(store, file, options, made, report);
    }
    if (options.durable !== false) await syncFolders(store, plan.files.slice(-1));
    throwIfAborted(options);
  } catch (error) {
    await undo(store, made, error);
    throw error;
  }
}

async function makeFile(
  store: FileStore,
  file: PlannedFile,
  options: CarryOutOptions,
  made: string[],
  report: (bytes: number) => void,
): Promise<void> {
  const handle = await createExclusively(store, file.path);
  made.push(file.path);
  let closed = false;
  try {
    await options.onCreated?.(file.path);
    await handle.resize(file.size);
    for (const fill of file.fills ?? []) await writeZeros(handle, fill, options, report);
    for (const { at, data } of file.parts) {
      throwIfAborted(options);
      await handle.write(data, at);
      report(data.length);
    }
    if (options.durable !== false) await handle.sync();
    closed = true;
    await handle.close();
  } catch (error) {
    if (!closed) await handle.close().catch(() => {});
    throw error;
  }
}

/** Another program may have made the file since the check: the store's exclusive creation has the last word. */
async function createExclusively(store: FileStore, path: string): Promise<WritableFile> {
  try {
    return await store.create(path);
  } catch (error) {
    if (isVmdkError(error, 'file-exists')) throw targetExists(path, error);
    throw error;
  }
}

async function writeZeros(
  handle: WritableFile,
  { from, to }: PlannedFill,
  options: CarryOutOptions,
  report: (bytes: number) => void,
): Promise<void> {
  for (let at = from; at < to; at += FILL.length) {
    throwIfAborted(options);
    const length = Math.min(FILL.length, to - at);
    await handle.write(FILL.subarray(0, length), at);
    report(length);
  }
}

async function syncFolders(store: FileStore, files: readonly PlannedFile[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => posix.dirname(path)))) await store.syncFolder(folder);
}

/** The file that opens the disk goes first: what is left of a failed removal cannot be taken for a disk. */
async function undo(store: FileStore, made: readonly string[], cause: unknown): Promise<void> {
  const left: string[] = [];
  for (const path of made.toReversed()) {
    await store.remove(path).catch(() => left.push(path));
  }
  const [path] = left;
  if (path === undefined) return;
  throw new VmdkError(
    'io',
    'not-undone',
    'creating the disk failed, and a file it made could not be removed',
    { path, hint: `Remove by hand: ${left.join(', ')}` },
    cause,
  );
}

function progressOf(plan: DiskPlan, options: CarryOutOptions): (bytes: number) => void {
  const { onProgress } = options;
  if (onProgress === undefined) return () => {};
  let done = 0;
  const total = plan.files.reduce((sum, file) => sum + bytesWritten(file), 0);
  return (bytes) => {
    done += bytes;
    onProgress({ phase: 'creating', done, total, unit: 'bytes' });
  };
}

function bytesWritten(file: PlannedFile): number {
  const parts = file.parts.reduce((sum, { data }) => sum + data.length, 0);
  return (file.fills ?? []).reduce((sum, { from, to }) => sum + to - from, parts);
}

function targetExists(path: string, cause?: unknown): VmdkError {
  return new VmdkError(
    'refused',
    'target-exists',
    'there is a file of this name already, and vmdkit does not overwrite',
    {
      path,
      found: 'an existing file',
      expected: 'no file',
      hint: 'Choose another name, or remove it first.',
    },
    cause,
  );
}
