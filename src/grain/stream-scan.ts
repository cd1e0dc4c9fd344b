// Rebuilds the grain table of a stream from its markers, in one pass over them. Only a stream that was written to its
// end may be read so: one that was cut short is an error that names the first missing grain.
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import type { SparseHeader } from '../format/sparse-header.ts';
import { GRAIN_MARKER_BYTES, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';

/** 4 Gi grains would be 16 GiB of table: more than this is damage. */
const MOST_GRAINS = 1 << 28;

interface Scan {
  readonly file: RandomAccessFile;
  readonly header: SparseHeader;
  readonly fileBytes: number;
  /** Sector of each grain's marker; 0 = not in the stream. */
  readonly entries: Uint32Array;
  /** Index after the last whole grain met. */
  next: number;
  /** The mark of the end was met: nothing can be missing. */
  complete: boolean;
}

/**
 * @param lost why a scan is needed; the cause of the error when the stream turns out to be cut short.
 * @throws VmdkError `stream-cut-short`, `stream-damaged`.
 */
export async function scanStream(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
  lost: VmdkError,
): Promise<Uint32Array> {
  const grains = ceilDiv(header.capacity, header.grainSize);
  if (grains > MOST_GRAINS) throw lost;
  const scan: Scan = { file, header, fileBytes, entries: new Uint32Array(grains), next: 0, complete: false };
  let at = firstMarker(header) * SECTOR_BYTES;
  const sector = Buffer.alloc(SECTOR_BYTES);
  while (!scan.complete && at + SECTOR_BYTES <= fileBytes) {
    await file.readExactly(sector, at);
    const marker = Marker.decode(sector);
    at = marker.size > 0 ? noteGrain(scan, at, marker, lost) : passOver(scan, at, marker, lost);
  }
  if (!scan.complete) throw cutShort(scan, scan.next, Math.min(at, fileBytes), lost);
  return scan.entries;
}

type RawMarker = ReturnType<typeof Marker.decode>;

function firstMarker(header: SparseHeader): number {
  const behindText = header.descriptorOffset + header.descriptorSize;
  return Math.max(1, header.overHead, behindText);
}

function noteGrain(scan: Scan, at: number, marker: RawMarker, lost: VmdkError): number {
  const { header } = scan;
  const lba = Number(marker.val);
  const sound = marker.val < BigInt(header.capacity) && lba % header.grainSize === 0;
  if (!sound || marker.size > 2 * header.grainSize * SECTOR_BYTES) {
    const found = `LBA ${marker.val}, ${marker.size} bytes`;
    throw new VmdkError(
      'corrupt',
      'stream-damaged',
      'the stream cannot be followed past a damaged grain marker',
      {
        path: scan.file.path,
        offset: at,
        field: 'grain marker',
        found,
        expected: `a multiple of ${header.grainSize} below ${header.capacity}`,
      },
      lost,
    );
  }
  const grain = lba / header.grainSize;
  const end = at + GRAIN_MARKER_BYTES + marker.size;
  if (end > scan.fileBytes) throw cutShort(scan, grain, at, lost);
  scan.entries[grain] = at / SECTOR_BYTES;
  scan.next = Math.max(scan.next, grain + 1);
  return roundUp(end, SECTOR_BYTES);
}

/** Markers of tables, footer and end. The directory follows the last grain: once it is met, no grain is missing. */
function passOver(scan: Scan, at: number, marker: RawMarker, lost: VmdkError): number {
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
      return at + SECTOR_BYTES;
    default: {
      const context = {
        path: scan.file.path,
        offset: at,
        field: 'marker type',
        found: marker.type,
        expected: '0 to 4',
      };
      throw new VmdkError(
        'corrupt',
        'stream-damaged',
        'the stream has a marker of an unknown type',
        context,
        lost,
      );
    }
  }
}

function plausible(scan: Scan, marker: RawMarker): number {
  return marker.val <= BigInt(ceilDiv(scan.fileBytes, SECTOR_BYTES)) ? Number(marker.val) : 0;
}

function cutShort(scan: Scan, grain: number, offset: number, cause: VmdkError): VmdkError {
  return new VmdkError(
    'corrupt',
    'stream-cut-short',
    `the stream was cut short: grain ${grain} is the first that is missing`,
    {
      path: scan.file.path,
      offset,
      sector: grain * scan.header.grainSize,
      found: `end of file at byte ${scan.fileBytes}`,
      expected: 'more grains, the grain directory and the footer',
      hint: 'Fetch the file again; what came before that grain is intact.',
    },
    cause,
  );
}
