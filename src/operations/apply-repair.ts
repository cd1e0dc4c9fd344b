// Carries out a planned repair, and takes one back. Rule: the plan that is carried out is worked out anew from the
// disk and must be the one given; the undo record is safe before the first byte changes; headers are written last.
// A run that was cut off is settled by running the same command again, or by taking the repair back.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { usageError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openContext } from '../disk/open-options.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { isContentId, workOutRepair, type RepairOptions, type RepairPlan } from './plan-repair.ts';
import { filesOfLink } from './repair-descriptor.ts';
import type { BytePatch } from './scratch-store.ts';
import { readWhole } from './tidy.ts';
import {
  assertOldOrNew,
  changedSince,
  encodeUndoRecord,
  MOST_RECORD_BYTES,
  parseUndoRecord,
  type UndoFile,
  type UndoRecord,
} from './undo-record.ts';
import { withLocks } from './with-locks.ts';

export interface ApplyRepairOptions extends RepairOptions {
  /** Where the undo record goes. Default: beside the disk, its name with `.undo`. */
  readonly undoRecord?: string | undefined;
  /** Take back a repair although the files were written since. Default false. */
  readonly force?: boolean | undefined;
}

export interface AppliedRepair {
  /** Real path of the disk. */
  readonly filename: string;
  /** `applied` now, `finished` what a run before had begun, `unchanged` when there was nothing to do, `undone`. */
  readonly outcome: 'applied' | 'finished' | 'unchanged' | 'undone';
  /** Where the undo record is; undefined when there is none (any more). */
  readonly undoRecord: string | undefined;
  /** Real paths. */
  readonly files: readonly string[];
}

/** What a plan says that its disk does not: everything else is worked out again. @throws VmdkError `not-a-repair-plan`. */
export function parseRepairPlan(bytes: Uint8Array, path: string): RepairPlan {
  const fail = (found: string): never => {
    throw new VmdkError('corrupt', 'not-a-repair-plan', 'this is no plan of a repair', {
      path,
      found,
      expected: 'what vmdkit check --plan wrote',
    });
  };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return fail('a text that is no JSON');
  }
  const plan = json as Partial<RepairPlan> | null;
  if (typeof plan !== 'object' || plan?.schema !== 'vmdkit-repair-plan/v1') return fail('another schema');
  if (!isContentId(plan['content-id'])) return fail('missing fields');
  for (const field of ['fit-cid', 'cut-leaks'] as const)
    if (typeof plan[field] !== 'boolean') return fail('missing fields');
  if (typeof plan.filename !== 'string' || !Array.isArray(plan.files)) return fail('missing fields');
  return plan as RepairPlan;
}

