// Checks one extent with grains from its first byte on: which format it is, its header, its capacity against the
// descriptor's line, then its tables.
import { roundDown, SECTOR_BYTES } from '../core/units.ts';
import { CowdHeaderStruct } from '../format/cowd-header.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { SeSparseConstHeader } from '../format/sesparse-header.ts';
import { SparseExtentHeader } from '../format/sparse-header.ts';
import { NO_GRAINS, type ExtentCheck, type GrainCounts } from './check-context.ts';
import { checkCowdGrains } from './check-cowd.ts';
import { judgeCowdHeader, judgeSeSparseHeader, judgeSparseHeader } from './check-header.ts';
import { checkSeSparseGrains } from './check-sesparse.ts';
import { checkSparseGrains } from './check-sparse.ts';
import { checkStreamGrains } from './check-stream.ts';

export interface CheckedExtent {
  readonly kind: 'sparse' | 'stream' | 'cowd' | 'sesparse' | 'flat' | 'unknown';
  /** By the header; undefined when it could not be read. */
  readonly capacity: number | undefined;
  readonly grains: GrainCounts;
}

const UNKNOWN: CheckedExtent = { kind: 'unknown', capacity: undefined, grains: NO_GRAINS };

/** `lineSectors`: what the descriptor says; undefined when there is no descriptor to compare with. */
export async function checkExtentFile(
  check: ExtentCheck,
  lineSectors: number | undefined,
): Promise<CheckedExtent> {
  const first = Buffer.alloc(Math.min(check.fileBytes, CowdHeaderStruct.byteLength));
  await check.file.readExactly(first, 0);
  switch (detectFileKind(first)) {
    case 'sparse':
    case 'unfinished-sparse':
      return checkSparse(check, first, lineSectors);
    case 'cowd':
      return checkCowd(check, first, lineSectors);
    case 'sesparse':
      return checkSeSparse(check, first, lineSectors);
    case 'change-tracking':
    case 'descriptor':
    case 'unknown': {
      const found = first.length === 0 ? 'an empty file' : `"${first.toString('hex', 0, 8)}"`;
      const message = () => `the file begins with ${found}, expected KDMV, COWD or the mark of seSparse`;
      check.log.error('HDR-MAGIC', { path: check.file.path, offset: 0 }, message);
      return UNKNOWN;
    }
  }
}

async function checkSparse(
  check: ExtentCheck,
  first: Buffer,
  lineSectors: number | undefined,
): Promise<CheckedExtent> {
  if (isCut(check, first, SparseExtentHeader.byteLength)) return UNKNOWN;
  const header = judgeSparseHeader(first, check.file.path, 0, check.log);
  if (header === undefined) return UNKNOWN;
  const kind = header.compressed ? 'stream' : 'sparse';
  const offset = SparseExtentHeader.offsetOf('capacity');
  if (header.capacity === 0) {
    check.log.error('CAP', { path: check.file.path, offset }, () => 'the extent has no sectors');
    return { kind, capacity: 0, grains: NO_GRAINS };
  }
  judgeCapacity(check, header.capacity, header.grainSize, lineSectors, offset);
  const grains = await (header.compressed ? checkStreamGrains : checkSparseGrains)(check, header);
  return { kind, capacity: header.capacity, grains };
}

async function checkCowd(
  check: ExtentCheck,
  first: Buffer,
  lineSectors: number | undefined,
): Promise<CheckedExtent> {
  if (isCut(check, first, CowdHeaderStruct.byteLength)) return UNKNOWN;
  const header = judgeCowdHeader(first, check.file.path, check.log);
  if (header === undefined) return UNKNOWN;
  const { capacity, grainSize } = header;
  judgeCapacity(check, capacity, grainSize, lineSectors, CowdHeaderStruct.offsetOf('numSectors'));
  return { kind: 'cowd', capacity, grains: await checkCowdGrains(check, header) };
}

async function checkSeSparse(
  check: ExtentCheck,
  first: Buffer,
  lineSectors: number | undefined,
): Promise<CheckedExtent> {
  if (isCut(check, first, SeSparseConstHeader.byteLength)) return UNKNOWN;
  const header = judgeSeSparseHeader(first, check.file.path, check.log);
  if (header === undefined) return UNKNOWN;
  const { capacity, grainSize } = header;
  judgeCapacity(check, capacity, grainSize, lineSectors, SeSparseConstHeader.offsetOf('capacity'));
  const grains = await checkSeSparseGrains(check, header, SeSparseConstHeader.decode(first));
  return { kind: 'sesparse', capacity, grains };
}

function isCut({ log, file, fileBytes }: ExtentCheck, first: Buffer, needed: number): boolean {
  if (first.length >= needed) return false;
  const message = () => `the file ends at byte ${fileBytes}, within its header of ${needed} bytes`;
  log.error('TRUNC', { path: file.path, offset: fileBytes }, message);
  return true;
}

/** Equal, or the header rounded up to a grain, as VirtualBox writes the last extent of a split disk. */
function judgeCapacity(
  { log, file }: ExtentCheck,
  capacity: number,
  grainSize: number,
  lineSectors: number | undefined,
  offset: number,
): void {
  if (lineSectors === undefined) return;
  if (capacity >= lineSectors && capacity < lineSectors + grainSize) return;
  const message = () => `the header says ${capacity} sectors, the descriptor ${lineSectors}`;
  log.error('CAP', { path: file.path, offset }, message);
}

/** Checks a flat extent: `needed` bytes of the file belong to the disk. */
export async function checkFlatFile(check: ExtentCheck, needed: number): Promise<CheckedExtent> {
  const { log, file, fileBytes } = check;
  const { path } = file;
  if (fileBytes < needed) {
    const message = () =>
      `the flat extent ends at byte ${fileBytes}, expected ${needed} bytes by its descriptor`;
    log.error('EXT-SIZE', { path, offset: fileBytes }, message);
  } else if (fileBytes > needed) {
    const message = () =>
      `${fileBytes - needed} bytes lie behind the end of the disk, from byte ${needed} on`;
    log.warning('TAIL', { path, offset: needed }, message);
  }
  const [stretch] = (await file.stretches?.(0, fileBytes)) ?? [];
  if (stretch !== undefined && !stretch.data && stretch.length === fileBytes && fileBytes > 0) {
    log.info('HOLES', { path }, () => 'the whole file is a hole: nothing was ever written to it');
  }
  const capacity = roundDown(fileBytes, SECTOR_BYTES) / SECTOR_BYTES;
  return { kind: 'flat', capacity, grains: { ...NO_GRAINS, imageEnd: Math.min(fileBytes, needed) } };
}
