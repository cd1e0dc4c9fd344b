// Plans of deltas: their exact text, what they take from their parent and what they must not, and their types.
import { describe, expect, it } from 'vitest';
import { sectors } from '../../src/core/units.ts';
import { parseCowdHeader } from '../../src/format/cowd-header.ts';
import { parseDescriptor } from '../../src/format/descriptor.ts';
import { parseSeSparseHeader } from '../../src/format/sesparse-header.ts';
import { allocatedBytes, type DiskPlan, type ParentFacts } from '../../src/operations/disk-plan.ts';
import { planDelta, type DeltaRequest } from '../../src/operations/plan-delta.ts';

function parentOf(extents: string, createType: string, more = '', cid = '8f67ca74'): ParentFacts {
  const text = `# Disk DescriptorFile\nversion=1\nCID=${cid}\nparentCID=ffffffff\ncreateType="${createType}"\n\n# Extent description\n${extents}\n${more}`;
  const descriptor = parseDescriptor(Buffer.from(text), '/base/base.vmdk');
  const capacity = sectors(descriptor.extents.reduce((sum, extent) => sum + extent.sectors, 0));
  return { path: '/base/base.vmdk', capacity, descriptor };
}

const vmfs = parentOf('RW 4096 VMFS "base-flat.vmdk"', 'vmfs');
const sparse = parentOf('RW 4096 SPARSE "base.vmdk"', 'monolithicSparse');
const split = parentOf('RW 2048 SPARSE "b-s001.vmdk"\nRW 2048 SPARSE "b-s002.vmdk"', 'twoGbMaxExtentSparse');
const large = parentOf('RW 4294967296 VMFS "base-flat.vmdk"', 'vmfs');

function plan(parent: ParentFacts, request: Partial<DeltaRequest> = {}): DiskPlan {
  return planDelta(parent, {
    path: '/d/base-000001.vmdk',
    hint: '../base/base.vmdk',
    random: (count) => new Uint8Array(count).fill(0xab),
    ...request,
  });
}

function textOf({ files }: DiskPlan): string {
  const front = Buffer.from(files.at(-1)!.parts.at(-1)!.data);
  return (front.subarray(0, 4).toString() === 'KDMV' ? front.subarray(512) : front).toString();
}

