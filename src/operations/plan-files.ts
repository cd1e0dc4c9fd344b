// The files of a new disk: each type's extents as they stand when nothing was written yet, and the descriptor that
// places them. Pure: bytes in, bytes out.
import { posix } from 'node:path';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import {
  composeDescriptor,
  EMBEDDED_DESCRIPTOR_BYTES,
  type NewDescriptor,
  type NewExtent,
} from '../format/compose-descriptor.ts';
import { COWD_GRAIN, cowdFileBytes, encodeEmptyCowd, layOutCowd } from '../format/cowd-layout.ts';
import { deltaNameFor, flatNameFor, sesparseNameFor, splitNameFor } from '../format/file-names.ts';
import { SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import { encodeSeSparseHeaders, layOutSeSparse, seSparseBytes } from '../format/sesparse-layout.ts';
import {
  EMBEDDED_DESCRIPTOR_SECTORS,
  encodeEmptySparse,
  layOutSparse,
  SPARSE_GRAIN,
} from '../format/sparse-layout.ts';
import { encodeEmptyStream, layOutStream } from '../format/stream-layout.ts';
import type { PlannedFile } from './disk-plan.ts';
import * as check from './plan-checks.ts';

/** 2047 MiB: what VMware's products, GSX to vmkfstools, split at. */
export const SPLIT_SECTORS = 4192256;
/** QEMU reads no more of a stand-alone descriptor. */
const MOST_TEXT_BYTES = 1024 * 1024 - 1;
const NOT_FOR_ESXI =
  'not for ESXi: how it keeps free space in a seSparse file is not public; for other readers only';

export type NewDiskType =
  | 'monolithicSparse'
  | 'monolithicFlat'
  | 'twoGbMaxExtentSparse'
  | 'twoGbMaxExtentFlat'
  | 'vmfs'
  | 'vmfsSparse'
  | 'seSparse'
  | 'streamOptimized';

export interface DiskShape {
  /** Of the descriptor, or of the file that holds it. */
  readonly path: string;
  readonly capacity: Sectors;
  readonly createType: NewDiskType;
  /** Sectors; the type's own when undefined. */
  readonly grainSize?: number | undefined;
  /** Most sectors of an extent of the split types; 2047 MiB when undefined. */
  readonly splitSectors?: number | undefined;
  /** Flat types: write zeros, so that the space is really taken. */
  readonly fill?: boolean;
}

interface PlannedExtent {
  readonly line: NewExtent;
  readonly file: PlannedFile;
}

type Head = Omit<NewDescriptor, 'extents' | 'createType'>;

/**
 * The files in the order in which they are to be made, and what to say about them.
 * @throws VmdkError `usage` for sizes and names that this type cannot have.
 */
export function planFiles(shape: DiskShape, head: Head): { files: PlannedFile[]; notes: string[] } {
  const { path, createType } = shape;
  check.assertNewName(path);
  check.assertSomeCapacity(shape.capacity, path);
  if (createType === 'monolithicSparse') return planEmbedded(shape, head);
  if (createType === 'streamOptimized') return planStream(shape, head);
  const { extents, notes } = planExtents(shape, createType);
  const lines = extents.map(({ line }) => line);
  const text = composeDescriptor({ ...head, createType, extents: lines }, MOST_TEXT_BYTES);
  const descriptor = { path, size: text.length, parts: [{ at: 0, data: text }] };
  return { files: [...extents.map(({ file }) => file), descriptor], notes };
}

function planEmbedded(shape: DiskShape, head: Head): { files: PlannedFile[]; notes: string[] } {
  const { path, capacity, createType, grainSize = SPARSE_GRAIN } = shape;
  const notes = check.sparseGrainNotes(grainSize, path);
  const layout = layOutSparse(capacity, grainSize, EMBEDDED_DESCRIPTOR_SECTORS);
  check.assertSparseFits(layout, path);
  const line = { sectors: capacity, type: 'SPARSE', fileName: posix.basename(path) };
  const text = composeDescriptor({ ...head, createType, extents: [line] }, EMBEDDED_DESCRIPTOR_BYTES);
  const parts = encodeEmptySparse(layout, text);
  const extent = { kind: 'sparse', layout, descriptor: text } as const;
  return { files: [{ path, size: layout.overHead * SECTOR_BYTES, parts, extent }], notes };
}

/** A stream is written once and whole: as planned it is a disk of zeros. */
function planStream(shape: DiskShape, head: Head): { files: PlannedFile[]; notes: string[] } {
  const { path, capacity, createType, grainSize = SPARSE_GRAIN } = shape;
  const notes = check.streamGrainNotes(grainSize, path);
  const layout = layOutStream(capacity, grainSize);
  const line = { sectors: capacity, type: 'SPARSE', fileName: posix.basename(path) };
  const descriptor = composeDescriptor({ ...head, createType, extents: [line] }, EMBEDDED_DESCRIPTOR_BYTES);
  const data = encodeEmptyStream(layout, descriptor);
  const extent = { kind: 'stream', layout, descriptor } as const;
  return { files: [{ path, size: data.length, parts: [{ at: 0, data }], extent }], notes };
}

function planExtents(
  shape: DiskShape,
  createType: Exclude<NewDiskType, 'monolithicSparse' | 'streamOptimized'>,
): { extents: PlannedExtent[]; notes: string[] } {
  switch (createType) {
    case 'monolithicFlat':
      return { extents: [flatExtent(shape, flatNameFor(shape.path), 'FLAT', shape.capacity)], notes: [] };
    case 'vmfs':
      return { extents: [flatExtent(shape, flatNameFor(shape.path), 'VMFS', shape.capacity)], notes: [] };
    case 'twoGbMaxExtentFlat':
      return { extents: planSplitFlat(shape), notes: [] };
    case 'twoGbMaxExtentSparse':
      return planSplitSparse(shape);
    case 'vmfsSparse':
      return planCowd(shape);
    case 'seSparse':
      return planSeSparse(shape);
  }
}

function planSplitSparse(shape: DiskShape): { extents: PlannedExtent[]; notes: string[] } {
  const { path, grainSize = SPARSE_GRAIN } = shape;
  const notes = check.sparseGrainNotes(grainSize, path);
  const extents = piecesOf(shape, grainSize).map((sectors, index): PlannedExtent => {
    const layout = layOutSparse(sectors, grainSize, 0);
    check.assertSparseFits(layout, path);
    const file = splitNameFor(path, index + 1, 's');
    return {
      line: { sectors, type: 'SPARSE', fileName: posix.basename(file) },
      file: {
        path: file,
        size: layout.overHead * SECTOR_BYTES,
        parts: encodeEmptySparse(layout),
        extent: { kind: 'sparse', layout },
      },
    };
  });
  return { extents, notes };
}

function planSplitFlat(shape: DiskShape): PlannedExtent[] {
  return piecesOf(shape, 1).map((sectors, index) =>
    flatExtent(shape, splitNameFor(shape.path, index + 1, 'f'), 'FLAT', sectors),
  );
}

function planCowd({ path, capacity, grainSize = COWD_GRAIN }: DiskShape): {
  extents: PlannedExtent[];
  notes: string[];
} {
  const notes = check.cowdGrainNotes(grainSize, path);
  check.assertCowdFits(capacity, path);
  const layout = layOutCowd(capacity, grainSize);
  const file = deltaNameFor(path);
  const extent: PlannedExtent = {
    line: { sectors: capacity, type: 'VMFSSPARSE', fileName: posix.basename(file) },
    file: {
      path: file,
      size: cowdFileBytes(layout),
      parts: encodeEmptyCowd(layout),
      extent: { kind: 'cowd', layout },
    },
  };
  return { extents: [extent], notes };
}

function planSeSparse({ path, capacity, grainSize = SESPARSE_GRAIN }: DiskShape): {
  extents: PlannedExtent[];
  notes: string[];
} {
  check.assertSeSparseGrain(grainSize, path);
  check.assertSeSparseFits(capacity, path);
  const layout = layOutSeSparse(capacity);
  const file = sesparseNameFor(path);
  const extent: PlannedExtent = {
    line: { sectors: capacity, type: 'SESPARSE', fileName: posix.basename(file) },
    file: {
      path: file,
      size: seSparseBytes(layout, 0),
      parts: encodeSeSparseHeaders(layout, 0),
      extent: { kind: 'sesparse', layout },
    },
  };
  return { extents: [extent], notes: [NOT_FOR_ESXI] };
}

function flatExtent(shape: DiskShape, path: string, type: 'FLAT' | 'VMFS', sectors: number): PlannedExtent {
  const size = sectors * SECTOR_BYTES;
  const fills = shape.fill === true ? { fills: [{ from: 0, to: size }] } : {};
  return {
    line: { sectors, type, fileName: posix.basename(path) },
    file: { path, size, parts: [], ...fills, extent: { kind: 'flat', sectors } },
  };
}

/** Sizes of the extents of a split disk: all full but the last. */
function piecesOf({ path, capacity, splitSectors = SPLIT_SECTORS }: DiskShape, grainSize: number): number[] {
  check.assertSplit(capacity, splitSectors, grainSize, path);
  const pieces: number[] = [];
  for (let rest: number = capacity; rest > 0; rest -= splitSectors) pieces.push(Math.min(rest, splitSectors));
  return pieces;
}
