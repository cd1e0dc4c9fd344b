// Hosted sparse extents under `check`: each kind of damage gives its own finding and no other, and the sound twin
// gives none.
import { describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { findingsOf, reportOf, setBoth, sparseImage, type SparseImage } from './check-images.ts';

const at = (field: Parameters<typeof SparseExtentHeader.offsetOf>[0]): number =>
  SparseExtentHeader.offsetOf(field);

/** What check says once `damage` is done to a sound disk. */
function afterDamage(
  damage: (image: SparseImage) => Buffer | void,
  image = sparseImage(),
): Promise<string[]> {
  return findingsOf({ '/vm/disk.vmdk': damage(image) ?? image.bytes });
}

const markUnclean = ({ bytes }: SparseImage): void => void bytes.writeUInt8(1, at('uncleanShutdown'));

it('finds nothing wrong with a sound disk, and counts its grains', async () => {
  const { bytes } = sparseImage();
  const report = await reportOf({ '/vm/disk.vmdk': bytes });
  expect(report).toMatchObject({
    schema: 'vmdkit-check/v1',
    verdict: 'sound',
    problems: [],
    corruptions: 0,
    leaks: 0,
    'check-errors': 0,
    'total-clusters': 1100,
    'allocated-clusters': 4,
    'compressed-clusters': 0,
    'image-end-offset': bytes.length,
  });
});

it('is content with junk behind the entries of a directory that count, as VMware leaves it', async () => {
  const found = await afterDamage(({ bytes, layout }) => {
    for (const offset of [layout.rgdOffset, layout.gdOffset]) {
      bytes.fill(
        0xee,
        offset * SECTOR_BYTES + layout.tables * 4,
        (offset + layout.directorySectors) * SECTOR_BYTES,
      );
    }
  });
  expect(found).toEqual([]);
});

describe('the header', () => {
  it.each<[string, (bytes: Buffer) => void, string[]]>([
    ['an unfinished file', (bytes) => bytes.write('kdmv'), ['error HDR-MAGIC']],
    ['an unknown version', (bytes) => void bytes.writeUInt32LE(4, at('version')), ['error HDR-VERSION']],
    ['unknown flags', (bytes) => void bytes.writeUInt32LE(0x100003, at('flags')), ['error HDR-FLAGS']],
    [
      'a compression nobody declared',
      (bytes) => void bytes.writeUInt16LE(2, at('compressAlgorithm')),
      ['error HDR-FLAGS'],
    ],
    ['a grain of 3 sectors', (bytes) => void bytes.writeUInt32LE(3, at('grainSize')), ['error HDR-FIELD']],
    ['mangled newlines', (bytes) => void bytes.writeUInt8(0x0a, at('doubleEndLineChar1')), ['error NEWLINE']],
    ['the mark of a crash', (bytes) => void bytes.writeUInt8(1, at('uncleanShutdown')), ['warning UNCLEAN']],
    [
      'another capacity than the descriptor',
      (bytes) => void bytes.writeUInt32LE(128 * 1090, at('capacity')),
      ['error CAP'],
    ],
    ['no capacity', (bytes) => void bytes.writeUInt32LE(0, at('capacity')), ['error CAP']],
  ])('%s is found', async (_, damage, expected) => {
    const image = sparseImage();
    damage(image.bytes);
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toEqual(expected);
  });

  it('with several wrong fields gives a finding for each, and the tables are checked all the same', async () => {
    const found = await afterDamage((image) => {
      image.bytes.writeUInt32LE(9, at('version'));
      image.bytes.writeUInt8(0, at('nonEndLineChar'));
      setBoth(image, 1, 5);
    });
    expect(found).toEqual(['error GTE-RANGE', 'error HDR-VERSION', 'error NEWLINE']);
  });
});

describe('the directories', () => {
  const directoryEntry = (image: SparseImage, table: number): number =>
    image.layout.gdOffset * SECTOR_BYTES + table * 4;

  it('that name a place outside are found, and the copy is walked', async () => {
    const image = sparseImage();
    image.bytes.writeUInt32LE(0x7fffffff, directoryEntry(image, 1));
    const { problems, 'allocated-clusters': allocated } = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(problems).toEqual([
      {
        code: 'GD-RANGE',
        severity: 'error',
        message: expect.stringContaining('grain table 1 cannot be at sector 2147483647') as string,
        path: '/vm/disk.vmdk',
        offset: directoryEntry(image, 1),
        repairable: true,
      },
    ]);
    expect(allocated).toBe(4);
  });

  it('that were wiped are found, whether or not their tables hold anything', async () => {
    const image = sparseImage();
    image.bytes.fill(0, directoryEntry(image, 0), directoryEntry(image, 3));
    const { counts, 'allocated-clusters': allocated } = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(counts).toEqual([{ code: 'GD-RANGE', severity: 'error', count: 3 }]);
    expect(allocated).toBe(4);
  });

  it('that have no tables in either copy have no grains there, which is lawful', async () => {
    const found = await afterDamage((image) => {
      const { bytes, layout } = image;
      setBoth(image, 700, 0);
      for (const directory of [layout.gdOffset, layout.rgdOffset]) {
        bytes.writeUInt32LE(0, directory * SECTOR_BYTES + 4);
      }
      return bytes.subarray(0, image.sectorOf(3) * SECTOR_BYTES);
    });
    expect(found).toEqual([]);
  });

  it('that were wiped in both copies are found by the grains that are left without a table', async () => {
    const wipe = ({ bytes, layout }: ReturnType<typeof sparseImage>): void =>
      void bytes.fill(0, layout.rgdOffset * SECTOR_BYTES, layout.overHead * SECTOR_BYTES);
    expect(await afterDamage(wipe)).toEqual(['error GD-RANGE']);
    // A writer that was cut off may have left a grain for which there is no table yet.
    const unclean = await afterDamage((image) => {
      wipe(image);
      image.bytes.writeUInt8(1, SparseExtentHeader.offsetOf('uncleanShutdown'));
    });
    expect(unclean).toEqual(['warning LEAK', 'warning UNCLEAN']);
  });

  it('whose redundant copy is wrong are found as well', async () => {
    const found = await afterDamage(({ bytes, layout }) => {
      bytes.writeUInt32LE(3, layout.rgdOffset * SECTOR_BYTES);
    });
    expect(found).toEqual(['error GD-RANGE']);
  });

  it('that name one table twice, or a table over a directory, are found', async () => {
    const twice = await reportOf({
      '/vm/disk.vmdk': ((image) => {
        image.bytes.copy(
          image.bytes,
          directoryEntry(image, 2),
          directoryEntry(image, 1),
          directoryEntry(image, 2),
        );
        return image.bytes;
      })(sparseImage()),
    });
    expect(twice.problems.map(({ code, repairable }) => [code, repairable])).toEqual([['GT-OVERLAP', true]]);
    expect(twice.problems[0]!.message).toContain('grain table 2');
    expect(twice.problems[0]!.message).toContain('grain table 1');
    expect(
      await afterDamage((image) => {
        image.bytes.writeUInt32LE(image.layout.gdOffset, directoryEntry(image, 0));
      }),
    ).toEqual(['error GT-OVERLAP']);
  });

  it('that are one and the same, or share a table, are no redundancy', async () => {
    expect(
      await afterDamage(({ bytes, layout }) => void bytes.writeUInt32LE(layout.gdOffset, at('rgdOffset'))),
    ).toEqual(['error RGD-DIFF']);
    expect(
      await afterDamage((image) => {
        const { bytes, layout } = image;
        bytes.copy(
          bytes,
          layout.rgdOffset * SECTOR_BYTES,
          directoryEntry(image, 0),
          directoryEntry(image, 1),
        );
      }),
    ).toEqual(['error RGD-DIFF']);
  });

  it('that lie outside the file are found, and the redundant one is walked', async () => {
    const image = sparseImage();
    image.bytes.writeUInt32LE(0xffffff, at('gdOffset'));
    const report = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(report.problems.map(({ code, repairable }) => [code, repairable])).toEqual([['GD-RANGE', true]]);
    expect(report['allocated-clusters']).toBe(4);
  });

  it('at the end belong to streams only', async () => {
    expect(
      await afterDamage(({ bytes }) => void bytes.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, at('gdOffset'))),
    ).toEqual(['error GD-RANGE']);
  });

  it('over the descriptor are found', async () => {
    const found = await afterDamage(({ bytes, layout }) => {
      bytes.writeUInt32LE(layout.descriptorSize + 1, at('descriptorSize'));
    });
    // What stands there is not text, which is noticed too.
    expect(found).toEqual(['error GT-OVERLAP', 'warning DESC-BYTES-AFTER-NUL']);
  });
});

