// The catalogue of damages: each kind is made, found under its code, planned, mended and taken back byte for byte; what
// nothing proves is left, with a reason. Sound disks have an empty plan.
import { describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { CowdHeaderStruct } from '../../src/format/cowd-header.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import {
  cowdImage,
  descriptorFor,
  CID,
  seSparseImage,
  setBoth,
  setPair,
  sparseImage,
  streamImage,
} from './check-images.ts';
import { mendAndUndo, type Files } from './repair-bench.ts';

const at = (field: Parameters<typeof SparseExtentHeader.offsetOf>[0]): number =>
  SparseExtentHeader.offsetOf(field);
const inCowd = (field: Parameters<typeof CowdHeaderStruct.offsetOf>[0]): number =>
  CowdHeaderStruct.offsetOf(field);

type Damage = (image: ReturnType<typeof sparseImage>) => Buffer | void;

function sparse(damage: Damage, image = sparseImage()): Files {
  return { '/vm/disk.vmdk': damage(image) ?? image.bytes };
}

function stream(damage: (image: ReturnType<typeof streamImage>) => Buffer | void): Files {
  const image = streamImage();
  return { '/vm/disk.vmdk': damage(image) ?? image.bytes };
}

function cowd(damage: (image: ReturnType<typeof cowdImage>) => Buffer | void): Files {
  const image = cowdImage();
  const bytes = damage(image) ?? image.bytes;
  return {
    '/vm/disk.vmdk': descriptorFor('vmfsSparse', 5000, 'VMFSSPARSE', 'disk-delta.vmdk'),
    '/vm/disk-delta.vmdk': bytes,
  };
}

const gdAt = ({ layout }: ReturnType<typeof sparseImage>, table = 0): number =>
  layout.gdOffset * SECTOR_BYTES + table * 4;
const rgdAt = ({ layout }: ReturnType<typeof sparseImage>, table = 0): number =>
  layout.rgdOffset * SECTOR_BYTES + table * 4;

