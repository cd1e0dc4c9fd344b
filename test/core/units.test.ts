// Branded numbers: what is not a count of something is refused, also where 32-bit arithmetic would wrap.
import { describe, expect, it } from 'vitest';
import * as units from '../../src/core/units.ts';

describe('a branded number', () => {
  it.each([units.bytes, units.sectors, units.grainIndex])('is any count up to 2^53 - 1 (%o)', (brand) => {
    for (const value of [0, 1, 511, 2 ** 32, 2 ** 53 - 1]) expect(brand(value)).toBe(value);
  });

  it.each([units.bytes, units.sectors, units.grainIndex])('is nothing else (%o)', (brand) => {
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53, -0.5])
      expect(() => brand(value)).toThrow(RangeError);
  });

  it('says in its error what it was to count', () => {
    expect(() => units.sectors(1.5)).toThrow('not a count of sectors: 1.5');
  });
});

describe('sectors and bytes', () => {
  it('turn into one another, rounding bytes up', () => {
    expect(units.sectorsToBytes(units.sectors(3))).toBe(1536);
    expect([0, 1, 512, 513].map((length) => units.bytesToSectors(units.bytes(length)))).toEqual([0, 1, 1, 2]);
  });

  it('reach just as far as positions stay exact', () => {
    expect(units.sectorsToBytes(units.MAX_SECTORS)).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    expect(() => units.sectorsToBytes((units.MAX_SECTORS + 1) as units.Sectors)).toThrow(RangeError);
  });
});

describe('arithmetic on counts', () => {
  it('rounds to multiples, also above 2^32', () => {
    expect([0, 1, 127, 128, 129].map((value) => units.roundUp(value, 128))).toEqual([0, 128, 128, 128, 256]);
    expect([0, 1, 127, 128, 129].map((value) => units.roundDown(value, 128))).toEqual([0, 0, 0, 128, 128]);
    expect(units.roundUp(2 ** 40 + 1, 128)).toBe(2 ** 40 + 128);
    expect(units.roundDown(2 ** 40 + 1, 128)).toBe(2 ** 40);
    expect([0, 1, 4096, 4097].map((value) => units.ceilDiv(value, 4096))).toEqual([0, 1, 1, 2]);
  });

  it('knows the powers of two, also above 2^31', () => {
    for (let power = 0; power <= 52; power++) {
      expect(units.isPowerOfTwo(2 ** power)).toBe(true);
      if (power > 1) expect(units.isPowerOfTwo(2 ** power - 1), `2^${power} - 1`).toBe(false);
      if (power > 0) expect(units.isPowerOfTwo(2 ** power + 1), `2^${power} + 1`).toBe(false);
    }
    for (const value of [0, -1, -2, 0.5, 3, NaN, Infinity]) expect(units.isPowerOfTwo(value)).toBe(false);
  });
});
