import { describe, expect, it } from 'vitest';
import { NO_PARENT_CID } from '../../src/format/content-id.ts';
import {
  assertSoundDescriptor,
  createTypeOf,
  parseDescriptor,
  type Descriptor,
} from '../../src/format/descriptor.ts';
import { printDescriptor } from '../../src/format/print-descriptor.ts';

const HEADER = [
  '# Disk DescriptorFile',
  'version=1',
  'CID=0172e8a4',
  'parentCID=ffffffff',
  'createType="vmfs"',
];
const EXTENT = 'RW 4096 VMFS "disk-flat.vmdk"';

function parse(text: string | Uint8Array): Descriptor {
  return parseDescriptor(typeof text === 'string' ? Buffer.from(text) : text, 'disk.vmdk');
}

function withLines(...lines: string[]): Descriptor {
  return parse([...HEADER, ...lines, ''].join('\n'));
}

function codes(descriptor: Descriptor): string[] {
  return descriptor.problems.map(({ severity, code }) => `${severity} ${code}`);
}

function onlyExtent(line: string) {
  const descriptor = withLines(line);
  expect(descriptor.extents).toHaveLength(1);
  return descriptor.extents[0]!;
}

describe('parseDescriptor', () => {
  it('reads every field of a delta as VMware writes it', () => {
    const descriptor = parse(`# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=8f67ca74
parentCID=0172e8a4
isNativeSnapshot="no"
createType="vmfsSparse"
parentFileNameHint="base.vmdk"
# Extent description
RW 4096 VMFSSPARSE "base-000001-delta.vmdk"

# Change Tracking File
changeTrackPath="base-000001-ctk.vmdk"

# The Disk Data Base 
#DDB

ddb.longContentID = "4b98b55ba6a6bc2e8fd6eb368f67ca74"
`);
    expect(descriptor).toMatchObject({
      version: 1,
      encoding: 'UTF-8',
      cid: 0x8f67ca74,
      parentCid: 0x0172e8a4,
      createType: 'vmfsSparse',
      parentFileNameHint: 'base.vmdk',
      isNativeSnapshot: false,
      changeTrackPath: 'base-000001-ctk.vmdk',
      problems: [],
    });
    expect(descriptor.extents).toEqual([
      {
        line: 10,
        access: 'RW',
        sectors: 4096,
        type: 'VMFSSPARSE',
        fileName: 'base-000001-delta.vmdk',
        offset: 0,
        hasOffset: false,
      },
    ]);
    expect(descriptor.ddb.get('ddb.longcontentid')).toBe('4b98b55ba6a6bc2e8fd6eb368f67ca74');
    expect(() => assertSoundDescriptor(descriptor)).not.toThrow();
  });

  it('minds neither case of keys and words nor blanks, and keeps the case of names', () => {
    const descriptor = parse(
      '\t#x\n  VERSION = 1 \ncid=AFBA0C7\t\nParentCID = "FFFFFFFF"\nCREATETYPE=TwoGBmaxExtentSparse # old\n rw 10  sparse  "Disk-S001.VMDK" \n',
    );
    expect(descriptor).toMatchObject({ version: 1, cid: 0x0afba0c7, parentCid: NO_PARENT_CID, problems: [] });
    expect(createTypeOf(descriptor.createType!)).toBe('twoGbMaxExtentSparse');
    expect(descriptor.extents[0]).toMatchObject({ access: 'RW', type: 'SPARSE', fileName: 'Disk-S001.VMDK' });
  });

  it('takes LF, CRLF, lone CR (with a warning), a byte order mark and a missing last line end', () => {
    const lines = [...HEADER, EXTENT];
    for (const eol of ['\n', '\r\n']) expect(codes(parse(`\ufeff${lines.join(eol)}`))).toEqual([]);
    const mac = parse(lines.join('\r'));
    expect(mac.extents).toHaveLength(1);
    expect(codes(mac)).toContain('warning desc-lone-cr');
  });

  it('ends at the first NUL, and warns when text follows it', () => {
    const text = Buffer.from([...HEADER, EXTENT, ''].join('\n'));
    const padded = parse(Buffer.concat([text, Buffer.alloc(300)]));
    expect(codes(padded)).toEqual(['info desc-nul-tail']);
    expect(padded.tail).toHaveLength(300);
    const hidden = Buffer.concat([text, Buffer.from('\0RW 1 FLAT "/etc/passwd" 0\n')]);
    expect(codes(parse(hidden))).toEqual(['warning desc-bytes-after-nul']);
    expect(parse(hidden).extents).toHaveLength(1);
    expect(printDescriptor(parse(hidden)).equals(hidden)).toBe(true);
  });

  it('takes what QEMU leaves behind the text when its CID gets shorter for what it is', () => {
    // QEMU moves the text forward and does not clear what it moved away from.
    const before = [...HEADER, EXTENT, ''].join('\n').replace(/^CID=[0-9a-f]+$/m, 'CID=12345678');
    for (let digits = 1; digits < 8; digits++) {
      const after = before.replace('CID=12345678', `CID=${'7'.repeat(digits)}`);
      const left = Buffer.concat(
        [Buffer.from(`${after}\0`), Buffer.from(before).subarray(after.length + 1)],
        10_240,
      );
      expect(codes(parse(left)), `${digits} digits`).toEqual(['info desc-nul-tail']);
    }
  });

  it('takes the first of two different values and calls it an error; equal ones only warn', () => {
    const twice = withLines('CID=11111111', EXTENT);
    expect(twice.cid).toBe(0x0172e8a4);
    expect(codes(twice)).toEqual(['error desc-conflicting-key']);
    expect(codes(withLines('CID=0172e8a4', EXTENT))).toEqual(['warning desc-duplicate-key']);
    expect(codes(withLines(EXTENT, 'ddb.x = "1"', 'ddb.X = "2"'))).toEqual(['warning desc-duplicate-key']);
  });

  it('says when a value has a trailing comment, an inner quote or no closing quote', () => {
    const hint = (text: string): Descriptor => withLines(`changeTrackPath=${text}`, EXTENT);
    expect(hint('"a # b.vmdk" # said "x"').changeTrackPath).toBe('a # b.vmdk');
    expect(hint('"a "b" c.vmdk"').changeTrackPath).toBe('a "b" c.vmdk');
    expect(hint('""a.vmdk""').changeTrackPath).toBe('a.vmdk');
    expect(codes(hint('""a.vmdk""'))).toEqual(['error desc-doubled-quotes']);
    expect(codes(hint('"a.vmdk'))).toEqual(['error desc-unbalanced-quote']);
    expect(hint('""').changeTrackPath).toBeUndefined();
    expect(codes(hint('""'))).toEqual([]);
  });
});

