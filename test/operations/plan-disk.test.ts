// Plans of disks without a parent: their exact text, the sizes of their files, and what is refused.
import { describe, expect, it } from 'vitest';
import { sectors } from '../../src/core/units.ts';
import { parseDescriptor } from '../../src/format/descriptor.ts';
import { parseSparseHeader } from '../../src/format/sparse-header.ts';
import { allocatedBytes, type DiskPlan } from '../../src/operations/disk-plan.ts';
import { planDisk, type DiskRequest } from '../../src/operations/plan-disk.ts';

/** 0, 1, 2 ... */
function countingBytes(): (count: number) => Uint8Array {
  let next = 0;
  return (count) => Uint8Array.from({ length: count }, () => next++ & 0xff);
}

function plan(request: Partial<DiskRequest> = {}): DiskPlan {
  return planDisk({
    path: '/d/x.vmdk',
    capacity: sectors(2 ** 21),
    createType: 'monolithicSparse',
    random: countingBytes(),
    ...request,
  });
}

function textOf({ files }: DiskPlan): string {
  const { data } = files.at(-1)!.parts.at(-1)!;
  const front = Buffer.from(data);
  return (front.subarray(0, 4).toString() === 'KDMV' ? front.subarray(512) : front).toString();
}

describe('planDisk', () => {
  it('writes the canonical text', () => {
    expect(textOf(plan({ createType: 'vmfs' }))).toBe(
      [
        '# Disk DescriptorFile',
        'version=1',
        'encoding="UTF-8"',
        'CID=00010203',
        'parentCID=ffffffff',
        'isNativeSnapshot="no"',
        'createType="vmfs"',
        '',
        '# Extent description',
        'RW 2097152 VMFS "x-flat.vmdk"',
        '',
        '# The Disk Data Base ',
        '#DDB',
        '',
        'ddb.adapterType = "lsilogic"',
        'ddb.geometry.cylinders = "512"',
        'ddb.geometry.heads = "128"',
        'ddb.geometry.sectors = "32"',
        'ddb.longContentID = "0405060708090a0b0c0d0e0f00010203"',
        'ddb.uuid = "60 00 C2 90 11 12 13 14-15 16 17 18 19 1a 1b 1c"',
        'ddb.virtualHWVersion = "10"',
        '',
      ].join('\n'),
    );
  });

  it('gives the same files for the same random bytes', () => {
    expect(plan()).toEqual(plan());
    const { files } = planDisk({
      path: '/d/x.vmdk',
      capacity: sectors(2 ** 21),
      createType: 'monolithicSparse',
      random: (count) => new Uint8Array(count).fill(7),
    });
    expect(files).not.toEqual(plan().files);
  });

  it('puts a 10 GiB monolithicSparse disk into one file of 2688 sectors, of which few are written', () => {
    const made = plan({ capacity: sectors(20971520) });
    expect(made.files.map(({ path, size }) => ({ path, size }))).toEqual([
      { path: '/d/x.vmdk', size: 2688 * 512 },
    ]);
    expect(parseSparseHeader(made.files[0]!.parts.at(-1)!.data, 'x')).toMatchObject({
      capacity: 20971520,
      rgdOffset: 21,
      gdOffset: 1304,
      overHead: 2688,
      descriptorSize: 20,
    });
    expect(allocatedBytes(made)).toBeLessThanOrEqual(5 * 4096);
    expect(textOf(made)).toContain('RW 20971520 SPARSE "x.vmdk"\n');
  });

  it('splits at 2047 MiB, the remainder last', () => {
    const made = plan({ createType: 'twogbmaxextentsparse', capacity: sectors(2 * 4192256 + 1) });
    expect(made.createType).toBe('twoGbMaxExtentSparse');
    expect(made.files.map(({ path }) => path)).toEqual([
      '/d/x-s001.vmdk',
      '/d/x-s002.vmdk',
      '/d/x-s003.vmdk',
      '/d/x.vmdk',
    ]);
    expect(textOf(made)).toContain(
      'RW 4192256 SPARSE "x-s001.vmdk"\nRW 4192256 SPARSE "x-s002.vmdk"\nRW 1 SPARSE "x-s003.vmdk"\n',
    );
    expect(parseSparseHeader(made.files[0]!.parts.at(-1)!.data, 'x')).toMatchObject({
      descriptorOffset: 0,
      gdOffset: 258,
      overHead: 640,
    });
  });

  it('splits a disk of exactly one extent into one', () => {
    expect(plan({ createType: 'twoGbMaxExtentFlat', capacity: sectors(4192256) }).files).toHaveLength(2);
  });

  it('numbers a thousandth extent with four digits', () => {
    const made = plan({ createType: 'twoGbMaxExtentFlat', capacity: sectors(1000), splitSectors: 1 });
    expect(made.files.at(-2)!.path).toBe('/d/x-f1000.vmdk');
  });

  it('names an offset for FLAT extents and none for VMFS', () => {
    expect(textOf(plan({ createType: 'monolithicFlat' }))).toContain('RW 2097152 FLAT "x-flat.vmdk" 0\n');
    expect(textOf(plan({ createType: 'vmfs' }))).toContain('RW 2097152 VMFS "x-flat.vmdk"\n');
  });

  it('takes all space for thick vmfs, none for thin, and says so in the descriptor', () => {
    const thick = plan({ createType: 'vmfs' });
    const thin = plan({ createType: 'vmfs', thin: true });
    expect(allocatedBytes(thick)).toBe(2 ** 30 + 4096);
    expect(allocatedBytes(thin)).toBe(4096);
    expect(thin.files[0]!.size).toBe(2 ** 30);
    expect(textOf(thin)).toContain('ddb.thinProvisioned = "1"\n');
    expect(textOf(thick)).not.toContain('thinProvisioned');
  });

  it('leaves holes in hosted flat disks unless they are to be preallocated', () => {
    for (const createType of ['monolithicFlat', 'twoGbMaxExtentFlat']) {
      expect(allocatedBytes(plan({ createType }))).toBe(4096);
      expect(allocatedBytes(plan({ createType, preallocate: true }))).toBe(2 ** 30 + 4096);
    }
    expect(allocatedBytes(plan({ createType: 'vmfs', preallocate: false }))).toBe(4096);
  });

  it('writes the geometry of the adapter', () => {
    expect(textOf(plan({ adapterType: 'IDE' }))).toMatch(
      /adapterType = "ide"\n.*cylinders = "2080"\n.*heads = "16"/,
    );
    expect(textOf(plan({ capacity: sectors(20971520) }))).toMatch(/cylinders = "1305"\n.*heads = "255"/);
  });

  it('takes grain sizes of its own, and warns of those that not every program reads', () => {
    const small = plan({ grainSize: 8 });
    expect(parseSparseHeader(small.files[0]!.parts.at(-1)!.data, 'x').grainSize).toBe(8);
    expect(small.notes).toEqual([]);
    expect(plan({ grainSize: 1 }).notes[0]).toContain('grains of 1 sectors');
    expect(plan({ grainSize: 2 ** 21 }).notes[0]).toContain('grains of 2097152 sectors');
  });

  it('keeps spaces, comment signs and letters of any script in names as far as descriptors can', () => {
    const made = plan({ path: '/d/дис к#1.vmdk', createType: 'vmfs', thin: true });
    const parsed = parseDescriptor(made.files.at(-1)!.parts[0]!.data, 'x');
    expect(parsed.extents[0]!.fileName).toBe('дис к#1-flat.vmdk');
    expect(parsed.problems).toEqual([]);
  });

  it('writes every type so that its descriptor has no problems', () => {
    for (const createType of [
      'monolithicSparse',
      'monolithicFlat',
      'twoGbMaxExtentSparse',
      'twoGbMaxExtentFlat',
      'vmfs',
    ]) {
      const parsed = parseDescriptor(Buffer.from(textOf(plan({ createType }))), 'x');
      expect(parsed.problems).toEqual([]);
      expect(parsed.createType).toBe(createType);
    }
  });

  it.each<[string, string, Partial<DiskRequest>]>([
    ['a disk of nothing', 'empty-disk', { capacity: sectors(0) }],
    ['a sparse disk of 2 TiB', 'capacity-too-large', { capacity: sectors(2 ** 32) }],
    ['a sparse disk that would not fit once full', 'capacity-too-large', { capacity: sectors(2 ** 32 - 1) }],
    [
      'an extent of 2 TiB',
      'capacity-too-large',
      { createType: 'twoGbMaxExtentSparse', capacity: sectors(2 ** 33), splitSectors: 2 ** 32 },
    ],
    [
      'positions that are no safe integers',
      'capacity-too-large',
      { createType: 'vmfs', capacity: sectors(2 ** 50) },
    ],
    ['a grain that is no power of two', 'bad-grain-size', { grainSize: 96 }],
    ['a grain of 2 GiB', 'bad-grain-size', { grainSize: 2 ** 22 }],
    ['extents that cut grains', 'bad-split-size', { createType: 'twoGbMaxExtentSparse', splitSectors: 1000 }],
    ['an unknown type', 'unknown-create-type', { createType: 'qcow2' }],
    ['a stream', 'create-type-not-created', { createType: 'streamOptimized' }],
    ['a delta without a parent', 'create-type-not-created', { createType: 'vmfsSparse' }],
    ['an unknown adapter', 'unknown-adapter', { adapterType: 'pvscsi' }],
    ['ide on vmfs', 'adapter-not-for-vmfs', { createType: 'vmfs', adapterType: 'ide' }],
    ['a thin sparse disk', 'usage', { thin: true }],
    ['thin and preallocated at once', 'usage', { createType: 'vmfs', thin: true, preallocate: true }],
    ['a preallocated sparse disk', 'usage', { preallocate: true }],
    ['grains of a flat disk', 'usage', { createType: 'vmfs', grainSize: 128 }],
    ['a split of what is not split', 'usage', { splitSectors: 128 }],
    ['the CID that means no parent', 'usage', { cid: 0xffffffff }],
    ['hardware version 0', 'usage', { hardwareVersion: 0 }],
    ['a quote in its name', 'name-needs-escaping', { path: '/d/a"b.vmdk' }],
    ['a line end in its name', 'name-needs-escaping', { path: '/d/a\nb.vmdk', createType: 'vmfs' }],
    ['the name of a protocol', 'not-a-file-name', { path: '/d/nbd:x.vmdk' }],
    ['a folder for a name', 'not-a-file-name', { path: '/d/' }],
    [
      'extents without number',
      'too-many-extents',
      { createType: 'twoGbMaxExtentFlat', capacity: sectors(2 ** 43), splitSectors: 1 },
    ],
    [
      'more text than a descriptor holds',
      'descriptor-too-large',
      {
        createType: 'twoGbMaxExtentFlat',
        path: `/d/${'x'.repeat(99)}.vmdk`,
        capacity: sectors(32_768),
        splitSectors: 1,
      },
    ],
  ])('refuses %s', (_, code, request) => {
    expect(() => plan(request)).toThrow(expect.objectContaining({ name: 'VmdkError', code }));
  });

  it('says what was found and what would do', () => {
    expect(() => plan({ capacity: sectors(2 ** 32) })).toThrow(
      '/d/x.vmdk: a hosted sparse extent ends below 2 TiB (capacity): found 4294967296 sectors, expected at most 4294441856 sectors\n  Take twoGbMaxExtentSparse, or a flat type.',
    );
  });
});
