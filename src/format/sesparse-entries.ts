// Grain directory and grain table entries of seSparse, without BigInt: an entry is a pair of 32-bit halves.
// Encoding after QEMU's reader: top nibble = type, then the low 12 bits of the index, then its high 48 bits.

export const SESPARSE_TYPE = { unallocated: 0, unmapped: 1, zero: 2, allocated: 3 } as const;

/** The type nibble of a table entry, from its high half. */
export function seSparseType(high: number): number {
  return high >>> 28;
}

/** The grain index of a table entry. */
export function seSparseIndex(low: number, high: number): number {
  return ((high & 0xffff) * 2 ** 32 + low) * 4096 + ((high >>> 16) & 0xfff);
}

/** The halves [low, high] of a table entry. */
export function seSparseEntry(type: number, index: number): [low: number, high: number] {
  const upper = Math.floor(index / 4096);
  const high = ((type << 28) | ((index % 4096) << 16) | Math.floor(upper / 2 ** 32)) >>> 0;
  return [upper % 2 ** 32, high];
}

/** High half of a directory entry that names a grain table; its low half is the table's index. */
export const SESPARSE_DIRECTORY_ALLOCATED = 0x10000000;
