// The grain directories of a hosted sparse extent, judged entry by entry: which tables can be walked, and by which
// copy. Only entries that count are looked at: VMware leaves junk behind them.
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_FLAGS, SparseExtentHeader, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import { misplaced } from './check-findings.ts';
import type { ExtentCheck } from './check-context.ts';
import { surveySpace, type Take } from './check-space.ts';
import { tableCount } from './sparse-directory.ts';

/** What takes space in a sparse file, for messages by number. */
export const KIND = {
  header: 0,
  descriptor: 1,
  directory: 2,
  copyDirectory: 3,
  table: 4,
  copyTable: 5,
  grain: 6,
  footer: 7,
} as const;

const KIND_WORDS = [
  'the header',
  'the descriptor',
  'the grain directory',
  'the redundant grain directory',
  'grain table',
  'redundant grain table',
  'grain',
  'the footer',
];

/** `grain table 7`, `the header`. */
export function nameOf({ kind, index }: { kind: number; index: number }): string {
  const words = KIND_WORDS[kind] ?? 'something';
  return words.startsWith('the ') ? words : `${words} ${index}`;
}

/** In place of the sector of a table that is there and cannot be used. */
export const UNUSABLE = 0xffffffff;
const LARGEST_DIRECTORY_BYTES = 64 << 20;

export interface CheckedDirectories {
  readonly header: SparseHeader;
  readonly tables: number;
  readonly tableSectors: number;
  /** Sector of the directory and of the copy, 0 for none that can be read. */
  readonly offset: number;
  readonly copyOffset: number;
  /** Sector of each table to walk by: 0 none, 1 "all zeros", UNUSABLE. */
  readonly places: Uint32Array;
  /** Sector of each redundant table; undefined when there are none to compare with. */
  readonly copies: Uint32Array | undefined;
  /** Footer of a stream: its first sector, 0 for none. */
  readonly footer: number;
}

/** Undefined when neither directory can be read. */
export async function checkDirectories(
  check: ExtentCheck,
  header: SparseHeader,
  footer = 0,
): Promise<CheckedDirectories | undefined> {
  const { log, file } = check;
  const gdOffset = header.gdOffset ?? 0;
  const twice = header.rgdOffset === gdOffset;
  if (twice) {
    const offset = SparseExtentHeader.offsetOf('rgdOffset');
    const message = () => `the grain directory and its copy are the same, at sector ${gdOffset}`;
    log.error('RGD-DIFF', { path: file.path, offset }, message);
  }
  const copyAt = twice ? undefined : header.rgdOffset;
  const copies = copyAt === undefined ? undefined : await readEntries(check, header, copyAt, 'rgdOffset');
  const entries = await readEntries(check, header, gdOffset, 'gdOffset', copies !== undefined);
  const walked = entries ?? copies;
  if (walked === undefined) return undefined;
  const directories: CheckedDirectories = {
    header,
    tables: tableCount(header),
    tableSectors: ceilDiv(header.numGTEsPerGT * 4, SECTOR_BYTES),
    offset: entries === undefined ? 0 : gdOffset,
    copyOffset: copies === undefined ? 0 : copyAt!,
    places: walked,
    copies: entries === undefined ? undefined : copies,
    footer,
  };
  judgeEntries(check, directories);
  await judgeOverlaps(check, directories);
  return directories;
}

/** Takes everything that is not a grain, in file order of its kinds. */
export function takeStructures(directories: CheckedDirectories, fileSectors: number, take: Take): void {
  const { header, places, copies, tables, tableSectors } = directories;
  const directorySectors = ceilDiv(tables * 4, SECTOR_BYTES);
  take(KIND.header, 0, 0, 1);
  const { descriptorOffset: text, descriptorSize } = header;
  const textEnd = Math.min(fileSectors, text + descriptorSize);
  if (text > 0 && textEnd > text) take(KIND.descriptor, 0, text, textEnd - text);
  if (directories.offset > 0) take(KIND.directory, 0, directories.offset, directorySectors);
  if (directories.copyOffset > 0) take(KIND.copyDirectory, 0, directories.copyOffset, directorySectors);
  if (directories.footer > 0) take(KIND.footer, 0, directories.footer, fileSectors - directories.footer);
  for (let table = 0; table < tables; table++) {
    const place = places[table]!;
    if (place > ZERO_GRAIN && place !== UNUSABLE) take(KIND.table, table, place, tableSectors);
  }
  if (copies === undefined) return;
  for (let table = 0; table < tables; table++) {
    const place = copies[table]!;
    if (place > ZERO_GRAIN && place !== UNUSABLE) take(KIND.copyTable, table, place, tableSectors);
  }
}

