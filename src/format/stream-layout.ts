// The pieces of a streamOptimized extent in its canonical form: grains in ascending order, each table behind the grains
// that it names, then the directory, a footer with its place, and an end mark. What VMware exports and 7-Zip insists on.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { encodeSparseHeader, SPARSE_FLAGS, type SparseHeader } from './sparse-header.ts';
import { EMBEDDED_DESCRIPTOR_SECTORS, SPARSE_ENTRIES_PER_TABLE } from './sparse-layout.ts';
import { GRAIN_MARKER_BYTES, GrainMarker, Marker, MARKER_TYPE } from './stream-marker.ts';
import { encodeTable } from './tables.ts';

/** Where VMware begins with the grains. */
const USUAL_OVERHEAD = 128;

/** All in sectors, but for `tables`. */
export interface StreamLayout {
  readonly capacity: number;
  readonly grainSize: number;
  readonly tables: number;
  readonly directorySectors: number;
  readonly overHead: number;
}

export function layOutStream(capacity: number, grainSize: number): StreamLayout {
  const tables = ceilDiv(ceilDiv(capacity, grainSize), SPARSE_ENTRIES_PER_TABLE);
  return {
    capacity,
    grainSize,
    tables,
    directorySectors: ceilDiv(tables * 4, SECTOR_BYTES),
    overHead: roundUp(1 + EMBEDDED_DESCRIPTOR_SECTORS, Math.max(grainSize, USUAL_OVERHEAD)),
  };
}

/** Sectors of a stored grain whose zlib stream has `length` bytes. */
export function storedGrainSectors(length: number): number {
  return ceilDiv(GRAIN_MARKER_BYTES + length, SECTOR_BYTES);
}

/** Sectors of everything but the grains, when `usedTables` tables have any. */
export function streamFrameSectors(layout: StreamLayout, usedTables: number): number {
  const table = 1 + (SPARSE_ENTRIES_PER_TABLE * 4) / SECTOR_BYTES;
  return layout.overHead + usedTables * table + 1 + layout.directorySectors + 3;
}

/** All before the first grain. @throws RangeError when the text does not fit. */
export function encodeStreamFront(layout: StreamLayout, descriptor: Uint8Array): Buffer {
  const front = Buffer.alloc(layout.overHead * SECTOR_BYTES);
  if (descriptor.length > EMBEDDED_DESCRIPTOR_SECTORS * SECTOR_BYTES) {
    throw new RangeError(`a descriptor of ${descriptor.length} bytes does not fit`);
  }
  front.set(encodeSparseHeader(headerOf(layout, undefined)));
  front.set(descriptor, SECTOR_BYTES);
  return front;
}

/** A grain as it is stored; `lba` is its first sector. */
export function encodeStoredGrain(lba: number, stream: Uint8Array): Buffer {
  const stored = Buffer.alloc(storedGrainSectors(stream.length) * SECTOR_BYTES);
  putStoredGrain(stored, 0, lba, stream);
  return stored;
}

/** The same into `room` from byte `at` on; returns where it ends. */
export function putStoredGrain(room: Buffer, at: number, lba: number, stream: Uint8Array): number {
  const end = at + storedGrainSectors(stream.length) * SECTOR_BYTES;
  room.set(GrainMarker.encode({ lba: BigInt(lba), size: stream.length }), at);
  room.set(stream, at + GRAIN_MARKER_BYTES);
  room.fill(0, at + GRAIN_MARKER_BYTES + stream.length, end);
  return end;
}

/** A grain table or the directory behind its marker; the table itself is one sector further on. */
export function encodeMarkedTable(kind: 'grainTable' | 'grainDirectory', entries: Uint32Array): Buffer {
  const table = encodeTable(entries);
  return Buffer.concat([markerOf(kind, table.length / SECTOR_BYTES), table]);
}

/** Footer and end mark; the directory stands at sector `gdOffset`. */
export function encodeStreamEnd(layout: StreamLayout, gdOffset: number): Buffer {
  const footer = encodeSparseHeader(headerOf(layout, gdOffset));
  return Buffer.concat([markerOf('footer', 1), footer, Buffer.alloc(SECTOR_BYTES)]);
}

/** A whole extent without grains: all zeros. */
export function encodeEmptyStream(layout: StreamLayout, descriptor: Uint8Array): Buffer {
  const directory = new Uint32Array((layout.directorySectors * SECTOR_BYTES) / 4);
  return Buffer.concat([
    encodeStreamFront(layout, descriptor),
    encodeMarkedTable('grainDirectory', directory),
    encodeStreamEnd(layout, layout.overHead + 1),
  ]);
}

function markerOf(kind: keyof typeof MARKER_TYPE, sectors: number): Buffer {
  return Marker.encode({ val: BigInt(sectors), size: 0, type: MARKER_TYPE[kind] });
}

function headerOf(layout: StreamLayout, gdOffset: number | undefined): SparseHeader {
  return {
    version: 3,
    flags: SPARSE_FLAGS.newlineProbe | SPARSE_FLAGS.compressed | SPARSE_FLAGS.markers,
    capacity: layout.capacity,
    grainSize: layout.grainSize,
    descriptorOffset: 1,
    descriptorSize: EMBEDDED_DESCRIPTOR_SECTORS,
    numGTEsPerGT: SPARSE_ENTRIES_PER_TABLE,
    rgdOffset: undefined,
    gdOffset,
    overHead: layout.overHead,
    uncleanShutdown: false,
    compressed: true,
    markers: true,
  };
}
