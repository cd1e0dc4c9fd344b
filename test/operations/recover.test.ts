// Recovering disks: descriptors made anew from every kind of extent, streams saved by their markers, and what is lost
// listed, never invented. Sources stay byte for byte.
import { expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { readBytes } from '../../src/block/byte-access.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { bytes } from '../../src/core/units.ts';
import { bytesUnderHeaderCrc, GptHeader } from '../../src/format/gpt.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { recoverDisk, type RecoverOptions } from '../../src/operations/recover.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { crc32 } from '../../src/worker/crc32.ts';
import { CID, cowdImage, descriptorFor, seSparseImage, sparseImage, streamImage } from './check-images.ts';
import { expectHolds, type Files } from './repair-bench.ts';

const DST = '/vm/disk.vmdk';
/** Of streams that are read whole, in sectors: small, so that three tables are few MiB. */
const GRAIN = 8;
const GRAIN_BYTES = GRAIN * 512;
/** A part of a split disk: no room for a text in it. */
const bare = (): Buffer => {
  const { bytes: image } = sparseImage();
  image.writeBigUInt64LE(0n, SparseExtentHeader.offsetOf('descriptorOffset'));
  image.writeBigUInt64LE(0n, SparseExtentHeader.offsetOf('descriptorSize'));
  return image.fill(0, 512, 21 * 512);
};

async function recover(files: Files, sources: string[], options: RecoverOptions = {}, target = DST) {
  const store = createMemoryFileStore(files);
  const report = await recoverDisk(sources, target, { ...options, fs: store });
  await expectHolds(store, files);
  return { store, report };
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isVmdkError(error) ? error.code : String(error);
}

const BASE = {
  '/vm/base.vmdk': descriptorFor('vmfs', 5000, 'VMFS', 'base-flat.vmdk'),
  '/vm/base-flat.vmdk': Buffer.alloc(5000 * 512, 1),
};

it.each<[string, Files, string[], string, RecoverOptions]>([
  ['a flat extent', { '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1) }, ['/vm/disk-flat.vmdk'], 'vmfs', {}],
  [
    'the parts of a split disk, in whatever order',
    { '/vm/disk-s001.vmdk': bare(), '/vm/disk-s002.vmdk': bare() },
    ['/vm/disk-s002.vmdk', '/vm/disk-s001.vmdk'],
    'twoGbMaxExtentSparse',
    {},
  ],
  [
    'an ESX delta whose parent is named',
    { ...BASE, '/vm/disk-delta.vmdk': cowdImage().bytes },
    ['/vm/disk-delta.vmdk'],
    'vmfsSparse',
    { parent: '/vm/base.vmdk' },
  ],
  [
    'a seSparse extent above nothing known',
    {
      '/vm/disk-sesparse.vmdk': seSparseImage().bytes,
      '/vm/base.vmdk': descriptorFor('vmfs', 40000, 'VMFS', 'base-flat.vmdk'),
      '/vm/base-flat.vmdk': Buffer.alloc(40000 * 512, 1),
    },
    ['/vm/disk-sesparse.vmdk'],
    'seSparse',
    { parent: '/vm/base.vmdk' },
  ],
])('gives %s a descriptor that is sound', async (_, files, sources, type, options) => {
  const { store, report } = await recover(files, sources, options);
  expect(report).toMatchObject({ made: 'descriptor', 'create-type': type });
  const { verdict, problems } = await checkDisk(DST, { fs: store });
  expect({ verdict, problems: problems.filter(({ severity }) => severity === 'error') }).toEqual({
    verdict: 'sound',
    problems: [],
  });
  const unknown = options.parent === undefined ? 'disk database' : 'the CID';
  expect(report.lost.map(({ what }) => what)).toContainEqual(expect.stringContaining(unknown));
});

const childOf = (sectors: number): Files => ({
  '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1),
  '/vm/child.vmdk': descriptorFor('vmfs', sectors, 'VMFS', 'c-flat.vmdk', {
    cid: 7,
    parentCid: CID,
    parentFileNameHint: 'disk.vmdk',
  }),
});

it('takes the CID from the disks that stand on the lost one', async () => {
  const { report } = await recover(childOf(100), ['/vm/disk-flat.vmdk']);
  expect(report.cid).toBe('12345678');
  expect(report.lost.some(({ what }) => what.includes('CID'))).toBe(false);
});

it('says when a disk that stands on the lost one is longer than what is left', async () => {
  const { report } = await recover(childOf(130), ['/vm/disk-flat.vmdk']);
  const what = 'the end of the disk: child.vmdk, which stands on it, has 130 sectors';
  expect(report.lost).toContainEqual({ what, start: 100, count: 30 });
});

/** A flat base of 100 sectors and what its first two hold. */
function flatWith(fill: (disk: Buffer) => void): Files {
  const disk = Buffer.alloc(51200);
  fill(disk);
  return { '/vm/disk-flat.vmdk': disk };
}

function withMbr(start: number, count: number, boot = 0x80): (disk: Buffer) => void {
  return (disk) => {
    disk.set([boot, 0, 0, 0, 0x83, 0, 0, 0], 446);
    disk.writeUInt32LE(start, 454);
    disk.writeUInt32LE(count, 458);
    disk.writeUInt16LE(0xaa55, 510);
  };
}

function withGpt(last: number): (disk: Buffer) => void {
  return (disk) => {
    const raw = GptHeader.decode(Buffer.alloc(512));
    const header = { ...raw, Signature: Buffer.from('EFI PART'), HeaderSize: 92, MyLBA: 1n };
    const sector = disk.subarray(512, 1024);
    sector.set(GptHeader.encode({ ...header, AlternateLBA: BigInt(last) }));
    sector.writeUInt32LE(crc32(bytesUnderHeaderCrc(sector, 92)), GptHeader.offsetOf('HeaderCRC32'));
  };
}

const END = 'the end of the disk: ';
it.each<[string, Files, string | undefined]>([
  ['its partition table', flatWith(withMbr(8, 200)), 'its partition table reaches up to sector 208'],
  ['no table that fits', flatWith(withMbr(8, 92)), undefined],
  ['no code that looks like a table', flatWith(withMbr(8, 200, 0x7f)), undefined],
  ['its GPT', flatWith(withGpt(299)), 'its GPT has its copy in sector 299'],
  ['no GPT that fits', flatWith(withGpt(99)), undefined],
  [
    'a GPT without its checksum',
    flatWith((disk) => {
      withGpt(299)(disk);
      disk[600] = 1;
    }),
    undefined,
  ],
  [
    'a log',
    {
      ...flatWith(() => {}),
      '/vm/vmware.log': Buffer.from(
        "a\nvmx| DISKLIB-LINK  : Opened '/vmfs/volumes/x/other/disk.vmdk' (0xa): vmfs, 900 sectors / 1 MB.\nvmx| DISKLIB-LINK  : Opened '/vmfs/volumes/x/vm/disk.vmdk' (0xa): vmfs, 300 sectors / 1 MB.\n",
      ),
    },
    'by vmware.log:3 it had 300 sectors',
  ],
])('says that the end is gone by %s', async (_, files, says) => {
  const { report } = await recover(files, ['/vm/disk-flat.vmdk']);
  const ends = report.lost.filter(({ what }) => what.startsWith(END));
  const sectors =
    Number(/(\d+)(?: sectors)?$/.exec(says ?? '')?.[1]) + (says?.includes('GPT') === true ? 1 : 0);
  expect(ends).toEqual(
    says === undefined ? [] : [{ what: `${END}${says}`, start: 100, count: sectors - 100 }],
  );
  expect(report).not.toHaveProperty('warnings');
});

const part = (sectors: number): Buffer => {
  const image = bare();
  image.writeBigUInt64LE(BigInt(sectors), SparseExtentHeader.offsetOf('capacity'));
  return image;
};
const parts = (...sectors: readonly number[]): Files =>
  Object.fromEntries(sectors.map((each, index) => [`/vm/disk-s00${index + 1}.vmdk`, part(each)]));

it('warns that a split disk may have had more parts unless the last is shorter, or somebody has its size', async () => {
  const warned = async (files: Files): Promise<number> => {
    const sources = Object.keys(files).filter((name) => name.includes('-s0'));
    const { report } = await recover(files, sources);
    return report.warnings?.length ?? 0;
  };
  expect(await warned(parts(65536, 65536))).toBe(1);
  expect(await warned(parts(65536, 65536, 1024))).toBe(0);
  expect(await warned(parts(65536))).toBe(0);
  expect(await warned(parts(4192256))).toBe(1);
  const log = (sectors: number): Files => ({
    '/vm/vmware.log': Buffer.from(
      `vmx| DISKLIB-LINK  : Opened 'disk.vmdk' (0xa): twoGbMaxExtentSparse, ${sectors} sectors / 1 MB.\n`,
    ),
  });
  expect(await warned({ ...parts(65536, 65536), ...log(131072) })).toBe(0);
  const { report } = await recover({ ...parts(65536, 65536), ...log(196608) }, [
    '/vm/disk-s001.vmdk',
    '/vm/disk-s002.vmdk',
  ]);
  expect(report).not.toHaveProperty('warnings');
  expect(report.lost).toContainEqual({
    what: `${END}by vmware.log:1 it had 196608 sectors`,
    start: 131072,
    count: 65536,
  });
});

it('lists what is damaged in the extents, which get a descriptor and no repair', async () => {
  const cut = bare();
  const files = { '/vm/disk-s001.vmdk': cut.subarray(0, cut.length - 70_000), '/vm/disk-s002.vmdk': bare() };
  const { report } = await recover(files, Object.keys(files));
  expect(report.lost.map(({ what }) => what)).toContainEqual(expect.stringMatching(/^TRUNC: .*within grain/));
  const delta = cowdImage();
  delta.bytes.writeUInt32LE(0, delta.layout.gdOffset * 512);
  const { report: wiped } = await recover(
    { ...BASE, '/vm/disk-delta.vmdk': delta.bytes },
    ['/vm/disk-delta.vmdk'],
    { parent: '/vm/base.vmdk' },
  );
  expect(wiped.lost.map(({ what }) => what)).toContainEqual(
    expect.stringMatching(/^GD-RANGE: a grain table/),
  );
});

it('refuses a split disk of which further parts lie there', async () => {
  const files = { '/vm/disk-s001.vmdk': bare(), '/vm/disk-s002.vmdk': bare(), '/vm/other-s003.vmdk': bare() };
  expect(await failureOf(recover(files, ['/vm/disk-s001.vmdk']))).toBe('extent-not-named');
  const { report } = await recover(files, ['/vm/disk-s001.vmdk', '/vm/disk-s002.vmdk']);
  expect(report.made).toBe('descriptor');
});

it('refuses what it would have to invent', async () => {
  const delta = { '/vm/disk-delta.vmdk': cowdImage().bytes, ...BASE };
  expect(await failureOf(recover(delta, ['/vm/disk-delta.vmdk']))).toBe('parent-unknown');
  const other = { ...delta, '/vm/base.vmdk': descriptorFor('vmfs', 4000, 'VMFS', 'base-flat.vmdk') };
  expect(await failureOf(recover(other, ['/vm/disk-delta.vmdk'], { parent: '/vm/base.vmdk' }))).toBe(
    'parent-does-not-fit',
  );
  const gap = { '/vm/disk-s001.vmdk': bare(), '/vm/disk-s003.vmdk': bare() };
  expect(await failureOf(recover(gap, Object.keys(gap)))).toBe('extent-missing');
  expect(await failureOf(recover({ '/vm/x.bin': Buffer.alloc(9000) }, ['/vm/x.bin']))).toBe(
    'nothing-to-recover',
  );
  for (const head of [sparseImage().bytes, cowdImage().bytes, streamImage().bytes, seSparseImage().bytes]) {
    const cut = { '/vm/cut.bin': head.subarray(0, 100) };
    expect(await failureOf(recover(cut, ['/vm/cut.bin'], { parent: 'none' }))).toBe('file-too-short');
  }
  const text = recover(BASE, ['/vm/base.vmdk']);
  await expect(text).rejects.toMatchObject({
    code: 'nothing-to-recover',
    message: expect.stringContaining('this is a descriptor') as string,
  });
  expect(await failureOf(text)).toBe('nothing-to-recover');
  expect(
    await failureOf(
      recover({ '/vm/disk-flat.vmdk': Buffer.alloc(512), [DST]: Buffer.from('x') }, ['/vm/disk-flat.vmdk']),
    ),
  ).toBe('target-exists');
  expect(
    await failureOf(
      recover(
        { '/vm/disk-flat.vmdk': Buffer.alloc(512), '/a/x': Buffer.alloc(1) },
        ['/vm/disk-flat.vmdk'],
        {},
        '/a/d.vmdk',
      ),
    ),
  ).toBe('extent-elsewhere');
});

/** What the sound stream holds. */
async function contents(): Promise<Buffer> {
  const chain = await openChain('/vm/s.vmdk', 'read', {
    fs: createMemoryFileStore({ '/vm/s.vmdk': streamImage(undefined, { grainSize: GRAIN }).bytes }),
  });
  const data = Buffer.alloc(chain.capacity * 512);
  await readBytes(chain, bytes(0), data);
  await chain.close();
  return data;
}

async function saved(stream: Buffer) {
  const { store, report } = await recover({ '/vm/s.vmdk': stream }, ['/vm/s.vmdk'], {}, '/vm/out.raw');
  const file = await store.open('/vm/out.raw', 'read');
  const data = Buffer.alloc(await file.size());
  await file.readExactly(data, 0);
  await file.close();
  expect((await store.list('/vm')).sort()).toEqual(['out.raw', 's.vmdk']);
  return { lost: report.lost, data };
}

it('saves a stream whose directory and footer are gone, whole', async () => {
  const image = streamImage(undefined, { grainSize: GRAIN });
  const { lost, data } = await saved(image.bytes.subarray(0, image.directory * 512));
  expect(lost).toEqual([]);
  expect(data.equals(await contents())).toBe(true);
});

it('saves a stream that was cut short up to there, and lists the rest', async () => {
  const image = streamImage(undefined, { grainSize: GRAIN });
  const { lost, data } = await saved(image.bytes.subarray(0, image.sectorOf(515) * 512 + 20));
  expect(lost).toEqual([
    { what: expect.stringContaining('cut short') as string, start: 513 * GRAIN, count: (1100 - 513) * GRAIN },
  ]);
  const whole = await contents();
  const end = 513 * GRAIN_BYTES;
  expect(data.subarray(0, end).equals(whole.subarray(0, end))).toBe(true);
  expect(data.subarray(end).every((byte) => byte === 0)).toBe(true);
});

it('goes on behind a damaged grain, and lists what may be missing', async () => {
  const image = streamImage(undefined, { grainSize: GRAIN });
  image.bytes.fill(0xee, image.sectorOf(3) * 512 + 20, image.sectorOf(3) * 512 + 60);
  const { lost, data } = await saved(image.bytes);
  expect(lost).toEqual([
    { what: expect.stringContaining('cannot be read') as string, start: GRAIN, count: 511 * GRAIN },
  ]);
  const whole = await contents();
  expect(data.subarray(512 * GRAIN_BYTES).equals(whole.subarray(512 * GRAIN_BYTES))).toBe(true);
});
