import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  composeDescriptor,
  EMBEDDED_DESCRIPTOR_BYTES,
  type NewDescriptor,
} from '../../src/format/compose-descriptor.ts';
import { longContentIdFor } from '../../src/format/content-id.ts';
import { assertSoundDescriptor, parseDescriptor } from '../../src/format/descriptor.ts';

const DELTA: NewDescriptor = {
  cid: 0x8f67ca74,
  parentCid: 0x0172e8a4,
  createType: 'vmfsSparse',
  parentFileNameHint: 'base.vmdk',
  extents: [{ sectors: 4096, type: 'vmfsSparse', fileName: 'base-000001-delta.vmdk' }],
  longContentId: '4b98b55ba6a6bc2e8fd6eb368f67ca74',
};

describe('composeDescriptor', () => {
  it('writes a delta as ESX does', () => {
    expect(composeDescriptor(DELTA).toString()).toBe(`# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=8f67ca74
parentCID=0172e8a4
isNativeSnapshot="no"
createType="vmfsSparse"
parentFileNameHint="base.vmdk"
# Extent description
RW 4096 VMFSSPARSE "base-000001-delta.vmdk"

# The Disk Data Base 
#DDB

ddb.longContentID = "4b98b55ba6a6bc2e8fd6eb368f67ca74"
`);
  });

  it('writes a base with a blank line for the hint, offsets for FLAT only, and the disk database in order', () => {
    const text = composeDescriptor({
      cid: 1,
      createType: 'custom',
      extents: [
        { sectors: 10, type: 'FLAT', fileName: 'a-flat.vmdk' },
        { sectors: 20, type: 'FLAT', fileName: 'a-flat.vmdk', offset: 10 },
        { access: 'RDONLY', sectors: 30, type: 'SPARSE', fileName: 'b.vmdk' },
        { access: 'NOACCESS', sectors: 40, type: 'ZERO' },
      ],
      ddb: [
        ['ddb.virtualHWVersion', '10'],
        ['ddb.adapterType', 'lsilogic'],
      ],
      longContentId: longContentIdFor(1, new Uint8Array(12)),
    }).toString();
    expect(text).toContain('createType="custom"\n\n# Extent description\nRW 10 FLAT "a-flat.vmdk" 0\n');
    expect(text).toContain(
      'RW 20 FLAT "a-flat.vmdk" 10\nRDONLY 30 SPARSE "b.vmdk"\nNOACCESS 40 ZERO\n\n# The Disk Data Base \n#DDB\n\n' +
        `ddb.adapterType = "lsilogic"\nddb.longContentID = "${'0'.repeat(31)}1"\nddb.virtualHWVersion = "10"\n`,
    );
    expect(text).not.toContain('\r');
  });

  it('is read back as what was asked for, with nothing to complain about', () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((text) => !/["|\p{Cc}\p{Cs}]/u.test(text));
    const cid = fc.integer({ min: 0, max: 0xfffffffe });
    fc.assert(
      fc.property(
        cid,
        cid,
        name,
        name,
        fc.integer({ min: 1, max: 2 ** 40 }),
        (own, parent, hint, file, sectors) => {
          const bytes = composeDescriptor({
            ...DELTA,
            cid: own,
            parentCid: parent,
            parentFileNameHint: hint,
            extents: [{ sectors, type: 'SPARSE', fileName: file }],
          });
          const descriptor = parseDescriptor(bytes, 'disk.vmdk');
          expect(descriptor).toMatchObject({
            cid: own,
            parentCid: parent,
            parentFileNameHint: hint,
            extents: [{ access: 'RW', sectors, type: 'SPARSE', fileName: file, hasOffset: false }],
            problems: [],
          });
          assertSoundDescriptor(descriptor);
        },
      ),
    );
  });

  it.each(['a"b', 'a|b', 'a\tb', 'a\u0085b', 'a\0', '\udc00x'])('refuses the name %j', (name) => {
    const code = 'name-needs-escaping';
    for (const model of [
      { ...DELTA, parentFileNameHint: name },
      { ...DELTA, extents: [{ sectors: 1, type: 'SPARSE', fileName: name }] },
      { ...DELTA, ddb: [['ddb.comment', name]] as const },
    ]) {
      expect(() => composeDescriptor(model)).toThrow(expect.objectContaining({ kind: 'usage', code }));
    }
  });

  it('refuses to pass the room there is, and to push the header out of sight', () => {
    const many: NewDescriptor = { ...DELTA, extents: Array.from({ length: 400 }, () => DELTA.extents[0]!) };
    const code = 'descriptor-too-large';
    expect(composeDescriptor(many).length).toBeGreaterThan(EMBEDDED_DESCRIPTOR_BYTES);
    expect(() => composeDescriptor(many, EMBEDDED_DESCRIPTOR_BYTES)).toThrow(
      expect.objectContaining({ code }),
    );
    const far = { ...DELTA, parentFileNameHint: 'x/'.repeat(6000) };
    expect(() => composeDescriptor(far)).toThrow(expect.objectContaining({ code }));
  });

  it('refuses what no disk is', () => {
    const { parentCid: _, ...orphan } = DELTA;
    const wrong: NewDescriptor[] = [
      { ...DELTA, cid: 0xffffffff },
      orphan,
      { ...DELTA, extents: [{ sectors: 0, type: 'ZERO' }] },
      { ...DELTA, extents: [{ sectors: 1.5, type: 'ZERO' }] },
      { ...DELTA, extents: [{ sectors: 1, type: 'ZERO', fileName: 'a' }] },
      { ...DELTA, extents: [{ sectors: 1, type: 'FLAT' }] },
      { ...DELTA, extents: [{ sectors: 1, type: 'VMFS', fileName: 'a', offset: 1 }] },
      { ...DELTA, extents: [{ sectors: 1, type: 'FLAT "x"', fileName: 'a' }] },
      { ...DELTA, ddb: [['uuid', 'x']] },
      { ...DELTA, ddb: [['ddb.longContentID', 'x']] },
    ];
    for (const model of wrong) expect(() => composeDescriptor(model)).toThrow(RangeError);
  });
});
