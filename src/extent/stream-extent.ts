// streamOptimized extents, in both layouts: directory in front, or found through the footer at the end. When the
// footer or the directory of a complete stream is lost, the grains' own markers say where they are.
import type { DataOrigin } from '../block/run-list.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import { parseSparseHeader, SparseExtentHeader, type SparseHeader } from '../format/sparse-header.ts';
import { FOOTER_FROM_END, FOOTER_MARKER_FROM_END, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { ExtentMemory } from '../grain/extent-memory.ts';
import type { FoundGrains } from '../grain/found-grains.ts';
import { SparseGrains } from '../grain/sparse-grains.ts';
import { scanBrokenStream, scanStream } from '../grain/stream-scan.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { compressedOrigin } from './compressed-origin.ts';
import type { Extent } from './extent.ts';
import { grainExtent } from './grain-extent.ts';
import { lostFrom, lostOrigin, type InPlaceOfLost } from './lost-extent.ts';
import { shownFields } from './shown-fields.ts';

/**
 * `damaged`: what stands for grains that a cut or a damaged marker took away; by default that is an error.
 * @throws VmdkError `stream-cut-short` naming the first missing grain; `stream-without-markers`.
 */
export async function openStreamExtent(
  file: RandomAccessFile,
  header: SparseHeader,
  capacity: Sectors,
  onFinding: OnFinding,
  memory: ExtentMemory,
  damaged: 'refuse' | InPlaceOfLost = 'refuse',
): Promise<Extent> {
  if (!header.markers) {
    throw new VmdkError(
      'unsupported',
      'stream-without-markers',
      'compressed grains without markers are not readable',
      {
        path: file.path,
        field: 'flags',
        found: `0x${header.flags.toString(16)}`,
        expected: 'bit 17 (markers) with bit 16 (compression)',
        hint: 'No known program writes this form; readers disagree on it.',
      },
    );
  }
  const extentOf = (grains: SparseGrains): Extent =>
    grainExtent('stream', file, grains, capacity, shownFields(header));
  try {
    return extentOf(await openGrains(file, header, onFinding, memory));
  } catch (error) {
    if (damaged === 'refuse' || !isVmdkError(error, 'stream-cut-short', 'stream-damaged')) throw error;
    const fileBytes = await file.size();
    const broken = await scanBrokenStream(file, header, fileBytes, error);
    if (broken === undefined) throw error;
    const origin = compressedOrigin(file, header, fileBytes, memory);
    const grains = foundGrains(file, header, origin, broken.grains, fileBytes, memory);
    const lost = lostOrigin(file.path, broken.error, damaged);
    return lostFrom(extentOf(grains), broken.from * header.grainSize, lost);
  }
}

function foundGrains(
  file: RandomAccessFile,
  header: SparseHeader,
  origin: DataOrigin,
  found: FoundGrains,
  fileBytes: number,
  memory: ExtentMemory,
): SparseGrains {
  const fileSectors = Math.floor(fileBytes / SECTOR_BYTES);
  return SparseGrains.ofFound(file, { ...header, overHead: 1 }, origin, found, fileSectors, memory);
}

async function openGrains(
  file: RandomAccessFile,
  header: SparseHeader,
  onFinding: OnFinding,
  memory: ExtentMemory,
): Promise<SparseGrains> {
  const fileBytes = await file.size();
  const origin = compressedOrigin(file, header, fileBytes, memory);
  try {
    const inFront = header.gdOffset !== undefined;
    const placed = inFront ? header : await readFooter(file, header, fileBytes);
    // Streams write their tables between the grains: overHead says nothing about where grains may lie.
    const grains = await SparseGrains.open(file, { ...placed, overHead: 1 }, origin, onFinding, memory);
    if (inFront) assertTables(file, header, grains);
    else await assertDirectoryMarker(file, placed);
    return grains;
  } catch (error) {
    if (!(error instanceof VmdkError) || error.kind !== 'corrupt') throw error;
    const found = await scanStream(file, header, fileBytes, error, onFinding);
    onFinding({
      code: 'GD-RANGE',
      severity: 'warning',
      message: `the stream's footer or directory is lost (${error.message}); its grains were found by their markers`,
      path: file.path,
      repairable: true,
    });
    return foundGrains(file, header, origin, found, fileBytes, memory);
  }
}

/** Every program that writes the directory in front writes all tables with it: one of zeros is not a directory. */
function assertTables(file: RandomAccessFile, header: SparseHeader, grains: SparseGrains): void {
  if (grains.directory.entries.some((table) => table !== 0)) return;
  throw directoryLost(file.path, header.gdOffset!, 'nothing but zeros', 'sectors of grain tables');
}

/** The directory at the end stands behind its marker; anything else, zeros above all, would read as an empty disk. */
async function assertDirectoryMarker(file: RandomAccessFile, { gdOffset }: SparseHeader): Promise<void> {
  const bytes = Buffer.alloc(SECTOR_BYTES);
  await file.readExactly(bytes, (gdOffset! - 1) * SECTOR_BYTES);
  const { type, size } = Marker.decode(bytes);
  if (type === MARKER_TYPE.grainDirectory && size === 0) return;
  throw directoryLost(file.path, gdOffset! - 1, `marker type ${type}, size ${size}`, 'marker type 2, size 0');
}

function directoryLost(path: string, sector: number, found: string, expected: string): VmdkError {
  const context = { path, offset: sector * SECTOR_BYTES, field: 'grain directory', found, expected };
  return new VmdkError('corrupt', 'grain-directory-damaged', 'there is no grain directory', context);
}

/** The footer is a copy of the header with the real gdOffset; it stands at a fixed distance from the end. */
async function readFooter(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
): Promise<SparseHeader> {
  const end = Math.floor(fileBytes / SECTOR_BYTES) * SECTOR_BYTES;
  const offset = end - FOOTER_FROM_END;
  const fail = (found: string | number, expected: string): never => {
    const context = { path: file.path, offset, field: 'footer', found, expected };
    throw new VmdkError(
      'corrupt',
      'footer-damaged',
      'the footer of the stream is damaged or missing',
      context,
    );
  };
  if (end - FOOTER_MARKER_FROM_END < SparseExtentHeader.byteLength)
    fail(`a file of ${fileBytes} bytes`, 'a footer');
  const bytes = Buffer.alloc(FOOTER_MARKER_FROM_END);
  await file.readExactly(bytes, end - FOOTER_MARKER_FROM_END);
  const marker = Marker.decode(bytes);
  if (marker.type !== MARKER_TYPE.footer || marker.size !== 0) {
    fail(`marker type ${marker.type}, size ${marker.size}`, 'marker type 3, size 0');
  }
  const footer = parseSparseHeader(bytes.subarray(SECTOR_BYTES), file.path, offset);
  if (footer.gdOffset === undefined) fail('gdOffset 0xffffffffffffffff', 'the sector of the grain directory');
  for (const field of ['capacity', 'grainSize', 'numGTEsPerGT', 'version'] as const) {
    if (footer[field] !== header[field])
      fail(`${field} ${footer[field]}`, `${header[field]} as in the header`);
  }
  return footer;
}
