// Where everything stands in a hosted sparse extent that vmdkit makes: the formulas of VMware, Virtual Disk
// Format 5.0, proven on real disks. Readers never use them: they follow the header.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { encodeSparseHeader, SPARSE_FLAGS, type SparseHeader } from './sparse-header.ts';
import { encodeTable } from './tables.ts';

/** Grain tables have 512 entries in every extent that VMware makes. */
export const SPARSE_ENTRIES_PER_TABLE = 512;
/** 64 KiB: what every VMware product writes. */
export const SPARSE_GRAIN = 128;
/** Sectors that an embedded descriptor gets. */
export const EMBEDDED_DESCRIPTOR_SECTORS = 20;
/** Table entries are 32-bit sector numbers: a file ends here. */
export const SPARSE_FILE_SECTORS = 2 ** 32;

const TABLE_SECTORS = (SPARSE_ENTRIES_PER_TABLE * 4) / SECTOR_BYTES;

/** All in sectors, but for `tables`. */
export interface SparseLayout {
  readonly capacity: number;
  readonly grainSize: number;
  /** 0 when the descriptor is a file of its own. */
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  /** Grain tables, and so entries of a directory that count. */
  readonly tables: number;
  readonly directorySectors: number;
  readonly rgdOffset: number;
  readonly gdOffset: number;
  /** Where the first grain goes, and the length of an extent without grains. */
  readonly overHead: number;
}

/** Lays out an extent of `capacity` sectors; `descriptorSize` sectors are kept behind the header, 0 for none. */
export function layOutSparse(capacity: number, grainSize: number, descriptorSize: number): SparseLayout {
  const tables = ceilDiv(ceilDiv(capacity, grainSize), SPARSE_ENTRIES_PER_TABLE);
  const directorySectors = ceilDiv(tables * 4, SECTOR_BYTES);
  const rgdOffset = 1 + descriptorSize;
  const gdOffset = rgdOffset + directorySectors + TABLE_SECTORS * tables;
  const end = gdOffset + directorySectors + TABLE_SECTORS * tables;
  return {
    capacity,
    grainSize,
    descriptorOffset: descriptorSize === 0 ? 0 : 1,
    descriptorSize,
    tables,
    directorySectors,
    rgdOffset,
    gdOffset,
    overHead: roundUp(end, grainSize),
  };
}

/** Sectors that the file would have with every grain written: more than SPARSE_FILE_SECTORS cannot be. */
export function fullSparseSectors(layout: SparseLayout): number {
  return layout.overHead + roundUp(layout.capacity, layout.grainSize);
}

/** The header of an extent without grains: version 1, both directories, clean. */
export function headerOfLayout(layout: SparseLayout): SparseHeader {
  return {
    version: 1,
    flags: SPARSE_FLAGS.newlineProbe | SPARSE_FLAGS.redundantTables,
    capacity: layout.capacity,
    grainSize: layout.grainSize,
    descriptorOffset: layout.descriptorOffset,
    descriptorSize: layout.descriptorSize,
    numGTEsPerGT: SPARSE_ENTRIES_PER_TABLE,
    rgdOffset: layout.rgdOffset,
    gdOffset: layout.gdOffset,
    overHead: layout.overHead,
    uncleanShutdown: false,
    compressed: false,
    markers: false,
  };
}

/** A grain directory that stands at sector `offset` with its tables behind it; the rest of its last sector is zero. */
export function encodeSparseDirectory(layout: SparseLayout, offset: number): Buffer {
  const entries = new Uint32Array((layout.directorySectors * SECTOR_BYTES) / 4);
  const first = offset + layout.directorySectors;
  for (let table = 0; table < layout.tables; table++) entries[table] = first + TABLE_SECTORS * table;
  return encodeTable(entries);
}

/**
 * What an extent without grains holds, at byte offsets, the header last; all else up to `overHead` is zeros.
 * `descriptor` is the text to embed, and must fit the room the layout keeps.
 * @throws RangeError when it does not.
 */
export function encodeEmptySparse(
  layout: SparseLayout,
  descriptor?: Uint8Array,
): { at: number; data: Uint8Array }[] {
  const room = layout.descriptorSize * SECTOR_BYTES;
  if (descriptor !== undefined && descriptor.length > room) {
    throw new RangeError(`a descriptor of ${descriptor.length} bytes does not fit ${room} bytes`);
  }
  const header = encodeSparseHeader(headerOfLayout(layout));
  const front = Buffer.concat([header, descriptor ?? new Uint8Array(0)]);
  return [
    ...[layout.rgdOffset, layout.gdOffset].map((offset) => ({
      at: offset * SECTOR_BYTES,
      data: encodeSparseDirectory(layout, offset),
    })),
    { at: 0, data: front },
  ];
}
