// The rotated entries of seSparse tables: the vectors that QEMU reads, and every index there can be.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  SESPARSE_DIRECTORY_ALLOCATED,
  SESPARSE_TYPE,
  seSparseEntry,
  seSparseIndex,
  seSparseType,
} from '../../src/format/sesparse-entries.ts';

function halves(entry: bigint): [low: number, high: number] {
  return [Number(entry & 0xffffffffn), Number(entry >> 32n)];
}

describe('an entry of a seSparse table', () => {
  it.each([
    [3, 0, 0x3000000000000000n],
    [3, 1, 0x3001000000000000n],
    [3, 4095, 0x3fff000000000000n],
    [3, 4096, 0x3000000000000001n],
    [3, 0x12345, 0x3345000000000012n],
    [1, 0, 0x1000000000000000n],
    [2, 1, 0x2001000000000000n],
  ])('of type %i and index %i is encoded as QEMU reads it', (type, index, entry) => {
    const [low, high] = halves(entry);
    expect(seSparseEntry(type, index)).toEqual([low, high]);
    expect(seSparseType(high)).toBe(type);
    expect(seSparseIndex(low, high)).toBe(index);
  });

  it('reads back whatever was encoded, and equals the formula on whole numbers', () => {
    const type = fc.constantFrom(...Object.values(SESPARSE_TYPE));
    const index = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.integer({ min: 0, max: 52 }).map((power) => 2 ** power),
    );
    fc.assert(
      fc.property(type, index, (kind, wanted) => {
        const [low, high] = seSparseEntry(kind, wanted);
        expect([seSparseType(high), seSparseIndex(low, high)]).toEqual([kind, wanted]);
        const big = BigInt(wanted);
        const entry = (BigInt(kind) << 60n) | ((big & 0xfffn) << 48n) | (big >> 12n);
        expect([low, high]).toEqual(halves(entry));
      }),
      { numRuns: 1000 },
    );
  });

  it('of the directory names table 7 as 0x1000000000000007', () => {
    expect(halves(0x1000000000000007n)).toEqual([7, SESPARSE_DIRECTORY_ALLOCATED]);
  });

  it('of a type that does not exist is told by its first digit', () => {
    for (let type = 4; type < 16; type++) expect(seSparseType((type << 28) >>> 0)).toBe(type);
  });
});