describe('table entries', () => {
  it('that lead into the metadata or behind the end are found, with their place', async () => {
    const image = sparseImage();
    setBoth(image, 1, 5);
    setBoth(image, 700, 0x1000000);
    const { problems } = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(
      problems.map(({ code, severity, offset, repairable }) => [code, severity, offset, repairable]),
    ).toEqual([
      ['GTE-RANGE', 'error', image.entryAt(1), false],
      ['GTE-RANGE', 'error', image.entryAt(700), false],
    ]);
  });

  it('that only the copy has right can be repaired, and are one finding', async () => {
    const image = sparseImage();
    image.bytes.writeUInt32LE(7, image.entryAt(5));
    const { problems } = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(problems.map(({ code, repairable }) => [code, repairable])).toEqual([['GTE-RANGE', true]]);
  });

  it('that differ from their copy are an error in a closed file, a warning after a crash', async () => {
    const image = sparseImage();
    image.bytes.writeUInt32LE(0, image.copyAt(5));
    const closed = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(closed.problems.map(({ code, severity, repairable }) => [code, severity, repairable])).toEqual([
      ['RGD-DIFF', 'error', true],
    ]);
    expect(closed.problems[0]).toMatchObject({ offset: image.entryAt(5) });
    expect(closed.problems[0]!.message).toContain('1 entries');
    markUnclean(image);
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toEqual([
      'warning RGD-DIFF',
      'warning UNCLEAN',
    ]);
  });

  it('that say zeros without the flag are one warning, with the flag nothing', async () => {
    const image = sparseImage();
    setBoth(image, 10, 1);
    setBoth(image, 11, 1);
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toEqual(['warning GTE1-FLAG']);
    image.bytes.writeUInt32LE(2, at('version'));
    image.bytes.writeUInt32LE(7, at('flags'));
    expect(await findingsOf({ '/vm/disk.vmdk': image.bytes })).toEqual([]);
  });

  it('behind the last grain are slack', async () => {
    expect(await afterDamage((image) => setBoth(image, 1100, 99_999))).toEqual(['warning SLACK']);
  });

  it('that put grains off their alignment are one warning', async () => {
    const found = await afterDamage((image) => {
      setBoth(image, 700, image.sectorOf(3) + 1);
      return Buffer.concat([image.bytes, Buffer.alloc(SECTOR_BYTES)]);
    });
    expect(found).toEqual(['warning GTE-ALIGN']);
  });
});

