// The header of an ESX delta ("COWD", vmfsSparse): field names of VMware's Virtual Disk Format 5.0; the middle
// fields are dead on every known ESX version and are kept as raw bytes.
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, isPowerOfTwo } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const CowdHeaderStruct = defineStruct('COWDisk_Header', 2048, [
  ['magicNumber', 'u32'],
  ['version', 'u32'],
  ['flags', 'u32'],
  ['numSectors', 'u32'],
  ['grainSize', 'u32'],
  ['gdOffset', 'u32'],
  ['numGDEntries', 'u32'],
  ['freeSector', 'u32'],
  ['parentFileName', 1024],
  ['parentGeneration', 'u32'],
  ['generation', 'u32'],
  ['name', 60],
  ['description', 512],
  ['savedGeneration', 'u32'],
  ['reserved', 8],
  ['uncleanShutdown', 'u32'],
  ['padding', 396],
]);

export const COWD_MAGIC = 0x44574f43;
export const COWD_ENTRIES_PER_TABLE = 4096;
export const COWD_TABLE_SECTORS = 32;
/** Bits 0 (root) and 1 (check capable): on every known ESX delta. */
export const COWD_FLAGS = 3;
const INCONSISTENT = 4;
export const LARGEST_COWD_GRAIN = 2048;

/** A checked header: sectors. */
export interface CowdHeader {
  readonly flags: number;
  readonly capacity: number;
  readonly grainSize: number;
  readonly gdOffset: number;
  readonly numGDEntries: number;
  readonly freeSector: number;
  readonly uncleanShutdown: boolean;
}

/** Entries of a directory that count: one per 4096 grains. */
export function cowdDirectoryEntries(capacity: number, grainSize: number): number {
  return ceilDiv(capacity, COWD_ENTRIES_PER_TABLE * grainSize);
}

/** @throws VmdkError `bad-header` naming field, found and expected; `legacy-vmdk3` for hosted VMDK3 disks. */
export function parseCowdHeader(from: Uint8Array, path: string): CowdHeader {
  const raw = CowdHeaderStruct.decode(from);
  const fail = (field: keyof typeof raw & string, found: number, expected: string): never => {
    const offset = CowdHeaderStruct.offsetOf(field);
    throw new VmdkError('corrupt', 'bad-header', 'COWD header is damaged', {
      path,
      offset,
      field,
      found,
      expected,
    });
  };
  if (raw.magicNumber !== COWD_MAGIC) fail('magicNumber', raw.magicNumber, 'COWD (0x44574f43)');
  if (raw.version !== 1) fail('version', raw.version, '1');
  if ((raw.flags & INCONSISTENT) !== 0) fail('flags', raw.flags, 'bit 2 (inconsistent) clear');
  if (raw.numSectors === 0) fail('numSectors', raw.numSectors, 'at least 1');
  if (!isPowerOfTwo(raw.grainSize) || raw.grainSize > LARGEST_COWD_GRAIN) {
    fail('grainSize', raw.grainSize, `a power of two, 1 to ${LARGEST_COWD_GRAIN} sectors`);
  }
  if (raw.gdOffset < 4) fail('gdOffset', raw.gdOffset, 'at least 4, behind the header');
  const needed = cowdDirectoryEntries(raw.numSectors, raw.grainSize);
  if (raw.numGDEntries < needed) {
    // Workstation 2 and 3 used the magic with 64 tables of 512 entries: too few for this layout.
    if (raw.numGDEntries <= 64) {
      throw new VmdkError('unsupported', 'legacy-vmdk3', 'legacy VMDK3 disks are not supported', {
        path,
        offset: CowdHeaderStruct.offsetOf('numGDEntries'),
        field: 'numGDEntries',
        found: raw.numGDEntries,
        expected: `at least ${needed} for ${raw.numSectors} sectors`,
      });
    }
    fail('numGDEntries', raw.numGDEntries, `at least ${needed} for ${raw.numSectors} sectors`);
  }
  return {
    flags: raw.flags,
    capacity: raw.numSectors,
    grainSize: raw.grainSize,
    gdOffset: raw.gdOffset,
    numGDEntries: needed,
    freeSector: raw.freeSector,
    uncleanShutdown: raw.uncleanShutdown !== 0,
  };
}

export function encodeCowdHeader(header: CowdHeader): Buffer {
  return CowdHeaderStruct.encode({
    magicNumber: COWD_MAGIC,
    version: 1,
    flags: header.flags,
    numSectors: header.capacity,
    grainSize: header.grainSize,
    gdOffset: header.gdOffset,
    numGDEntries: header.numGDEntries,
    freeSector: header.freeSector,
    uncleanShutdown: header.uncleanShutdown ? 1 : 0,
  });
}
