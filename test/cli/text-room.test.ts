// Text as bytes in memory that is used again: the same as joined strings, however much of it.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TextRoom } from '../../src/cli/text-room.ts';

it('holds what strings would', () => {
  const count = fc.oneof(fc.maxSafeNat(), fc.nat(1000), fc.constantFrom(999_999_999, 1e9, 1e15));
  const parts = fc.array(fc.oneof(count, fc.string({ unit: 'binary' })), { maxLength: 40 });
  fc.assert(
    fc.property(parts, parts, (first, second) => {
      const room = new TextRoom(16);
      for (const part of [first, second]) {
        for (const each of part) {
          if (typeof each === 'number') room.number(each);
          else if (each.length % 2 === 0) room.text(each);
          else room.bytes(Buffer.from(each));
        }
        const wanted = Buffer.from(part.join(''));
        expect(room.length).toBe(wanted.length);
        expect(wanted.equals(room.empty())).toBe(true);
      }
    }),
    { numRuns: 50 },
  );
});

it.each([-1, 0.5, 2 ** 53, NaN])('refuses %s as a count', (value) => {
  expect(() => new TextRoom(16).number(value)).toThrow(RangeError);
});
