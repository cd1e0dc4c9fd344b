import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDescriptor, type Descriptor } from '../../src/format/descriptor.ts';
import {
  cidWidth,
  editDescriptor,
  rollContentId,
  type DescriptorEdits,
} from '../../src/format/edit-descriptor.ts';
import { printDescriptor, printEmbeddedDescriptor } from '../../src/format/print-descriptor.ts';

const BASE = `# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=afba0c7
parentCID=ffffffff
createType="vmfs"

# Extent description
RW 4096 VMFS "base-flat.vmdk"

# The Disk Data Base 
#DDB

ddb.adapterType = "lsilogic"
ddb.longContentID = "4b98b55ba6a6bc2e8fd6eb36fffffffe"
`;

function parse(text: string | Uint8Array): Descriptor {
  return parseDescriptor(typeof text === 'string' ? Buffer.from(text) : text, 'disk.vmdk');
}

function edited(text: string, edits: DescriptorEdits): string {
  return printDescriptor(editDescriptor(parse(text), edits)).toString();
}

describe('editDescriptor', () => {
  it('changes values where they stand and nothing else', () => {
    const edits: DescriptorEdits = {
      version: 3,
      cid: 0x123,
      parentCid: 0x8f67ca74,
      createType: 'custom',
      longContentId: '0'.repeat(32),
      ddb: { 'DDB.adaptertype': 'ide' },
    };
    expect(edited(BASE, edits)).toBe(
      BASE.replace('version=1', 'version=3')
        .replace('CID=afba0c7', 'CID=0000123')
        .replace('ffffffff', '8f67ca74')
        .replace('"vmfs"', '"custom"')
        .replace('lsilogic', 'ide')
        .replace('4b98b55ba6a6bc2e8fd6eb36fffffffe', '0'.repeat(32)),
    );
  });

  it('keeps blanks, comments, quoting and CRLF of the lines it touches', () => {
    const odd = 'version=1\r\n  CID = "0A" # mine\r\nparentCID=ffffffff \r\ncreateType=vmfs\r\nRW 9 ZERO\r\n';
    expect(edited(odd, { cid: 0xbcd, parentCid: 7, createType: 'two words' })).toBe(
      'version=1\r\n  CID = "bcd" # mine\r\nparentCID=00000007 \r\ncreateType="two words"\r\nRW 9 ZERO\r\n',
    );
  });

  it('puts a new hint right before the extents, and a blank line where one goes', () => {
    const child = edited(BASE, { parentCid: 1, parentFileNameHint: '../b/base.vmdk' });
    expect(child).toBe(
      BASE.replace('ffffffff', '00000001').replace(
        '# Extent',
        'parentFileNameHint="../b/base.vmdk"\n# Extent',
      ),
    );
    expect(edited(child, { parentCid: 0xffffffff, parentFileNameHint: null })).toBe(BASE);
    const tight = BASE.replace('\n\n# Extent', '\nparentFileNameHint="a"\n# Extent');
    expect(edited(tight, { parentFileNameHint: null })).toBe(BASE);
    expect(edited(tight, { parentFileNameHint: 'b' })).toBe(tight.replace('"a"', '"b"'));
  });

  it('writes missing keys where VMware has them, and ends an open last line first', () => {
    expect(
      edited('version=1\nRW 9 ZERO', { createType: 'custom', cid: 1, parentCid: 2, parentFileNameHint: 'p' }),
    ).toBe(
      'version=1\nCID=00000001\nparentCID=00000002\ncreateType="custom"\nparentFileNameHint="p"\nRW 9 ZERO',
    );
    expect(edited('version=1\r\nRW 9 ZERO', { ddb: { 'ddb.a': '1', 'ddb.b': '2' } })).toBe(
      'version=1\r\nRW 9 ZERO\r\n\r\n# The Disk Data Base \r\n#DDB\r\n\r\nddb.a = "1"\r\nddb.b = "2"\r\n',
    );
    expect(edited('version=1\nRW 9 ZERO\n#DDB\n', { longContentId: 'ab' })).toBe(
      'version=1\nRW 9 ZERO\n#DDB\n\nddb.longContentID = "ab"\n',
    );
    expect(edited('version=1\n', { parentFileNameHint: 'p' })).toBe('version=1\nparentFileNameHint="p"\n');
  });

  it('takes keys away, change tracking with its title', () => {
    const tracked = BASE.replace(
      '\n# The',
      '\n# Change Tracking File\nchangeTrackPath="x-ctk.vmdk"\n\n# The',
    );
    const plain = parse(edited(tracked, { changeTrackPath: null }));
    expect(plain.changeTrackPath).toBeUndefined();
    expect(printDescriptor(plain).toString()).not.toMatch(/track/i);
    expect(edited(BASE, { changeTrackPath: null })).toBe(BASE);
    expect(edited(BASE, { longContentId: null, ddb: { 'ddb.none': null } })).toBe(
      BASE.replace(/ddb\.long.*\n/, ''),
    );
  });

  it('replaces extents and leaves the lines of unchanged ones alone', () => {
    const split =
      'version=1\nRDONLY  5 sparse "a-s001.vmdk"  # one\nRW 6 FLAT "b" 7 uuid dev\n# between\nRW 7 ZERO \n';
    const { extents } = parse(split);
    const rename = (fileName: string) => [extents[0]!, { ...extents[1]!, fileName }, extents[2]!];
    expect(edited(split, { extents: rename('c') })).toBe(split.replace('"b"', '"c"'));
    expect(edited(split, { extents: extents.slice(0, 1) })).toBe(
      'version=1\nRDONLY  5 sparse "a-s001.vmdk"  # one\n# between\n',
    );
    expect(edited(split, { extents: [...extents, { sectors: 8, type: 'vmfs', fileName: 'd' }] })).toBe(
      `${split}RW 8 VMFS "d"\n`,
    );
    expect(edited('version=1\n# Extent description\n', { extents: [{ sectors: 1, type: 'ZERO' }] })).toBe(
      'version=1\n# Extent description\nRW 1 ZERO\n',
    );
  });

  it('writes names in the encoding of the text, or refuses', () => {
    const text = Buffer.from(BASE.replace('UTF-8', 'Shift_JIS'));
    const hint = editDescriptor(parse(text), { parentFileNameHint: 'ソ表.vmdk' });
    expect(hint.parentFileNameHint).toBe('ソ表.vmdk');
    expect(printDescriptor(hint).includes(Buffer.from([0x83, 0x5c, 0x95, 0x5c]))).toBe(true);
    const named = (fileName: string): DescriptorEdits => ({
      extents: [{ sectors: 1, type: 'VMFS', fileName }],
    });
    expect(editDescriptor(parse(text), named('表')).extents[0]!.fileName).toBe('表');
    for (const edits of [{ parentFileNameHint: '🦊' }, named('🦊'), { ddb: { 'ddb.comment': '🦊' } }]) {
      expect(() => editDescriptor(parse(text), edits)).toThrow(
        expect.objectContaining({ kind: 'usage', code: 'name-not-encodable' }),
      );
    }
  });

  it.each(['a"b', 'a|b', 'a\nb', 'a\0b', '\ud800'])('refuses %j, which would need escaping', (name) => {
    for (const edits of [
      { parentFileNameHint: name },
      { ddb: { 'ddb.comment': name } },
      { createType: name },
      { extents: [{ sectors: 1, type: 'VMFS', fileName: name }] },
    ]) {
      for (const text of [BASE, 'version=1\n']) {
        expect(() => edited(text, edits)).toThrow(expect.objectContaining({ code: 'name-needs-escaping' }));
      }
    }
  });

  it('refuses numbers and keys that cannot be', () => {
    for (const edits of [
      { cid: 0xffffffff },
      { cid: -1 },
      { parentCid: 2 ** 32 },
      { version: 0 },
      { ddb: { 'CID ': '' } },
    ]) {
      expect(() => edited(BASE, edits)).toThrow(RangeError);
    }
  });
});

