// Layout of hosted sparse extents against numbers read off disks that VMware wrote.
import { describe, expect, it } from 'vitest';
import { parseSparseHeader } from '../../src/format/sparse-header.ts';
import {
  encodeEmptySparse,
  encodeSparseDirectory,
  fullSparseSectors,
  headerOfLayout,
  layOutSparse,
  SPARSE_FILE_SECTORS,
} from '../../src/format/sparse-layout.ts';
import { decodeTable } from '../../src/format/tables.ts';

const GIB = 2 ** 21;

describe('the layout of a hosted sparse extent', () => {
  it.each([
    {
      made: 'VMware, 10 GiB',
      capacity: 10 * GIB,
      room: 20,
      rgd: 21,
      rgt0: 24,
      gd: 1304,
      gt0: 1307,
      over: 2688,
    },
    {
      made: 'vdiskmanager, 10 MiB',
      capacity: 20480,
      room: 20,
      rgd: 21,
      rgt0: 22,
      gd: 26,
      gt0: 27,
      over: 128,
    },
    {
      made: 'vdiskmanager, 10 MiB split',
      capacity: 20480,
      room: 0,
      rgd: 1,
      rgt0: 2,
      gd: 6,
      gt0: 7,
      over: 128,
    },
    {
      made: 'VMware, 4064 MiB split',
      capacity: 8323072,
      room: 0,
      rgd: 1,
      rgt0: 2,
      gd: 510,
      gt0: 511,
      over: 1024,
    },
    { made: 'QEMU, 5 GiB', capacity: 5 * GIB, room: 20, rgd: 21, rgt0: 23, gd: 663, gt0: 665, over: 1408 },
    {
      made: 'QEMU, 2 GiB split',
      capacity: 4194304,
      room: 20,
      rgd: 21,
      rgt0: 22,
      gd: 278,
      gt0: 279,
      over: 640,
    },
    { made: 'QEMU, 64 MiB', capacity: 131072, room: 20, rgd: 21, rgt0: 22, gd: 30, gt0: 31, over: 128 },
  ])('is that of a disk made by $made', ({ capacity, room, rgd, rgt0, gd, gt0, over }) => {
    const layout = layOutSparse(capacity, 128, room);
    const first = (offset: number) => decodeTable(encodeSparseDirectory(layout, offset))[0];
    expect({
      rgd: layout.rgdOffset,
      rgt0: first(layout.rgdOffset),
      gd: layout.gdOffset,
      gt0: first(layout.gdOffset),
      over: layout.overHead,
    }).toEqual({ rgd, rgt0, gd, gt0, over });
  });

  it.each([
    [4192256, 64, 258, 640],
    [4194304, 64, 258, 640],
    [8323072, 127, 510, 1024],
  ])(
    'of %i sectors without a descriptor has %i tables and its directory at %i',
    (capacity, tables, gd, over) => {
      expect(layOutSparse(capacity, 128, 0)).toMatchObject({ tables, gdOffset: gd, overHead: over });
    },
  );

  it('encodes the header of a 10 GiB disk byte for byte as VMware does', () => {
    const layout = layOutSparse(10 * GIB, 128, 20);
    const front = encodeEmptySparse(layout).at(-1)!;
    expect(front.at).toBe(0);
    expect(Buffer.from(front.data.subarray(0, 80)).toString('hex')).toBe(
      '4b444d56' +
        '01000000' +
        '03000000' +
        '0000400100000000' +
        '8000000000000000' +
        '0100000000000000' +
        '1400000000000000' +
        '00020000' +
        '1500000000000000' +
        '1805000000000000' +
        '800a000000000000' +
        '00' +
        '0a200d0a' +
        '000000',
    );
  });

  it('gives a header that the reader takes for what was laid out', () => {
    const layout = layOutSparse(12345, 8, 20);
    const [, , front] = encodeEmptySparse(layout);
    expect(parseSparseHeader(front!.data, 'x.vmdk')).toEqual(headerOfLayout(layout));
  });

  it('leaves the slack of a directory zero, and its tables do not overlap', () => {
    const layout = layOutSparse(10 * GIB, 128, 20);
    const entries = decodeTable(encodeSparseDirectory(layout, layout.gdOffset));
    expect(entries).toHaveLength(384);
    expect([...entries.subarray(320)].every((entry) => entry === 0)).toBe(true);
    expect(entries[319]! - entries[0]!).toBe(319 * 4);
    expect(entries[319]! + 4).toBeLessThanOrEqual(layout.overHead);
  });

  it('puts the descriptor behind the header, and refuses one that does not fit', () => {
    const layout = layOutSparse(20480, 128, 20);
    const front = encodeEmptySparse(layout, Buffer.from('# Disk DescriptorFile\n')).at(-1)!;
    expect(Buffer.from(front.data.subarray(512)).toString()).toBe('# Disk DescriptorFile\n');
    expect(() => encodeEmptySparse(layout, new Uint8Array(10241))).toThrow(RangeError);
  });

  it('counts what a full disk needs, metadata and last grain included', () => {
    expect(fullSparseSectors(layOutSparse(20481, 128, 20))).toBe(128 + 20608);
    expect(fullSparseSectors(layOutSparse(2 ** 32 - 1, 128, 20))).toBeGreaterThan(SPARSE_FILE_SECTORS);
  });
});
