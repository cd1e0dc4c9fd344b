// Small sound disks in memory for the tests of checks, built from the format's own struct tables, and ways to damage
// them. Rule: each builder says where everything stands, so that a test names what it breaks.
import { deflateSync } from 'node:zlib';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../../src/core/units.ts';
import { composeDescriptor, type NewDescriptor } from '../../src/format/compose-descriptor.ts';
import { encodeEmptyCowd, layOutCowd, type CowdLayout } from '../../src/format/cowd-layout.ts';
import { CowdHeaderStruct, COWD_TABLE_SECTORS } from '../../src/format/cowd-header.ts';
import { seSparseEntry, SESPARSE_DIRECTORY_ALLOCATED } from '../../src/format/sesparse-entries.ts';
import {
  encodeSeSparseHeaders,
  layOutSeSparse,
  seSparseBytes,
  type SeSparseLayout,
} from '../../src/format/sesparse-layout.ts';
import { encodeSparseHeader, SPARSE_FLAGS, type SparseHeader } from '../../src/format/sparse-header.ts';
import { encodeEmptySparse, layOutSparse, type SparseLayout } from '../../src/format/sparse-layout.ts';
import { Marker, MARKER_TYPE } from '../../src/format/stream-marker.ts';
import type { CheckOptions, CheckReport } from '../../src/operations/check-disk.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

export const CID = 0x12345678;

type Place = (grain: number) => number;

/** What `check` says of files in memory, as `severity CODE` lines, sorted. */
export async function findingsOf(
  files: Readonly<Record<string, Uint8Array>>,
  options: CheckOptions & { readonly named?: string } = {},
): Promise<string[]> {
  const { problems } = await reportOf(files, options);
  return problems.map(({ severity, code }) => `${severity} ${code}`).sort();
}

export function reportOf(
  files: Readonly<Record<string, Uint8Array>>,
  { named = '/vm/disk.vmdk', ...options }: CheckOptions & { readonly named?: string } = {},
): Promise<CheckReport> {
  return checkDisk(named, { fs: createMemoryFileStore(files), ...options });
}

export function descriptorFor(
  createType: NewDescriptor['createType'],
  sectors: number,
  type: string,
  fileName: string,
  more: Partial<NewDescriptor> = {},
): Buffer {
  return composeDescriptor({ cid: CID, createType, extents: [{ sectors, type, fileName }], ...more });
}

export interface SparseImage {
  readonly bytes: Buffer;
  readonly layout: SparseLayout;
  /** Sector of the table entry of a grain, in bytes; of its redundant copy. */
  readonly entryAt: Place;
  readonly copyAt: Place;
  /** Sector where the data of the n-th allocated grain stands. */
  readonly sectorOf: Place;
}

/** A monolithicSparse disk of two grain tables and a bit, with `grains` allocated in that order. */
export function sparseImage(
  grains: readonly number[] = [0, 1, 5, 700],
  { capacity = 128 * 1100, grainSize = 128, more = {} as Partial<NewDescriptor> } = {},
): SparseImage {
  const layout = layOutSparse(capacity, grainSize, 20);
  const text = descriptorFor('monolithicSparse', capacity, 'SPARSE', 'disk.vmdk', more);
  const bytes = Buffer.alloc((layout.overHead + grains.length * grainSize) * SECTOR_BYTES);
  for (const { at, data } of encodeEmptySparse(layout, text)) bytes.set(data, at);
  const tableOf = (first: number, grain: number): number =>
    (first + layout.directorySectors) * SECTOR_BYTES + grain * 4;
  const entryAt: Place = (grain) => tableOf(layout.gdOffset, grain);
  const copyAt: Place = (grain) => tableOf(layout.rgdOffset, grain);
  const sectorOf: Place = (index) => layout.overHead + index * grainSize;
  for (const [index, grain] of grains.entries()) {
    bytes.writeUInt32LE(sectorOf(index), entryAt(grain));
    bytes.writeUInt32LE(sectorOf(index), copyAt(grain));
    bytes.fill(grain + 1, sectorOf(index) * SECTOR_BYTES, sectorOf(index + 1) * SECTOR_BYTES);
  }
  return { bytes, layout, entryAt, copyAt, sectorOf };
}

/** The same change made to both copies of a table entry. */
export function setBoth(image: SparseImage, grain: number, entry: number): void {
  image.bytes.writeUInt32LE(entry, image.entryAt(grain));
  image.bytes.writeUInt32LE(entry, image.copyAt(grain));
}

export interface StreamImage {
  readonly bytes: Buffer;
  /** Sector of a grain's marker. */
  readonly sectorOf: Place;
  /** Byte of a grain's table entry. */
  readonly entryAt: Place;
  /** Sector of a grain table, and of the directory. */
  readonly tableOf: Place;
  readonly directory: number;
  readonly header: SparseHeader;
}

const STREAM_GRAIN = 128;

