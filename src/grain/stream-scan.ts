// Finds the grains of a stream by their markers, in one pass over them. Only a stream that was written to its end may be
// read so: one that was cut short is an error that names the first missing grain.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import type { SparseHeader } from '../format/sparse-header.ts';
import { GRAIN_MARKER_BYTES, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { FoundGrains } from './found-grains.ts';

/** Zero sectors passed over in all, 32 MiB: writers leave less than a grain, a hole for ever on is no stream. */
const MOST_ZERO_SECTORS = 65_536;
/** Table entries are 32-bit sector numbers: grains behind them belong to no stream. */
const LAST_SECTOR = 2 ** 32 - 1;

interface Scan {
  readonly file: RandomAccessFile;
  readonly header: SparseHeader;
  readonly fileBytes: number;
  /** Why a scan is needed; the cause of the error when the stream turns out to be damaged further. */
  readonly lost: VmdkError;
  readonly grains: FoundGrains;
  /** Index after the last whole grain met. */
  next: number;
  /** No grain came after one behind it. */
  ordered: boolean;
  zeroSectors: number;
  /** The mark of the end was met: nothing can be missing. */
  complete: boolean;
}

/** @throws VmdkError `stream-cut-short`, `stream-damaged`. */
export async function scanStream(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
  lost: VmdkError,
  onFinding: OnFinding = () => undefined,
): Promise<FoundGrains> {
  const scan = newScan(file, header, fileBytes, lost);
  await follow(scan);
  const { grains } = scan;
  const twice = grains.settle();
  if (twice !== undefined) {
    onFinding({
      code: 'GRAIN-LBA',
      severity: 'warning',
      message: `grain ${twice} stands in the stream more than once: the last one is read`,
      path: file.path,
      repairable: false,
    });
  }
  return grains;
}

/** What is left of a stream that was cut short or cannot be followed to its end. */
export interface BrokenStream {
  readonly grains: FoundGrains;
  /** First grain that may be missing: those before it that are not there were never written. */
  readonly from: number;
  readonly error: VmdkError;
}

/** As `scanStream`, for whoever takes what is there; undefined when the stream is whole. */
export async function scanBrokenStream(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
  lost: VmdkError,
): Promise<BrokenStream | undefined> {
  const scan = newScan(file, header, fileBytes, lost);
  try {
    await follow(scan);
    return undefined;
  } catch (error) {
    if (!isVmdkError(error, 'stream-cut-short', 'stream-damaged')) throw error;
    scan.grains.settle();
    return { grains: scan.grains, from: scan.ordered ? scan.next : 0, error };
  }
}

function newScan(file: RandomAccessFile, header: SparseHeader, fileBytes: number, lost: VmdkError): Scan {
  const grains = new FoundGrains();
  const begun = { next: 0, ordered: true, zeroSectors: 0, complete: false };
  return { file, header, fileBytes, lost, grains, ...begun };
}

/** @throws VmdkError `stream-cut-short`, `stream-damaged`; what was found until then is in the scan. */
async function follow(scan: Scan): Promise<void> {
  const { file, header, fileBytes } = scan;
  let at = firstMarker(header) * SECTOR_BYTES;
  const sector = Buffer.alloc(SECTOR_BYTES);
  while (!scan.complete && at + SECTOR_BYTES <= fileBytes) {
    await file.readExactly(sector, at);
    const marker = Marker.decode(sector);
    at = marker.size > 0 ? noteGrain(scan, at, marker) : passOver(scan, at, marker);
  }
  if (!scan.complete) throw cutShort(scan, scan.next, Math.min(at, fileBytes));
}

type RawMarker = ReturnType<typeof Marker.decode>;

function firstMarker(header: SparseHeader): number {
  const behindText = header.descriptorOffset + header.descriptorSize;
  return Math.max(1, header.overHead, behindText);
}

function noteGrain(scan: Scan, at: number, marker: RawMarker): number {
  const { header } = scan;
  const lba = Number(marker.val);
  const sound = marker.val < BigInt(header.capacity) && lba % header.grainSize === 0;
  if (!sound || marker.size > 2 * header.grainSize * SECTOR_BYTES || at / SECTOR_BYTES > LAST_SECTOR) {
    throw damaged(scan, at, 'the stream cannot be followed past a damaged grain marker', {
      field: 'grain marker',
      found: `LBA ${marker.val}, ${marker.size} bytes`,
      expected: `a multiple of ${header.grainSize} below ${header.capacity}`,
    });
  }
  const grain = lba / header.grainSize;
  const end = at + GRAIN_MARKER_BYTES + marker.size;
  if (end > scan.fileBytes) throw cutShort(scan, grain, at);
  scan.grains.add(grain, at / SECTOR_BYTES);
  scan.ordered &&= grain >= scan.next;
  scan.next = Math.max(scan.next, grain + 1);
  return roundUp(end, SECTOR_BYTES);
}

/** Markers of tables, footer and end. The directory follows the last grain: once it is met, no grain is missing. */
function passOver(scan: Scan, at: number, marker: RawMarker): number {
  switch (marker.type) {
    case MARKER_TYPE.grainTable:
      return at + (1 + plausible(scan, marker)) * SECTOR_BYTES;
    case MARKER_TYPE.grainDirectory:
    case MARKER_TYPE.footer:
      scan.complete = true;
      return at;
    case MARKER_TYPE.progress:
      return at + SECTOR_BYTES;
    case MARKER_TYPE.endOfStream:
      // With the directory in front, zeros at the very end are the end (QEMU pads, others write an end mark). With the
      // directory at the end they are what a broken download leaves: the directory must have come first.
      if (at + SECTOR_BYTES >= scan.fileBytes && scan.header.gdOffset !== undefined) scan.complete = true;
      if (++scan.zeroSectors > MOST_ZERO_SECTORS) throw cutShort(scan, scan.next, at, 'zeros');
      return at + SECTOR_BYTES;
    default:
      throw damaged(scan, at, 'the stream has a marker of an unknown type', {
        field: 'marker type',
        found: marker.type,
        expected: '0 to 4',
      });
  }
}

function plausible(scan: Scan, marker: RawMarker): number {
  return marker.val <= BigInt(ceilDiv(scan.fileBytes, SECTOR_BYTES)) ? Number(marker.val) : 0;
}

function damaged(
  { file, lost }: Scan,
  offset: number,
  what: string,
  place: { field: string; found: string | number; expected: string },
): VmdkError {
  return new VmdkError('corrupt', 'stream-damaged', what, { path: file.path, offset, ...place }, lost);
}

function cutShort(scan: Scan, grain: number, offset: number, by: 'end' | 'zeros' = 'end'): VmdkError {
  const found = by === 'end' ? `end of file at byte ${scan.fileBytes}` : `zeros up to byte ${offset} and on`;
  return new VmdkError(
    'corrupt',
    'stream-cut-short',
    `the stream was cut short: grain ${grain} is the first that is missing`,
    {
      path: scan.file.path,
      offset,
      sector: grain * scan.header.grainSize,
      found,
      expected: 'more grains, the grain directory and the footer',
      hint: 'Fetch the file again. What came before that grain is intact: vmdkit recover or convert --salvage saves it.',
    },
    scan.lost,
  );
}