describe('what a repair mends', () => {
  it.each<[string, string[], () => Files]>([
    ['a mark of a crash', ['UNCLEAN'], () => sparse(({ bytes }) => void bytes.writeUInt8(1, 72))],
    [
      'an entry of a table that only its copy has',
      ['RGD-DIFF'],
      () => sparse((image) => void image.bytes.writeUInt32LE(0, image.entryAt(5))),
    ],
    [
      'an entry that is missing from the copy',
      ['RGD-DIFF'],
      () => sparse((image) => void image.bytes.writeUInt32LE(0, image.copyAt(5))),
    ],
    [
      'a copy that lags after a crash',
      ['RGD-DIFF', 'UNCLEAN'],
      () =>
        sparse((image) => {
          image.bytes.writeUInt8(1, 72);
          image.bytes.writeUInt32LE(0, image.copyAt(700));
        }),
    ],
    [
      'an entry that leads nowhere',
      ['GTE-RANGE'],
      () => sparse((image) => void image.bytes.writeUInt32LE(0x7fffffff, image.entryAt(1))),
    ],
    [
      'an entry within the metadata',
      ['GTE-RANGE'],
      () => sparse((image) => void image.bytes.writeUInt32LE(3, image.entryAt(1))),
    ],
    [
      'a table full of garbage',
      ['GTE-RANGE'],
      () => sparse((image) => void image.bytes.fill(0xee, image.entryAt(0), image.entryAt(512))),
    ],
    [
      'a grain that lies over another, where the copy has its own place',
      ['GRAIN-OVERLAP', 'RGD-DIFF'],
      () => sparse((image) => void image.bytes.writeUInt32LE(image.sectorOf(0), image.entryAt(5))),
    ],
    [
      'a directory entry that leads nowhere',
      ['GD-RANGE'],
      () => sparse((image) => void image.bytes.writeUInt32LE(0x7fffffff, gdAt(image, 1))),
    ],
    [
      'a directory that was wiped',
      ['GD-RANGE', 'GD-RANGE', 'GD-RANGE'],
      () => sparse((image) => void image.bytes.fill(0, gdAt(image, 0), gdAt(image, 3))),
    ],
    [
      'a redundant directory that was wiped with garbage',
      ['GD-RANGE', 'GD-RANGE', 'GD-RANGE'],
      () => sparse((image) => void image.bytes.fill(0xee, rgdAt(image, 0), rgdAt(image, 3))),
    ],
    [
      'a directory and its tables that were wiped',
      ['GD-RANGE', 'GD-RANGE', 'GD-RANGE'],
      () =>
        sparse((image) => {
          image.bytes.fill(0, gdAt(image, 0), image.layout.overHead * SECTOR_BYTES);
        }),
    ],
    [
      'two directory entries that name one table',
      ['GT-OVERLAP'],
      () =>
        sparse((image) => {
          image.bytes.copy(image.bytes, gdAt(image, 1), gdAt(image, 0), gdAt(image, 0) + 4);
        }),
    ],
    [
      'a header that names the wrong sector for the directory',
      ['GD-RANGE'],
      () => sparse(({ bytes }) => void bytes.writeUInt32LE(0x7fffffff, at('gdOffset'))),
    ],
    [
      'a header that names the wrong sector for the copy',
      ['GD-RANGE'],
      () => sparse(({ bytes }) => void bytes.writeUInt32LE(0x7fffffff, at('rgdOffset'))),
    ],
    ['zero grains that nothing declares', ['GTE1-FLAG'], () => sparse((image) => setBoth(image, 9, 1))],
    [
      'entries behind the last grain',
      ['SLACK'],
      () => sparse((image) => setBoth(image, 1101, image.sectorOf(0))),
    ],
    [
      'entries behind the last grain, in the redundant table alone',
      ['SLACK'],
      () =>
        sparse((image) => {
          const { bytes } = image;
          const table = bytes.readUInt32LE(rgdAt(image, 2));
          bytes.writeUInt32LE(image.sectorOf(0), table * SECTOR_BYTES + (1101 - 2 * 512) * 4);
        }),
    ],
    ['a tail', ['TAIL'], () => sparse(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(1000, 7)]))],
    [
      'a size in the header that nothing else agrees with',
      ['CAP', 'LEAK'],
      () => sparse(({ bytes }) => void bytes.writeUInt32LE(128 * 300, at('capacity'))),
    ],
    [
      'a size in the descriptor that nothing else agrees with',
      ['CAP'],
      () =>
        sparse(({ bytes }) => {
          const text = bytes.toString('latin1', 512, 21 * 512).replace('RW 140800', 'RW 240800');
          bytes.write(text, 512, 'latin1');
        }),
    ],
    [
      'a stream with a tail',
      ['TAIL'],
      () => stream(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(4096, 1)])),
    ],
    [
      'a stream without its end mark',
      ['FOOTER'],
      () => stream(({ bytes }) => void bytes.fill(9, bytes.length - 512)),
    ],
    [
      'a stream without its footer',
      ['FOOTER'],
      () => stream(({ bytes }) => bytes.subarray(0, bytes.length - 3 * 512)),
    ],
    [
      'a stream whose footer is garbage',
      ['FOOTER'],
      () => stream(({ bytes }) => void bytes.fill(0, bytes.length - 3 * 512)),
    ],
    [
      'the mark of a crash in a stream',
      ['UNCLEAN'],
      () => stream(({ bytes }) => void bytes.writeUInt8(1, at('uncleanShutdown'))),
    ],
    [
      'entries behind the last grain of a stream',
      ['SLACK'],
      () => {
        const image = streamImage([0, 3, 1030]);
        image.bytes.writeUInt32LE(99, image.entryAt(1103));
        return { '/vm/disk.vmdk': image.bytes };
      },
    ],
    [
      'markers before a table and the directory',
      ['MARKER', 'MARKER'],
      () =>
        stream((image) => {
          image.bytes.writeUInt32LE(7, (image.tableOf(0) - 1) * SECTOR_BYTES);
          image.bytes.writeUInt32LE(9, (image.directory - 1) * SECTOR_BYTES);
        }),
    ],
    [
      'a free pointer that is too low',
      ['FREE'],
      () => cowd(({ bytes }) => void bytes.writeUInt32LE(9, inCowd('freeSector'))),
    ],
    [
      'a free pointer behind the file',
      ['FREE'],
      () => cowd(({ bytes }) => void bytes.writeUInt32LE(9999, inCowd('freeSector'))),
    ],
    [
      'the mark of a crash in a delta',
      ['UNCLEAN'],
      () => cowd(({ bytes }) => void bytes.writeUInt32LE(1, inCowd('uncleanShutdown'))),
    ],
    [
      'entries behind the last grain of a delta',
      ['SLACK'],
      () => {
        const image = cowdImage([0, 7, 8], 4000);
        image.bytes.writeUInt32LE(image.table + 32, image.entryAt(4001));
        return {
          '/vm/disk.vmdk': descriptorFor('vmfsSparse', 4000, 'VMFSSPARSE', 'disk-delta.vmdk'),
          '/vm/disk-delta.vmdk': image.bytes,
        };
      },
    ],
    [
      'entries behind the last grain of a seSparse disk',
      ['SLACK'],
      () => {
        const image = seSparseImage();
        setPair(image.bytes, image.entryAt(5001), [0, 0x30000000]);
        return {
          '/vm/disk.vmdk': descriptorFor('seSparse', 40000, 'SESPARSE', 'disk-sesparse.vmdk'),
          '/vm/disk-sesparse.vmdk': image.bytes,
        };
      },
    ],
    [
      'a change tracking file that is gone',
      ['CTK'],
      () => ({
        '/vm/disk.vmdk': Buffer.from(
          descriptorFor('vmfs', 100, 'VMFS', 'disk-flat.vmdk')
            .toString()
            .replace('\n\n# The', '\n\n# Change Tracking File\nchangeTrackPath="disk-ctk.vmdk"\n\n# The'),
        ),
        '/vm/disk-flat.vmdk': Buffer.alloc(51200, 1),
      }),
    ],
  ])('%s', async (_, codes, files) => {
    const { plan, after } = await mendAndUndo(files());
    expect(
      plan.mended
        .map(({ code }) => code)
        .filter((code, index, all) => all.indexOf(code) === index)
        .sort(),
    ).toEqual([...new Set(codes)].sort());
    expect(plan.left).toEqual([]);
    expect(plan['verdict-after']).toBe('sound');
    expect(after.problems.filter(({ severity }) => severity !== 'info')).toEqual([]);
  });
});