/** A streamOptimized disk in the layout with a footer, as VMware exports it. */
export function streamImage(
  grains: readonly number[] = [0, 3, 512, 515],
  capacity = 128 * 1100,
): StreamImage {
  const tables = ceilDiv(ceilDiv(capacity, STREAM_GRAIN), 512);
  const header: SparseHeader = {
    version: 3,
    flags: SPARSE_FLAGS.newlineProbe | SPARSE_FLAGS.compressed | SPARSE_FLAGS.markers,
    capacity,
    grainSize: STREAM_GRAIN,
    descriptorOffset: 1,
    descriptorSize: 20,
    numGTEsPerGT: 512,
    rgdOffset: undefined,
    gdOffset: undefined,
    overHead: 128,
    uncleanShutdown: false,
    compressed: true,
    markers: true,
  };
  const text = descriptorFor('streamOptimized', capacity, 'SPARSE', 'disk.vmdk');
  const parts: Buffer[] = [padded(Buffer.concat([encodeSparseHeader(header), text]), 128)];
  let sector = 128;
  const add = (data: Buffer, sectors = ceilDiv(data.length, SECTOR_BYTES)): number => {
    parts.push(padded(data, sectors));
    sector += sectors;
    return sector - sectors;
  };
  const mark = (type: number, val: number): number => add(Marker.encode({ val: BigInt(val), size: 0, type }));
  const places = new Map<number, number>();
  const tablePlaces = new Map<number, number>();
  for (let table = 0; table < tables; table++) {
    const inTable = grains.filter((grain) => Math.floor(grain / 512) === table);
    if (inTable.length === 0) continue;
    const entries = Buffer.alloc(2048);
    for (const grain of inTable) {
      places.set(grain, add(storedGrain(grain)));
      entries.writeUInt32LE(places.get(grain)!, (grain % 512) * 4);
    }
    mark(MARKER_TYPE.grainTable, 4);
    tablePlaces.set(table, add(entries));
  }
  const directorySectors = ceilDiv(tables * 4, SECTOR_BYTES);
  mark(MARKER_TYPE.grainDirectory, directorySectors);
  const entries = Buffer.alloc(directorySectors * SECTOR_BYTES);
  for (const [table, place] of tablePlaces) entries.writeUInt32LE(place, table * 4);
  const directory = add(entries);
  mark(MARKER_TYPE.footer, 1);
  add(encodeSparseHeader({ ...header, gdOffset: directory }));
  add(Buffer.alloc(SECTOR_BYTES));
  const tableOf: Place = (table) => tablePlaces.get(table)!;
  return {
    bytes: Buffer.concat(parts),
    sectorOf: (grain) => places.get(grain)!,
    entryAt: (grain) => tableOf(Math.floor(grain / 512)) * SECTOR_BYTES + (grain % 512) * 4,
    tableOf,
    directory,
    header,
  };
}

/** A grain as a stream stores it: marker, zlib. */
export function storedGrain(
  grain: number,
  content = Buffer.alloc(STREAM_GRAIN * SECTOR_BYTES, grain + 1),
): Buffer {
  const stored = deflateSync(content);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(grain * STREAM_GRAIN));
  head.writeUInt32LE(stored.length, 8);
  return Buffer.concat([head, stored]);
}

export interface CowdImage {
  readonly bytes: Buffer;
  readonly layout: CowdLayout;
  /** Sector of table 0. */
  readonly table: number;
  readonly entryAt: Place;
}

/** An ESX delta of two tables, of which the first is there, with `grains` allocated behind it. */
export function cowdImage(grains: readonly number[] = [0, 7, 8], capacity = 5000): CowdImage {
  const layout = layOutCowd(capacity, 1);
  const table = 8;
  const first = table + COWD_TABLE_SECTORS;
  const bytes = Buffer.alloc((first + grains.length) * SECTOR_BYTES, 0);
  for (const { at, data } of encodeEmptyCowd(layout)) bytes.set(data, at);
  bytes.writeUInt32LE(table, layout.gdOffset * SECTOR_BYTES);
  bytes.writeUInt32LE(first + grains.length, CowdHeaderStruct.offsetOf('freeSector'));
  const entryAt: Place = (grain) => table * SECTOR_BYTES + grain * 4;
  for (const [index, grain] of grains.entries()) bytes.writeUInt32LE(first + index, entryAt(grain));
  return { bytes, layout, table, entryAt };
}

export interface SeSparseImage {
  readonly bytes: Buffer;
  readonly layout: SeSparseLayout;
  /** Byte of a grain's table entry. */
  readonly entryAt: Place;
}

/** A seSparse disk of two tables, both there, with `grains` allocated in that order, its maps filled. */
export function seSparseImage(grains: readonly number[] = [0, 1, 4097], capacity = 8 * 5000): SeSparseImage {
  const layout = layOutSeSparse(capacity);
  const bytes = Buffer.alloc(seSparseBytes(layout, grains.length));
  for (const { at, data } of encodeSeSparseHeaders(layout, layout.tables)) bytes.set(data, at);
  for (let table = 0; table < layout.tables; table++) {
    const at = layout.grainDirectory.offset * SECTOR_BYTES + table * 8;
    bytes.writeUInt32LE(table, at);
    bytes.writeUInt32LE(SESPARSE_DIRECTORY_ALLOCATED, at + 4);
  }
  const entryAt: Place = (grain) => layout.grainTables.offset * SECTOR_BYTES + grain * 8;
  for (const [index, grain] of grains.entries()) {
    setPair(bytes, entryAt(grain), seSparseEntry(3, index));
    bytes[layout.freeBitmap.offset * SECTOR_BYTES + (index >>> 3)]! |= 1 << (index & 7);
    bytes.writeUInt32LE(Math.floor(grain / 4096), layout.backMap.offset * SECTOR_BYTES + index * 8);
  }
  return { bytes, layout, entryAt };
}

export function setPair(bytes: Buffer, at: number, [low, high]: readonly [number, number]): void {
  bytes.writeUInt32LE(low, at);
  bytes.writeUInt32LE(high, at + 4);
}

function padded(data: Buffer, sectors: number): Buffer {
  const whole = Buffer.alloc(roundUp(Math.max(data.length, sectors * SECTOR_BYTES), SECTOR_BYTES));
  whole.set(data);
  return whole;
}
