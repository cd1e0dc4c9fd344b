// Checks an ESX delta (COWD): directory, tables, entries, who has which sector. There is one copy of everything, so
// only freeSector can be put right; its tables and grains stand in the order of their first use.
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { COWD_FLAGS, COWD_TABLE_SECTORS, CowdHeaderStruct, type CowdHeader } from '../format/cowd-header.ts';
import { decodeTable } from '../format/tables.ts';
import { misplaced } from './check-findings.ts';
import { NO_GRAINS, noteUnclean, tellUnused, type ExtentCheck, type GrainCounts } from './check-context.ts';
import { COWD_KIND as KIND, CowdJudge, UNUSABLE } from './check-cowd-entries.ts';
import { noteLostTables, type Stretch } from './check-cowd-lost.ts';
import { GapTally, NO_LEAK, noteGrainOverlaps, noteLeak } from './check-gaps.ts';
import { surveySpace, type Take } from './check-space.ts';

const BLOCK_SECTORS = 8;
/** Stretches of lost space that are looked into. */
const MOST_UNUSED = 4096;
const KIND_WORDS = ['the header', 'the grain directory', 'grain table', 'grain'] as const;

/** Checks what lies behind a header that was judged before. */
export async function checkCowdGrains(check: ExtentCheck, header: CowdHeader): Promise<GrainCounts> {
  const { log, file, fileBytes } = check;
  const errorsBefore = log.errors;
  noteUnclean(check, header.uncleanShutdown, CowdHeaderStruct.offsetOf('uncleanShutdown'));
  if (header.flags !== COWD_FLAGS) {
    const detail = { path: file.path, offset: CowdHeaderStruct.offsetOf('flags') };
    log.warning(
      'HDR-FLAGS',
      detail,
      () => `the flags are ${header.flags}, on every known delta ${COWD_FLAGS}`,
    );
  }
  const places = await readDirectory(check, header);
  if (places === undefined) return NO_GRAINS;
  await judgeTablePlaces(check, header, places);
  const judge = new CowdJudge(check, header, places);
  const fileSectors = Math.floor(fileBytes / SECTOR_BYTES);
  // Behind freeSector lies what ESX allocates in advance, 16 MiB at a time: no leak.
  const free = Math.min(fileSectors, Math.max(header.freeSector, judge.firstFree));
  const gaps = new GapTally(header.grainSize);
  const unused: Stretch[] = [];
  // Tools keep header and directory to whole blocks of 4 KiB.
  const from = Math.min(free, roundUp(judge.firstFree, BLOCK_SECTORS));
  let judged = false;
  const use = await surveySpace({
    async walk(take) {
      takeStructures(header, places, take);
      await judge.walk(!judged, take);
      judged = true;
    },
    from,
    to: free,
    onGap: (start, count) => {
      gaps.add(start, count);
      // ESX does not: a table may begin in what such tools leave.
      const first = start === from ? judge.firstFree : start;
      if (unused.length < MOST_UNUSED) unused.push({ start: first, count: start + count - first });
      tellUnused(check, start, count);
    },
  });
  judge.noteTotals();
  const nameOf = ({ kind, index }: { kind: number; index: number }): string =>
    kind < KIND.table ? KIND_WORDS[kind]! : `${KIND_WORDS[kind] ?? 'something'} ${index}`;
  noteGrainOverlaps(check, use, KIND.grain, nameOf, (grain) => judge.offsetOf(grain));
  const end = Math.max(use.end, judge.firstFree);
  tellUnused(check, Math.max(end, free), fileSectors - Math.max(end, free));
  let leak = NO_LEAK;
  if (log.errors === errorsBefore) {
    noteFreeSector(check, header, end, fileSectors);
    const looked = header.uncleanShutdown ? [] : unused;
    if (!(await noteLostTables(check, header, looked))) leak = noteLeak(check, gaps);
    noteBehind(check, Math.max(end, free));
  }
  const { grains: total, allocated } = judge;
  return { total, allocated, compressed: 0, ...leak, imageEnd: end * SECTOR_BYTES };
}

