// The header of an ESX delta, by the places of VMware's specification, and what it must not say.
import { describe, expect, it } from 'vitest';
import {
  cowdDirectoryEntries,
  CowdHeaderStruct,
  encodeCowdHeader,
  parseCowdHeader,
} from '../../src/format/cowd-header.ts';

/** 40 GiB, as ESX makes it. */
const HEADER = {
  flags: 3,
  capacity: 83_886_080,
  grainSize: 1,
  gdOffset: 4,
  numGDEntries: 20_480,
  freeSector: 164,
  uncleanShutdown: false,
};

function header(fields: Partial<ReturnType<typeof CowdHeaderStruct.decode>> = {}): Buffer {
  return CowdHeaderStruct.encode({ ...CowdHeaderStruct.decode(encodeCowdHeader(HEADER)), ...fields });
}

describe('the header of an ESX delta', () => {
  it('is written byte for byte as ESX does', () => {
    const bytes = encodeCowdHeader(HEADER);
    expect(bytes).toHaveLength(2048);
    expect(bytes.subarray(0, 32).toString('hex')).toBe(
      '434f5744' + '01000000' + '03000000' + '00000005' + '01000000' + '04000000' + '00500000' + 'a4000000',
    );
    expect(bytes.subarray(32).every((byte) => byte === 0)).toBe(true);
  });

  it('reads back as it was written, and has its unclean mark where the specification has it', () => {
    expect(parseCowdHeader(encodeCowdHeader(HEADER), '/a')).toEqual(HEADER);
    const unclean = encodeCowdHeader({ ...HEADER, uncleanShutdown: true });
    expect(unclean[1648]).toBe(1);
    expect(parseCowdHeader(unclean, '/a').uncleanShutdown).toBe(true);
  });

  it('has its fields where the specification has them', () => {
    const places = {
      numSectors: 12,
      gdOffset: 20,
      freeSector: 28,
      parentFileName: 32,
      parentGeneration: 1056,
    } as const;
    for (const [field, place] of Object.entries(places)) {
      expect(CowdHeaderStruct.offsetOf(field as keyof typeof places), field).toBe(place);
    }
    expect(CowdHeaderStruct.offsetOf('description')).toBe(1124);
    expect(CowdHeaderStruct.offsetOf('savedGeneration')).toBe(1636);
  });

  it.each([
    ['magicNumber', { magicNumber: 1 }],
    ['version', { version: 0 }],
    ['version', { version: 2 }],
    ['flags', { flags: 7 }],
    ['numSectors', { numSectors: 0 }],
    ['grainSize', { grainSize: 0 }],
    ['grainSize', { grainSize: 3 }],
    ['grainSize', { grainSize: 4096 }],
    ['gdOffset', { gdOffset: 3 }],
    ['numGDEntries', { numGDEntries: 20_479 }],
  ] as const)('whose %s cannot be (%o) is refused, and the field named with its place', (field, wrong) => {
    expect(() => parseCowdHeader(header(wrong), '/a-delta.vmdk')).toThrow(
      expect.objectContaining({
        kind: 'corrupt',
        code: 'bad-header',
        context: expect.objectContaining({
          path: '/a-delta.vmdk',
          field,
          offset: CowdHeaderStruct.offsetOf(field),
        }) as unknown,
      }) as Error,
    );
  });

  it('of a hosted disk of Workstation 2 or 3, which used the same magic, is explained', () => {
    expect(() => parseCowdHeader(header({ numGDEntries: 64 }), '/a')).toThrow(
      expect.objectContaining({ kind: 'unsupported', code: 'legacy-vmdk3' }) as Error,
    );
  });

  it('may claim more directory entries than count: only those that count are read', () => {
    expect(parseCowdHeader(header({ numGDEntries: 2 ** 32 - 1 }), '/a').numGDEntries).toBe(20_480);
  });

  it('needs one directory entry for every 4096 grains', () => {
    expect([1, 4096, 4097, 2 ** 32 - 1].map((capacity) => cowdDirectoryEntries(capacity, 1))).toEqual([
      1,
      1,
      2,
      2 ** 20,
    ]);
    expect(cowdDirectoryEntries(4097 * 8, 8)).toBe(2);
  });
});
