// Hosted sparse extents (monolithicSparse, twoGbMaxExtentSparse): header, then grains by their tables.
import { VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { parseSparseHeader, SparseExtentHeader, type SparseHeader } from '../format/sparse-header.ts';
import { ExtentMemory } from '../grain/extent-memory.ts';
import { SparseGrains } from '../grain/sparse-grains.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { plainOrigin, type Extent } from './extent.ts';
import { agreedCapacity, grainExtent } from './grain-extent.ts';
import type { InPlaceOfLost } from './lost-extent.ts';
import { shownFields } from './shown-fields.ts';
import { openStreamExtent } from './stream-extent.ts';

/** Reads and checks the header at the start of `file`. */
export async function readSparseHeader(file: RandomAccessFile): Promise<SparseHeader> {
  const bytes = Buffer.alloc(SparseExtentHeader.byteLength);
  await file.readExactly(bytes, 0);
  return parseSparseHeader(bytes, file.path);
}

/**
 * `lineSectors`: what the descriptor's extent line says; undefined when there is none. `damaged`: what stands for the
 * grains that a stream has lost; by default that is an error.
 */
export async function openSparseExtent(
  file: RandomAccessFile,
  lineSectors: number | undefined,
  onFinding: OnFinding,
  memory = new ExtentMemory(),
  damaged: 'refuse' | InPlaceOfLost = 'refuse',
): Promise<Extent> {
  const header = await readSparseHeader(file);
  const capacity = agreedCapacity(file.path, header.capacity, header.grainSize, lineSectors);
  if (capacity === 0) {
    throw new VmdkError('corrupt', 'no-capacity', 'the extent has no sectors', {
      path: file.path,
      offset: SparseExtentHeader.offsetOf('capacity'),
      field: 'capacity',
      found: 0,
      expected: 'at least 1 sector',
    });
  }
  if (header.compressed) return openStreamExtent(file, header, capacity, onFinding, memory, damaged);
  await assertComplete(file, header);
  sayUnclean(file.path, header.uncleanShutdown, onFinding);
  const grains = await SparseGrains.open(file, header, plainOrigin(file), onFinding, memory);
  return { ...grainExtent('sparse', file, grains, capacity, shownFields(header)), tables: grains.tables() };
}

/** A file that ends within its own metadata was cut short: it must never read as zeros. */
export async function assertComplete(file: RandomAccessFile, header: SparseHeader): Promise<void> {
  const size = await file.size();
  const place = { path: file.path, offset: SparseExtentHeader.offsetOf('overHead'), field: 'overHead' };
  if (header.gdOffset === undefined) {
    throw new VmdkError('corrupt', 'bad-header', 'only a stream may keep its grain directory at the end', {
      ...place,
      field: 'gdOffset',
      offset: SparseExtentHeader.offsetOf('gdOffset'),
      found: '0xffffffffffffffff',
      expected: 'a sector',
    });
  }
  if (size >= header.overHead * SECTOR_BYTES) return;
  throw new VmdkError('corrupt', 'file-truncated', 'the file ends within its own metadata', {
    ...place,
    found: `${size} bytes in the file`,
    expected: `at least ${header.overHead * SECTOR_BYTES} bytes`,
  });
}

/** Reading goes on; a writer checks first. */
export function sayUnclean(path: string, unclean: boolean, onFinding: OnFinding): void {
  if (!unclean) return;
  onFinding({
    code: 'UNCLEAN',
    severity: 'warning',
    message: 'the file was not closed cleanly by its last writer',
    path,
    repairable: true,
  });
}
