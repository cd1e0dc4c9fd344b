// Finding zeros, at every alignment and never outside the buffer.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isZero, nonZeroStretches } from '../../src/block/zero-scan.ts';

/** Mostly zeros, with a few bytes set, at any alignment within a larger buffer. */
const sparse = fc
  .record({
    length: fc.nat({ max: 20_000 }),
    before: fc.nat({ max: 9 }),
    places: fc.array(fc.nat({ max: 19_999 }), { maxLength: 4 }),
  })
  .map(({ length, before, places }) => {
    const whole = Buffer.alloc(before + length + 5, 0xff);
    const data = whole.subarray(before, before + length).fill(0);
    for (const place of places) if (place < length) data[place] = 1;
    return data;
  });

describe('isZero', () => {
  it('says whether every byte is zero, never looking outside', () => {
    fc.assert(
      fc.property(sparse, (data) => {
        expect(isZero(data)).toBe(data.every((byte) => byte === 0));
      }),
    );
  });

  it('sees a single byte at every place around its step', () => {
    for (const place of [0, 1, 4094, 4095, 4096, 4097, 8190, 8191]) {
      const data = Buffer.alloc(8192);
      data[place] = 1;
      expect(isZero(data)).toBe(false);
    }
  });
});

describe('nonZeroStretches', () => {
  it('covers every byte that is not zero with ordered, separate stretches, cut at 4 KiB', () => {
    fc.assert(
      fc.property(sparse, (data) => {
        const stretches = nonZeroStretches(data);
        let last = -1;
        const covered = Buffer.alloc(data.length);
        for (const [start, end] of stretches) {
          expect(start).toBeGreaterThan(last);
          expect(start % 4096).toBe(0);
          expect(end % 4096 === 0 || end === data.length).toBe(true);
          for (let at = start; at < end; at += 4096)
            expect(isZero(data.subarray(at, Math.min(at + 4096, end)))).toBe(false);
          covered.fill(1, start, end);
          last = end;
        }
        for (const [place, byte] of data.entries()) if (byte !== 0) expect(covered[place]).toBe(1);
      }),
    );
  });
});
