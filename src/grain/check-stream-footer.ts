// The end of a streamOptimized extent: footer marker, footer, end-of-stream marker, nothing behind. Readers find the
// grain directory by it, so what stands where decides who can read the stream.
import { roundDown, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_MAGIC, SparseExtentHeader, type SparseHeader } from '../format/sparse-header.ts';
import { FOOTER_FROM_END, FOOTER_MARKER_FROM_END, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { ExtentCheck } from './check-context.ts';
import { judgeSparseHeader } from './check-header.ts';

/** How far from the end a footer with junk behind it is looked for. */
const SEARCHED_BYTES = 1 << 20;

export interface FoundFooter {
  readonly header: SparseHeader;
  /** Sector of the footer's marker. */
  readonly sector: number;
}

/** The footer of a stream whose header leaves the directory to it; undefined when there is none to go by. */
export async function checkFooter(
  check: ExtentCheck,
  header: SparseHeader,
): Promise<FoundFooter | undefined> {
  const { file, fileBytes, log } = check;
  const whole = roundDown(fileBytes, SECTOR_BYTES);
  const tail = Buffer.alloc(Math.min(SEARCHED_BYTES, whole - Math.min(whole, SECTOR_BYTES)));
  await file.readExactly(tail, whole - tail.length);
  let at = tail.length - FOOTER_MARKER_FROM_END;
  while (at >= 0 && !isFooterAt(tail, at)) at -= SECTOR_BYTES;
  if (at < 0) return undefined;
  const start = whole - tail.length + at;
  const offset = start + FOOTER_MARKER_FROM_END - FOOTER_FROM_END;
  const end = start + FOOTER_MARKER_FROM_END;
  if (end < fileBytes) {
    const message = () =>
      `${fileBytes - end} bytes lie behind the end of the stream: QEMU and others refuse it`;
    log.error('TAIL', { path: file.path, offset: end, repairable: true }, message);
  }
  const last = Marker.decode(tail, at + 2 * SECTOR_BYTES);
  if (last.val !== 0n || last.size !== 0 || last.type !== MARKER_TYPE.endOfStream) {
    const message = () => 'no end-of-stream marker follows the footer';
    log.error('FOOTER', { path: file.path, offset: end - SECTOR_BYTES, repairable: true }, message);
  }
  const footer = judgeSparseHeader(tail.subarray(at + SECTOR_BYTES), file.path, offset, log);
  if (footer === undefined) return undefined;
  for (const field of ['version', 'flags', 'capacity', 'grainSize', 'numGTEsPerGT'] as const) {
    if (footer[field] === header[field]) continue;
    const detail = { path: file.path, offset: offset + SparseExtentHeader.offsetOf(field) };
    const message = () => `header and footer disagree on ${field}: ${header[field]} and ${footer[field]}`;
    log.error('FOOTER', detail, message);
  }
  if (footer.gdOffset === undefined) {
    const detail = { path: file.path, offset: offset + SparseExtentHeader.offsetOf('gdOffset') };
    log.error('FOOTER', detail, () => 'the footer does not say where the grain directory is');
    return undefined;
  }
  // What the header says of the disk counts; the footer adds where the directory is.
  return { header: { ...header, gdOffset: footer.gdOffset }, sector: start / SECTOR_BYTES };
}

/** A footer marker with a footer behind it, and room for the end-of-stream marker. */
function isFooterAt(tail: Buffer, at: number): boolean {
  const marker = Marker.decode(tail, at);
  if (marker.type !== MARKER_TYPE.footer || marker.size !== 0) return false;
  return SparseExtentHeader.decode(tail, at + SECTOR_BYTES).magicNumber === SPARSE_MAGIC;
}