describe('the space of the file', () => {
  it('that two grains have is found, and both are named', async () => {
    const image = sparseImage();
    setBoth(image, 5, image.sectorOf(1));
    const { problems } = await reportOf({ '/vm/disk.vmdk': image.bytes });
    expect(problems.map(({ code }) => code)).toEqual(['GRAIN-OVERLAP']);
    expect(problems[0]!.message).toBe(
      `grain 5 lies over grain 1, at sector ${image.sectorOf(1)} of the file`,
    );
    expect(problems[0]!.offset).toBe(image.entryAt(5));
  });

  it('that two grains have in part is found', async () => {
    expect(await afterDamage((image) => setBoth(image, 5, image.sectorOf(1) + 64))).toEqual([
      'error GRAIN-OVERLAP',
      'warning GTE-ALIGN',
    ]);
  });

  it('that a grain and a table have is found', async () => {
    const found = await afterDamage((image) => {
      const { bytes, layout, entryAt } = image;
      // Table 0 moves to the place of the grain of 700, whose entry goes on pointing there.
      const place = image.sectorOf(3);
      bytes.copy(bytes, place * SECTOR_BYTES, entryAt(0), entryAt(512));
      bytes.writeUInt32LE(place, layout.gdOffset * SECTOR_BYTES);
    });
    expect(found).toEqual(['error GT-OVERLAP']);
  });

  it('that nobody has is a leak, counted in grains and bytes', async () => {
    const image = sparseImage();
    setBoth(image, 1, 0);
    const lost = Buffer.concat([image.bytes, Buffer.alloc(2 * 65536)]);
    const report = await reportOf({ '/vm/disk.vmdk': lost });
    expect(report).toMatchObject({ verdict: 'sound', corruptions: 0, leaks: 3, 'leaked-bytes': 3 * 65536 });
    expect(report.problems.map(({ code, severity, offset }) => [code, severity, offset])).toEqual([
      ['LEAK', 'warning', image.sectorOf(1) * SECTOR_BYTES],
    ]);
  });

  it('behind the last grain is odd when it is shorter than a grain, and nothing new after a crash', async () => {
    const image = sparseImage();
    const longer = Buffer.concat([image.bytes, Buffer.alloc(700)]);
    expect(await findingsOf({ '/vm/disk.vmdk': longer })).toEqual(['warning TAIL']);
    longer.writeUInt8(1, at('uncleanShutdown'));
    expect(await findingsOf({ '/vm/disk.vmdk': longer })).toEqual(['warning UNCLEAN']);
  });

  it('is no leak while grains are lost: it may be theirs', async () => {
    const found = await afterDamage((image) => setBoth(image, 1, 0x1000000));
    expect(found).toEqual(['error GTE-RANGE']);
  });
});

describe('a file cut short', () => {
  const cut = (image: SparseImage, sector: number): Promise<string[]> =>
    findingsOf({ '/vm/disk.vmdk': image.bytes.subarray(0, sector * SECTOR_BYTES) });

  it('within a grain is found', async () => {
    const image = sparseImage();
    expect(await cut(image, image.sectorOf(3) + 50)).toEqual(['error TRUNC']);
  });

  it('within the part of the last grain that the guest cannot see is sound', async () => {
    const image = sparseImage([0, 1099], { capacity: 128 * 1099 + 20 });
    expect(await cut(image, image.sectorOf(1) + 20)).toEqual([]);
    expect(await cut(image, image.sectorOf(1) + 19)).toEqual(['error TRUNC']);
  });

  it('within its metadata is found, for each part that is cut', async () => {
    const image = sparseImage([]);
    expect(await cut(image, image.layout.overHead - 1)).toEqual(['error TRUNC']);
    const found = await cut(image, image.layout.gdOffset + 2);
    expect(new Set(found)).toEqual(new Set(['error GD-RANGE', 'error TRUNC']));
  });
});