describe('extent lines', () => {
  // The cases of another reader's tests, dissect.hypervisor's, said anew.
  it.each([
    ['RW 123456789 SPARSE "disk.vmdk"', 'disk.vmdk', 0],
    ['RW 123456789 FLAT "disk-flat.vmdk" 0', 'disk-flat.vmdk', 0],
    ['NOACCESS 123456789 SPARSE "disk-sparse.vmdk" 123 part-uuid device-id', 'disk-sparse.vmdk', 123],
    ['RW 1234567890 SPARSE "disk with spaces.vmdk" 123 part-uuid', 'disk with spaces.vmdk', 123],
    [
      'RW 16777216 SPARSE "an "\\\' diskëäô:)\\\\\'`\\foo.vmdk" 123',
      "an \"\\' diskëäô:)\\\\'`\\foo.vmdk",
      123,
    ],
    ['RW 13371337 SPARSE "🦊 🦊 🦊.vmdk"', '🦊 🦊 🦊.vmdk', 0],
    ['RW 5 FLAT "a" 0 "b" 7', 'a" 0 "b', 7],
    ['RW 5 FLAT "a.vmdk" 7 # says "so" and more', 'a.vmdk', 7],
    ['RW 5 FLAT "" 0', '', 0],
    ['RW\t5\tFLAT\t"a.vmdk"\t7', 'a.vmdk', 7],
    ['RDONLY 5 VMFSRAW "/vmfs/devices/disks/x"', '/vmfs/devices/disks/x', 0],
  ])('%s names %s', (line, fileName, offset) => {
    expect(onlyExtent(line)).toMatchObject({ fileName, offset });
  });

  it('keep partition UUID and device id', () => {
    expect(onlyExtent('RW 8192 FLAT "disk.raw" 63 partitionUUID deadbeef')).toMatchObject({
      offset: 63,
      partitionUuid: 'partitionUUID',
      deviceId: 'deadbeef',
    });
    expect(onlyExtent('RW 8192 FLAT "disk.raw" 63')).not.toHaveProperty('partitionUuid');
  });

  it('need no name when they are ZERO', () => {
    expect(onlyExtent('RW 7 ZERO ')).toMatchObject({ type: 'ZERO', fileName: undefined, sectors: 7 });
    expect(onlyExtent('RW 7 ZERO "/dev/sdc2" 0')).toMatchObject({ type: 'ZERO', fileName: '/dev/sdc2' });
  });

  it.each([
    ['RW 1234567890', 'desc-extent-malformed'],
    ['RDONLY "file.vmdk"', 'desc-extent-malformed'],
    ['NOACCESS', 'desc-extent-malformed'],
    ['RW -1 FLAT "a" 0', 'desc-extent-size'],
    ['RW 0x10 FLAT "a" 0', 'desc-extent-size'],
    ['RW 9223372036854775808 FLAT "a" 0', 'desc-extent-size'],
    ['RW 5 FLAT "a" -1', 'desc-extent-malformed'],
    ['RW 5 FLAT "a" 99999999999999999999', 'desc-extent-offset'],
    ['RW 5 FLAT "a', 'desc-unbalanced-quote'],
    ['RW 5 FLAT a.vmdk 0', 'desc-extent-malformed'],
    ['RW 5 FLAT "a" 0 x y z', 'desc-extent-malformed'],
    ['RW 5 FLAT ""a"" 0', 'desc-doubled-quotes'],
    ['RW 5 FLAT 0', 'desc-extent-name-missing'],
    ['RW 5 SPARSE', 'desc-extent-name-missing'],
    ['RW 5 QCOW "a"', 'desc-extent-type'],
    ['WO 5 FLAT "a" 0', 'desc-extent-malformed'],
    ['WR 5 SPARSE "a"', 'desc-extent-malformed'],
  ])('are refused when they read %s', (line, code) => {
    const descriptor = withLines(EXTENT, line);
    expect(descriptor.problems).toContainEqual(expect.objectContaining({ code, severity: 'error', line: 7 }));
    expect(() => assertSoundDescriptor(descriptor)).toThrow(
      expect.objectContaining({ code, kind: 'corrupt' }),
    );
  });

  it.each([
    ['RW 5 FLAT "a"', 'desc-extent-offset-missing'],
    ['RW 5 VMFS "a" 63', 'desc-extent-offset-odd'],
    ['RW 5 SPARSE ""', 'desc-extent-name-empty'],
    ['RW 5 SPARSE "a\u0007b"', 'desc-extent-name-odd'],
    ['RW 5 SPARSE "a"b"', 'desc-quote-in-name'],
    ['NOACCESS 0 ZERO', 'desc-extent-empty'],
  ])('only warn when they read %s', (line, code) => {
    expect(codes(withLines(EXTENT, line))).toEqual([`warning ${code}`]);
  });

  it('add up to no more than a byte position can address, and to something', () => {
    const half = 2 ** 43;
    expect(codes(withLines(`RW ${half} ZERO`, `RW ${half - 1} ZERO`))).toEqual([]);
    const tooLarge = withLines(`RW ${half} ZERO`, `RW ${half} ZERO`, 'RW 1 ZERO');
    expect(codes(tooLarge)).toEqual(['error desc-disk-too-large']);
    expect(codes(withLines('RW 0 ZERO'))).toContain('error desc-disk-empty');
    expect(codes(withLines())).toEqual(['error desc-no-extents']);
  });
});

