// Sizes as people type them: one exact meaning, or a refusal that says why.
import { describe, expect, it } from 'vitest';
import { parseSize, toSectors } from '../../src/core/sizes.ts';
import { isVmdkError } from '../../src/core/errors.ts';

const messageOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (isVmdkError(error, 'usage')) return error.message;
    throw error;
  }
  return 'nothing was thrown';
};

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['1k', 1024],
    ['1K', 1024],
    ['64k', 65_536],
    ['1M', 1_048_576],
    ['1.5G', 1_610_612_736],
    ['40GiB', 42_949_672_960],
    ['62T', 68_169_720_922_112],
    ['2P', 2_251_799_813_685_248],
    ['63s', 32_256],
    ['0.5k', 512],
    ['0.000030517578125g', 32_768],
    [' 10 M ', 10_485_760],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text, 'SIZE')).toBe(bytes));

  it.each([
    [
      '10MB',
      'SIZE: "10MB": MB means powers of 1000 to some and of 1024 to others\n  Write 10M for powers of 1024.',
    ],
    [
      '1.5kB',
      'SIZE: "1.5kB": kB means powers of 1000 to some and of 1024 to others\n  Write 1.5k for powers of 1024.',
    ],
    ['1.3k', 'SIZE: "1.3k" is not a whole number of bytes'],
    ['0.5', 'SIZE: "0.5" is not a whole number of bytes'],
    ['9007199254740992', 'SIZE: "9007199254740992" is more than 9007199254740991 bytes'],
    ['9P', 'SIZE: "9P" is more than 9007199254740991 bytes'],
  ])('%s is refused', (text, message) => expect(messageOf(() => parseSize(text, 'SIZE'))).toBe(message));

  it.each(['', '-1', '-10G', 'G', '1e3', '0x10', '1,5G', '1 000', '5x', '5S', 'NaN', 'Infinity', '1..2k'])(
    '"%s" is no size',
    (text) => expect(messageOf(() => parseSize(text, '--offset'))).toMatch(/^--offset: "/),
  );

  it('says that a negative size is negative', () => {
    expect(messageOf(() => parseSize('-5', '--offset'))).toMatch(/^--offset: "-5" is negative\n/);
  });

  it('turns bytes into whole sectors only', () => {
    expect(toSectors(1024, '--start')).toBe(2);
    expect(messageOf(() => toSectors(1000, '--start'))).toBe(
      '--start: 1000 bytes are not whole sectors of 512',
    );
  });
});
