// Where everything stands in a seSparse extent that vmdkit makes: complete and closed, for readers. Regions as in
// the one layout ESXi has shown (100 MiB, hostd.log; qemu-devel 2020-03-09); how they grow beyond it is inferred.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import {
  SESPARSE_GRAIN,
  SESPARSE_MAGIC,
  SESPARSE_TABLE_SECTORS,
  SESPARSE_VERSION,
  SESPARSE_VOLATILE_MAGIC,
  SeSparseConstHeader,
  seSparseTableCount,
  SeSparseVolatileHeader,
} from './sesparse-header.ts';

/** Regions start and end on whole MiB. */
export const SESPARSE_REGION = 2048;
/** 64 TiB, above what ESXi allows (62 TiB): beyond it nothing is known. */
export const SESPARSE_MAX_CAPACITY = 2 ** 37;

const VOLATILE_HEADER = { offset: 1, size: 1 } as const;
const JOURNAL_HEADER = { offset: 2, size: 2 } as const;
const JOURNAL = { offset: SESPARSE_REGION, size: SESPARSE_REGION } as const;

/** Offset and size in sectors. */
export interface Region {
  readonly offset: number;
  readonly size: number;
}

export interface SeSparseLayout {
  /** Sectors. */
  readonly capacity: number;
  /** Grain tables that the disk can use. */
  readonly tables: number;
  readonly grainDirectory: Region;
  readonly grainTables: Region;
  readonly freeBitmap: Region;
  readonly backMap: Region;
  readonly grains: Region;
}

export function layOutSeSparse(capacity: number): SeSparseLayout {
  const grains = ceilDiv(capacity, SESPARSE_GRAIN);
  const tables = seSparseTableCount(capacity);
  const grainDirectory = regionAfter(JOURNAL, ceilDiv(tables * 8, SECTOR_BYTES));
  const grainTables = regionAfter(grainDirectory, tables * SESPARSE_TABLE_SECTORS);
  const freeBitmap = regionAfter(grainTables, ceilDiv(grains, 8 * SECTOR_BYTES));
  const backMap = regionAfter(freeBitmap, ceilDiv(grains * 8, SECTOR_BYTES));
  return {
    capacity,
    tables,
    grainDirectory,
    grainTables,
    freeBitmap,
    backMap,
    grains: { offset: backMap.offset + backMap.size, size: grains * SESPARSE_GRAIN },
  };
}

/** Bytes of the file once `grains` grains are written: the end of the last, rounded up to a whole MiB. */
export function seSparseBytes(layout: SeSparseLayout, grains: number): number {
  return roundUp(layout.grains.offset + grains * SESPARSE_GRAIN, SESPARSE_REGION) * SECTOR_BYTES;
}

/** Both headers, at byte offsets, of a closed extent whose journal is empty and that uses `usedTables` tables. */
export function encodeSeSparseHeaders(
  layout: SeSparseLayout,
  usedTables: number,
): { at: number; data: Uint8Array }[] {
  const big = (region: Region) => ({ offset: BigInt(region.offset), size: BigInt(region.size) });
  const [directory, tables, bitmap, backMap, grains] = [
    big(layout.grainDirectory),
    big(layout.grainTables),
    big(layout.freeBitmap),
    big(layout.backMap),
    big(layout.grains),
  ];
  const constHeader = SeSparseConstHeader.encode({
    constMagic: SESPARSE_MAGIC,
    version: SESPARSE_VERSION,
    capacity: BigInt(layout.capacity),
    grainSize: BigInt(SESPARSE_GRAIN),
    grainTableSize: BigInt(SESPARSE_TABLE_SECTORS),
    volatileHeaderOffset: BigInt(VOLATILE_HEADER.offset),
    volatileHeaderSize: BigInt(VOLATILE_HEADER.size),
    journalHeaderOffset: BigInt(JOURNAL_HEADER.offset),
    journalHeaderSize: BigInt(JOURNAL_HEADER.size),
    journalOffset: BigInt(JOURNAL.offset),
    journalSize: BigInt(JOURNAL.size),
    grainDirectoryOffset: directory.offset,
    grainDirectorySize: directory.size,
    grainTablesOffset: tables.offset,
    grainTablesSize: tables.size,
    freeBitmapOffset: bitmap.offset,
    freeBitmapSize: bitmap.size,
    backMapOffset: backMap.offset,
    backMapSize: backMap.size,
    grainOffset: grains.offset,
    grainSectors: grains.size,
  });
  const volatileHeader = SeSparseVolatileHeader.encode({
    volatileMagic: SESPARSE_VOLATILE_MAGIC,
    freeGTNumber: BigInt(usedTables),
  });
  return [
    { at: VOLATILE_HEADER.offset * SECTOR_BYTES, data: volatileHeader },
    { at: 0, data: constHeader },
  ];
}

function regionAfter(before: Region, sectors: number): Region {
  return { offset: before.offset + before.size, size: roundUp(Math.max(sectors, 1), SESPARSE_REGION) };
}
