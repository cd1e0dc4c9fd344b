// Entries of FAT folders: short names, long names, and what is left of long names whose parts do not fit.
import { describe, expect, it } from 'vitest';
import { FatDirectoryEntry, FatEntryReader, fatEntryAt } from '../../src/format/fat.ts';

const short = (name: string | Buffer, fields: Parameters<typeof FatDirectoryEntry.encode>[0] = {}): Buffer =>
  FatDirectoryEntry.encode({ DIR_Name: Buffer.from(name as string, 'latin1'), ...fields });

/** One part of a long name: 13 units. */
const long = (order: number, text: string, sum: number): Buffer => {
  const units = Buffer.from(text.padEnd(13, '\uffff'), 'utf16le');
  const entry = Buffer.alloc(32);
  entry[0] = order;
  entry[11] = 0x0f;
  entry[13] = sum;
  units.copy(entry, 1, 0, 10);
  units.copy(entry, 14, 10, 22);
  units.copy(entry, 28, 22, 26);
  return entry;
};

const sumOf = (name: string): number =>
  Buffer.from(name, 'latin1').reduce((sum, byte) => (((sum & 1) << 7) + (sum >>> 1) + byte) & 0xff, 0);

const names = (...entries: Buffer[]): string[] =>
  new FatEntryReader().read(Buffer.concat(entries), 0).map(({ name }) => name);

describe('names', () => {
  it('are short, in capitals unless told, and in code page 850', () => {
    expect(names(short('README  TXT'), short('README  TXT', { DIR_NTRes: 0x18 }))).toEqual([
      'README.TXT',
      'readme.txt',
    ]);
    expect(names(short('K\x8eSE    TXT', { DIR_NTRes: 0x08 }), short('\x05ABC       '))).toEqual([
      'käse.TXT',
      'ÕABC',
    ]);
  });

  it('are long where the parts are whole and fit the short one', () => {
    const sum = sumOf('LONGNA~1TXT');
    const parts = [long(0x42, 'ame.text\0', sum), long(1, 'A long long n', sum)];
    expect(names(...parts, short('LONGNA~1TXT'))).toEqual(['A long long name.text']);
    expect(names(parts[0]!, short('LONGNA~1TXT'))).toEqual(['LONGNA~1.TXT']);
    expect(names(parts[1]!, parts[0]!, short('LONGNA~1TXT'))).toEqual(['LONGNA~1.TXT']);
    expect(names(...parts, short('OTHER   TXT'))).toEqual(['OTHER.TXT']);
    expect(names(long(0x7f, 'x', sum), long(5, 'y', sum), short('LONGNA~1TXT'))).toEqual(['LONGNA~1.TXT']);
  });

  it('end where the folder ends, and leave out what is deleted, the label, and dots', () => {
    const reader = new FatEntryReader();
    const label = short('MY DISK    ', { DIR_Attr: 0x08 });
    const folder = Buffer.concat([
      label,
      short('.          ', { DIR_Attr: 0x10 }),
      short('\xe5ONE    TXT'),
      short('SUB        ', { DIR_Attr: 0x10, DIR_FstClusHI: 1, DIR_FstClusLO: 2 }),
      Buffer.alloc(32),
      short('GHOST   TXT'),
    ]);
    expect(reader.read(folder, 0)).toMatchObject([{ slot: 3, name: 'SUB', folder: true, cluster: 65_538 }]);
    expect(reader).toMatchObject({ ended: true, label: 'MY DISK' });
  });
});

it('dates and times are taken apart', () => {
  const [entry] = new FatEntryReader().read(
    short('A          ', {
      DIR_WrtDate: (29 << 9) | (5 << 5) | 22,
      DIR_WrtTime: (12 << 11) | (34 << 5) | 28,
    }),
    0,
  );
  expect(new Date(entry!.modified!).toISOString()).toBe('2009-05-22T12:34:56.000Z');
  expect(entry!.created).toBeUndefined();
});

it('entries of a table have 12, 16 or 28 bits', () => {
  const table = Buffer.from('f8ffff034000ff0f', 'hex');
  expect([0, 1, 2, 3].map((index) => fatEntryAt(table, index, 12))).toEqual([0xff8, 0xfff, 0x003, 0x004]);
  expect(fatEntryAt(table, 1, 16)).toBe(0x03ff);
  expect(fatEntryAt(Buffer.from('ffffffff', 'hex'), 0, 32)).toBe(0x0fffffff);
});
