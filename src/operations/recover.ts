// Recovers what can be read of a disk that lost a part of itself: a descriptor is made anew from its extents, a damaged
// stream or sparse file is saved into a new one. Rule: sources are only read, the target appears whole or not at all,
// and what may be missing is listed.
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openContext, type OpenContext, type OpenOptions } from '../disk/open-options.ts';
import { printCid } from '../format/content-id.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { parseSparseHeader, SPARSE_FLAGS, SparseExtentHeader } from '../format/sparse-header.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { checkDisk } from './check-disk.ts';
import { convertDisk } from './convert-disk.ts';
import { rebuildDescriptor, type RebuiltDescriptor } from './recover-descriptor.ts';
import {
  copyWhole,
  embeddedText,
  fitted,
  lostBy,
  mendCopy,
  renamedText,
  textRoomOf,
  type TextRoom,
} from './recover-sparse.ts';
import { assertStream, saveStream, type LostPart } from './recover-stream.ts';
import { makeStaged, openStage, removeStage, clearStages } from './staged-files.ts';

export interface RecoverOptions extends OpenOptions, TaskOptions {
  /** The disk below, of a delta that has lost its descriptor, or `none`. Unless told, what its surroundings say. */
  readonly parent?: string | undefined;
}

export interface RecoverReport {
  readonly schema: 'vmdkit-recover/v1';
  /** What was made. */
  readonly filename: string;
  readonly made: 'descriptor' | 'raw' | 'disk';
  readonly 'create-type'?: string;
  readonly cid?: string;
  /** The disk below, and what says that it is. */
  readonly parent?: string;
  readonly 'parent-by'?: string;
  /** Bytes of the disk. */
  readonly 'virtual-size': number;
  /** What could not be recovered. Sectors are of the disk. */
  readonly lost: readonly LostPart[];
  /** What may be lost, though nothing says so. Left out when there is none. */
  readonly warnings?: readonly string[];
}

/**
 * Makes `target` from `sources`: from a damaged stream a raw file, or a monolithicSparse disk when `target` ends in
 * .vmdk; from a sparse disk in one file a mended copy; from extents of any other kind a descriptor.
 * @throws VmdkError `target-exists`, `nothing-to-recover`, `parent-unknown`, `extent-missing` and others: nothing is
 * made then.
 */
export async function recoverDisk(
  sources: readonly string[],
  target: string,
  options: RecoverOptions = {},
): Promise<RecoverReport> {
  const context = openContext({ ...options, onFinding: undefined });
  const first = sources[0];
  if (first === undefined) throw usageError('recover needs at least one file');
  const folder = await context.store.resolve(posix.dirname(posix.resolve(target)));
  const path = posix.join(folder.path, posix.basename(target));
  await clearStages(context.store, folder.path);
  await assertFree(context, path);
  const alone = sources.length === 1 ? await looksLike(context, first) : 'extents';
  if (alone === 'stream') return recoverStream(context, first, path, options);
  if (alone !== 'extents') return recoverSparse(context, first, path, alone, options);
  return recoverDescriptor(context, sources, path, options.parent);
}

/** Makes the descriptor `path` (real) of the extents `sources` beside it. */
export async function recoverDescriptor(
  context: OpenContext,
  sources: readonly string[],
  path: string,
  parent: string | undefined,
): Promise<RecoverReport> {
  const made = await rebuildDescriptor(context, sources, path, parent);
  await writeNew(context, path, (file) => file.write(made.text, 0));
  return {
    schema: 'vmdkit-recover/v1',
    filename: path,
    made: 'descriptor',
    ...factsOf(made),
    lost: [...made.lost, ...(await damageOf(context, path))],
  };
}

/** What is wrong with the extents, which nothing was done about. */
async function damageOf({ store }: OpenContext, path: string): Promise<LostPart[]> {
  try {
    return lostBy((await checkDisk(path, { fs: store })).problems);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return [{ what: `the extents could not be checked: ${error.message.split('\n')[0]!}` }];
  }
}

