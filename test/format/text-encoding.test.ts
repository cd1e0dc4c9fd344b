import { describe, expect, it } from 'vitest';
import { parseDescriptor, type Descriptor } from '../../src/format/descriptor.ts';
import { printDescriptor } from '../../src/format/print-descriptor.ts';
import { canonicalEncoding, encodeText, fitsEncoding, valueDecoder } from '../../src/format/text-encoding.ts';

function describedBy(encodingLines: string, nameBytes: number[]): { descriptor: Descriptor; bytes: Buffer } {
  const bytes = Buffer.concat([
    Buffer.from(`version=1\n${encodingLines}CID=1\nparentCID=ffffffff\ncreateType="custom"\nRW 9 FLAT "`),
    Buffer.from(nameBytes),
    Buffer.from('.vmdk" 0\n'),
  ]);
  return { descriptor: parseDescriptor(bytes, 'disk.vmdk'), bytes };
}

describe('encodings of descriptors', () => {
  it.each([
    ['Shift_JIS', [0x83, 0x5c, 0x83, 0x7c], 'ソポ'],
    ['shift_jis', [0x95, 0x5c, 0xb1], '表ｱ'],
    ['cp932', [0x95, 0x5c], '表'],
    ['GBK', [0xc4, 0x7c], '膢'],
    ['windows-936', [0xd6, 0xd0], '中'],
    ['Big5', [0xa5, 0x5c], '功'],
    ['cp950', [0xa5, 0x5c], '功'],
    ['EUC-KR', [0xb0, 0xa1], '가'],
    // First, last and some of what code page 949 adds to EUC-KR.
    ['cp949', [0x81, 0x41, 0xc6, 0x52, 0x8c, 0x63, 0xb0, 0xa1, 0xa1, 0x41], '갂힣똠가좥'],
    ['windows-1250', [0x8a], 'Š'],
    ['windows-1251', [0xcf], 'П'],
    ['windows-1252', [0xe9, 0x80, 0x81], 'é€\u0081'],
    ['UTF-8', [0xc3, 0xa0], 'à'],
  ])('%s: names are decoded and nothing is disturbed', (encoding, bytes, name) => {
    for (const line of [`encoding="${encoding}"\n`, `ddb.encoding = "${encoding}"\n`]) {
      const { descriptor, bytes: text } = describedBy(line, bytes);
      expect(descriptor.extents[0]!.fileName).toBe(`${name}.vmdk`);
      expect(descriptor).toMatchObject({ encoding, problems: [] });
      expect(printDescriptor(descriptor).equals(text)).toBe(true);
    }
  });

  it.each([
    ['', [0xe9], 'é', 'desc-encoding-undeclared'],
    ['encoding="UTF-8"\n', [0xe9], 'é', 'desc-encoding-lie'],
    ['encoding="Shift_JIS"\n', [0xfd, 0xff], 'ýÿ', 'desc-encoding-lie'],
    ['encoding="klingon"\n', [0xc3, 0xa9], 'é', 'desc-encoding-unknown'],
    ['encoding="UTF-8"\nddb.encoding="GBK"\n', [0x61], 'a', 'desc-encoding-conflict'],
  ])('a text that lies about it is read all the same, with a warning: %j', (line, bytes, name, code) => {
    const { descriptor } = describedBy(line, bytes);
    expect(descriptor.extents[0]!.fileName).toBe(`${name}.vmdk`);
    expect(descriptor.problems).toEqual([expect.objectContaining({ code, severity: 'warning' })]);
  });

  it('keep the byte A0 at the end of a bare value, which is no blank', () => {
    const text = Buffer.from('version=1\nremark=à \n', 'utf8');
    expect(parseDescriptor(text, 'disk.vmdk').header.get('remark')).toBe('à');
  });
});

describe('encodeText', () => {
  it.each(['utf-8', 'windows-1250', 'windows-1251', 'windows-1252', 'shift_jis', 'gbk', 'big5', 'euc-kr'])(
    'writes what the decoder of %s reads',
    (encoding) => {
      const samples = ['plain.vmdk', 'é', '€', 'П', 'ソポ表ｱ', '中文', '功', '가갂'];
      const written = samples.filter((text) => {
        const bytes = encodeText(text, encoding);
        if (bytes === undefined) return false;
        expect(fitsEncoding(bytes, encoding)).toBe(true);
        expect(valueDecoder(encoding)(bytes.toString('latin1'))).toBe(text);
        return true;
      });
      expect(written.length).toBeGreaterThan(1);
    },
  );

  it('has no bytes for what an encoding cannot say', () => {
    expect(encodeText('中', 'windows-1252')).toBeUndefined();
    expect(encodeText('🦊', 'shift_jis')).toBeUndefined();
    expect(encodeText('\ud800', 'utf-8')).toBeUndefined();
  });
});

describe('canonicalEncoding', () => {
  it('knows the names that VMware uses, and says so of others', () => {
    expect(['UTF-8', 'utf8', 'Shift_JIS', 'GBK', 'Big5', 'CP949'].map(canonicalEncoding)).toEqual([
      'utf-8',
      'utf-8',
      'shift_jis',
      'gbk',
      'big5',
      'euc-kr',
    ]);
    expect(canonicalEncoding('klingon')).toBeUndefined();
    // Text whose first line can be read is none of these, whatever it says.
    expect(['UTF-16', 'utf-16le', 'UTF-16BE'].map(canonicalEncoding)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
