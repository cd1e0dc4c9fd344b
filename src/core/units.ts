// Branded units: sectors passed for bytes fail to compile. A disk's numbers are safe integers, checked here
// and nowhere else; 512 is written once, here.

/** A length or position in bytes. */
export type Bytes = number & { readonly __unit: 'bytes' };
/** A length or position in 512-byte sectors, also on 4Kn disks. */
export type Sectors = number & { readonly __unit: 'sectors' };
/** The number of a grain within its extent, counted from 0. */
export type GrainIndex = number & { readonly __unit: 'grains' };

export const SECTOR_BYTES = 512;

/** Largest sector position whose byte position is still a safe integer. */
export const MAX_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_BYTES) as Sectors;

/** Brands a number as bytes; throws RangeError unless it is a non-negative safe integer. */
export function bytes(value: number): Bytes {
  return checked(value, 'bytes') as Bytes;
}

/** Brands a number as sectors; throws RangeError unless it is a non-negative safe integer. */
export function sectors(value: number): Sectors {
  return checked(value, 'sectors') as Sectors;
}

/** Brands a number as a grain index; throws RangeError unless it is a non-negative safe integer. */
export function grainIndex(value: number): GrainIndex {
  return checked(value, 'grains') as GrainIndex;
}

export function sectorsToBytes(count: Sectors): Bytes {
  return bytes(count * SECTOR_BYTES);
}

/** Whole sectors needed to hold `length` bytes. */
export function bytesToSectors(length: Bytes): Sectors {
  return Math.ceil(length / SECTOR_BYTES) as Sectors;
}

export function ceilDiv(value: number, by: number): number {
  return Math.ceil(value / by);
}

export function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

export function roundDown(value: number, to: number): number {
  return Math.floor(value / to) * to;
}

/** Also true for powers above 2^31, where bit operators no longer serve. */
export function isPowerOfTwo(value: number): boolean {
  // log2 alone rounds: it calls 2^49 - 1 a power as well.
  return Number.isSafeInteger(value) && value >= 1 && 2 ** Math.round(Math.log2(value)) === value;
}

function checked(value: number, unit: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a count of ${unit}: ${value}`);
  return value;
}