async function readDirectory(check: ExtentCheck, header: CowdHeader): Promise<Uint32Array | undefined> {
  const { log, file, fileBytes } = check;
  const at = header.gdOffset * SECTOR_BYTES;
  const length = header.numGDEntries * 4;
  if (at >= fileBytes) {
    const detail = { path: file.path, offset: CowdHeaderStruct.offsetOf('gdOffset') };
    const message = () => `the grain directory cannot be at byte ${at}: the file ends at byte ${fileBytes}`;
    log.error('GD-RANGE', detail, message);
    return undefined;
  }
  if (at + length > fileBytes) {
    const detail = { path: file.path, offset: fileBytes };
    const message = () =>
      `the file ends at byte ${fileBytes}, within the grain directory, which ends at byte ${at + length}`;
    log.error('TRUNC', detail, message);
    return undefined;
  }
  const bytes = allocateRoom(length);
  await file.readExactly(bytes, at);
  return decodeTable(bytes);
}

/** Notes tables that cannot be where the directory says, or lie over others, and makes them UNUSABLE. */
async function judgeTablePlaces(check: ExtentCheck, header: CowdHeader, places: Uint32Array): Promise<void> {
  const { log, file, fileBytes } = check;
  const first = header.gdOffset + ceilDiv(header.numGDEntries * 4, SECTOR_BYTES);
  const offsetOf = (table: number): number => header.gdOffset * SECTOR_BYTES + table * 4;
  for (const [table, place] of places.entries()) {
    const start = place * SECTOR_BYTES;
    if (place === 0) continue;
    if (place >= first && start + COWD_TABLE_SECTORS * SECTOR_BYTES <= fileBytes) continue;
    const detail = { path: file.path, offset: offsetOf(table) };
    places[table] = UNUSABLE;
    if (place >= first && start < fileBytes) {
      const message = () =>
        `the file ends at byte ${fileBytes}, within grain table ${table}, which starts at byte ${start}`;
      log.error('TRUNC', detail, message);
    } else {
      const last = Math.floor(fileBytes / SECTOR_BYTES);
      log.error('GD-RANGE', detail, () => misplaced(`grain table ${table}`, place, first, last));
    }
  }
  const clashing = new Uint8Array(places.length);
  const use = await surveySpace({
    walk: (take) => takeStructures(header, places, take),
    from: 0,
    to: Math.floor(fileBytes / SECTOR_BYTES),
    onClash: (kind, index) => void (kind === KIND.table && (clashing[index] = 1)),
  });
  for (const { index, start, other } of use.overlaps) {
    const detail = { path: file.path, offset: offsetOf(index) };
    log.error(
      'GT-OVERLAP',
      detail,
      () => `grain table ${index}, at sector ${start}, lies over grain table ${other.index}`,
    );
  }
  log.moreErrors('GT-OVERLAP', use.overlapCount - use.overlaps.length);
  for (const [table, state] of clashing.entries()) if (state === 1) places[table] = UNUSABLE;
}

function takeStructures(header: CowdHeader, places: Uint32Array, take: Take): void {
  take(KIND.header, 0, 0, 4);
  take(KIND.directory, 0, header.gdOffset, ceilDiv(header.numGDEntries * 4, SECTOR_BYTES));
  for (let table = 0; table < places.length; table++) {
    const place = places[table]!;
    if (place !== 0 && place !== UNUSABLE) take(KIND.table, table, place, COWD_TABLE_SECTORS);
  }
}

/** A writer goes on at freeSector: below something in use it would overwrite it. */
function noteFreeSector(
  { log, file }: ExtentCheck,
  { freeSector, uncleanShutdown }: CowdHeader,
  end: number,
  fileSectors: number,
): void {
  const detail = { path: file.path, offset: CowdHeaderStruct.offsetOf('freeSector'), repairable: true };
  if (freeSector < end) {
    const message = () =>
      `freeSector is ${freeSector}, yet sectors up to ${end} are in use: a writer would overwrite them`;
    log.warning('FREE', detail, message);
  } else if (freeSector > fileSectors && !uncleanShutdown) {
    log.warning(
      'FREE',
      detail,
      () => `freeSector is ${freeSector}, behind the end of the file at ${fileSectors}`,
    );
  }
}

function noteBehind({ log, file, fileBytes }: ExtentCheck, end: number): void {
  const length = fileBytes - end * SECTOR_BYTES;
  if (length <= 0) return;
  const offset = end * SECTOR_BYTES;
  const message = () => `${length} bytes behind freeSector, from byte ${offset}: allocated in advance`;
  log.info('TAIL', { path: file.path, offset }, message);
}