it('tables that were cut off are made again behind a gap; grains that are gone stay gone', async () => {
  const image = sparseImage();
  const cut = image.entryAt(512) - SECTOR_BYTES;
  const { plan } = await mendAndUndo(sparse(() => image.bytes.subarray(0, cut), image));
  const grown = plan.files[0]!.patches.filter((patch) => patch['old-length'] === 0);
  expect(grown.some((patch) => patch.at > cut)).toBe(true);
  expect(plan.mended.map(({ code }) => code)).not.toContain('GTE-RANGE');
  expect(plan.left.filter(({ code }) => code === 'GTE-RANGE')).toHaveLength(4);
});

it.each<[string, () => Files]>([
  ['a sparse disk', () => sparse(() => undefined)],
  ['a stream', () => stream(() => undefined)],
  ['a delta', () => cowd(() => undefined)],
])('%s that is sound has an empty plan', async (_, files) => {
  const { plan } = await mendAndUndo(files());
  expect(plan).toMatchObject({ mended: [], left: [], files: [], 'changes-content': false });
});

describe('what a repair leaves, and why', () => {
  it.each<[string, string, () => Files, RegExp]>([
    [
      'an entry that is wrong in both copies',
      'GTE-RANGE',
      () => sparse((image) => setBoth(image, 1, 5)),
      /its data cannot be found/,
    ],
    [
      'two grains in one place, in both copies',
      'GRAIN-OVERLAP',
      () => sparse((image) => setBoth(image, 5, image.sectorOf(0))),
      /nothing proves whose data it is/,
    ],
    [
      'an entry that leads nowhere, where the copy has the place of another grain',
      'GTE-RANGE',
      () =>
        sparse((image) => {
          image.bytes.writeUInt32LE(0x7fffffff, image.entryAt(9));
          image.bytes.writeUInt32LE(image.sectorOf(0), image.copyAt(9));
        }),
      /its data cannot be found/,
    ],
    ['lost space', 'LEAK', () => sparse((image) => setBoth(image, 5, 0)), /lost space is left alone/],
    [
      'sizes that differ within one table, without a witness',
      'CAP',
      () => sparse(({ bytes }) => void bytes.writeUInt32LE(128 * 1090, at('capacity'))),
      /nothing proves which size/,
    ],
    [
      'entries behind the end of the disk, when its size is in doubt',
      'SLACK',
      () => {
        const image = sparseImage([0, 1, 1095]);
        image.bytes.writeUInt32LE(128 * 1090, at('capacity'));
        return { '/vm/disk.vmdk': image.bytes };
      },
      /size of the disk is in doubt/,
    ],
    [
      'a file that was never finished',
      'HDR-MAGIC',
      () => sparse(({ bytes }) => void bytes.write('kdmv')),
      /./,
    ],
    [
      'a text-mode transfer',
      'NEWLINE',
      () => sparse(({ bytes }) => void bytes.writeUInt8(0x0a, at('doubleEndLineChar1'))),
      /binary mode/,
    ],
    [
      'a stream that was cut short',
      'TRUNC',
      () => stream((image) => image.bytes.subarray(0, image.sectorOf(512) * SECTOR_BYTES + 20)),
      /recover/,
    ],
  ])('%s', async (_, code, files, reason) => {
    const { plan } = await mendAndUndo(files());
    expect(plan.mended).toEqual([]);
    expect(plan.files).toEqual([]);
    const left = plan.left.find((finding) => finding.code === code);
    expect(left?.reason).toMatch(reason);
  });

  it('the mark of a crash, for as long as anything else is wrong', async () => {
    const { plan } = await mendAndUndo(
      sparse((image) => {
        setBoth(image, 1, 5);
        image.bytes.writeUInt8(1, 72);
        image.bytes.writeUInt32LE(0, image.copyAt(700));
      }),
    );
    expect(plan.mended.map(({ code }) => code)).toEqual(['RGD-DIFF']);
    expect(plan.left.map(({ code }) => code)).toEqual(['UNCLEAN', 'GTE-RANGE']);
  });

  it('an entry that says nothing, when the file was not closed and its primary entry is garbage', async () => {
    const damage = (unclean: number) =>
      sparse((image) => {
        image.bytes.writeUInt8(unclean, 72);
        image.bytes.writeUInt32LE(0x7fffffff, image.entryAt(9));
      });
    expect((await mendAndUndo(damage(1))).plan.left.map(({ code }) => code)).toContain('GTE-RANGE');
    expect((await mendAndUndo(damage(0))).plan.left).toEqual([]);
  });

  it('what is wrong with the disks below', async () => {
    const base = sparseImage();
    base.bytes.writeUInt8(1, 72);
    const files = {
      '/vm/base.vmdk': base.bytes,
      '/vm/disk.vmdk': sparseImage([], {
        more: { cid: CID + 1, parentCid: CID, parentFileNameHint: 'base.vmdk' },
      }).bytes,
    };
    const { plan } = await mendAndUndo(files, { chain: true });
    expect(plan.files).toEqual([]);
    expect(plan.left.map(({ path, reason }) => [path, reason])).toEqual([
      ['/vm/base.vmdk', expect.stringContaining('a disk below this one')],
    ]);
  });
});

