// How many bytes a conversion would take, exactly: the conversion itself, into files that keep nothing but their length.
// Rule: nothing is written; what is told is what convertDisk makes under the same name with the same options.
import { posix } from 'node:path';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { COWD_TABLE_SECTORS } from '../format/cowd-header.ts';
import { cowdFileBytes } from '../format/cowd-layout.ts';
import { SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import { seSparseBytes } from '../format/sesparse-layout.ts';
import { fullSparseSectors } from '../format/sparse-layout.ts';
import { storedGrainSectors, streamFrameSectors } from '../format/stream-layout.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { mostDeflatedBytes } from '../worker/deflate.ts';
import { openBacking, planFor, type ConvertOptions } from './convert-disk.ts';
import { openSource } from './convert-source.ts';
import type { DiskPlan, ExtentShape } from './disk-plan.ts';
import { fillDisk } from './fill-disk.ts';

export interface MeasureOptions extends Omit<
  ConvertOptions,
  'salvage' | 'overwrite' | 'durable' | 'beforeReplace'
> {
  /**
   * What the disk would be called, since descriptors name their extents: a file name beside the source, or with the folder
   * that it would be made in, from which a delta names its parent. As the source, beside it, unless told.
   */
  name?: string | undefined;
}

export interface MeasuredDisk {
  readonly plan: DiskPlan;
  /** Bytes of all files with the content as it is now. */
  readonly required: number;
  /** Bytes of all files when every sector has data, and data that cannot be compressed. */
  readonly fullyAllocated: number;
  /** Bytes of content that would be stored. */
  readonly written: number;
}

/** @throws VmdkError as `convertDisk`, for whatever would keep it from being made. */
export async function measureDisk(source: string, options: MeasureOptions = {}): Promise<MeasuredDisk> {
  const folder = posix.dirname(source);
  const opened = await openSource(source, options.from ?? 'vmdk', options, { folder });
  try {
    const { backing } = options;
    const below = backing === undefined ? undefined : await openBacking(backing, opened, options);
    try {
      const { name = diskNameOf(source) } = options;
      const target = name.includes('/') ? name : posix.join(folder, name);
      const { plan } = await planFor(opened, target, below, options);
      const create = (path: string): Promise<WritableFile> => Promise.resolve(lengthOnly(path));
      const { files, written } = await fillDisk(plan.files, opened.source, create, { ...options, below });
      const required = files.reduce((sum, { size }) => sum + size, 0);
      return { plan, required, fullyAllocated: Math.max(required, fullBytes(plan)), written };
    } finally {
      await below?.close();
    }
  } finally {
    await opened.close();
  }
}

function diskNameOf(source: string): string {
  return `${posix.basename(source, posix.extname(source))}.vmdk`;
}

/** A file that forgets what is written to it. */
function lengthOnly(path: string): WritableFile {
  let size = 0;
  const done = Promise.resolve();
  return {
    path,
    size: () => Promise.resolve(size),
    readExactly: () => Promise.reject(new RangeError('nothing is kept')),
    write: (data, at) => {
      size = Math.max(size, at + data.length);
      return done;
    },
    resize: (to) => {
      size = to;
      return done;
    },
    sync: () => done,
    close: () => done,
  };
}

function fullBytes({ files }: DiskPlan): number {
  return files.reduce(
    (sum, { size, extent }) => sum + (extent === undefined ? size : fullExtentBytes(extent)),
    0,
  );
}

function fullExtentBytes(shape: ExtentShape): number {
  switch (shape.kind) {
    case 'flat':
      return shape.sectors * SECTOR_BYTES;
    case 'sparse':
      return fullSparseSectors(shape.layout) * SECTOR_BYTES;
    case 'cowd': {
      const { freeSector, entries, capacity, grainSize } = shape.layout;
      const end = freeSector + entries * COWD_TABLE_SECTORS + roundUp(capacity, grainSize);
      return cowdFileBytes({ freeSector: end });
    }
    case 'sesparse':
      return seSparseBytes(shape.layout, ceilDiv(shape.layout.capacity, SESPARSE_GRAIN));
    case 'stream': {
      const { capacity, grainSize, tables } = shape.layout;
      const grain = storedGrainSectors(mostDeflatedBytes(grainSize * SECTOR_BYTES));
      return (streamFrameSectors(shape.layout, tables) + ceilDiv(capacity, grainSize) * grain) * SECTOR_BYTES;
    }
  }
}
