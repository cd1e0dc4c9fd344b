// Space-efficient sparse extents (seSparse): every type of entry, the journal, and headers that cannot be.
import { describe, expect, it } from 'vitest';
import { openDisk } from '../../src/disk/open-disk.ts';
import {
  craftMonolithic,
  craftSeSparse,
  marked,
  SECTOR,
  type SESPARSE,
  seSparseEntry,
  storeOf,
  text,
  type SeSparseSpec,
} from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';

const DISK = '/vm/d.vmdk';
const EXTENT = '/vm/d-sesparse.vmdk';
const GRAIN = 8;
const CAPACITY = 40_000;
/** Two tables, used in the other order than they are numbered. */
const NUMBERS = [4097, 4099, 0, 5];
const grains = Object.fromEntries(NUMBERS.map((number) => [number, marked('e', number * GRAIN, GRAIN)]));

const filesOf = (bytes: Buffer, capacity = CAPACITY, extra = {}) => ({
  [DISK]: text({ createType: 'seSparse', extents: [`RW ${capacity} SESPARSE "d-sesparse.vmdk"`], ...extra }),
  [EXTENT]: bytes,
});
const crafted = (more: Partial<SeSparseSpec> = {}) => craftSeSparse({ capacity: CAPACITY, grains, ...more });
const read = (bytes: Buffer, capacity = CAPACITY) => readAll(DISK, { fs: storeOf(filesOf(bytes, capacity)) });
const failure = (bytes: Buffer, capacity = CAPACITY) => bounded(() => failureOf(read(bytes, capacity)));

function contentWith(numbers: readonly number[], capacity = CAPACITY): Buffer {
  const content = Buffer.alloc(capacity * SECTOR);
  for (const number of numbers) content.set(marked('e', number * GRAIN, GRAIN), number * GRAIN * SECTOR);
  return content;
}

