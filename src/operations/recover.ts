// Recovers what can be read of a disk that lost a part of itself: a descriptor is made anew from its extents, a damaged
// stream is saved into a raw file. Rule: sources are only read, the target appears whole or not at all, and what may be
// missing is listed.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { usageError, VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openContext, type OpenContext, type OpenOptions } from '../disk/open-options.ts';
import { printCid } from '../format/content-id.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { parseSparseHeader, SPARSE_FLAGS, SparseExtentHeader } from '../format/sparse-header.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { rebuildDescriptor } from './recover-descriptor.ts';
import { assertStream, saveStream, type LostPart } from './recover-stream.ts';
import { removeIfThere } from './tidy.ts';

export interface RecoverOptions extends OpenOptions, TaskOptions {
  /** The disk below, of a delta that has lost its descriptor. */
  readonly parent?: string | undefined;
}

export interface RecoverReport {
  readonly schema: 'vmdkit-recover/v1';
  /** What was made. */
  readonly filename: string;
  readonly made: 'descriptor' | 'raw';
  readonly 'create-type'?: string;
  readonly cid?: string;
  /** Bytes of the disk. */
  readonly 'virtual-size': number;
  /** What could not be recovered. Sectors are of the disk. */
  readonly lost: readonly LostPart[];
}

/**
 * Makes `target` from `sources`: a raw file from one damaged stream, a descriptor from extents of any other kind.
 * @throws VmdkError `target-exists`, `nothing-to-recover`, `parent-unknown`, `extent-missing` and others: nothing is
 * made then.
 */
export async function recoverDisk(
  sources: readonly string[],
  target: string,
  options: RecoverOptions = {},
): Promise<RecoverReport> {
  const context = openContext({ ...options, onFinding: undefined });
  if (sources.length === 0) throw usageError('recover needs at least one file');
  const folder = await context.store.resolve(posix.dirname(posix.resolve(target)));
  const path = posix.join(folder.path, posix.basename(target));
  await assertFree(context, path);
  if (sources.length === 1 && (await isStream(context, sources[0]!)))
    return recoverStream(context, sources[0]!, path, options);
  const made = await rebuildDescriptor(context, sources, path, options.parent);
  await writeNew(context, path, (file) => file.write(made.text, 0));
  return {
    schema: 'vmdkit-recover/v1',
    filename: path,
    made: 'descriptor',
    'create-type': made.createType,
    cid: printCid(made.cid),
    'virtual-size': made.extents.reduce((sum, { sectors }) => sum + sectors, 0) * SECTOR_BYTES,
    lost: made.lost,
  };
}

async function isStream(context: OpenContext, path: string): Promise<boolean> {
  const place = await context.guard.assertNamedAllowed(path);
  const file = await context.store.open(place.path, 'read');
  try {
    const first = Buffer.alloc(Math.min(await file.size(), SparseExtentHeader.byteLength));
    await file.readExactly(first, 0);
    if (first.length < SparseExtentHeader.byteLength || detectFileKind(first) !== 'sparse') return false;
    return (SparseExtentHeader.decode(first).flags & SPARSE_FLAGS.compressed) !== 0;
  } finally {
    await file.close();
  }
}

async function recoverStream(
  context: OpenContext,
  source: string,
  path: string,
  task: TaskOptions,
): Promise<RecoverReport> {
  const place = await context.guard.assertNamedAllowed(source);
  const file = await context.store.open(place.path, 'read');
  try {
    const first = Buffer.alloc(SparseExtentHeader.byteLength);
    await file.readExactly(first, 0);
    const header = parseSparseHeader(first, place.path);
    assertStream(header, place.path);
    const size = header.capacity * SECTOR_BYTES;
    const lost = await writeNew(context, path, async (raw) => {
      await raw.resize(size);
      return saveStream(file, header, raw, task);
    });
    return { schema: 'vmdkit-recover/v1', filename: path, made: 'raw', 'virtual-size': size, lost };
  } finally {
    await file.close();
  }
}

async function assertFree({ store }: OpenContext, path: string): Promise<void> {
  if (!(await store.exists(path))) return;
  throw new VmdkError('refused', 'target-exists', 'the target exists already', {
    path,
    hint: 'Choose another name: nothing is ever recovered over a file.',
  });
}

/** Written beside its place, safe, then renamed. */
async function writeNew<T>(
  context: OpenContext,
  path: string,
  fill: (file: WritableFile) => Promise<T>,
): Promise<T> {
  const { store } = context;
  const folder = posix.dirname(path);
  const temporary = posix.join(folder, `.${posix.basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const file = await store.create(temporary);
  try {
    let result: T;
    try {
      result = await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await assertFree(context, path);
    await store.rename(temporary, path);
    await store.syncFolder(folder);
    return result;
  } catch (error) {
    await removeIfThere(store, temporary);
    throw error;
  }
}
