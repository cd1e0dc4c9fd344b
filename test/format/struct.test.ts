// Tables of structures: what is written reads back, and a slip in a table is found when it is loaded.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineStruct } from '../../src/format/struct.ts';

const Sample = defineStruct('Sample', 24, [
  ['small', 'u8'],
  ['pair', 'u16'],
  ['word', 'u32'],
  ['long', 'u64'],
  ['rest', 9],
]);

const sample = fc.record({
  small: fc.nat({ max: 0xff }),
  pair: fc.nat({ max: 0xffff }),
  word: fc.nat({ max: 0xffffffff }),
  long: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  rest: fc.uint8Array({ minLength: 9, maxLength: 9 }),
});

describe('a structure', () => {
  it('reads back what was written, at any offset', () => {
    fc.assert(
      fc.property(sample, fc.nat({ max: 40 }), (value, at) => {
        const whole = Buffer.alloc(100, 0xee);
        whole.set(Sample.encode(value), at);
        for (const found of [Sample.decode(whole, at), Sample.decode(whole.subarray(at))]) {
          expect({ ...found, rest: Uint8Array.from(found.rest) }).toEqual(value);
        }
      }),
    );
  });

  it('is little-endian, packed, and zero where nothing was given', () => {
    const bytes = Sample.encode({ pair: 0x0102, word: 0x03040506, long: 0x0708090a0b0c0d0en });
    expect(bytes.toString('hex')).toBe('00020106050403' + '0e0d0c0b0a090807' + '00'.repeat(9));
  });

  it('tells where each field stands', () => {
    expect(
      (['small', 'pair', 'word', 'long', 'rest'] as const).map((field) => Sample.offsetOf(field)),
    ).toEqual([0, 1, 3, 7, 15]);
    expect(Sample.byteLength).toBe(24);
  });

  it('gives raw bytes that are its own: changing them changes no file', () => {
    const bytes = Sample.encode({});
    Sample.decode(bytes).rest[0] = 1;
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  it('must add up, and name each field once', () => {
    expect(() => defineStruct('Short', 8, [['one', 'u32']])).toThrow(
      'Short: fields add up to 4 bytes, not 8',
    );
    expect(() =>
      defineStruct('Twice', 8, [
        ['one', 'u32'],
        ['one', 'u32'],
      ]),
    ).toThrow('Twice: field one stands twice');
  });

  it('refuses to read past the end, and to write what does not fit', () => {
    expect(() => Sample.decode(Buffer.alloc(23))).toThrow(RangeError);
    expect(() => Sample.encode({ small: 256 })).toThrow(RangeError);
    expect(() => Sample.encode({ word: 2 ** 32 })).toThrow(RangeError);
  });
});
