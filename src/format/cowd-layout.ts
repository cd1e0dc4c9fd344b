// Where everything stands in an ESX delta ("COWD") that vmdkit makes: header, grain directory, then tables and
// grains in the order of their first use. VMware, Virtual Disk Format 5.0.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { COWD_FLAGS, cowdDirectoryEntries, encodeCowdHeader } from './cowd-header.ts';

/** ESX writes grains of one sector. */
export const COWD_GRAIN = 1;
/** The capacity field has 32 bits: 2 TiB - 512 bytes. */
export const COWD_MAX_CAPACITY = 2 ** 32 - 1;

const HEADER_SECTORS = 4;
/** Tools that rewrite ESX deltas keep metadata to whole blocks of this many bytes. */
const BLOCK = 4096;

/** All in sectors, but for `entries`. */
export interface CowdLayout {
  readonly capacity: number;
  readonly grainSize: number;
  readonly gdOffset: number;
  readonly entries: number;
  readonly directorySectors: number;
  /** Where the first table goes. */
  readonly freeSector: number;
}

export function layOutCowd(capacity: number, grainSize: number): CowdLayout {
  const entries = cowdDirectoryEntries(capacity, grainSize);
  const directorySectors = ceilDiv(entries * 4, SECTOR_BYTES);
  return {
    capacity,
    grainSize,
    gdOffset: HEADER_SECTORS,
    entries,
    directorySectors,
    freeSector: HEADER_SECTORS + directorySectors,
  };
}

/** Bytes of a delta whose next free sector is `freeSector`, which must lie within the file. */
export function cowdFileBytes(layout: Pick<CowdLayout, 'freeSector'>): number {
  return roundUp((layout.freeSector + 1) * SECTOR_BYTES, BLOCK);
}

/** What a delta without grains holds, at byte offsets; its directory is zeros. */
export function encodeEmptyCowd(layout: CowdLayout): { at: number; data: Uint8Array }[] {
  const data = encodeCowdHeader({
    flags: COWD_FLAGS,
    capacity: layout.capacity,
    grainSize: layout.grainSize,
    gdOffset: layout.gdOffset,
    numGDEntries: layout.entries,
    freeSector: layout.freeSector,
    uncleanShutdown: false,
  });
  return [{ at: 0, data }];
}
