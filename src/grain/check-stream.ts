// Checks a streamOptimized extent in both layouts: footer, directory, tables, the marker of every grain, and what
// stands between. A stream whose directory is lost is followed by its markers, as reading it would be.
import { throwIfAborted } from '../core/task.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { SparseExtentHeader, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import { decodeTable } from '../format/tables.ts';
import { NO_GRAINS, noteUnclean, tellUnused, type ExtentCheck, type GrainCounts } from './check-context.ts';
import { NO_LEAK, noteGrainOverlaps, noteLeak } from './check-gaps.ts';
import { withoutPath } from './check-header.ts';
import {
  checkDirectories,
  KIND,
  nameOf,
  takeStructures,
  UNUSABLE,
  type CheckedDirectories,
} from './check-sparse-directory.ts';
import { readBatch, tableBatches } from './check-sparse-tables.ts';
import { surveySpace, type Take } from './check-space.ts';
import { checkFooter, type FoundFooter } from './check-stream-footer.ts';
import { StreamGrainJudge } from './check-stream-grains.ts';
import { GapJudge, StreamGaps } from './check-stream-rest.ts';
import { scanStream } from './stream-scan.ts';

/** Checks what lies behind a header that was judged before. */
export async function checkStreamGrains(check: ExtentCheck, header: SparseHeader): Promise<GrainCounts> {
  const { log, file } = check;
  if (!header.markers) {
    const message = () => 'its compressed grains have no markers: no known program writes or reads this form';
    log.cannotCheck({ path: file.path }, message);
    return NO_GRAINS;
  }
  noteUnclean(check, header.uncleanShutdown, SparseExtentHeader.offsetOf('uncleanShutdown'));
  const errorsBefore = log.errors;
  const footer = header.gdOffset === undefined ? await checkFooter(check, header) : undefined;
  if (header.gdOffset === undefined && footer === undefined) {
    return log.errors > errorsBefore ? NO_GRAINS : checkByMarkers(check, header);
  }
  const directories = await checkDirectories(check, footer?.header ?? header, footer?.sector);
  if (directories === undefined) return NO_GRAINS;
  if (footer !== undefined) await checkTableMarkers(check, directories);
  return checkTables(check, directories, footer, errorsBefore);
}

async function checkTables(
  check: ExtentCheck,
  directories: CheckedDirectories,
  footer: FoundFooter | undefined,
  errorsBefore: number,
): Promise<GrainCounts> {
  const { log, fileBytes } = check;
  const { header } = directories;
  const judge = new StreamGrainJudge(check, directories);
  const fileSectors = ceilDiv(fileBytes, SECTOR_BYTES);
  const gaps = new StreamGaps();
  const zeros = { count: 0, grain: 0 };
  let judged = false;
  const use = await surveySpace({
    async walk(take) {
      takeStructures(directories, fileSectors, take);
      await walkTables(check, directories, judge, judged ? undefined : zeros, take);
      judged = true;
    },
    from: Math.max(1, header.overHead, header.descriptorOffset + header.descriptorSize),
    to: footer?.sector ?? Math.floor(fileBytes / SECTOR_BYTES),
    onGap: (start, count) => {
      gaps.add(start, count);
      tellUnused(check, start, count);
    },
  });
  await judge.finish();
  noteZeros(check, judge, zeros);
  noteGrainOverlaps(check, use, KIND.grain, nameOf, (grain) => judge.offsetOf(grain));
  let leak = NO_LEAK;
  if (log.errors === errorsBefore) {
    await new GapJudge(check, directories, gaps.leaks, entryReader(check, directories)).judge(gaps);
    leak = noteLeak(check, gaps.leaks);
    noteRagged(check, footer !== undefined);
  }
  const { grains: total, allocated } = judge;
  const imageEnd = Math.min(use.end * SECTOR_BYTES, fileBytes);
  return { total, allocated, compressed: allocated, ...leak, imageEnd };
}

interface Zeros {
  count: number;
  grain: number;
}

/** `zeros` is given on the walk that judges. */
async function walkTables(
  check: ExtentCheck,
  { header, tables, places }: CheckedDirectories,
  judge: StreamGrainJudge,
  zeros: Zeros | undefined,
  take: Take,
): Promise<void> {
  const perTable = header.numGTEsPerGT;
  for (const batch of tableBatches(tables, perTable * 4)) {
    throwIfAborted(check.task);
    const entries = await readBatch(check.file, places, batch, perTable);
    if (entries === undefined) continue;
    const first = batch.first * perTable;
    const count = Math.min(batch.count * perTable, judge.grains - first);
    for (let at = 0; at < count; at++) {
      const entry = entries[at]!;
      if (entry === 0) continue;
      if (entry !== ZERO_GRAIN) await judge.takeGrain(first + at, entry, zeros !== undefined, take);
      else if (zeros !== undefined && zeros.count++ === 0) zeros.grain = first + at;
    }
    if (zeros !== undefined) noteSlack(check, judge, entries.subarray(count));
  }
}

