// seSparse extents under `check`: each kind of damage gives its own finding and no other; what only ESXi knows is
// never more than information.
import { describe, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { seSparseEntry } from '../../src/format/sesparse-entries.ts';
import { SeSparseConstHeader, SeSparseVolatileHeader } from '../../src/format/sesparse-header.ts';
import {
  descriptorFor,
  findingsOf,
  reportOf,
  seSparseImage,
  setPair,
  type SeSparseImage,
} from './check-images.ts';

const CAPACITY = 8 * 5000;
const AHEAD = 'info TAIL';
const at = (field: Parameters<typeof SeSparseConstHeader.offsetOf>[0]): number =>
  SeSparseConstHeader.offsetOf(field);
const volatileAt = (field: Parameters<typeof SeSparseVolatileHeader.offsetOf>[0]): number =>
  SECTOR_BYTES + SeSparseVolatileHeader.offsetOf(field);

function filesOf(bytes: Buffer): Record<string, Buffer> {
  return {
    '/vm/disk.vmdk': descriptorFor('seSparse', CAPACITY, 'SESPARSE', 'disk-sesparse.vmdk'),
    '/vm/disk-sesparse.vmdk': bytes,
  };
}

/** The findings, without the space that is always allocated in advance. */
async function afterDamage(damage: (image: SeSparseImage) => Buffer | void): Promise<string[]> {
  const image = seSparseImage();
  const found = await findingsOf(filesOf(damage(image) ?? image.bytes));
  return found.filter((each) => each !== AHEAD);
}

it('a sound disk has no findings but the space allocated in advance', async () => {
  const report = await reportOf(filesOf(seSparseImage().bytes));
  expect(report.problems.map(({ code, severity }) => `${severity} ${code}`)).toEqual([AHEAD]);
  expect(report).toMatchObject({ verdict: 'sound', 'total-clusters': 5000, 'allocated-clusters': 3 });
});

describe('the headers', () => {
  it.each<[string, (bytes: Buffer) => void, string[]]>([
    ['an unknown version', (bytes) => void bytes.writeUInt32LE(9, at('version')), ['error HDR-VERSION']],
    ['another grain size', (bytes) => void bytes.writeUInt32LE(16, at('grainSize')), ['error HDR-FIELD']],
    ['flags', (bytes) => void bytes.writeUInt32LE(1, at('flags')), ['error HDR-FLAGS']],
    [
      'a reserved field that is used',
      (bytes) => void bytes.writeUInt32LE(1, at('reserved3')),
      ['error HDR-FIELD'],
    ],
    ['another capacity', (bytes) => void bytes.writeUInt32LE(CAPACITY - 8, at('capacity')), ['error CAP']],
    [
      'regions over one another',
      (bytes) => void bytes.writeUInt32LE(2047, at('freeBitmapOffset')),
      ['error HDR-FIELD'],
    ],
    [
      'a broken volatile header',
      (bytes) => void bytes.writeUInt32LE(0xcafebabe, volatileAt('volatileMagic')),
      ['error HDR-MAGIC'],
    ],
    [
      'a journal to replay',
      (bytes) => void bytes.writeUInt8(1, volatileAt('replayJournal')),
      ['error UNCLEAN'],
    ],
    [
      'a next free table that is in use',
      (bytes) => void bytes.writeUInt8(1, volatileAt('freeGTNumber')),
      ['warning FREE'],
    ],
  ])('%s: found', async (_, damage, expected) => {
    expect(await afterDamage(({ bytes }) => damage(bytes))).toEqual(expected);
  });
});

describe('directory entries', () => {
  const entry = (image: SeSparseImage, table: number): number =>
    image.layout.grainDirectory.offset * SECTOR_BYTES + table * 8;

  it.each<[string, readonly [number, number], string]>([
    ['of an unknown kind', [1, 0x20000000], 'error GD-RANGE'],
    ['without the mark of a table', [1, 0], 'error GD-RANGE'],
    ['behind the last slot', [0xffffff, 0x10000000], 'error GD-RANGE'],
    ['with the slot of another', [0, 0x10000000], 'error GT-OVERLAP'],
  ])('%s are found', async (_, pair, expected) => {
    expect(await afterDamage((image) => setPair(image.bytes, entry(image, 1), pair))).toEqual([expected]);
  });
});

describe('table entries', () => {
  it.each<[string, readonly [number, number], string[]]>([
    ['of an unknown type', [0, 0x70000000], ['error GTE-RANGE']],
    ['unallocated, yet not zero', [5, 0], ['error GTE-RANGE']],
    ['behind the end of the file', seSparseEntry(3, 4000), ['error GTE-RANGE']],
    ['behind the data region', seSparseEntry(3, 2 ** 30), ['error GTE-RANGE']],
    ['with the grain of another', seSparseEntry(3, 1), ['error GRAIN-OVERLAP']],
    ['unmapped, with the grain of another', seSparseEntry(1, 1), []],
    ['zero', seSparseEntry(2, 0), []],
  ])('%s: %j', async (_, pair, expected) => {
    expect(await afterDamage(({ bytes, entryAt }) => setPair(bytes, entryAt(9), pair))).toEqual(expected);
  });

  it('behind the last grain are slack', async () => {
    expect(await afterDamage(({ bytes, entryAt }) => setPair(bytes, entryAt(8000), [1, 0x30000000]))).toEqual(
      ['warning SLACK'],
    );
  });
});

it('grains without an entry, and maps that disagree with the tables, are information', async () => {
  expect(await afterDamage(({ bytes, entryAt }) => setPair(bytes, entryAt(0), [0, 0]))).toEqual([
    'info LEAK',
  ]);
  expect(
    await afterDamage(
      ({ bytes, layout }) => void bytes.writeUInt8(0, layout.freeBitmap.offset * SECTOR_BYTES),
    ),
  ).toEqual(['info BITMAP']);
  expect(
    await afterDamage(({ bytes, layout }) => void bytes.writeUInt8(7, layout.backMap.offset * SECTOR_BYTES)),
  ).toEqual(['info BACKMAP']);
});

it('a file that was cut short is found', async () => {
  const sectorsLeft = (count: (image: SeSparseImage) => number) =>
    afterDamage((image) => image.bytes.subarray(0, count(image) * SECTOR_BYTES));
  expect(await sectorsLeft(({ layout }) => layout.grains.offset + 3 * 8 - 1)).toEqual(['error TRUNC']);
  expect(await sectorsLeft(({ layout }) => layout.grainTables.offset + 70)).toContain('error TRUNC');
  expect(await sectorsLeft(({ layout }) => layout.grainDirectory.offset)).toEqual(['error GD-RANGE']);
});
