// Numbers as people read them.
import { describe, expect, it } from 'vitest';
import { exactSizeText, grouped, rateText, sizeText, timeText } from '../../src/cli/numbers.ts';

describe('numbers for people', () => {
  it('gives sizes in powers of 1024 with at most two digits behind the point', () => {
    expect([0, 1, 1023, 1024, 1536, 1_047_961, 1.5 * 2 ** 30, 2 ** 62].map((size) => sizeText(size))).toEqual(
      ['0 B', '1 B', '1,023 B', '1 KiB', '1.5 KiB', '1,023.4 KiB', '1.5 GiB', '4 EiB'],
    );
  });

  it('groups digits by three, those before the point alone', () => {
    expect([999, 1000, 1_610_612_736, 1234.5678, -1234].map(grouped)).toEqual([
      '999',
      '1,000',
      '1,610,612,736',
      '1,234.5678',
      '-1,234',
    ]);
  });

  it('says the exact bytes, rates and times', () => {
    expect(exactSizeText(512)).toBe('512 bytes');
    expect(exactSizeText(1536)).toBe('1.5 KiB (1,536 bytes)');
    expect(rateText(1_600_000)).toBe('2 MiB/s');
    expect([8, 200, 7500].map(timeText)).toEqual(['8 s', '3 min 20 s', '2 h 5 min']);
  });
});
