// Grain tables of an ESX delta that its directory has lost: found by their contents, in space that nothing refers to. Rule:
// only what no crash leaves is an error. ESX puts a table before the first grain that it names; vmdkit, which writes to a
// delta that is there, after it. So a table whose every grain lies behind it, the first right behind, was in the directory.
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { COWD_TABLE_SECTORS, CowdHeaderStruct, type CowdHeader } from '../format/cowd-header.ts';
import { ZERO_GRAIN } from '../format/sparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { ExtentCheck } from './check-context.ts';

/** Sectors of lost space that are looked into: 64 MiB. What is lost begins with a table. */
const MOST_SECTORS = 131_072;
const CHUNK_SECTORS = 2048;
/** Places that may be tables; more is no directory's worth. */
const MOST_CANDIDATES = 4096;

/** Entries of a directory behind those that count: 2 TiB of single sectors. */
const MOST_BEYOND = 1 << 20;

/** A part of the file, in sectors. */
export interface Stretch {
  readonly start: number;
  readonly count: number;
}

/** True when it noted any. */
export async function noteLostTables(
  check: ExtentCheck,
  header: CowdHeader,
  unused: readonly Stretch[],
): Promise<boolean> {
  const { log, file } = check;
  if (unused.length === 0) return false;
  const beyond = await namedBeyond(check, header);
  let [tables, grains, first, end] = [0, 0, 0, 0];
  let left = MOST_SECTORS;
  for (const { start, count } of unused) {
    const part = { start, count: Math.min(count, left) };
    left -= part.count;
    for (const place of await candidatesIn(check, part)) {
      // Parts of a table may look like one as well.
      const found = place < end || beyond.has(place) ? 0 : await grainsOfTable(check, place);
      if (found === 0) continue;
      end = place + COWD_TABLE_SECTORS;
      if (tables++ === 0) first = place;
      grains += found;
    }
    if (left === 0) break;
  }
  if (tables === 0) return false;
  const what = tables === 1 ? 'a grain table' : `${tables} grain tables, the first`;
  const which = tables === 1 ? 'it' : 'them';
  log.error('GD-RANGE', { path: file.path, offset: first * SECTOR_BYTES }, () => {
    return `${what} at sector ${first} of the file, in no directory: ${grains} grains are lost with ${which}, and read as if they had never been written`;
  });
  return true;
}

/** Tables behind those that count: a header that says too small a size makes lost space of them. */
async function namedBeyond(
  { file, fileBytes }: ExtentCheck,
  { gdOffset, numGDEntries }: CowdHeader,
): Promise<Set<number>> {
  const first = Buffer.alloc(CowdHeaderStruct.byteLength);
  await file.readExactly(first, 0);
  const from = gdOffset * SECTOR_BYTES + numGDEntries * 4;
  const more = CowdHeaderStruct.decode(first).numGDEntries - numGDEntries;
  const bytes = allocateRoom(
    4 * Math.max(0, Math.min(more, MOST_BEYOND, Math.floor((fileBytes - from) / 4))),
  );
  await file.readExactly(bytes, from);
  return new Set(decodeTable(bytes));
}

/** Sectors where a table may begin that names the sector right behind it. */
async function candidatesIn({ file, task }: ExtentCheck, { start, count }: Stretch): Promise<number[]> {
  const found = new Set<number>();
  const end = start + count;
  for (let at = start; at < end; at += CHUNK_SECTORS) {
    throwIfAborted(task);
    const bytes = allocateRoom(Math.min(CHUNK_SECTORS, end - at) * SECTOR_BYTES);
    await file.readExactly(bytes, at * SECTOR_BYTES);
    const entries = decodeTable(bytes);
    for (let index = 0; index < entries.length; index++) {
      const sector = at + Math.floor((index * 4) / SECTOR_BYTES);
      const place = entries[index]! - COWD_TABLE_SECTORS;
      if (place > sector || place <= sector - COWD_TABLE_SECTORS) continue;
      if (place >= start && place + COWD_TABLE_SECTORS <= end) found.add(place);
      if (found.size >= MOST_CANDIDATES) return inOrder(found);
    }
  }
  return inOrder(found);
}

function inOrder(places: ReadonlySet<number>): number[] {
  return [...places].sort((a, b) => a - b);
}

/** How many grains a table there would name; 0 when it is none. */
async function grainsOfTable({ file, fileBytes }: ExtentCheck, place: number): Promise<number> {
  const bytes = Buffer.alloc(COWD_TABLE_SECTORS * SECTOR_BYTES);
  await file.readExactly(bytes, place * SECTOR_BYTES);
  const named = decodeTable(bytes).filter((entry) => entry > ZERO_GRAIN);
  const [from, to] = [place + COWD_TABLE_SECTORS, Math.floor(fileBytes / SECTOR_BYTES)];
  const sound = named.every((entry) => entry >= from && entry < to);
  return sound && new Set(named).size === named.length ? named.length : 0;
}
