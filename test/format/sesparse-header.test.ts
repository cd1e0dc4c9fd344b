// The two headers of a seSparse extent: the one layout that ESXi has shown, and what QEMU's reader insists on.
import { describe, expect, it } from 'vitest';
import {
  parseSeSparseHeader,
  SeSparseConstHeader,
  seSparseTableCount,
  SeSparseVolatileHeader,
} from '../../src/format/sesparse-header.ts';

type Raw = ReturnType<typeof SeSparseConstHeader.decode>;

/** A delta of 100 MiB, by hostd.log. */
const ESXI: Partial<Raw> = {
  constMagic: 0xcafebaben,
  version: 0x200000001n,
  capacity: 204_800n,
  grainSize: 8n,
  grainTableSize: 64n,
  volatileHeaderOffset: 1n,
  volatileHeaderSize: 1n,
  journalHeaderOffset: 2n,
  journalHeaderSize: 2n,
  journalOffset: 2048n,
  journalSize: 2048n,
  grainDirectoryOffset: 4096n,
  grainDirectorySize: 2048n,
  grainTablesOffset: 6144n,
  grainTablesSize: 2048n,
  freeBitmapOffset: 8192n,
  freeBitmapSize: 2048n,
  backMapOffset: 10_240n,
  backMapSize: 2048n,
  grainOffset: 12_288n,
  grainSectors: 204_800n,
};

function header(fields: Partial<Raw> = {}): Buffer {
  return SeSparseConstHeader.encode({ ...ESXI, ...fields });
}

describe('the constant header of a seSparse extent', () => {
  it('is read as ESXi wrote it', () => {
    expect(parseSeSparseHeader(header(), '/a')).toEqual({
      capacity: 204_800,
      grainSize: 8,
      grainDirectoryOffset: 4096,
      grainDirectorySize: 2048,
      grainTablesOffset: 6144,
      grainTablesSize: 2048,
      grainOffset: 12_288,
      grainSectors: 204_800,
      volatileHeaderOffset: 1,
    });
  });

  it('begins with the bytes that tell it from other files, and has its fields where QEMU has them', () => {
    expect(header().subarray(0, 16).toString('hex')).toBe('bebafeca000000000100000002000000');
    const places = {
      capacity: 16,
      grainTableSize: 32,
      flags: 40,
      reserved4: 72,
      volatileHeaderOffset: 80,
      journalOffset: 112,
      grainDirectoryOffset: 128,
      grainTablesOffset: 144,
      freeBitmapOffset: 160,
      backMapOffset: 176,
      grainOffset: 192,
      pad: 208,
    } as const;
    for (const [field, place] of Object.entries(places)) {
      expect(SeSparseConstHeader.offsetOf(field as keyof typeof places), field).toBe(place);
    }
  });

  it.each([
    ['constMagic', { constMagic: 0xcafebabfn }],
    ['version', { version: 0x200000002n }],
    ['grainSize', { grainSize: 16n }],
    ['grainTableSize', { grainTableSize: 32n }],
    ['flags', { flags: 1n }],
    ['reserved1', { reserved1: 1n }],
    ['reserved2', { reserved2: 1n }],
    ['reserved3', { reserved3: 1n }],
    ['reserved4', { reserved4: 2n ** 63n }],
    ['capacity', { capacity: 0n }],
    ['capacity', { capacity: 2n ** 60n }],
    ['grainDirectoryOffset', { grainDirectoryOffset: 2n ** 60n }],
    ['grainDirectorySize', { grainDirectorySize: 0n }],
    ['grainTablesOffset', { grainTablesOffset: 2n ** 60n }],
    ['grainOffset', { grainOffset: 2n ** 63n }],
    ['volatileHeaderOffset', { volatileHeaderOffset: 2n ** 60n }],
  ] as const)('whose %s cannot be (%o) is refused, and the field named with its place', (field, wrong) => {
    expect(() => parseSeSparseHeader(header(wrong), '/a')).toThrow(
      expect.objectContaining({
        kind: 'corrupt',
        code: 'bad-header',
        context: expect.objectContaining({
          path: '/a',
          field,
          offset: SeSparseConstHeader.offsetOf(field),
        }) as unknown,
      }) as Error,
    );
  });

  it('needs a table for every 16 MiB', () => {
    expect([1, 32_768, 32_769, 204_800].map((capacity) => seSparseTableCount(capacity))).toEqual([
      1, 1, 2, 7,
    ]);
  });
});

describe('the volatile header of a seSparse extent', () => {
  it('has its fields where QEMU has them', () => {
    const bytes = SeSparseVolatileHeader.encode({
      volatileMagic: 0xcafecafen,
      freeGTNumber: 7n,
      replayJournal: 1n,
    });
    expect(bytes.subarray(0, 32).toString('hex')).toBe(
      'fecafeca00000000' + '0700000000000000' + '0000000000000000' + '0100000000000000',
    );
  });
});