describe('lost space at the end of the file', () => {
  const GRAIN = 128 * SECTOR_BYTES;
  const withTail = (bytes: Buffer, byte: number): Buffer =>
    Buffer.concat([bytes, Buffer.alloc(2 * GRAIN, byte)]);

  it('that is zeros is cut off', async () => {
    const { plan, after } = await mendAndUndo(sparse(({ bytes }) => withTail(bytes, 0)));
    expect([plan.mended.map(({ code }) => code), plan.left]).toEqual([['LEAK'], []]);
    expect(plan.files[0]!['size-before'] - plan.files[0]!['size-after']).toBe(2 * GRAIN);
    expect([plan['changes-content'], after.problems]).toEqual([false, []]);
  });

  it('that holds data is cut off when the user says so, with the mark of the crash that left it', async () => {
    const files = (): Files =>
      sparse(({ bytes }) => {
        bytes.writeUInt8(1, at('uncleanShutdown'));
        return withTail(bytes, 7);
      });
    const left = (await mendAndUndo(files())).plan.left;
    expect(left).toMatchObject([{ code: 'LEAK', reason: expect.stringContaining('--cut-leaks') as string }]);
    const { plan, after } = await mendAndUndo(files(), { cutLeaks: true });
    expect(plan.mended.map(({ code }) => code)).toEqual(['UNCLEAN', 'LEAK']);
    expect(after.problems).toEqual([]);
  });

  it('stays as long as an entry may want it, and then is no lost space', async () => {
    const lost = sparse((image) => void image.bytes.writeUInt32LE(0, image.entryAt(700)));
    const { plan, after } = await mendAndUndo(lost, { cutLeaks: true });
    expect(plan.mended.map(({ code }) => code)).toEqual(['RGD-DIFF']);
    expect(after).toMatchObject({ problems: [], 'leaked-bytes': 0 });
  });

  it('is not cut by the word of a wrong header, nor between grains, nor where it is too much', async () => {
    const image = sparseImage([0, 1, 1095]);
    image.bytes.writeUInt32LE(128 * 1090, at('capacity'));
    const small = { '/vm/disk.vmdk': image.bytes };
    const between = sparse((image) => setBoth(image, 5, 0));
    const large = sparse(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(17 << 20, 1)]));
    for (const files of [small, between, large]) {
      const { plan } = await mendAndUndo(files, { cutLeaks: true });
      expect(plan.files).toEqual([]);
      expect(plan.left.map(({ code }) => code)).toContain('LEAK');
    }
  });
});