async function readEntries(
  check: ExtentCheck,
  header: SparseHeader,
  offset: number,
  field: 'gdOffset' | 'rgdOffset',
  repairable = field === 'rgdOffset',
): Promise<Uint32Array | undefined> {
  const { log, file, fileBytes } = check;
  const length = tableCount(header) * 4;
  const what = field === 'gdOffset' ? 'the grain directory' : 'the redundant grain directory';
  const end = offset * SECTOR_BYTES + length;
  const where = { path: file.path, offset: SparseExtentHeader.offsetOf(field), repairable };
  if (length > LARGEST_DIRECTORY_BYTES) {
    const text = `${what} would be ${length} bytes long, more than ${LARGEST_DIRECTORY_BYTES}`;
    log.error('GD-RANGE', { ...where, repairable: false }, () => text);
    return undefined;
  }
  if (offset < 1 || offset * SECTOR_BYTES >= fileBytes) {
    const last = Math.floor(fileBytes / SECTOR_BYTES);
    log.error('GD-RANGE', where, () => misplaced(what, offset, 1, last));
    return undefined;
  }
  if (end > fileBytes) {
    const message = () => `the file ends at byte ${fileBytes}, within ${what}, which ends at byte ${end}`;
    log.error('TRUNC', { ...where, offset: fileBytes }, message);
    return undefined;
  }
  const bytes = allocateRoom(length);
  await file.readExactly(bytes, offset * SECTOR_BYTES);
  return decodeTable(bytes);
}

/** Notes every entry that cannot be a table, and walks by the other copy where that one can. */
function judgeEntries(check: ExtentCheck, directories: CheckedDirectories): void {
  const { places, copies, tables } = directories;
  for (let table = 0; table < tables; table++) {
    const place = places[table]!;
    const copy = copies?.[table] ?? 0;
    const copySound = copies !== undefined && isTablePlace(check, directories, copy);
    // Writers set the primary entry first: none here and a table in the copy means that this one was wiped.
    const wiped = place === 0 && copySound && copy > ZERO_GRAIN;
    const sound = !wiped && isTablePlace(check, directories, place);
    if (!sound) noteEntry(check, directories, table, 'table', copySound && copy > ZERO_GRAIN);
    if (copies !== undefined && !copySound) noteEntry(check, directories, table, 'copy', sound);
    if (copies !== undefined && sound && place === copy && place > ZERO_GRAIN) {
      const offset = directories.copyOffset * SECTOR_BYTES + table * 4;
      const message = () => `grain table ${table} and its copy are the same, at sector ${place}`;
      check.log.error('RGD-DIFF', { path: check.file.path, offset }, message);
      copies[table] = UNUSABLE;
    }
    if (!sound) places[table] = copySound && copy > ZERO_GRAIN ? copy : UNUSABLE;
    if (copies !== undefined && (!copySound || !sound)) copies[table] = UNUSABLE;
  }
}

/**
 * Tables that no directory has, while parts of the file belong to no grain: what their grains held is there, and reads as
 * zeros. Without such parts they hold nothing; an unclean file may have grown a grain that no table has yet.
 */
export function noteMissingTables(
  { log, file }: ExtentCheck,
  { header, places, tables, offset, copyOffset }: CheckedDirectories,
  lostSectors: number,
): boolean {
  const first = places.subarray(0, tables).indexOf(0);
  if (first === -1 || header.uncleanShutdown) return false;
  const at = (offset === 0 ? copyOffset : offset) * SECTOR_BYTES + first * 4;
  const message = () =>
    `grain table ${first} is in no directory, and nothing refers to ${lostSectors * SECTOR_BYTES} bytes of the file: what its grains held may be there`;
  log.error('GD-RANGE', { path: file.path, offset: at }, message);
  return true;
}