function factsOf({ createType, cid, parent, extents, warnings }: RebuiltDescriptor) {
  return {
    'create-type': createType,
    cid: printCid(cid),
    ...(parent === undefined ? {} : { parent: parent.path, 'parent-by': parent.by }),
    'virtual-size': extents.reduce((sum, { sectors }) => sum + sectors, 0) * SECTOR_BYTES,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** A sparse file with room for a text is a disk of its own; one without is a part. */
async function looksLike(context: OpenContext, path: string): Promise<'stream' | 'extents' | TextRoom> {
  return withFile(context, path, async (file) => {
    const first = Buffer.alloc(Math.min(await file.size(), SparseExtentHeader.byteLength));
    await file.readExactly(first, 0);
    if (first.length < SparseExtentHeader.byteLength || detectFileKind(first) !== 'sparse') return 'extents';
    if ((SparseExtentHeader.decode(first).flags & SPARSE_FLAGS.compressed) !== 0) return 'stream';
    return textRoomOf(first) ?? 'extents';
  });
}

async function withFile<T>(
  { store, guard }: OpenContext,
  path: string,
  work: (file: RandomAccessFile) => Promise<T>,
): Promise<T> {
  const place = await guard.assertNamedAllowed(path);
  const file = await store.open(place.path, 'read');
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** A copy: tables that have another copy are put right in it, and the text is made anew when it is lost. */
async function recoverSparse(
  context: OpenContext,
  source: string,
  path: string,
  room: TextRoom,
  options: RecoverOptions,
): Promise<RecoverReport> {
  return withFile(context, source, async (file) => {
    const descriptor = await embeddedText(context, file);
    const rebuilt =
      descriptor === undefined
        ? await rebuildDescriptor(context, [file.path], path, options.parent, { embedded: true })
        : undefined;
    const name = posix.basename(path);
    const text = rebuilt === undefined ? renamedText(descriptor!, name, room) : fitted(rebuilt.text, room);
    const make = async (staged: string): Promise<LostPart[]> => {
      const copy = await context.store.create(staged);
      try {
        await copyWhole(file, copy, options);
        if (text !== undefined) await copy.write(text, room.at);
      } finally {
        await copy.close();
      }
      return mendCopy(context, staged);
    };
    const lost = await makeNew(context, path, make, options);
    const facts = rebuilt === undefined ? await factsOfText(context, path) : factsOf(rebuilt);
    const all = [...(rebuilt?.lost ?? []), ...lost];
    return { schema: 'vmdkit-recover/v1', filename: path, made: 'disk', ...facts, lost: all };
  });
}

async function factsOfText(context: OpenContext, path: string) {
  const descriptor = await withFile(context, path, (file) => embeddedText(context, file));
  const { createType = 'monolithicSparse', cid, extents = [] } = descriptor ?? {};
  return {
    'create-type': createType,
    ...(cid === undefined ? {} : { cid: printCid(cid) }),
    'virtual-size': extents.reduce((sum, { sectors }) => sum + sectors, 0) * SECTOR_BYTES,
  };
}

async function recoverStream(
  context: OpenContext,
  source: string,
  path: string,
  task: RecoverOptions,
): Promise<RecoverReport> {
  return withFile(context, source, async (file) => {
    const first = Buffer.alloc(SparseExtentHeader.byteLength);
    await file.readExactly(first, 0);
    const header = parseSparseHeader(first, file.path);
    assertStream(header, file.path);
    const size = header.capacity * SECTOR_BYTES;
    const save = async (raw: WritableFile): Promise<LostPart[]> => {
      await raw.resize(size);
      return saveStream(file, header, raw, task);
    };
    const report = { schema: 'vmdkit-recover/v1', filename: path, 'virtual-size': size } as const;
    if (!/\.vmdk$/i.test(path))
      return { ...report, made: 'raw', lost: await writeNew(context, path, save, task) };
    const type = 'monolithicSparse';
    const { lost, cid } = await throughRaw(context, path, save, type, task);
    return { ...report, made: 'disk', 'create-type': type, cid: printCid(cid), lost };
  });
}

/** Saves into a raw file beside the target first: grains come in any order, and a new disk is made in one. */
async function throughRaw(
  { store }: OpenContext,
  path: string,
  save: (raw: WritableFile) => Promise<LostPart[]>,
  type: string,
  { signal, onProgress }: TaskOptions,
): Promise<{ lost: LostPart[]; cid: number }> {
  const { stage } = await openStage(store, posix.dirname(path));
  try {
    const raw = posix.join(stage, 'saved.raw');
    const file = await store.create(raw);
    let lost: LostPart[];
    try {
      lost = await save(file);
    } finally {
      await file.close();
    }
    const { plan } = await convertDisk(raw, path, { fs: store, from: 'raw', type, signal, onProgress });
    return { lost, cid: plan.cid };
  } finally {
    await removeStage(store, stage);
  }
}

async function assertFree({ store }: OpenContext, path: string): Promise<void> {
  if (!(await store.exists(path))) return;
  throw new VmdkError('refused', 'target-exists', 'the target exists already', {
    path,
    hint: 'Choose another name: nothing is ever recovered over a file.',
  });
}

/** Made in a hidden folder beside its place, then put there; what a killed run leaves is cleared by the next. */
async function makeNew<T>(
  context: OpenContext,
  path: string,
  make: (path: string) => Promise<T>,
  { signal }: TaskOptions = {},
): Promise<T> {
  const name = posix.basename(path);
  const inStage = (stage: string): Promise<T> => make(posix.join(stage, name));
  return makeStaged(context.store, posix.dirname(path), [name], inStage, { signal });
}

/** As `makeNew`, for a file that is open while it is filled. */
async function writeNew<T>(
  context: OpenContext,
  path: string,
  fill: (file: WritableFile) => Promise<T>,
  task: TaskOptions = {},
): Promise<T> {
  const make = async (staged: string): Promise<T> => {
    const file = await context.store.create(staged);
    try {
      return await fill(file);
    } finally {
      await file.close();
    }
  };
  return makeNew(context, path, make, task);
}