describe('planDelta', () => {
  it('writes the canonical text of a delta, with nothing but a content id in its disk database', () => {
    expect(textOf(plan(vmfs, { hint: 'base.vmdk' }))).toBe(
      [
        '# Disk DescriptorFile',
        'version=1',
        'encoding="UTF-8"',
        'CID=8f67ca74',
        'parentCID=8f67ca74',
        'isNativeSnapshot="no"',
        'createType="vmfsSparse"',
        'parentFileNameHint="base.vmdk"',
        '# Extent description',
        'RW 4096 VMFSSPARSE "base-000001-delta.vmdk"',
        '',
        '# The Disk Data Base ',
        '#DDB',
        '',
        'ddb.longContentID = "abababababababababababab8f67ca74"',
        '',
      ].join('\n'),
    );
  });

  it('takes nothing over that belongs to the parent alone', () => {
    const parent = parentOf(
      'RW 4096 VMFS "base-flat.vmdk"\n\n# Change Tracking File\nchangeTrackPath="base-ctk.vmdk"',
      'vmfs',
      [
        'ddb.adapterType = "lsilogic"',
        'ddb.uuid = "60 00 C2 9a f2 6c 48 d6-13 0c dc a5 d2 bc d9 18"',
        'ddb.sidecars = "base_1-1234.vmfd,base_1;"',
        'ddb.iofilters = "vmwarelwd"',
        'ddb.digestFilename = "base-digest.vmdk"',
        'ddb.thinProvisioned = "1"',
        '',
      ].join('\n'),
    );
    const text = textOf(plan(parent));
    expect(text).not.toMatch(/ctk|changeTrack|adapterType|uuid|sidecars|iofilters|digest|thin/);
    expect(text).toContain('version=1\n');
  });

  it.each([
    ['vmfs', vmfs, 'vmfsSparse', ['/d/base-000001-delta.vmdk', '/d/base-000001.vmdk']],
    ['monolithicSparse', sparse, 'monolithicSparse', ['/d/base-000001.vmdk']],
    [
      'twoGbMaxExtentSparse',
      split,
      'twoGbMaxExtentSparse',
      ['/d/base-000001-s001.vmdk', '/d/base-000001.vmdk'],
    ],
    ['vmfs of 2 TiB', large, 'seSparse', ['/d/base-000001-sesparse.vmdk', '/d/base-000001.vmdk']],
  ])('above %s is what VMware would make', (_, parent, createType, paths) => {
    const made = plan(parent);
    expect(made.createType).toBe(createType);
    expect(made.files.map(({ path }) => path)).toEqual(paths);
    expect(made).toMatchObject({ capacity: parent.capacity, cid: 0x8f67ca74, parentCid: 0x8f67ca74 });
  });

  it('makes every type above every base when told, in any spelling', () => {
    for (const parent of [vmfs, sparse, split]) {
      for (const type of ['monolithicSparse', '2gbMaxExtentSparse', 'VMFSSPARSE', 'vmfsSeSparse']) {
        const made = plan(parent, { createType: type });
        const parsed = parseDescriptor(Buffer.from(textOf(made)), 'x');
        expect(parsed.problems).toEqual([]);
        expect(parsed.createType).toBe(made.createType);
        expect(parsed.parentFileNameHint).toBe('../base/base.vmdk');
      }
    }
  });

  it('encodes an ESX delta of the whole capacity in one extent, with grains of one sector', () => {
    const [extent] = plan(vmfs).files;
    expect(parseCowdHeader(extent!.parts[0]!.data, 'x')).toMatchObject({
      capacity: 4096,
      grainSize: 1,
      gdOffset: 4,
      numGDEntries: 1,
      freeSector: 5,
    });
    expect(extent!.size).toBe(4096);
  });

  it('marks a seSparse delta as not for ESXi, and keeps its gigabytes of tables as holes', () => {
    const made = plan(large);
    expect(made.notes[0]).toContain('not for ESXi');
    expect(parseSeSparseHeader(made.files[0]!.parts.at(-1)!.data, 'x').capacity).toBe(2 ** 32);
    expect(made.files[0]!.size).toBeGreaterThan(2 ** 33);
    expect(allocatedBytes(made)).toBe(2 * 4096);
    expect(textOf(made)).toContain('ddb.grain = "8"\n');
  });

  it('keeps the CIDs that VMware gives to disks nobody has written to', () => {
    for (const cid of ['fffffffe', '00000000', '7']) {
      const made = plan(parentOf('RW 4096 VMFS "base-flat.vmdk"', 'vmfs', '', cid));
      expect(textOf(made)).toContain(`\nCID=${cid.padStart(8, '0')}\nparentCID=${cid.padStart(8, '0')}\n`);
    }
  });

  it('says so when vmfsSparse and seSparse would meet', () => {
    const parent = parentOf('RW 4096 SESPARSE "base-sesparse.vmdk"', 'seSparse');
    expect(plan(parent).notes.join()).not.toContain('meet');
    expect(plan(parent, { createType: 'vmfsSparse' }).notes.join()).toContain('meet');
  });

  it.each<[string, string, ParentFacts, Partial<DeltaRequest>]>([
    ['a flat delta', 'create-type-not-created', vmfs, { createType: 'vmfs' }],
    ['a stream', 'create-type-not-created', vmfs, { createType: 'streamOptimized' }],
    ['an unknown type', 'unknown-create-type', vmfs, { createType: 'delta' }],
    ['vmfsSparse from 2 TiB on', 'capacity-too-large', large, { createType: 'vmfsSparse' }],
    ['monolithicSparse from 2 TiB on', 'capacity-too-large', large, { createType: 'monolithicSparse' }],
    ['other grains for seSparse', 'bad-grain-size', vmfs, { createType: 'seSparse', grainSize: 16 }],
    ['grains over 1 MiB for vmfsSparse', 'bad-grain-size', vmfs, { grainSize: 4096 }],
    ['a split of what is not split', 'not-split', vmfs, { splitSectors: 128 }],
    ['a hint that cannot be written', 'name-needs-escaping', vmfs, { hint: 'a"b.vmdk' }],
    ['no hint at all', 'empty-hint', vmfs, { hint: '' }],
    ['a hint too long to be embedded', 'descriptor-too-large', sparse, { hint: 'x'.repeat(10_200) }],
    [
      'a parent whose CID means none',
      'parent-without-cid',
      parentOf('RW 1 VMFS "x"', 'vmfs', '', 'ffffffff'),
      {},
    ],
    ['a parent without a CID', 'parent-without-cid', parentOf('RW 1 VMFS "x"', 'vmfs', '', 'none'), {}],
  ])('refuses %s', (_, code, parent, request) => {
    expect(() => plan(parent, request)).toThrow(expect.objectContaining({ name: 'VmdkError', code }));
  });
});