function isTablePlace(
  check: ExtentCheck,
  { header, tableSectors }: CheckedDirectories,
  place: number,
): boolean {
  if (place === 0) return true;
  if (place === ZERO_GRAIN) return (header.flags & SPARSE_FLAGS.zeroedGrains) !== 0;
  const first = header.descriptorOffset + header.descriptorSize;
  const end = (place + tableSectors) * SECTOR_BYTES;
  return place >= Math.max(2, first) && end <= check.fileBytes;
}

function noteEntry(
  { log, file, fileBytes }: ExtentCheck,
  directories: CheckedDirectories,
  table: number,
  which: 'table' | 'copy',
  repairable: boolean,
): void {
  const { places, copies, tableSectors, header } = directories;
  const inCopy = which === 'copy' || directories.offset === 0;
  const place = which === 'copy' ? copies![table]! : places[table]!;
  const offset = (inCopy ? directories.copyOffset : directories.offset) * SECTOR_BYTES + table * 4;
  const what = `${inCopy ? 'redundant ' : ''}grain table ${table}`;
  const detail = { path: file.path, offset, repairable };
  const start = place * SECTOR_BYTES;
  if (start < fileBytes && start + tableSectors * SECTOR_BYTES > fileBytes) {
    const message = () => `the file ends at byte ${fileBytes}, within ${what}, which starts at byte ${start}`;
    log.error('TRUNC', detail, message);
    return;
  }
  const first = Math.max(2, header.descriptorOffset + header.descriptorSize);
  const last = Math.floor(fileBytes / SECTOR_BYTES);
  log.error('GD-RANGE', detail, () => misplaced(what, place, first, last));
}

/** Structures that lie over one another: the one that came first in our order is walked, the other is not. */
async function judgeOverlaps(check: ExtentCheck, directories: CheckedDirectories): Promise<void> {
  const { log, file, fileBytes } = check;
  const { places, copies, tables } = directories;
  const fileSectors = ceilDiv(fileBytes, SECTOR_BYTES);
  const clashing = new Uint8Array(tables);
  const use = await surveySpace({
    walk: (take) => takeStructures(directories, fileSectors, take),
    from: 0,
    to: fileSectors,
    onClash(kind, index) {
      if (kind === KIND.table) clashing[index]! |= 1;
      if (kind === KIND.copyTable) clashing[index]! |= 2;
    },
  });
  for (const overlap of use.overlaps) {
    const { kind, index } = overlap;
    const copy = copies?.[index] ?? 0;
    const saved =
      kind === KIND.table
        ? clashing[index] === 1 && copy > ZERO_GRAIN && copy !== UNUSABLE
        : kind === KIND.copyTable && clashing[index] === 2;
    const offset = entryOffset(directories, kind, index);
    const message = () =>
      `${nameOf(overlap)}, at sector ${overlap.start}, lies over ${nameOf(overlap.other)}`;
    log.error('GT-OVERLAP', { path: file.path, offset, repairable: saved }, message);
  }
  log.moreErrors('GT-OVERLAP', use.overlapCount - use.overlaps.length);
  for (let table = 0; table < tables; table++) {
    const state = clashing[table]!;
    if (state === 0) continue;
    const copy = copies?.[table] ?? 0;
    if ((state & 1) !== 0) places[table] = state === 1 && copy > ZERO_GRAIN ? copy : UNUSABLE;
    if (copies !== undefined) copies[table] = UNUSABLE;
  }
}

/** Byte offset of what says where a structure is. */
function entryOffset(directories: CheckedDirectories, kind: number, index: number): number {
  const walked = directories.offset === 0 ? directories.copyOffset : directories.offset;
  if (kind === KIND.table) return walked * SECTOR_BYTES + index * 4;
  if (kind === KIND.copyTable) return directories.copyOffset * SECTOR_BYTES + index * 4;
  const field =
    kind === KIND.copyDirectory ? 'rgdOffset' : kind === KIND.descriptor ? 'descriptorOffset' : 'gdOffset';
  return SparseExtentHeader.offsetOf(field);
}