describe('rollContentId', () => {
  const random = '0123456789abcdef01234567';

  it('sets CID and longContentID without changing any length while the CID fits', () => {
    const descriptor = parse(BASE);
    expect(cidWidth(descriptor)).toBe(7);
    const rolled = printDescriptor(rollContentId(descriptor, 0x42, random)).toString();
    expect(rolled).toBe(
      BASE.replace('afba0c7', '0000042').replace('4b98b55ba6a6bc2e8fd6eb36fffffffe', `${random}00000042`),
    );
    expect(printDescriptor(rollContentId(descriptor, 0x12345678, random)).length).toBe(BASE.length + 1);
  });

  it('adds no longContentID where there was none, and mends a CID that cannot be read', () => {
    const bare = 'version=1\nCID=IDHERE\nRW 9 ZERO\n';
    expect(cidWidth(parse(bare))).toBe(8);
    expect(printDescriptor(rollContentId(parse(bare), 0x42, random)).toString()).toBe(
      'version=1\nCID=00000042\nRW 9 ZERO\n',
    );
  });

  it('wants 24 hex digits', () => {
    expect(() => rollContentId(parse(BASE), 1, 'xyz')).toThrow(RangeError);
  });
});

describe('printEmbeddedDescriptor', () => {
  it('fills its area, and refuses to run over its end', () => {
    const area = Buffer.alloc(1024);
    area.write(BASE);
    const descriptor = parse(area);
    expect(printEmbeddedDescriptor(descriptor, 1024).equals(area)).toBe(true);
    const longer = editDescriptor(descriptor, { ddb: { 'ddb.comment': 'x'.repeat(100) } });
    const printed = printEmbeddedDescriptor(longer, 1024);
    expect(printed).toHaveLength(1024);
    expect(parse(printed).ddb.get('ddb.comment')).toBe('x'.repeat(100));
    expect(() => printEmbeddedDescriptor(longer, 300)).toThrow(
      expect.objectContaining({ kind: 'refused', code: 'descriptor-does-not-fit' }),
    );
  });
});

