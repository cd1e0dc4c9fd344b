// ESX deltas under `check`: each kind of damage gives its own finding and no other; space that ESX allocates in
// advance is no leak.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { CowdHeaderStruct } from '../../src/format/cowd-header.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { cowdImage, descriptorFor, findingsOf, reportOf, type CowdImage } from './check-images.ts';

const CAPACITY = 5000;
const at = (field: Parameters<typeof CowdHeaderStruct.offsetOf>[0]): number =>
  CowdHeaderStruct.offsetOf(field);

function filesOf(bytes: Buffer, line = CAPACITY): Record<string, Buffer> {
  return {
    '/vm/disk.vmdk': descriptorFor('vmfsSparse', line, 'VMFSSPARSE', 'disk-delta.vmdk'),
    '/vm/disk-delta.vmdk': bytes,
  };
}

function afterDamage(damage: (image: CowdImage) => Buffer | void): Promise<string[]> {
  const image = cowdImage();
  return findingsOf(filesOf(damage(image) ?? image.bytes));
}

it('a sound delta has no findings', async () => {
  const { bytes } = cowdImage();
  expect(await reportOf(filesOf(bytes))).toMatchObject({
    verdict: 'sound',
    problems: [],
    'total-clusters': CAPACITY,
    'allocated-clusters': 3,
  });
});

describe('the header', () => {
  it.each<[string, (bytes: Buffer) => void, string]>([
    ['an unknown version', (bytes) => void bytes.writeUInt32LE(2, at('version')), 'error HDR-VERSION'],
    [
      'the flag of an inconsistent file',
      (bytes) => void bytes.writeUInt32LE(7, at('flags')),
      'error HDR-FLAGS',
    ],
    [
      'flags that no known delta has',
      (bytes) => void bytes.writeUInt32LE(11, at('flags')),
      'warning HDR-FLAGS',
    ],
    ['a grain of no sectors', (bytes) => void bytes.writeUInt32LE(0, at('grainSize')), 'error HDR-FIELD'],
    ['the mark of a crash', (bytes) => void bytes.writeUInt32LE(1, at('uncleanShutdown')), 'warning UNCLEAN'],
    [
      'freeSector below what is in use',
      (bytes) => void bytes.writeUInt32LE(10, at('freeSector')),
      'warning FREE',
    ],
    [
      'freeSector behind the end',
      (bytes) => void bytes.writeUInt32LE(9999, at('freeSector')),
      'warning FREE',
    ],
    ['another capacity', (bytes) => void bytes.writeUInt32LE(CAPACITY + 1, at('numSectors')), 'error CAP'],
    [
      'a directory behind the end',
      (bytes) => void bytes.writeUInt32LE(9999, at('gdOffset')),
      'error GD-RANGE',
    ],
  ])('%s is found', async (_, damage, expected) => {
    const { bytes } = cowdImage();
    damage(bytes);
    expect(await findingsOf(filesOf(bytes))).toEqual([expected]);
  });

  it('of a legacy VMDK3 disk cannot be judged', async () => {
    const { bytes } = cowdImage([], 4096 * 100);
    bytes.writeUInt32LE(64, at('numGDEntries'));
    expect((await reportOf(filesOf(bytes, 4096 * 100))).verdict).toBe('unchecked');
  });
});

describe('tables and entries', () => {
  const directoryEntry = (image: CowdImage, table: number): number =>
    image.layout.gdOffset * SECTOR_BYTES + table * 4;

  it('that lie outside are found', async () => {
    expect(
      await afterDamage((image) => void image.bytes.writeUInt32LE(99_999, directoryEntry(image, 1))),
    ).toEqual(['error GD-RANGE']);
    expect(await afterDamage((image) => void image.bytes.writeUInt32LE(2, image.entryAt(9)))).toEqual([
      'error GTE-RANGE',
    ]);
    expect(await afterDamage((image) => void image.bytes.writeUInt32LE(99_999, image.entryAt(9)))).toEqual([
      'error GTE-RANGE',
    ]);
  });

  it('that lie over one another are found', async () => {
    expect(
      await afterDamage((image) => void image.bytes.writeUInt32LE(image.table + 1, directoryEntry(image, 1))),
    ).toEqual(['error GT-OVERLAP']);
    expect(
      await afterDamage((image) => void image.bytes.writeUInt32LE(image.table + 3, image.entryAt(9))),
    ).toEqual(['error GT-OVERLAP']);
    const image = cowdImage();
    image.bytes.writeUInt32LE(image.bytes.readUInt32LE(image.entryAt(0)), image.entryAt(9));
    const { problems } = await reportOf(filesOf(image.bytes));
    expect(problems.map(({ code }) => code)).toEqual(['GRAIN-OVERLAP']);
    expect(problems[0]!.message).toContain('grain 9 lies over grain 0');
  });

  it('of 1 are read differently by others, which is said once', async () => {
    const found = await afterDamage(({ bytes, entryAt }) => {
      bytes.writeUInt32LE(1, entryAt(20));
      bytes.writeUInt32LE(1, entryAt(21));
    });
    expect(found).toEqual(['warning GTE1-FLAG']);
  });

  it('behind the last grain are slack', async () => {
    const image = cowdImage([0, 7, 8], 4000);
    image.bytes.writeUInt32LE(77, image.entryAt(4095));
    expect(await findingsOf(filesOf(image.bytes, 4000))).toEqual(['warning SLACK']);
  });
});

