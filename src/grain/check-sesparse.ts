// Checks a seSparse extent: headers, regions, directory, tables, who has which grain. What its bitmap and back map
// say is compared too, for information only: how ESXi keeps them is not public.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import {
  SESPARSE_GRAIN,
  SESPARSE_VOLATILE_MAGIC,
  SeSparseConstHeader,
  SeSparseVolatileHeader,
  type SeSparseHeader,
} from '../format/sesparse-header.ts';
import { NO_GRAINS, tellUnused, type ExtentCheck, type GrainCounts } from './check-context.ts';
import { NO_LEAK, noteGrainOverlaps } from './check-gaps.ts';
import { checkSeSparseDirectory } from './check-sesparse-directory.ts';
import { SeSparseJudge } from './check-sesparse-entries.ts';
import { compareMaps } from './check-sesparse-maps.ts';
import { surveySpace } from './check-space.ts';

const GRAIN = 1;

type RawHeader = ReturnType<typeof SeSparseConstHeader.decode>;

/** Checks what lies behind a header that was judged before; `raw` are the fields it was read from. */
export async function checkSeSparseGrains(
  check: ExtentCheck,
  header: SeSparseHeader,
  raw: RawHeader,
): Promise<GrainCounts> {
  const { log, file, fileBytes } = check;
  const errorsBefore = log.errors;
  const freeTable = await checkVolatileHeader(check, header);
  judgeRegions(check, raw);
  const directory = await checkSeSparseDirectory(check, header);
  if (directory === undefined) return NO_GRAINS;
  const highest = directory.used;
  if (freeTable !== undefined && freeTable < highest) {
    const at = header.volatileHeaderOffset * SECTOR_BYTES + SeSparseVolatileHeader.offsetOf('freeGTNumber');
    const message = () =>
      `freeGTNumber is ${freeTable}, yet ${highest} tables are in use: a writer would overwrite them`;
    log.warning('FREE', { path: file.path, offset: at }, message);
  }
  const judge = new SeSparseJudge(check, header, directory.slots);
  let judged = false;
  const use = await surveySpace({
    async walk(take) {
      const first = !judged;
      judged = true;
      await judge.walk((grain, index) => take(GRAIN, grain, index, 1), first);
    },
    from: 0,
    to: judge.grainsInFile,
    onGap: (start, count) =>
      tellUnused(check, header.grainOffset + start * SESPARSE_GRAIN, count * SESPARSE_GRAIN),
  });
  judge.noteTotals();
  const nameOf = ({ index }: { index: number }): string => `grain ${index}`;
  noteGrainOverlaps(check, use, GRAIN, nameOf, (grain) => judge.offsetOf(grain));
  const imageEnd = Math.min(fileBytes, (header.grainOffset + use.end * SESPARSE_GRAIN) * SECTOR_BYTES);
  if (log.errors === errorsBefore) {
    noteUnused(check, judge, use.end, imageEnd);
    await compareMaps(check, raw, judge, use.end);
  }
  const { grains: total, allocated } = judge;
  return { total, allocated, compressed: 0, ...NO_LEAK, imageEnd };
}

/** The number of the next free table, or undefined when the volatile header cannot be read. */
async function checkVolatileHeader(
  { log, file, fileBytes }: ExtentCheck,
  header: SeSparseHeader,
): Promise<number | undefined> {
  const at = header.volatileHeaderOffset * SECTOR_BYTES;
  if (at < SECTOR_BYTES || at + SeSparseVolatileHeader.byteLength > fileBytes) {
    const message = () => `the volatile header cannot be at byte ${at}: the file ends at byte ${fileBytes}`;
    log.error(
      'HDR-FIELD',
      { path: file.path, offset: SeSparseConstHeader.offsetOf('volatileHeaderOffset') },
      message,
    );
    return undefined;
  }
  const bytes = Buffer.alloc(SeSparseVolatileHeader.byteLength);
  await file.readExactly(bytes, at);
  const raw = SeSparseVolatileHeader.decode(bytes);
  if (raw.volatileMagic !== SESPARSE_VOLATILE_MAGIC) {
    const message = () =>
      `the volatile header has the magic 0x${raw.volatileMagic.toString(16)}, expected 0xcafecafe`;
    log.error('HDR-MAGIC', { path: file.path, offset: at }, message);
    return undefined;
  }
  if (raw.replayJournal !== 0n) {
    const offset = at + SeSparseVolatileHeader.offsetOf('replayJournal');
    const message = () => 'a journal was never replayed: the last changes may be missing or half applied';
    log.error('UNCLEAN', { path: file.path, offset }, message);
  }
  return raw.freeGTNumber > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(raw.freeGTNumber);
}

const REGIONS = [
  ['volatile header', 'volatileHeaderOffset', 'volatileHeaderSize'],
  ['journal header', 'journalHeaderOffset', 'journalHeaderSize'],
  ['journal', 'journalOffset', 'journalSize'],
  ['grain directory', 'grainDirectoryOffset', 'grainDirectorySize'],
  ['grain tables', 'grainTablesOffset', 'grainTablesSize'],
  ['free bitmap', 'freeBitmapOffset', 'freeBitmapSize'],
  ['back map', 'backMapOffset', 'backMapSize'],
  ['grains', 'grainOffset', 'grainSectors'],
] as const;

/** Regions must not lie over one another. */
function judgeRegions({ log, file }: ExtentCheck, raw: RawHeader): void {
  const placed = REGIONS.map(([name, at, size]) => ({
    name,
    field: at,
    start: raw[at],
    end: raw[at] + raw[size],
  }))
    .filter(({ start, end }) => end > start)
    .sort((a, b) => Number(a.start - b.start));
  let before = {
    name: 'constant header',
    end: BigInt(ceilDiv(SeSparseConstHeader.byteLength, SECTOR_BYTES)),
  };
  for (const region of placed) {
    const previous = before;
    if (region.start < previous.end) {
      const detail = { path: file.path, offset: SeSparseConstHeader.offsetOf(region.field) };
      const message = () =>
        `the region of the ${region.name}, from sector ${region.start}, lies over that of the ${previous.name}, which ends at sector ${previous.end}`;
      log.error('HDR-FIELD', detail, message);
    }
    if (region.end > before.end) before = region;
  }
}

function noteUnused(
  { log, file, fileBytes }: ExtentCheck,
  judge: SeSparseJudge,
  end: number,
  imageEnd: number,
): void {
  const unused = end - judge.allocated - judge.unmapped;
  if (unused > 0) {
    const message = () =>
      `no table refers to ${unused} of the ${end} grains up to the last in use; how ESXi hands them out is not public`;
    log.info('LEAK', { path: file.path }, message);
  }
  if (fileBytes <= imageEnd) return;
  const message = () =>
    `${fileBytes - imageEnd} bytes behind the last grain in use, from byte ${imageEnd}: allocated in advance`;
  log.info('TAIL', { path: file.path, offset: imageEnd }, message);
}
