// Checks a hosted sparse extent: both directories, every table entry, who has which part of the file. Rule: after a
// crash an unclean file may have redundant tables that lag and data that nothing refers to yet; both are warnings.
import { throwIfAborted } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { SparseExtentHeader, type SparseHeader } from '../format/sparse-header.ts';
import { NO_GRAINS, noteUnclean, tellUnused, type ExtentCheck, type GrainCounts } from './check-context.ts';
import { GapTally, NO_LEAK, noteGrainOverlaps, noteLeak, noteTail } from './check-gaps.ts';
import {
  checkDirectories,
  KIND,
  nameOf,
  noteMissingTables,
  takeStructures,
  type CheckedDirectories,
} from './check-sparse-directory.ts';
import { EntryJudge } from './check-sparse-entries.ts';
import { readBatch, tableBatches } from './check-sparse-tables.ts';
import { surveySpace, type Take } from './check-space.ts';

/** Checks what lies behind a header that was judged before. */
export async function checkSparseGrains(check: ExtentCheck, header: SparseHeader): Promise<GrainCounts> {
  const { log, file, fileBytes } = check;
  const errorsBefore = log.errors;
  noteUnclean(check, header.uncleanShutdown, SparseExtentHeader.offsetOf('uncleanShutdown'));
  if (fileBytes < header.overHead * SECTOR_BYTES) noteCutMetadata(check, header);
  if (header.gdOffset === undefined) {
    const offset = SparseExtentHeader.offsetOf('gdOffset');
    const message = () => 'only a stream may have its grain directory at the end';
    log.error('GD-RANGE', { path: file.path, offset }, message);
    return NO_GRAINS;
  }
  const directories = await checkDirectories(check, header);
  if (directories === undefined) return NO_GRAINS;
  const judge = new EntryJudge(check, directories);
  const fileSectors = Math.floor(fileBytes / SECTOR_BYTES);
  const gaps = new GapTally(header.grainSize);
  let judged = false;
  const use = await surveySpace({
    async walk(take) {
      takeStructures(directories, fileSectors, take);
      await walkTables(check, directories, judge, !judged, take);
      judged = true;
    },
    from: header.overHead,
    to: fileSectors,
    onGap: (start, count) => {
      gaps.add(start, count);
      tellUnused(check, start, count);
    },
  });
  judge.noteTotals();
  noteGrainOverlaps(check, use, KIND.grain, nameOf, (grain) => judge.offsetOf(grain));
  const end = Math.max(use.end, header.overHead);
  let leak = NO_LEAK;
  if (log.errors === errorsBefore) {
    if (gaps.first === undefined || !noteMissingTables(check, directories, gaps.sectors))
      leak = noteLeak(check, gaps);
    noteTail(check, end, header.grainSize, header.uncleanShutdown);
  }
  const { grains: total, allocated } = judge;
  return { total, allocated, compressed: 0, ...leak, imageEnd: end * SECTOR_BYTES };
}

async function walkTables(
  check: ExtentCheck,
  directories: CheckedDirectories,
  entryJudge: EntryJudge,
  judge: boolean,
  take: Take,
): Promise<void> {
  const { header, tables, places, copies } = directories;
  const perTable = header.numGTEsPerGT;
  for (const batch of tableBatches(tables, perTable * 4)) {
    throwIfAborted(check.task);
    const wantsCopies = judge && copies !== undefined;
    const [entries, copied] = await Promise.all([
      readBatch(check.file, places, batch, perTable),
      wantsCopies ? readBatch(check.file, copies, batch, perTable) : undefined,
    ]);
    if (wantsCopies) entryJudge.compareCopies(batch, entries, copied);
    if (entries !== undefined) entryJudge.takeGrains(batch, entries, copied, judge, take);
  }
}

function noteCutMetadata({ log, file, fileBytes }: ExtentCheck, header: SparseHeader): void {
  const end = header.overHead * SECTOR_BYTES;
  const message = () =>
    `the file ends at byte ${fileBytes}, within its own metadata, which ends at byte ${end}`;
  log.error('TRUNC', { path: file.path, offset: fileBytes }, message);
}
