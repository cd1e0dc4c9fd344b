// Texts made to break or to slow a reader: each is read or refused in no time: what grows faster than the
// text would take minutes, so the bound is wide enough for a busy machine.
import { describe, expect, it } from 'vitest';
import { parseDescriptor } from '../../src/format/descriptor.ts';
import { editDescriptor } from '../../src/format/edit-descriptor.ts';
import { detectFileKind } from '../../src/format/file-kind.ts';
import { printDescriptor } from '../../src/format/print-descriptor.ts';

const MIB = 1024 * 1024;
const HEAD = 'version=1\nCID=1\nparentCID=ffffffff\ncreateType="custom"\n';

function filled(unit: string, bytes = MIB): Buffer {
  return Buffer.from(HEAD + unit.repeat(Math.floor((bytes - HEAD.length) / unit.length)));
}

function inNoTime<T>(work: () => T): T {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start).toBeLessThan(5000);
  return result;
}

describe('a hostile descriptor', () => {
  it('is refused past 1 MiB and past 65,536 lines', () => {
    const tooLarge = expect.objectContaining({ kind: 'corrupt', code: 'descriptor-too-large' });
    expect(() => parseDescriptor(filled('x', MIB + 2), 'd')).toThrow(tooLarge);
    inNoTime(() => expect(() => parseDescriptor(filled('RW 1 ZERO\n'), 'd')).toThrow(tooLarge));
    inNoTime(() => expect(() => parseDescriptor(filled('\r'), 'd')).toThrow(tooLarge));
    expect(() => parseDescriptor(Buffer.alloc(2 * MIB, 'a'), 'd')).toThrow(tooLarge);
  });

  it('may have NULs for as long as its area is', () => {
    const padded = Buffer.concat([Buffer.from(`${HEAD}RW 1 ZERO\n`), Buffer.alloc(10 * MIB)]);
    expect(inNoTime(() => parseDescriptor(padded, 'd')).extents).toHaveLength(1);
  });

  it('of 65,000 extent lines is read, printed and edited quickly', () => {
    const bytes = Buffer.from(HEAD + 'RW 1 ZERO\n'.repeat(65_000));
    const descriptor = inNoTime(() => parseDescriptor(bytes, 'd'));
    expect(descriptor.extents).toHaveLength(65_000);
    expect(printDescriptor(descriptor).equals(bytes)).toBe(true);
    const extents = descriptor.extents.map((extent, index) =>
      index === 64_000 ? { ...extent, sectors: 2 } : extent,
    );
    expect(inNoTime(() => editDescriptor(descriptor, { cid: 2, extents })).extents[64_000]!.sectors).toBe(2);
  });

  it.each([
    ['quotes', '"'],
    ['quotes and blanks', '" '],
    ['one value of quotes', 'x="', '" '],
    ['an extent of quotes', 'RW 1 FLAT "', '" 5 '],
    ['an extent of quotes and comments', 'RW 1 FLAT "', '" #'],
    ['blanks', ' '],
    ['tabs in an extent', 'RW\t', '\t'],
    ['blanks after a name', 'RW 1 FLAT "a"', ' ', 'x y z q'],
    ['digits', 'RW ', '9', ' FLAT "a" 0'],
    ['digits in an offset', 'RW 1 FLAT "a" ', '9', 'x"'],
    ['hex digits', 'CID=', 'f'],
    ['equals signs', '='],
    ['hashes', '#'],
    ['a key', 'k', 'k'],
    ['bars', 'parentFileNameHint="', '|7C', '"'],
    ['duplicate keys', 'CID=2\n', 'k=1\nk=2\n'],
    ['undecodable bytes', 'RW 1 FLAT "', '\u00e9\ud83e\udd8a', '" 0'],
    ['odd lines', '?\n', '? ?\n'],
  ])('of %s is read in no time', (_, start, unit = start, end = '') => {
    const limit =
      Math.min(MIB, unit.includes('\n') ? 65_000 * 4 : MIB) - HEAD.length - start.length - end.length;
    const text = HEAD + start + unit.repeat(Math.floor(limit / Buffer.byteLength(unit))) + end;
    const bytes = Buffer.from(text);
    const descriptor = inNoTime(() => parseDescriptor(bytes, 'd'));
    expect(printDescriptor(descriptor).equals(bytes)).toBe(true);
    for (const { message, found = '', expected = '' } of descriptor.problems) {
      expect(message.length + found.length + expected.length).toBeLessThan(500);
    }
  });

  it('that never comes to version= is told apart quickly', () => {
    for (const unit of ['#\n', '\n', ' ', '\t\n', '#', '# \r', '\r']) {
      const text = Buffer.from(unit.repeat(MIB / 8 / unit.length));
      expect(inNoTime(() => detectFileKind(text))).toBe('unknown');
      expect(detectFileKind(Buffer.concat([text, Buffer.from('\nversion=1\n')]))).toBe('descriptor');
    }
  });

  it('has its numbers bounded: sizes, sums and offsets never leave the safe integers', () => {
    const text = `${HEAD}RW 18446744073709551615 ZERO\nRW 9007199254740993 FLAT "a" 0\nRW 1 FLAT "a" 1e9\nRW +1 ZERO\n`;
    const { extents, problems } = parseDescriptor(Buffer.from(text), 'd');
    expect(extents.every(({ sectors, offset }) => Number.isSafeInteger(sectors * 512) && offset === 0)).toBe(
      true,
    );
    expect(problems.filter(({ severity }) => severity === 'error').map(({ line }) => line)).toEqual([
      5, 6, 7, 8,
    ]);
  });

  it('cannot reach into our own objects by its keys', () => {
    const text = `${HEAD}__proto__=1\nconstructor=2\nddb.__proto__ = "3"\nRW 1 ZERO\n`;
    const descriptor = parseDescriptor(Buffer.from(text), 'd');
    expect(descriptor.header.get('__proto__')).toBe('1');
    expect(descriptor.problems).toEqual([]);
    expect(({} as Record<string, unknown>)['3']).toBeUndefined();
  });
});