describe('a seSparse extent', () => {
  it('is read, whatever order its tables and grains were used in', async () => {
    expectSame(await read(crafted().bytes), contentWith(NUMBERS));
  });

  it('reads unmapped and zero grains as zeros above a parent with data, and shows it where it has none', async () => {
    const capacity = 6 * GRAIN;
    const parent = craftMonolithic({
      capacity,
      grains: Object.fromEntries([0, 1, 2, 3, 4, 5].map((n) => [n, marked('p', n * 8, 8)])),
    });
    const child = craftSeSparse({
      capacity,
      grains: { 1: marked('e', 8, 8) },
      // Unmapped with and without a grain to reclaim, zero, and nothing at all in 0 and 5.
      entries: { 2: seSparseEntry(1, 0), 3: seSparseEntry(2, 0), 4: seSparseEntry(1, 77) },
    });
    const link = { parentCid: '12345678', hint: 'p.vmdk' };
    const fs = storeOf({ ...filesOf(child.bytes, capacity, link), '/vm/p.vmdk': parent.bytes });
    const expected = Buffer.concat([
      marked('p', 0, 8),
      marked('e', 8, 8),
      Buffer.alloc(24 * SECTOR),
      marked('p', 40, 8),
    ]);
    expectSame(await readAll(DISK, { fs }), expected);
  });

  it('may have a size that is not a whole number of grains', async () => {
    const capacity = 2 * GRAIN + 3;
    const { bytes } = craftSeSparse({ capacity, grains: { 2: marked('e', 16, 8) } });
    expectSame(await read(bytes, capacity), Buffer.concat([Buffer.alloc(16 * SECTOR), marked('e', 16, 3)]));
  });

  it('finds grains by their rotated numbers, above 4,096 of them as well', async () => {
    const numbers = Array.from({ length: 4200 }, (_, index) => index).filter((n) => n % 3 !== 0);
    const stored = Object.fromEntries([...numbers].reverse().map((n) => [n, marked('e', n * GRAIN, GRAIN)]));
    const all = Array.from({ length: 4400 }, (_, index) => index);
    const many = craftSeSparse({
      capacity: 4400 * GRAIN,
      grains: { ...stored, ...Object.fromEntries(all.map((n) => [n, marked('e', n * GRAIN, GRAIN)])) },
    });
    expectSame(await read(many.bytes, 4400 * GRAIN), contentWith(all, 4400 * GRAIN));
  });

  it('has no entry of type 4 or more, and none of type 0 that says more than nothing', async () => {
    for (const entry of [4n << 60n, 5n << 60n, 15n << 60n, 1n, 1n << 48n, 0x0fff_0000_0000_0000n]) {
      const { bytes, tables } = crafted({ entries: { 6: entry } });
      expect(await failure(bytes), entry.toString(16)).toMatchObject({
        kind: 'corrupt',
        context: {
          path: EXTENT,
          offset: tables[0]! * SECTOR + 6 * 8,
          found: `0x${entry.toString(16).padStart(16, '0')}`,
        },
      });
    }
  });

  it('has no grain past the end of the file, nor past its own grain area', async () => {
    for (const index of [4, 5000, 2 ** 40]) {
      const error = await failure(crafted({ entries: { 6: seSparseEntry(3, index) } }).bytes);
      expect(error, `index ${index}`).toMatchObject({
        code: 'grain-out-of-range',
        context: { path: EXTENT },
      });
    }
    const small = crafted({ fields: { grainSectors: 2 * GRAIN } });
    expect(await failure(small.bytes)).toMatchObject({
      code: 'grain-out-of-range',
      context: { path: EXTENT },
    });
  });

  it('has no table past the end of the file, nor a directory entry of another kind', async () => {
    for (const entry of [
      (1n << 60n) | 2n,
      (1n << 60n) | 0xffffffffn,
      1n,
      2n << 60n,
      (1n << 60n) | (1n << 32n),
    ]) {
      const { bytes, gd } = crafted();
      bytes.writeBigUInt64LE(entry, gd * SECTOR);
      expect(await failure(bytes), entry.toString(16)).toMatchObject({
        code: 'grain-directory-damaged',
        context: { path: EXTENT, offset: gd * SECTOR },
      });
    }
  });

  it('names the field of its header that cannot be', async () => {
    const fields: [keyof typeof SESPARSE, number | bigint, string][] = [
      ['version', 0x2_0000_0002n, 'version'],
      ['version', 0x3_0000_0001n, 'version'],
      ['grainSize', 16, 'grainSize'],
      ['grainSize', 0, 'grainSize'],
      ['tableSize', 32, 'grainTableSize'],
      ['flags', 1, 'flags'],
      ['reserved', 1, 'reserved1'],
      ['capacity', 0, 'capacity'],
      ['capacity', 2n ** 63n, 'capacity'],
      ['capacity', CAPACITY - 8, 'capacity'],
      ['gdSize', 0, 'grainDirectorySize'],
      ['gdOffset', 0xffffff, 'grain directory'],
      ['gdOffset', 2n ** 64n - 1n, 'grainDirectoryOffset'],
      ['tablesOffset', 2n ** 63n, 'grainTablesOffset'],
      ['grainOffset', 2n ** 63n, 'grainOffset'],
      ['volatileOffset', 0, 'volatileHeaderOffset'],
      ['volatileOffset', 7, 'volatileMagic'],
    ];
    for (const [field, value, named] of fields) {
      const error = await failure(crafted({ fields: { [field]: value } }).bytes);
      expect(error.context, `${field} ${value}`).toMatchObject({ path: EXTENT, field: named });
    }
    expect(await failure(crafted({ fields: { volatileOffset: 0xffffff } }).bytes)).toMatchObject({
      kind: 'corrupt',
    });
    expect(await failure(crafted({ fields: { tablesOffset: 0xffffff } }).bytes)).toMatchObject({
      kind: 'corrupt',
    });
    expect(await failure(crafted({ fields: { grainOffset: 0xffffff } }).bytes)).toMatchObject({
      kind: 'corrupt',
    });
  });

  it('whose grain area starts within its tables or headers is damaged, not read as data', async () => {
    for (const grainOffset of [0, 1, 8, 20]) {
      const error = await failure(crafted({ fields: { grainOffset } }).bytes);
      expect(error.context, `grainOffset ${grainOffset}`).toMatchObject({
        path: EXTENT,
        field: 'grainOffset',
      });
    }
  });

  it('that was cut short is an error at what is missing, never zeros', async () => {
    const { bytes, gd, tables } = crafted();
    expect(await failure(bytes.subarray(0, -1))).toMatchObject({ code: 'grain-out-of-range' });
    for (const end of [tables[1]! * SECTOR, tables[0]! * SECTOR, gd * SECTOR]) {
      expect(await failure(bytes.subarray(0, end))).toMatchObject({ code: 'grain-directory-damaged' });
    }
    expect(await failure(bytes.subarray(0, 700))).toMatchObject({
      kind: 'corrupt',
      context: { path: EXTENT },
    });
    expect(await failure(bytes.subarray(0, 300))).toMatchObject({
      kind: 'corrupt',
      context: { path: EXTENT },
    });
  });

  it('takes no memory by the size it claims', async () => {
    // 2 EiB, with a directory that would have to be as large.
    const capacity = 2 ** 43;
    const { bytes } = craftSeSparse({
      capacity: CAPACITY,
      fields: { capacity, gdOffset: 2 ** 20, gdSize: 2 ** 40 },
    });
    expect(await failure(bytes, capacity)).toMatchObject({ code: 'grain-directory-damaged' });
  });
});

describe('a seSparse journal that waits to be replayed', () => {
  const { bytes } = crafted({ replayJournal: true });

  it('is refused unless told otherwise', async () => {
    const error = await failure(bytes);
    expect(error).toMatchObject({
      kind: 'refused',
      code: 'journal-to-replay',
      context: { path: EXTENT, offset: 536 },
    });
    expect(error.context.hint).toContain('--journal ignore');
  });

  it('is ignored when told so, and that is said', async () => {
    const disk = await openDisk(DISK, { fs: storeOf(filesOf(bytes)), journal: 'ignore' });
    expectSame(await contentOf(disk), contentWith(NUMBERS));
    expect(disk.findings).toMatchObject([{ code: 'UNCLEAN', severity: 'error', path: EXTENT }]);
    await disk.close();
  });
});
