// Which files a disk of another size consists of. Pure. Rule: extents that keep their size stay as they are; split disks
// are filled up to the size of their pieces before they get another.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk, PlacedExtent } from '../disk/disk.ts';
import type { NewExtent } from '../format/compose-descriptor.ts';
import type { ExtentLine } from '../format/descriptor.ts';
import { splitNameFor } from '../format/file-names.ts';
import { SPLIT_SECTORS } from './plan-files.ts';

export interface ResizedExtent {
  readonly kind: 'sparse' | 'cowd' | 'flat';
  /** First sector on the disk. */
  readonly start: number;
  readonly line: NewExtent | ExtentLine;
  readonly path: string;
  readonly grainSize: number;
  /** `rebuilt`: another file takes its place. `resized`: it is cut or gets longer where it is. */
  readonly file: 'kept' | 'rebuilt' | 'resized' | 'new';
  /** Flat extents: length of the file. */
  readonly bytes: number;
  readonly oldBytes: number;
}

export interface ResizePlan {
  readonly extents: readonly ResizedExtent[];
  /** Files that the disk no longer has. */
  readonly removed: readonly string[];
}

/** @throws VmdkError `not-resizable` (refused) for disks of odd shape; `capacity` in sectors, not the disk's own. */
export function planResize(disk: Disk, capacity: number): ResizePlan {
  const split = disk.createType === 'twoGbMaxExtentSparse' || disk.createType === 'twoGbMaxExtentFlat';
  const placed = disk.extents.map((extent) => asResized(disk, extent));
  if (!split && placed.length > 1) throw notResizable(disk, `${placed.length} extents`);
  const piece = split ? Math.max(SPLIT_SECTORS, ...placed.map(({ line }) => line.sectors)) : Infinity;
  const extents: ResizedExtent[] = [];
  const removed: string[] = [];
  for (const [index, extent] of placed.entries()) {
    if (extent.start >= capacity) {
      removed.push(extent.path);
      continue;
    }
    const last = index === placed.length - 1;
    const sectors = Math.min(capacity - extent.start, last ? piece : extent.line.sectors);
    extents.push(sectors === extent.line.sectors ? extent : withSectors(extent, sectors));
  }
  const first = extents[0]!;
  for (let start = endOf(extents.at(-1)!); start < capacity; start = endOf(extents.at(-1)!)) {
    const sectors = Math.min(piece, capacity - start);
    const path = splitNameFor(disk.path, extents.length + 1, first.kind === 'flat' ? 'f' : 's');
    const line = { sectors, type: first.line.type, fileName: posix.basename(path) };
    const bytes = sectors * SECTOR_BYTES;
    extents.push({ ...first, start, line, path, file: 'new', bytes, oldBytes: 0 });
  }
  return { extents, removed };
}

function asResized(disk: Disk, { start, extent, line }: PlacedExtent): ResizedExtent {
  const { kind, path, grainSize } = extent;
  if (kind !== 'sparse' && kind !== 'cowd' && kind !== 'flat')
    throw notResizable(disk, `an extent of kind ${kind}`);
  if (path === undefined || line.access !== 'RW')
    throw notResizable(disk, `an extent that is ${line.access}`);
  if (line.offset !== 0) throw notResizable(disk, `an extent that begins within its file`);
  const bytes = line.sectors * SECTOR_BYTES;
  return { kind, start, line, path, grainSize, file: 'kept', bytes, oldBytes: bytes };
}

function withSectors(extent: ResizedExtent, sectors: number): ResizedExtent {
  const { type, fileName, access, offset } = extent.line;
  const line = {
    sectors,
    type,
    fileName,
    ...(access === undefined ? {} : { access }),
    ...(offset === undefined ? {} : { offset }),
  };
  const file = extent.kind === 'flat' ? 'resized' : 'rebuilt';
  return { ...extent, line, file, bytes: sectors * SECTOR_BYTES };
}

function endOf({ start, line }: ResizedExtent): number {
  return start + line.sectors;
}

function notResizable({ path, createType }: Disk, found: string): VmdkError {
  return new VmdkError('refused', 'not-resizable', `this ${createType} disk cannot be given another size`, {
    path,
    found,
    expected: 'sparse, COWD or flat extents that are its own and begin with their files',
    hint: 'Copy it to a new disk of the size that is wanted.',
  });
}