describe('the space of the file', () => {
  it('that nothing refers to is a leak before freeSector, and allocated in advance behind it', async () => {
    expect(await afterDamage((image) => void image.bytes.writeUInt32LE(0, image.entryAt(7)))).toEqual([
      'warning LEAK',
    ]);
    expect(
      await afterDamage(({ bytes }) => Buffer.concat([bytes, Buffer.alloc(100 * SECTOR_BYTES)])),
    ).toEqual(['info TAIL']);
  });

  it('that holds a table which no directory has is no lost space: its grains are lost', async () => {
    const wiped = (image: CowdImage): void => void image.bytes.writeUInt32LE(0, image.layout.gdOffset * 512);
    expect(await afterDamage(wiped)).toEqual(['error GD-RANGE']);
    const image = cowdImage([0, 7, 8, 4000]);
    image.bytes.writeUInt32LE(1, image.entryAt(20));
    wiped(image);
    const { problems } = await reportOf(filesOf(image.bytes));
    expect(problems).toMatchObject([{ code: 'GD-RANGE', offset: image.table * SECTOR_BYTES }]);
    expect(problems[0]!.message).toContain('4 grains are lost with it');
  });

  it.each<[string, (image: CowdImage) => void]>([
    ['is zeros, as a punched file leaves it', ({ bytes, table }) => void bytes.fill(0, table * 512)],
    [
      'has a table behind its grains, as a crash of vmdkit leaves it',
      ({ bytes, table, entryAt }) => void bytes.writeUInt32LE(table - 1, entryAt(9)),
    ],
    [
      'has one that names a sector twice',
      ({ bytes, table, entryAt }) => void bytes.writeUInt32LE(table + 32, entryAt(9)),
    ],
    [
      'has one that does not begin right before its grains',
      ({ bytes, entryAt }) => void bytes.writeUInt32LE(0, entryAt(0)),
    ],
  ])('that %s is lost space', async (_, damage) => {
    const found = await afterDamage((image) => {
      damage(image);
      image.bytes.writeUInt32LE(0, image.layout.gdOffset * 512);
    });
    expect(found).toEqual(['warning LEAK']);
  });

  it('of a file that was not closed may be what no table had yet', async () => {
    const found = await afterDamage(({ bytes, layout }) => {
      bytes.writeUInt32LE(0, layout.gdOffset * 512);
      bytes.writeUInt32LE(1, at('uncleanShutdown'));
    });
    expect(found).toEqual(['warning LEAK', 'warning UNCLEAN']);
  });

  it('right behind the directory may begin with such a table, also where others fill up a block', async () => {
    const fs = createMemoryFileStore();
    await fs.makeFolder('/vm');
    await createDisk('/vm/base.vmdk', bytes(8 << 20), { fs });
    await createDelta('/vm/live.vmdk', '/vm/base.vmdk', { fs, type: 'monolithicSparse' });
    const chain = await openChain('/vm/live.vmdk', 'update', { fs });
    for (const sector of [0, 5000, 9000]) await chain.write(sector as Sectors, Buffer.alloc(512, 7));
    await chain.close();
    const options = { fs, type: 'vmfsSparse', backing: '/vm/base.vmdk' } as const;
    await convertDisk('/vm/live.vmdk', '/vm/disk.vmdk', options);
    const file = await fs.open('/vm/disk-delta.vmdk', 'update');
    const directory = Buffer.alloc(512);
    await file.readExactly(directory, 4 * 512);
    expect(directory.readUInt32LE(0) % 8).not.toBe(0);
    for (const wiped of [[0], [1], [0, 1, 2]]) {
      const now = Buffer.from(directory);
      for (const table of wiped) now.writeUInt32LE(0, table * 4);
      await file.write(now, 4 * 512);
      const { problems } = await checkDisk('/vm/disk.vmdk', { fs });
      expect(problems.filter(({ severity }) => severity !== 'info')).toHaveLength(1);
      expect(problems[0]!.code).toBe('GD-RANGE');
      expect(problems[0]!.message).toMatch(wiped.length === 1 ? /^a grain table/ : /^3 grain tables/);
    }
    await file.close();
  });

  it('that was cut off is found', async () => {
    const { bytes, table } = cowdImage();
    expect(await findingsOf(filesOf(bytes.subarray(0, bytes.length - 1)))).toEqual(['error TRUNC']);
    expect(await findingsOf(filesOf(bytes.subarray(0, (table + 3) * SECTOR_BYTES)))).toEqual(['error TRUNC']);
    expect(await findingsOf(filesOf(bytes.subarray(0, 4 * SECTOR_BYTES + 4)))).toEqual(['error TRUNC']);
    expect(await findingsOf(filesOf(bytes.subarray(0, 1000)))).toEqual(['error TRUNC']);
  });
});
