import { describe, expect, it } from 'vitest';
import { isUsableCid, longContentIdFor, newCid, parseCid, printCid } from '../../src/format/content-id.ts';
import { geometryFor } from '../../src/format/geometry.ts';

describe('content ids', () => {
  it('are read as hex of either case, with or without leading zeros', () => {
    expect(['afba0c7', '0AFBA0C7', 'ffffffff', '0'].map(parseCid)).toEqual([
      0xafba0c7, 0xafba0c7, 0xffffffff, 0,
    ]);
    for (const text of ['', 'IDHERE', '123456789', '0x12', ' 12', '-1'])
      expect(parseCid(text)).toBeUndefined();
  });

  it('are written as eight lower-case digits, or as wide as asked', () => {
    expect([printCid(0xafba0c7), printCid(0xafba0c7, 7), printCid(0xabc, 1)]).toEqual([
      '0afba0c7',
      'afba0c7',
      'abc',
    ]);
    for (const cid of [-1, 2 ** 32, 0.5]) expect(() => printCid(cid)).toThrow(RangeError);
  });

  it('may be anything but the one that means "no parent"', () => {
    expect([0, 0xfffffffe, 0xffffffff, -1, 1.5, 2 ** 32].map(isUsableCid)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it('are rolled until they mean nothing special, within the width', () => {
    const source = (...rolls: string[]) => {
      const left = [...rolls];
      return { next: (count: number) => Buffer.from(left.shift()!, 'hex').subarray(0, count), left };
    };
    const rolls = source('ffffffff', 'fffffffe', '00000000', '8f67ca74', 'unused');
    expect(newCid(rolls.next)).toBe(0x8f67ca74);
    expect(rolls.left).toEqual(['unused']);
    expect(newCid(source('8f67ca74').next, 7)).toBe(0x8f67ca7);
    expect(newCid(source('0f67ca74', '1f67ca74').next, 1)).toBe(1);
    expect(() => newCid(() => new Uint8Array(4), 9)).toThrow(RangeError);
  });

  it('end the long content id', () => {
    expect(
      longContentIdFor(
        0x12,
        Uint8Array.from({ length: 12 }, (_, index) => index),
      ),
    ).toBe('000102030405060708090a0b00000012');
    expect(() => longContentIdFor(1, new Uint8Array(11))).toThrow(RangeError);
  });
});

describe('geometryFor', () => {
  it.each([
    ['a 2 MiB vmfs sample', 4096, 'lsilogic', [2, 64, 32]],
    ['just under 1 GiB', 2 ** 21 - 1, 'buslogic', [1023, 64, 32]],
    ['1 GiB', 2 ** 21, 'lsilogic', [512, 128, 32]],
    ['2 GiB', 2 ** 22, 'lsilogic', [261, 255, 63]],
    ['a 10 GiB sample', 20971520, 'lsilogic', [1305, 255, 63]],
    ['a small ide disk', 20160, 'IDE', [20, 16, 63]],
    ['a large ide disk', 2 ** 32, 'ide', [16383, 16, 63]],
  ])('gives %s what VMware gives it', (_, capacity, adapter, [cylinders, heads, sectors]) => {
    expect(geometryFor(capacity, adapter)).toEqual({ cylinders, heads, sectors });
  });
});
