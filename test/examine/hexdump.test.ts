// The layout of hexdump -C, and that zeros taken by the number are the zeros that stand there.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HexDump } from '../../src/examine/hexdump.ts';

const dumped = (data: Uint8Array, offset = 0): string => {
  const dump = new HexDump(offset);
  return dump.add(data) + dump.end();
};

describe('a hex dump', () => {
  it('has offsets, bytes, letters, and the end', () => {
    expect(dumped(Buffer.from('Hello, world! \x00\xff~tail'), 0x10)).toBe(
      '00000010  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 20 00 c3  |Hello, world! ..|\n' +
        '00000020  bf 7e 74 61 69 6c                                 |.~tail|\n' +
        '00000026\n',
    );
    expect(dumped(Buffer.alloc(0))).toBe('');
  });

  it('has one star for all lines that are equal', () => {
    const text = dumped(Buffer.concat([Buffer.alloc(64), Buffer.alloc(16, 1), Buffer.alloc(32)]));
    expect(text.split('\n').map((line) => line.slice(0, 11))).toEqual([
      '00000000  0',
      '*',
      '00000040  0',
      '00000050  0',
      '*',
      '00000070',
      '',
    ]);
  });

  it('is the same however the bytes come', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 70 }),
      fc.nat(100).map((count) => new Uint8Array(count)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const dump = new HexDump();
        let text = '';
        for (const each of pieces) {
          text += each.every((byte) => byte === 0) ? dump.addZeros(each.length) : dump.add(each);
        }
        expect(text + dump.end()).toBe(dumped(Buffer.concat(pieces)));
      }),
    );
  });

  it('counts on past 4 GiB, and takes terabytes of zeros as one star', () => {
    const dump = new HexDump();
    expect(dump.addZeros(2 ** 46) + dump.end()).toBe(
      `${dumped(Buffer.alloc(16)).split('\n')[0]}\n*\n400000000000\n`,
    );
  });
});
