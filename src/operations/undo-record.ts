// The record of a repair: what stood where it wrote, safe on disk before the first byte changes. With it a repair that
// was cut off is finished or taken back. Rule: a record is a stranger's file like any other; it only ever leads into
// files of the disk it is used on, and only where they hold what it says they held, or what it says was written. Its own
// SHA-256 ends it: bytes that rotted in it are not written back.
import { createHash } from 'node:crypto';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import type { BytePatch } from './scratch-store.ts';

/** `begun`: perhaps in part; `applied`: all is written; `undoing`: being taken back, perhaps in part. */
export type UndoState = 'begun' | 'applied' | 'undoing';

export interface UndoFile {
  /** Real path. */
  readonly path: string;
  readonly sizeBefore: number;
  readonly sizeAfter: number;
  /** When it was last written, once all is: ms since the epoch. */
  readonly modified: number | undefined;
  readonly patches: readonly BytePatch[];
}

export interface UndoRecord {
  readonly state: UndoState;
  /** Tells one plan from another. */
  readonly planId: string;
  /** Real path of the disk. */
  readonly filename: string;
  readonly changesContent: boolean;
  readonly files: readonly UndoFile[];
}

/** Twice the largest repair, in base64, with room to spare. */
export const MOST_RECORD_BYTES = 256 << 20;

export function encodeUndoRecord({ state, planId, filename, changesContent, files }: UndoRecord): Buffer {
  const text = sealed({
    schema: 'vmdkit-undo/v1',
    state,
    'plan-sha256': planId,
    filename,
    'changes-content': changesContent,
    files: files.map((file) => ({
      path: file.path,
      'size-before': file.sizeBefore,
      'size-after': file.sizeAfter,
      ...(file.modified === undefined ? {} : { modified: file.modified }),
      patches: file.patches.map(({ at, old, data }) => ({ at, old: base64(old), data: base64(data) })),
    })),
  });
  return Buffer.from(`${text}\n`);
}

/** The JSON of `record`, whose last key is the SHA-256 of the JSON before it was there. */
function sealed(record: Readonly<Record<string, unknown>>): string {
  const sha256 = createHash('sha256').update(JSON.stringify(record)).digest('hex');
  return JSON.stringify({ ...record, sha256 });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** @throws VmdkError `not-an-undo-record`. */
export function parseUndoRecord(bytes: Uint8Array, path: string): UndoRecord {
  const fail = (found: string): never => {
    throw new VmdkError('corrupt', 'not-an-undo-record', 'this is no undo record of a repair', {
      path,
      found,
      expected: 'what vmdkit check --repair wrote',
    });
  };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return fail('a text that is no JSON');
  }
  const record = fieldsOf(json) ?? fail('no JSON object');
  const { state } = record;
  if (record['schema'] !== 'vmdkit-undo/v1') fail('another schema');
  const { sha256: _, ...rest } = record;
  if (sealed(rest) !== JSON.stringify(record)) fail('a record that was changed: its SHA-256 does not fit');
  if (state !== 'begun' && state !== 'applied' && state !== 'undoing') return fail('an unknown state');
  const files = Array.isArray(record['files']) ? record['files'] : fail('no files');
  return {
    state,
    planId: text(record['plan-sha256']) ?? fail('no plan'),
    filename: text(record['filename']) ?? fail('no disk'),
    changesContent: record['changes-content'] === true,
    files: files.map((each) => parseFile(each) ?? fail('a file that makes no sense')),
  };
}

function parseFile(json: unknown): UndoFile | undefined {
  const file = fieldsOf(json);
  if (file === undefined || !Array.isArray(file['patches'])) return undefined;
  const path = text(file['path']);
  const sizeBefore = size(file['size-before']);
  const sizeAfter = size(file['size-after']);
  if (path === undefined || sizeBefore === undefined || sizeAfter === undefined) return undefined;
  const patches: BytePatch[] = [];
  let end = 0;
  for (const each of file['patches']) {
    const patch = fieldsOf(each);
    const at = size(patch?.['at']);
    const [old, data] = [bytesOf(patch?.['old']), bytesOf(patch?.['data'])];
    if (at === undefined || old === undefined || data === undefined || at < end) return undefined;
    if (!couldBe({ at, old, data }, sizeBefore, sizeAfter)) return undefined;
    patches.push({ at, old, data });
    end = at + Math.max(old.length, data.length);
  }
  const modified = typeof file['modified'] === 'number' ? file['modified'] : undefined;
  return { path, sizeBefore, sizeAfter, modified, patches };
}

/** Where lengths differ the file itself ends, before or after; a file that grows may have a gap of zeros in front. */
function couldBe({ at, old, data }: BytePatch, sizeBefore: number, sizeAfter: number): boolean {
  const endsIn = (bytes: Uint8Array, size: number): boolean =>
    bytes.length === 0 ? at >= size : at + bytes.length === size;
  if (old.length === data.length) return at + old.length <= Math.min(sizeBefore, sizeAfter);
  if (old.length < data.length) return at + data.length <= sizeAfter && endsIn(old, sizeBefore);
  return at + old.length <= sizeBefore && endsIn(data, sizeAfter);
}

function fieldsOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function size(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
}

function bytesOf(value: unknown): Buffer | undefined {
  const base = text(value);
  return base === undefined ? undefined : Buffer.from(base, 'base64');
}

/**
 * Proves that a file is as it was before the repair, as after it, or, sector by sector, in between.
 * @throws VmdkError `changed-since`.
 */
export async function assertOldOrNew(file: RandomAccessFile, record: UndoFile): Promise<void> {
  const { sizeBefore, sizeAfter, patches } = record;
  const now = await file.size();
  const [least, most] = [Math.min(sizeBefore, sizeAfter), Math.max(sizeBefore, sizeAfter)];
  if (now < least || now > most)
    throw changedSince(file.path, now, `${now} bytes`, `${least} to ${most} bytes`);
  for (const { at, old, data } of patches) {
    const length = Math.max(old.length, data.length);
    const there = Buffer.alloc(Math.max(0, Math.min(length, now - at)));
    await file.readExactly(there, at);
    for (let from = 0; from < there.length;) {
      const to = Math.min(there.length, from + SECTOR_BYTES - ((at + from) % SECTOR_BYTES));
      const part = there.subarray(from, to);
      const isOld = part.equals(Buffer.from(old.subarray(from, to)));
      const isNew = part.equals(Buffer.from(data.subarray(from, to)));
      // What is beyond the shorter of the two lengths may be there without its data yet.
      const isFresh = at + from >= least && part.every((byte) => byte === 0);
      if (!isOld && !isNew && !isFresh)
        throw changedSince(file.path, at + from, 'other bytes', 'those before or after the repair');
      from = to;
    }
  }
}

export function changedSince(path: string, offset: number, found: string, expected: string): VmdkError {
  return new VmdkError('conflict', 'changed-since', 'the file was changed by somebody else', {
    path,
    offset,
    found,
    expected,
    hint: 'Nothing was written. Check the disk again, and plan anew.',
  });
}