describe('the contents', () => {
  it('that the guest sees anew give the disk a new content id, and only they', async () => {
    const lost = sparse((image) => void image.bytes.writeUInt32LE(0, image.entryAt(5)));
    const { plan } = await mendAndUndo(lost, { contentId: `${'0'.repeat(24)}00c0ffee` });
    expect(plan['changes-content']).toBe(true);
    const patches = plan.files.flatMap((file) => file.patches);
    const texts = patches.map(({ data }) => Buffer.from(data, 'base64').toString('latin1'));
    expect(texts.some((text) => text.includes('00c0ffee'))).toBe(true);
    const copy = sparse((image) => void image.bytes.writeUInt32LE(0, image.copyAt(5)));
    const other = await mendAndUndo(copy);
    expect(other.plan['changes-content']).toBe(false);
    expect(other.plan.files.flatMap((file) => file.patches)).toHaveLength(1);
  });
});

describe('the CID of a parent that does not fit', () => {
  const files = (): Files => ({
    '/vm/base.vmdk': sparseImage().bytes,
    '/vm/disk.vmdk': sparseImage([], {
      more: { cid: CID + 1, parentCid: CID + 9, parentFileNameHint: 'base.vmdk' },
    }).bytes,
  });

  it('is left, unless the user says that the parent is right', async () => {
    const { plan } = await mendAndUndo(files());
    expect(plan.files).toEqual([]);
    expect(plan.left[0]).toMatchObject({
      code: 'CHAIN-CID',
      reason: expect.stringContaining('--fit-cid') as string,
    });
  });

  it('is taken with fitCid, in the child alone', async () => {
    const { plan } = await mendAndUndo(files(), { fitCid: true });
    expect(plan.mended.map(({ code }) => code)).toEqual(['CHAIN-CID']);
    expect(plan.files.map(({ path }) => path)).toEqual(['/vm/disk.vmdk']);
    expect(plan['changes-content']).toBe(false);
  });
});
