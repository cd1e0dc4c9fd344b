// What `check` says of descriptors, flat extents, companion files and chains: each kind of damage gives its own
// finding and no other, and whatever is wrong with one part, the others are still checked.
import { describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { composeDescriptor } from '../../src/format/compose-descriptor.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { CID, cowdImage, descriptorFor, findingsOf, reportOf, setBoth, sparseImage } from './check-images.ts';

const flat = (sectors = 100, type = 'VMFS'): Buffer => descriptorFor('vmfs', sectors, type, 'disk-flat.vmdk');

describe('flat extents', () => {
  it('of the right length have no findings', async () => {
    const files = { '/vm/disk.vmdk': flat(), '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1) };
    expect(await reportOf(files)).toMatchObject({ verdict: 'sound', problems: [], 'total-clusters': 0 });
  });

  it.each<[string, number, string[]]>([
    ['too short', 51199, ['error EXT-SIZE']],
    ['empty', 0, ['error EXT-SIZE']],
    ['longer than the disk', 51201, ['warning TAIL']],
  ])('%s are found', async (_, length, expected) => {
    const files = { '/vm/disk.vmdk': flat(), '/vm/disk-flat.vmdk': Buffer.alloc(length, 1) };
    expect(await findingsOf(files)).toEqual(expected);
  });

  it('that nobody ever wrote to are noted', async () => {
    const fs = createMemoryFileStore({ '/vm/disk.vmdk': flat() });
    const file = await fs.create('/vm/disk-flat.vmdk');
    await file.resize(51200);
    await file.close();
    const { verdict, problems } = await checkDisk('/vm/disk.vmdk', { fs });
    expect({ verdict, codes: problems.map(({ severity, code }) => `${severity} ${code}`) }).toEqual({
      verdict: 'sound',
      codes: ['info HOLES'],
    });
  });

  it('that are missing, outside, or the same part of one file are found', async () => {
    expect(await findingsOf({ '/vm/disk.vmdk': flat() })).toEqual(['error EXT-MISSING']);
    const outside = descriptorFor('vmfs', 100, 'VMFS', '../../etc/passwd');
    expect(
      await findingsOf(
        { '/a/vm/disk.vmdk': outside, '/etc/passwd': Buffer.alloc(51200) },
        { named: '/a/vm/disk.vmdk' },
      ),
    ).toEqual(['error EXT-OUTSIDE']);
    const extent = (offset: number) => ({ sectors: 50, type: 'FLAT', fileName: 'disk-flat.vmdk', offset });
    const two = (offset: number): Buffer =>
      composeDescriptor({ cid: CID, createType: 'twoGbMaxExtentFlat', extents: [extent(0), extent(offset)] });
    const data = Buffer.alloc(51200, 1);
    expect(await findingsOf({ '/vm/disk.vmdk': two(50), '/vm/disk-flat.vmdk': data })).toEqual([]);
    expect(
      await findingsOf({ '/vm/disk.vmdk': two(49), '/vm/disk-flat.vmdk': data.subarray(0, 99 * 512) }),
    ).toEqual(['error EXT-OVERLAP']);
  });

  it('in the place of an extent with grains are found', async () => {
    const files = {
      '/vm/disk.vmdk': descriptorFor('vmfsSparse', 100, 'VMFSSPARSE', 'disk-flat.vmdk'),
      '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1),
    };
    expect(await findingsOf(files)).toEqual(['error HDR-MAGIC']);
  });
});

describe('descriptors', () => {
  const data = { '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1) };
  const text = (change: (text: string) => string): Buffer =>
    Buffer.from(change(flat().toString('latin1')), 'latin1');

  it.each<[string, (text: string) => string, string[]]>([
    ['a CID that is none', (old) => old.replace(/^CID=.*$/m, 'CID=IDHERE'), ['error DESC-BAD-CID']],
    ['no createType', (old) => old.replace(/^createType=.*$/m, ''), ['error DESC-CREATE-TYPE-MISSING']],
    ['a key twice', (old) => old.replace(/^(CID=).*$/m, '$&\n$100000001'), ['error DESC-CONFLICTING-KEY']],
    [
      'a type its extents are not of',
      (old) => old.replace(' VMFS ', ' FLAT ').replace('vmdk"', 'vmdk" 0'),
      ['warning DESC-TYPE-MISMATCH'],
    ],
    [
      'the mark of a merge that was stopped',
      (old) => `${old}ddb.vmdkit.merging = "disk-000001.vmdk"\n`,
      ['error DESC-HALF-MERGED'],
    ],
    [
      'the mark of a patch that was stopped',
      (old) => `${old}ddb.vmdkit.patching = "${'00ff'.repeat(16)}"\n`,
      ['error DESC-HALF-PATCHED'],
    ],
    ['NUL bytes at its end', (old) => `${old}\0\0`, ['info DESC-NUL-TAIL']],
  ])('with %s are found, and the extents are checked all the same', async (_, change, expected) => {
    expect(await findingsOf({ '/vm/disk.vmdk': text(change), ...data })).toEqual(expected);
    const short = { '/vm/disk.vmdk': text(change), '/vm/disk-flat.vmdk': Buffer.alloc(7, 1) };
    expect(await findingsOf(short)).toContain('error EXT-SIZE');
  });

  it('that are damaged within their extent do not keep it from being checked', async () => {
    const image = sparseImage();
    setBoth(image, 1, 5);
    image.bytes.write('# nothing but a comment', 512);
    image.bytes.fill(0x20, 535, 21 * 512);
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toEqual([
      'error DESC-DAMAGED',
      'error GTE-RANGE',
    ]);
    image.bytes.writeUInt32LE(0x7fffffff, 36);
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toContain('error DESC-RANGE');
  });

  it('that are blank within a disk are missing; beside an extent they are elsewhere', async () => {
    const { bytes } = sparseImage();
    bytes.fill(0, 512, 21 * 512);
    expect(await findingsOf({ '/vm/disk.vmdk': bytes })).toEqual(['error DESC-MISSING']);
    const named = '/vm/disk-delta.vmdk';
    const delta = cowdImage().bytes;
    expect(await findingsOf({ [named]: delta }, { named })).toEqual(['warning DESC-MISSING']);
    const owner = { '/vm/disk.vmdk': descriptorFor('vmfsSparse', 5000, 'VMFSSPARSE', 'disk-delta.vmdk') };
    expect(await findingsOf({ [named]: delta, ...owner }, { named })).toEqual(['info DESC-ELSEWHERE']);
  });

  it('over 1 MiB are too large', async () => {
    const huge = Buffer.concat([flat(), Buffer.alloc(2 ** 20, '#')]);
    expect(await findingsOf({ '/vm/disk.vmdk': huge })).toEqual(['error DESC-TOO-LARGE']);
  });

  it.each<[string, string, string]>([
    ['encrypted-disk', 'encryptionKeys="x"', 'unsupported'],
    ['native-snapshot', 'ddb.nativeParentHint = "x"', 'unsupported'],
  ])('of contents elsewhere (%s) cannot be checked', async (code, line, kind) => {
    const files = { '/vm/disk.vmdk': text((old) => old.replace(/^createType/m, `${line}\n$&`)) };
    await expect(reportOf(files)).rejects.toMatchObject({ code, kind });
  });

  it('what is no VMDK is refused', async () => {
    const error: unknown = await reportOf({ '/vm/disk.vmdk': Buffer.alloc(9000) }).catch(
      (reason: unknown) => reason,
    );
    expect(isVmdkError(error, 'not-a-vmdk')).toBe(true);
  });
});

describe('companions', () => {
  const data = { '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1) };
  const tracked = (name: string): Buffer =>
    Buffer.from(
      flat()
        .toString()
        .replace('\n\n# The', `\n\n# Change Tracking File\nchangeTrackPath="${name}"\n\n# The`),
    );
  const tracking = Buffer.from('a27219f601000000', 'hex');

  it("a change tracking file of its own is sound; one missing, none, or another disk's is stale", async () => {
    const check = (name: string, files: Record<string, Buffer>): Promise<string[]> =>
      findingsOf({ '/vm/disk.vmdk': tracked(name), ...data, ...files });
    expect(await check('disk-ctk.vmdk', { '/vm/disk-ctk.vmdk': tracking })).toEqual([]);
    expect(await check('disk-ctk.vmdk', {})).toEqual(['warning CTK']);
    expect(await check('disk-ctk.vmdk', { '/vm/disk-ctk.vmdk': Buffer.alloc(600) })).toEqual(['warning CTK']);
    expect(await check('base-ctk.vmdk', { '/vm/base-ctk.vmdk': tracking })).toEqual(['warning CTK']);
    expect(await check('/etc/passwd', { '/etc/passwd': tracking })).toEqual(['warning CTK']);
  });

  it('locks are told, and are no damage', async () => {
    const files = { '/vm/disk.vmdk': flat(), ...data, '/vm/disk-flat.vmdk.lck': Buffer.alloc(1) };
    expect(await reportOf(files)).toMatchObject({ verdict: 'sound' });
    expect(await findingsOf(files)).toEqual(['warning LOCK']);
    const member = Buffer.alloc(512);
    member.write('host 1-1(vmx) 5 S [');
    const shared = { '/vm/disk.vmdk': flat(), ...data, '/vm/disk.vmdk.lck/M12345.lck': member };
    expect(await findingsOf(shared)).toEqual(['info LOCK']);
  });
});

describe('chains', () => {
  const delta = (parentCid: number, hint: string, cid = CID, capacity = 5000): Buffer =>
    descriptorFor('vmfsSparse', capacity, 'VMFSSPARSE', 'disk-delta.vmdk', {
      cid,
      parentCid,
      parentFileNameHint: hint,
    });
  const base = (cid = CID, sectors = 5000): Record<string, Buffer> => ({
    '/vm/base.vmdk': descriptorFor('vmfs', sectors, 'VMFS', 'base-flat.vmdk', { cid }),
    '/vm/base-flat.vmdk': Buffer.alloc(sectors * 512, 1),
  });
  const extent = { '/vm/disk-delta.vmdk': cowdImage().bytes };

  it('that fit have no findings, and with `chain` every link is reported', async () => {
    const files = { '/vm/disk.vmdk': delta(CID, 'base.vmdk'), ...extent, ...base() };
    expect(await reportOf(files)).not.toHaveProperty('links');
    const report = await reportOf(files, { chain: true });
    expect(report).toMatchObject({ verdict: 'sound', problems: [] });
    expect(report.links?.map(({ filename, verdict }) => [filename, verdict])).toEqual([
      ['/vm/disk.vmdk', 'sound'],
      ['/vm/base.vmdk', 'sound'],
    ]);
  });

  it.each([true, false])('whose parent has another CID or size are found (chain: %s)', async (chain) => {
    const cid = { '/vm/disk.vmdk': delta(CID, 'base.vmdk'), ...extent, ...base(CID + 1) };
    expect(await findingsOf(cid, { chain })).toEqual(['error CHAIN-CID']);
    const capacity = { '/vm/disk.vmdk': delta(CID, 'base.vmdk'), ...extent, ...base(CID, 4000) };
    expect(await findingsOf(capacity, { chain })).toEqual(['error CHAIN-CAP']);
  });

  it('whose parent is missing are found, with everything that was tried', async () => {
    const { problems } = await reportOf({ '/vm/disk.vmdk': delta(CID, '../gone/base.vmdk'), ...extent });
    expect(problems.map(({ code }) => code)).toEqual(['CHAIN-MISSING']);
    expect(problems[0]!.message).toContain('tried /gone/base.vmdk (');
    expect(problems[0]!.message).toContain('/vm/base.vmdk (no such file)');
  });

  it('that lead back to themselves are found', async () => {
    expect(await findingsOf({ '/vm/disk.vmdk': delta(CID, 'disk.vmdk'), ...extent })).toEqual([
      'error CHAIN-CYCLE',
    ]);
    const ring = {
      '/vm/disk.vmdk': delta(2, 'other.vmdk', 1),
      '/vm/other.vmdk': delta(1, 'disk.vmdk', 2),
      ...extent,
    };
    expect(await findingsOf(ring, { chain: true })).toEqual(['error CHAIN-CYCLE']);
  });

  it('with damage below the leaf are damaged only when every link is asked for', async () => {
    const files = {
      '/vm/disk.vmdk': delta(CID, 'base.vmdk'),
      ...extent,
      ...base(),
      '/vm/base-flat.vmdk': Buffer.alloc(9, 1),
    };
    expect(await findingsOf(files)).toEqual([]);
    const report = await reportOf(files, { chain: true });
    expect(report).toMatchObject({ verdict: 'damaged', corruptions: 1 });
    expect(report.links?.map(({ verdict }) => verdict)).toEqual(['sound', 'damaged']);
  });

  it('that go on below a parent that does not fit are followed', async () => {
    const files = {
      '/vm/disk.vmdk': delta(77, 'middle.vmdk'),
      '/vm/middle.vmdk': delta(CID, 'base.vmdk', 78),
      ...extent,
      ...base(CID, 4000),
    };
    const report = await reportOf(files, { chain: true });
    expect(report.links?.map(({ filename }) => filename)).toEqual([
      '/vm/disk.vmdk',
      '/vm/middle.vmdk',
      '/vm/base.vmdk',
    ]);
    expect(report.problems.map(({ code, path }) => [code, path])).toEqual([
      ['CHAIN-CID', '/vm/disk.vmdk'],
      ['CHAIN-CAP', '/vm/middle.vmdk'],
    ]);
  });

  it('that end in what cannot be read are not said to be sound', async () => {
    const rdm = descriptorFor('vmfsRawDeviceMap', 5000, 'VMFSRDM', 'base-rdm.vmdk');
    const files = { '/vm/disk.vmdk': delta(CID, 'base.vmdk'), ...extent, '/vm/base.vmdk': rdm };
    expect(await reportOf(files, { chain: true })).toMatchObject({ verdict: 'unchecked', 'check-errors': 1 });
  });

  it('of more links than VMware supports, or of both ESX types, are warned of', async () => {
    const long: Record<string, Buffer> = { ...extent, ...base(1000) };
    for (let link = 0; link < 33; link++) {
      const hint = link === 32 ? 'base.vmdk' : `link-${link + 1}.vmdk`;
      long[`/vm/link-${link}.vmdk`] = delta(link === 32 ? 1000 : link + 1, hint, link === 0 ? 9999 : link);
    }
    expect(await findingsOf(long, { named: '/vm/link-0.vmdk', chain: true })).toEqual([
      'warning CHAIN-DEPTH',
    ]);
    const mixed = {
      '/vm/disk.vmdk': delta(CID, 'middle.vmdk'),
      '/vm/middle.vmdk': descriptorFor('seSparse', 5000, 'SESPARSE', 'disk-delta.vmdk'),
      ...extent,
    };
    expect(await findingsOf(mixed, { chain: true })).toEqual(['warning CHAIN-MIX']);
  });
});

it('an abort ends it with its own reason', async () => {
  const reason = new Error('enough');
  const fs = createMemoryFileStore({ '/vm/disk.vmdk': sparseImage().bytes });
  await expect(checkDisk('/vm/disk.vmdk', { fs, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

it('progress is told extent by extent', async () => {
  const seen: number[] = [];
  await reportOf(
    { '/vm/disk.vmdk': sparseImage().bytes },
    { onProgress: ({ done, total }) => seen.push(done, total) },
  );
  expect(seen).toEqual([1, 1]);
});

it('names of strangers cannot steer a terminal', async () => {
  const files = { '/vm/disk.vmdk': Buffer.from(flat().toString().replace('disk-flat', 'di\u001b[2Jsk')) };
  const { problems } = await reportOf(files);
  expect(problems.some(({ code }) => code === 'EXT-MISSING')).toBe(true);
  expect(JSON.stringify(problems.map(({ message }) => message))).not.toContain('\\u001b[');
});
