// Small sound disks in memory for the tests of checks, made by the images of src/fixture, and ways to damage them. Rule:
// each builder says where everything stands, so that a test names what it breaks.
import { deflateSync } from 'node:zlib';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import type { Image } from '../../src/fixture/image.ts';
import { seSparseImage as seSparse } from '../../src/fixture/image-sesparse.ts';
import { sparseImage as sparse } from '../../src/fixture/image-sparse.ts';
import { streamImage as stream } from '../../src/fixture/image-stream.ts';
import { composeDescriptor, type NewDescriptor } from '../../src/format/compose-descriptor.ts';
import { encodeEmptyCowd, layOutCowd, type CowdLayout } from '../../src/format/cowd-layout.ts';
import { CowdHeaderStruct, COWD_TABLE_SECTORS } from '../../src/format/cowd-header.ts';
import { layOutSeSparse, type SeSparseLayout } from '../../src/format/sesparse-layout.ts';
import { parseSparseHeader, type SparseHeader } from '../../src/format/sparse-header.ts';
import { layOutSparse, type SparseLayout } from '../../src/format/sparse-layout.ts';
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

/** In sectors. */
interface ImageShape {
  readonly grainSize?: number;
  /** 1,100 grains unless given. */
  readonly capacity?: number;
}

function shapeOf({ grainSize = 128, capacity = grainSize * 1100 }: ImageShape): Required<ImageShape> {
  return { grainSize, capacity };
}

/** A monolithicSparse disk of two grain tables and a bit, with `grains` allocated in that order. */
export function sparseImage(
  grains: readonly number[] = [0, 1, 5, 700],
  { more = {}, ...shape }: ImageShape & { readonly more?: Partial<NewDescriptor> } = {},
): SparseImage {
  const { grainSize, capacity } = shapeOf(shape);
  const layout = layOutSparse(capacity, grainSize, 20);
  const descriptor = descriptorFor('monolithicSparse', capacity, 'SPARSE', 'disk.vmdk', more);
  const stored = grains.map((grain) => filledGrain(grain, grainSize));
  const facts = { capacity, grainSize, descriptorSectors: 20, redundant: true };
  const image = sparse({ ...facts, descriptor, grains: stored });
  return {
    bytes: bytesOf(image),
    layout,
    entryAt: image.entryAt,
    copyAt: (grain) => image.copyAt(grain)!,
    sectorOf: (index) => layout.overHead + index * grainSize,
  };
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

/** A streamOptimized disk in the layout with a footer, as VMware exports it. */
export function streamImage(
  grains: readonly number[] = [0, 3, 512, 515],
  shape: ImageShape = {},
): StreamImage {
  const { grainSize, capacity } = shapeOf(shape);
  const image = stream({
    capacity,
    grainSize,
    descriptor: descriptorFor('streamOptimized', capacity, 'SPARSE', 'disk.vmdk'),
    grains: grains.map((grain) => filledGrain(grain, grainSize)),
    layout: 'footer',
  });
  const bytes = bytesOf(image);
  const { sectorOf, entryAt, tableOf, directory } = image;
  return { bytes, sectorOf, entryAt, tableOf, directory, header: parseSparseHeader(bytes, 'disk.vmdk') };
}

/** A grain as a stream stores it: marker, zlib. */
export function storedGrain(grain: number, content = Buffer.alloc(128 * SECTOR_BYTES, grain + 1)): Buffer {
  const stored = deflateSync(content);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(grain * 128));
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

/** A seSparse disk of two tables, both there when `grains` has some of each, its maps filled. */
export function seSparseImage(grains: readonly number[] = [0, 1, 4097], capacity = 8 * 5000): SeSparseImage {
  const stored = grains.map((index) => ({ index, data: Buffer.alloc(8 * SECTOR_BYTES) }));
  const image = seSparse(capacity, stored);
  return { bytes: bytesOf(image), layout: layOutSeSparse(capacity), entryAt: image.entryAt };
}

export function setPair(bytes: Buffer, at: number, [low, high]: readonly [number, number]): void {
  bytes.writeUInt32LE(low, at);
  bytes.writeUInt32LE(high, at + 4);
}

function filledGrain(index: number, sectors: number): { index: number; data: Buffer } {
  return { index, data: Buffer.alloc(sectors * SECTOR_BYTES, index + 1) };
}

function bytesOf({ bytes }: Image): Buffer {
  const all = Buffer.alloc(bytes.size);
  bytes.read(all, 0);
  return all;
}