/** `rest`: entries of the last table behind the last grain. */
function noteSlack({ log, file }: ExtentCheck, judge: StreamGrainJudge, rest: Uint32Array): void {
  const used = rest.findIndex((entry) => entry !== 0);
  if (used < 0) return;
  const detail = { path: file.path, offset: judge.offsetOf(judge.grains + used), repairable: true };
  const count = rest.reduce((sum, entry) => sum + (entry === 0 ? 0 : 1), 0);
  log.warning('SLACK', detail, () => `${count} entries behind the last grain of the last table are not zero`);
}

function noteZeros({ log, file }: ExtentCheck, judge: StreamGrainJudge, { count, grain }: Zeros): void {
  if (count === 0) return;
  const detail = { path: file.path, offset: judge.offsetOf(grain) };
  const message = () =>
    `${count} entries say "zeros", the first for grain ${grain}: streams leave such grains out`;
  log.error('GTE1-FLAG', detail, message);
}

/** In the layout with a footer, directory and tables have markers of their own: sequential readers go by them. */
async function checkTableMarkers(check: ExtentCheck, directories: CheckedDirectories): Promise<void> {
  const { tables, places, tableSectors, offset } = directories;
  if (offset > 0) {
    const sectors = ceilDiv(tables * 4, SECTOR_BYTES);
    await checkMarker(check, offset, MARKER_TYPE.grainDirectory, sectors, 'the grain directory');
  }
  for (let table = 0; table < tables; table++) {
    const place = places[table]!;
    if (place <= ZERO_GRAIN || place === UNUSABLE) continue;
    throwIfAborted(check.task);
    await checkMarker(check, place, MARKER_TYPE.grainTable, tableSectors, `grain table ${table}`);
  }
}

async function checkMarker(
  { file, log }: ExtentCheck,
  sector: number,
  type: number,
  sectors: number,
  what: string,
): Promise<void> {
  const at = (sector - 1) * SECTOR_BYTES;
  const bytes = Buffer.alloc(SECTOR_BYTES);
  await file.readExactly(bytes, at);
  const marker = Marker.decode(bytes);
  if (marker.type === type && marker.size === 0 && marker.val === BigInt(sectors)) return;
  const found = `found type ${marker.type}, size ${marker.size}, ${marker.val} sectors`;
  const message = () =>
    `the marker before ${what} is wrong: ${found}, expected type ${type}, size 0, ${sectors} sectors`;
  log.error('MARKER', { path: file.path, offset: at, repairable: true }, message);
}

function entryReader({ file }: ExtentCheck, { places, header }: CheckedDirectories) {
  return async (grain: number): Promise<number> => {
    const place = places[Math.floor(grain / header.numGTEsPerGT)]!;
    if (place <= ZERO_GRAIN || place === UNUSABLE) return 0;
    const bytes = Buffer.alloc(4);
    await file.readExactly(bytes, place * SECTOR_BYTES + (grain % header.numGTEsPerGT) * 4);
    return decodeTable(bytes)[0]!;
  };
}

/** Readers look for a footer at fixed distances from the end, so a partial sector there (judged before) matters. */
function noteRagged({ file, log, fileBytes }: ExtentCheck, hasFooter: boolean): void {
  const ragged = fileBytes % SECTOR_BYTES;
  if (ragged === 0 || hasFooter) return;
  const detail = { path: file.path, offset: fileBytes - ragged, repairable: true };
  log.warning('TAIL', detail, () => `the file ends with ${ragged} bytes that are no whole sector`);
}

/** The footer is gone: was the stream cut short, or only the footer lost? Its markers tell. */
async function checkByMarkers(check: ExtentCheck, header: SparseHeader): Promise<GrainCounts> {
  const { log, file, fileBytes } = check;
  const detail = { path: file.path, offset: fileBytes };
  const lost = new VmdkError('corrupt', 'footer-damaged', 'the footer of the stream is missing', file);
  try {
    const found = await scanStream(file, header, fileBytes, lost);
    const message = () =>
      'the footer is missing or damaged: the grains are all there, found by their markers';
    log.error('FOOTER', { ...detail, repairable: true }, message);
    const total = ceilDiv(header.capacity, header.grainSize);
    const allocated = found.count;
    return { ...NO_GRAINS, total, allocated, compressed: allocated, imageEnd: fileBytes };
  } catch (error) {
    if (!isVmdkError(error) || error.kind === 'io') throw error;
    const cut = isVmdkError(error, 'stream-cut-short');
    const at = error.context.offset ?? fileBytes;
    log.error(cut ? 'TRUNC' : 'FOOTER', { ...detail, offset: at }, () => withoutPath(error));
    const total = ceilDiv(header.capacity, header.grainSize);
    return { ...NO_GRAINS, total };
  }
}