describe('the strict list', () => {
  const base = { version: '1', CID: '1', parentCID: 'ffffffff', createType: '"custom"' };
  const build = (changes: Record<string, string | undefined>): Descriptor => {
    const pairs = Object.entries({ ...base, ...changes }).filter(([, value]) => value !== undefined);
    return parse(`${pairs.map(([key, value]) => `${key}=${value}\n`).join('')}${EXTENT}\n`);
  };

  it.each([
    [{ version: 'x' }, 'desc-version'],
    [{ version: '0' }, 'desc-version'],
    [{ version: '5' }, 'desc-version'],
    [{ CID: undefined }, 'desc-cid-missing'],
    [{ CID: 'IDHERE' }, 'desc-bad-cid'],
    [{ CID: '4294967295' }, 'desc-bad-cid'],
    [{ parentCID: undefined }, 'desc-parent-cid-missing'],
    [{ parentCID: '0xffffffff' }, 'desc-bad-parent-cid'],
    [{ createType: undefined }, 'desc-create-type-missing'],
    [{ createType: '""' }, 'desc-create-type-missing'],
    [{ parentFileNameHint: '"a.vmdk"' }, 'desc-hint-without-parent'],
    [{ isNativeSnapshot: '"YES"' }, 'desc-native-snapshot'],
    [{ keyID: '"abc"' }, 'desc-encrypted'],
    [{ encryptionKeys: '"vmware:key/list/(x)"' }, 'desc-encrypted'],
    [{ 'encryption.data': '"x"' }, 'desc-encrypted'],
    [{ 'ddb.iofilters': '"vmwarelwd,VMwareVMcrypt"' }, 'desc-encrypted'],
  ])('has an error for %j', (changes, code) => {
    expect(codes(build(changes))).toEqual([`error ${code}`]);
    expect(() => assertSoundDescriptor(build(changes))).toThrow(expect.objectContaining({ code }));
  });

  it.each([
    [{ parentCID: '7' }, 'desc-hint-missing'],
    [{ parentCID: '7', parentFileNameHint: '""' }, 'desc-hint-missing'],
    [{ CID: 'ffffffff' }, 'desc-reserved-cid'],
    [{ createType: '"floppy"' }, 'desc-create-type-unknown'],
  ])('only warns for %j', (changes, code) => {
    expect(codes(build(changes))).toEqual([`warning ${code}`]);
  });

  it('has nothing against versions 1 to 4, a CID of 0 and one that says "never written"', () => {
    for (const version of ['1', '2', '3', '4']) expect(codes(build({ version }))).toEqual([]);
    for (const CID of ['00000000', 'fffffffe']) expect(codes(build({ CID }))).toEqual([]);
  });

  it('says file, line, found and expected, and shows no control characters', () => {
    const descriptor = withLines('RW 5 FLAT "\u001b[2Ja');
    expect(() => assertSoundDescriptor(descriptor)).toThrow(
      'disk.vmdk: descriptor: a quote is opened and not closed (line 6): ' +
        'found RW 5 FLAT "\\x1b[2Ja, expected ACCESS SECTORS TYPE "NAME" [OFFSET]',
    );
  });
});

describe('what is no descriptor', () => {
  it.each([
    '',
    '\n\n',
    '# Disk DescriptorFile\n',
    'CID=1\nversion=1\n',
    'KDMV\u0001',
    '\0\0',
    '{"version": 1}',
  ])('is refused: %j', (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ kind: 'corrupt', code: 'not-a-vmdk' }));
  });

  it('is what begins with some other comment, or with none, as long as version comes first', () => {
    expect(parse('version=1\n').version).toBe(1);
    expect(parse('# Description file created by VMDK stream converter\nversion=1\n').version).toBe(1);
  });
});

describe('createTypeOf', () => {
  it.each([
    ['MONOLITHICsparse', 'monolithicSparse'],
    ['2GbMaxExtentSparse', 'twoGbMaxExtentSparse'],
    ['2gbMaxExtentFlat', 'twoGbMaxExtentFlat'],
    ['vmfsSeSparse', 'seSparse'],
    ['vmfsRDM', 'vmfsRawDeviceMap'],
    ['vmfsRDMP', 'vmfsPassthroughRawDeviceMap'],
    ['constructor', undefined],
  ])('knows %s as %s', (text, canonical) => expect(createTypeOf(text)).toBe(canonical));
});