describe('for any text', () => {
  const line = fc.oneof(
    fc.constantFrom('', '  ', '# The Disk Data Base ', '#DDB', '# Extent description', 'Extent description'),
    fc.constantFrom(
      'CID=1',
      'CID = "fffffffe" ',
      'parentCID=ffffffff',
      'createType="vmfs"',
      'ddb.longContentID = "00"',
    ),
    fc.constantFrom(
      'parentFileNameHint="a "b" c"',
      'encoding="Shift_JIS"',
      'RW 5 FLAT "a" 0',
      'rw 6 SPARSE "x"y" # z',
    ),
    fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
  );
  const text = fc
    .tuple(
      fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 12 }),
      fc.constantFrom('', '\0\0', '\0x'),
    )
    .map(([lines, tail]) => Buffer.from(`version=1\n${lines.flat().join('')}${tail}`, 'latin1'));

  it('what is parsed prints back byte for byte', () => {
    fc.assert(
      fc.property(text, (bytes) => {
        expect(printDescriptor(parse(bytes)).equals(bytes)).toBe(true);
      }),
    );
  });

  it('an edit changes its own lines only, and is found there afterwards', () => {
    const edits = { cid: 0xabcdef01, parentCid: 0x12345678 };
    fc.assert(
      fc.property(text, (bytes) => {
        const before = parse(bytes);
        const after = editDescriptor(before, { ...edits, parentFileNameHint: 'p.vmdk' });
        expect(after).toMatchObject({
          ...edits,
          parentFileNameHint: 'p.vmdk',
          extents: { length: before.extents.length },
        });
        expect(others(after)).toEqual(others(before));
        expect(Buffer.from(after.tail)).toEqual(Buffer.from(before.tail));
      }),
    );
  });

  /** Lines that the edit does not name; an open last line may have got its end. */
  function others({ lines }: Descriptor): string[] {
    return lines
      .filter(({ key }) => key === undefined || !['cid', 'parentcid', 'parentfilenamehint'].includes(key))
      .map(({ raw }) =>
        Buffer.from(raw)
          .toString('latin1')
          .replace(/[\r\n]+$/, ''),
      );
  }
});
