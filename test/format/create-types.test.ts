import { describe, expect, it } from 'vitest';
import { CREATE_TYPE_TABLE, deltaTypeFor, explainUnreadable } from '../../src/format/create-types.ts';
import { createTypeOf, parseDescriptor, type Descriptor } from '../../src/format/descriptor.ts';

const TIB = 2 ** 31;

function disk(createType: string, extents: string[], ...more: string[]): Descriptor {
  const lines = [
    'version=1',
    ...more,
    'CID=1',
    'parentCID=ffffffff',
    `createType="${createType}"`,
    ...extents,
  ];
  return parseDescriptor(Buffer.from(lines.join('\n')), 'disk.vmdk');
}

describe('the table of createTypes', () => {
  it('is keyed by canonical names', () => {
    for (const name of Object.keys(CREATE_TYPE_TABLE)) expect(createTypeOf(name.toUpperCase())).toBe(name);
  });

  it('creates only what it can read, and knows four deltas that can be made', () => {
    const rows = Object.entries(CREATE_TYPE_TABLE);
    expect(rows.filter(([, row]) => (row.create || row.write) && !row.read)).toEqual([]);
    expect(rows.filter(([, row]) => row.delta && row.create).map(([name]) => name)).toEqual([
      'monolithicSparse',
      'twoGbMaxExtentSparse',
      'vmfsSparse',
      'seSparse',
    ]);
  });
});

describe('deltaTypeFor', () => {
  it.each([
    ['monolithicSparse', ['RW 9 SPARSE "a"'], 1, 'monolithicSparse'],
    ['monolithicFlat', ['RW 9 FLAT "a" 0'], 1, 'monolithicSparse'],
    ['monolithicFlat', ['RW 9 FLAT "a" 0'], 2 * TIB, 'twoGbMaxExtentSparse'],
    ['streamOptimized', ['RDONLY 9 SPARSE "a"'], 1, 'monolithicSparse'],
    ['fullDevice', ['RW 9 FLAT "/dev/sda" 0'], 1, 'monolithicSparse'],
    ['2GbMaxExtentFlat', ['RW 9 FLAT "a" 0'], 1, 'twoGbMaxExtentSparse'],
    ['twoGbMaxExtentSparse', ['RW 9 SPARSE "a"', 'RW 9 SPARSE "b"'], 1, 'twoGbMaxExtentSparse'],
    ['custom', ['RW 9 SPARSE "a"', 'RW 9 ZERO'], 1, 'twoGbMaxExtentSparse'],
    ['vmfs', ['RW 9 VMFS "a"'], 2 * TIB - 1, 'vmfsSparse'],
    ['vmfs', ['RW 9 VMFS "a"'], 2 * TIB, 'seSparse'],
    ['vmfs', [], 1, 'vmfsSparse'],
    ['vmfs', ['RW 9 SESPARSE "a"'], 1, 'seSparse'],
    ['vmfsSparse', ['RW 9 VMFSSPARSE "a"'], 1, 'vmfsSparse'],
    ['seSparse', ['RW 9 SESPARSE "a"'], 1, 'seSparse'],
    ['vmfsRawDeviceMap', ['RW 9 VMFSRDM "a"'], 1, 'vmfsSparse'],
    ['vmfs', ['RW 9 FLAT "a" 0'], 1, 'monolithicSparse'],
  ])('puts on %s %j of %i sectors a %s', (createType, extents, capacity, type) => {
    expect(deltaTypeFor(disk(createType, extents), capacity)).toBe(type);
  });
});

describe('explainUnreadable', () => {
  it.each([
    ['encrypted-disk', 'vmfs', ['RW 9 VMFS "a"'], ['keyID="x"']],
    ['native-snapshot', 'vmfsSparse', ['RW 9 VMFSSPARSE "a"'], ['isNativeSnapshot="yes"']],
    ['native-snapshot', 'vmfs', ['RW 9 VMFS "a"', 'ddb.nativeParentHint = "b"'], []],
    ['vsan-object', 'vmfs', ['RW 9 VMFS "vsan://5a"'], []],
    ['vsan-object', 'vsanSparse', ['RW 9 VSANSPARSE "5a"'], []],
    ['vvol-object', 'vmfs', ['RW 9 VMFS "vvol://5a"'], []],
    ['not-a-file', 'monolithicFlat', ['RW 9 FLAT "nbd://127.0.0.1" 0'], []],
    ['not-a-file', 'monolithicFlat', ['RW 9 FLAT "json:{}" 0'], []],
    ['raw-device-mapping', 'vmfsRawDeviceMap', ['RW 9 VMFSRDM "a-rdm.vmdk"'], []],
    ['raw-device', 'vmfsRaw', ['RW 9 VMFSRAW "x"'], []],
    ['raw-device', 'fullDevice', ['RW 1 ZERO', 'RW 9 FLAT "/dev/sda" 0'], []],
    ['raw-device', 'fullDevice', ['RW 9 FLAT "\\\\.\\PhysicalDrive0" 0'], []],
  ])('says %s for %s %j %j', (code, createType, extents, more) => {
    const explained = explainUnreadable(disk(createType, extents, ...more));
    expect(explained).toMatchObject({ code });
    expect(explained!.message.length).toBeGreaterThan(20);
    expect(explained!.hint).toMatch(/\.$/);
  });

  it('says what version 4 without an object means, and nothing of ordinary disks', () => {
    const four = parseDescriptor(Buffer.from('version=4\nRW 9 VMFS "a"\n'), 'd');
    expect(explainUnreadable(four)).toMatchObject({ code: 'descriptor-version' });
    for (const name of ['a-flat.vmdk', 'C:\\vms\\a.vmdk', '/vmfs/volumes/x/a.vmdk', '../dev/a', 'a:b']) {
      expect(explainUnreadable(disk('custom', [`RW 9 FLAT "${name}" 0`]))).toBeUndefined();
    }
  });
});