/** Equal for plans that do the same. */
function planId({ filename, files, ...plan }: RepairPlan): string {
  const text = JSON.stringify([filename, plan['content-id'], plan['fit-cid'], plan['cut-leaks'], files]);
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Carries out a plan on the disk at `path`.
 * @throws VmdkError `disk-locked`, `undo-record-exists` (refused), `changed-since` (conflict): nothing is changed then.
 */
export async function applyRepair(
  path: string,
  plan: RepairPlan,
  options: ApplyRepairOptions = {},
): Promise<AppliedRepair> {
  const store = storeFor(options.fs);
  const context = openContext({ ...options, onFinding: undefined });
  const { path: filename } = await context.guard.assertNamedAllowed(path);
  const recordPath = posix.resolve(options.undoRecord ?? `${filename}.undo`);
  const files = await ownFiles(context, filename);
  const others = options.locked ?? 'refuse';
  return withLocks(
    store,
    files,
    async () => {
      const old = await findRecord(store, recordPath);
      if (old !== undefined) return finishRecorded(store, recordPath, old, plan, files);
      const work = await workOutRepair(filename, {
        ...options,
        fitCid: plan['fit-cid'],
        cutLeaks: plan['cut-leaks'],
        contentId: plan['content-id'],
      });
      if (planId(work.plan) !== planId(plan)) throw planOutdated(filename);
      if (work.edits.length === 0) return { filename, outcome: 'unchanged', undoRecord: undefined, files };
      const record: UndoRecord = {
        state: 'begun',
        planId: planId(plan),
        filename,
        changesContent: work.plan['changes-content'],
        files: work.edits.map((edit) => ({ ...edit, modified: undefined })),
      };
      const opened = await openAll(store, record.files);
      try {
        await save(store, recordPath, record);
        await writeAll(opened, 'data');
      } catch (error) {
        await takeBack(store, recordPath, record, opened).catch(() => undefined);
        throw error;
      } finally {
        await closeAll(opened);
      }
      await save(store, recordPath, await applied(store, record));
      return { filename, outcome: 'applied', undoRecord: recordPath, files: pathsOf(record) };
    },
    { others, signal: options.signal },
  );
}

/**
 * Takes back what a repair of the disk at `path` did, byte for byte, and removes its record.
 * @throws VmdkError `not-an-undo-record`, `changed-since` (conflict), `disk-locked` (refused): nothing is changed then.
 */
export async function undoRepair(
  path: string,
  recordPath: string,
  options: ApplyRepairOptions = {},
): Promise<AppliedRepair> {
  const store = storeFor(options.fs);
  const context = openContext({ ...options, onFinding: undefined });
  const { path: filename } = await context.guard.assertNamedAllowed(path);
  const files = await ownFiles(context, filename);
  const others = options.locked ?? 'refuse';
  return withLocks(
    store,
    files,
    async () => {
      const record = await readUndoRecord(store, recordPath);
      assertOwn(record, recordPath, filename, files);
      if (record.state === 'applied' && options.force !== true) await assertUntouched(store, record);
      const opened = await openAll(store, record.files);
      try {
        await takeBack(store, recordPath, record, opened);
      } finally {
        await closeAll(opened);
      }
      return { filename, outcome: 'undone', undoRecord: undefined, files: pathsOf(record) };
    },
    { others, signal: options.signal },
  );
}

/** What a record says, for those who must know before it is used. */
export async function readUndoRecord(store: FileStore, path: string): Promise<UndoRecord> {
  const { size } = await store.resolve(path);
  if (size > MOST_RECORD_BYTES) throw usageError(`${path} is too long for an undo record`);
  return parseUndoRecord(await readWhole(store, path), path);
}

async function ownFiles(context: ReturnType<typeof openContext>, filename: string): Promise<string[]> {
  const { files } = await filesOfLink(context, filename);
  return [...new Set([filename, ...files.map((file) => file.path)])];
}

async function findRecord(store: FileStore, path: string): Promise<UndoRecord | undefined> {
  if (!(await store.exists(path))) return undefined;
  return readUndoRecord(store, path);
}

/** A record is there: of this plan, cut off, and finished now; anything else is in the way. */
async function finishRecorded(
  store: FileStore,
  recordPath: string,
  record: UndoRecord,
  plan: RepairPlan,
  files: readonly string[],
): Promise<AppliedRepair> {
  const { filename } = record;
  if (record.state !== 'begun' || record.planId !== planId(plan)) {
    const done = record.state === 'applied' ? 'a repair that was carried out' : 'a repair that was cut off';
    throw new VmdkError('refused', 'undo-record-exists', 'the place for the undo record is taken', {
      path: recordPath,
      found: `the record of ${done}`,
      expected: 'no file',
      hint: 'Take that repair back with --undo, move its record away, or name another place with --undo-record.',
    });
  }
  assertOwn(record, recordPath, filename, files);
  const opened = await openAll(store, record.files);
  try {
    await writeAll(opened, 'data');
  } finally {
    await closeAll(opened);
  }
  await save(store, recordPath, await applied(store, record));
  return { filename, outcome: 'finished', undoRecord: recordPath, files: pathsOf(record) };
}

function assertOwn(record: UndoRecord, path: string, filename: string, files: readonly string[]): void {
  const strange = record.files.find((file) => !files.includes(file.path));
  if (record.filename === filename && strange === undefined) return;
  throw new VmdkError('refused', 'not-its-undo-record', 'this is the undo record of another disk', {
    path,
    found: strange?.path ?? record.filename,
    expected: `files of ${filename}`,
    hint: 'Name the disk that was repaired. A disk that was moved has to be where it was.',
  });
}

interface Opened {
  readonly file: WritableFile;
  readonly record: UndoFile;
}

/** All files are open, and proved, before any is written. */
async function openAll(store: FileStore, records: readonly UndoFile[]): Promise<Opened[]> {
  const opened: Opened[] = [];
  try {
    for (const record of records) {
      const file = await store.open(record.path, 'update');
      opened.push({ file, record });
      await assertOldOrNew(file, record);
    }
    return opened;
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function closeAll(opened: readonly Opened[]): Promise<void> {
  await Promise.allSettled(opened.map(({ file }) => file.close()));
}

/** Everything but the first sectors, where headers are; then these; then lengths. Each is safe before the next. */
async function writeAll(opened: readonly Opened[], what: 'old' | 'data'): Promise<void> {
  const isHeader = ({ at }: BytePatch): boolean => at < SECTOR_BYTES;
  for (const headers of [false, true]) {
    for (const { file, record } of opened) {
      const patches = record.patches.filter((patch) => isHeader(patch) === headers);
      for (const patch of patches) if (patch[what].length > 0) await file.write(patch[what], patch.at);
      if (patches.length > 0) await file.sync();
    }
  }
  for (const { file, record } of opened) {
    const size = what === 'old' ? record.sizeBefore : record.sizeAfter;
    if ((await file.size()) === size) continue;
    await file.resize(size);
    await file.sync();
  }
}

async function takeBack(
  store: FileStore,
  recordPath: string,
  record: UndoRecord,
  opened: readonly Opened[],
): Promise<void> {
  if (record.state !== 'undoing') await save(store, recordPath, { ...record, state: 'undoing' });
  await writeAll(opened, 'old');
  await store.remove(recordPath);
  await store.syncFolder(posix.dirname(recordPath));
}

/** Whole or not at all, and safe when it returns. */
async function save(store: FileStore, path: string, record: UndoRecord): Promise<void> {
  await store.replace(path, encodeUndoRecord(record));
}

async function applied(store: FileStore, record: UndoRecord): Promise<UndoRecord> {
  const files: UndoFile[] = [];
  for (const file of record.files)
    files.push({ ...file, modified: (await store.resolve(file.path)).modified });
  return { ...record, state: 'applied', files };
}

async function assertUntouched(store: FileStore, { files }: UndoRecord): Promise<void> {
  for (const { path, modified, sizeAfter } of files) {
    const now = await store.resolve(path);
    if (now.size === sizeAfter && now.modified === modified) continue;
    throw new VmdkError('conflict', 'changed-since', 'the disk was written after it was repaired', {
      path,
      found: `${now.size} bytes, last written ${new Date(now.modified).toISOString()}`,
      expected: `${sizeAfter} bytes, last written ${new Date(modified ?? 0).toISOString()}`,
      hint: 'Taking the repair back may undo part of that. If only the time differs, pass --force.',
    });
  }
}

function pathsOf({ files }: UndoRecord): string[] {
  return files.map(({ path }) => path);
}

function planOutdated(path: string): VmdkError {
  return changedSince(path, 0, 'a repair that would do other things', 'what the plan says');
}
