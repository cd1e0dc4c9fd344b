// The header of a hosted sparse extent: VMware's own bytes, and each field that can be wrong named when it is.
import { describe, expect, it } from 'vitest';
import {
  encodeSparseHeader,
  GD_AT_END,
  parseSparseHeader,
  SparseExtentHeader,
} from '../../src/format/sparse-header.ts';

/** The first 80 bytes of a 10 GiB monolithicSparse disk by VMware. */
const VMWARE = Buffer.from(
  '4b444d560100000003000000000040010000000080000000000000000100000000000000140000000000000000020000' +
    '15000000000000001805000000000000800a000000000000000a200d0a000000',
  'hex',
);

function vmware(fields: Partial<ReturnType<typeof SparseExtentHeader.decode>> = {}): Buffer {
  const bytes = Buffer.concat([VMWARE], 512);
  return SparseExtentHeader.encode({ ...SparseExtentHeader.decode(bytes), ...fields });
}

const STREAM = { version: 3, flags: 0x30001, compressAlgorithm: 1 };

describe('the header of a hosted sparse extent', () => {
  it('is read as VMware wrote it', () => {
    expect(parseSparseHeader(vmware(), '/a.vmdk')).toEqual({
      version: 1,
      flags: 3,
      capacity: 20_971_520,
      grainSize: 128,
      descriptorOffset: 1,
      descriptorSize: 20,
      numGTEsPerGT: 512,
      rgdOffset: 21,
      gdOffset: 1304,
      overHead: 2688,
      uncleanShutdown: false,
      compressed: false,
      markers: false,
    });
  });

  it('is written as VMware wrote it', () => {
    expect(encodeSparseHeader(parseSparseHeader(vmware(), '/a.vmdk')).equals(vmware())).toBe(true);
  });

  it('has its fields where the specification has them', () => {
    const places = {
      version: 4,
      flags: 8,
      capacity: 12,
      grainSize: 20,
      descriptorOffset: 28,
      numGTEsPerGT: 44,
      rgdOffset: 48,
      gdOffset: 56,
      overHead: 64,
      uncleanShutdown: 72,
      compressAlgorithm: 77,
      pad: 79,
    } as const;
    for (const [field, place] of Object.entries(places)) {
      expect(SparseExtentHeader.offsetOf(field as keyof typeof places), field).toBe(place);
    }
  });

  it.each([
    ['version', { version: 0 }],
    ['version', { version: 4 }],
    ['flags', { flags: 0x40003 }],
    ['flags', { flags: 0x80000003 }],
    ['flags', { flags: 0x20003 }],
    ['capacity', { capacity: 2n ** 60n }],
    ['capacity', { capacity: 2n ** 41n }],
    ['grainSize', { grainSize: 0n }],
    ['grainSize', { grainSize: 3n }],
    ['grainSize', { grainSize: 2n ** 22n }],
    ['grainSize', { grainSize: 2n ** 63n }],
    ['grainSize', { ...STREAM, grainSize: 16_384n }],
    ['numGTEsPerGT', { numGTEsPerGT: 0 }],
    ['numGTEsPerGT', { numGTEsPerGT: 506 }],
    ['numGTEsPerGT', { numGTEsPerGT: 1024 }],
    ['descriptorOffset', { descriptorOffset: 2n ** 55n }],
    ['descriptorSize', { descriptorSize: 2n ** 55n }],
    ['overHead', { overHead: 2n ** 55n }],
    ['gdOffset', { gdOffset: 2n ** 55n }],
    ['rgdOffset', { rgdOffset: 2n ** 55n }],
    ['compressAlgorithm', { compressAlgorithm: 1 }],
    ['compressAlgorithm', { ...STREAM, compressAlgorithm: 0 }],
    ['compressAlgorithm', { ...STREAM, compressAlgorithm: 2 }],
    ['magicNumber', { magicNumber: 0x564d4458 }],
  ] as const)('whose %s cannot be (%o) is refused, and the field named with its place', (field, wrong) => {
    expect(() => parseSparseHeader(vmware(wrong), '/a.vmdk', 1024)).toThrow(
      expect.objectContaining({
        kind: 'corrupt',
        code: 'bad-header',
        context: expect.objectContaining({
          path: '/a.vmdk',
          field,
          offset: 1024 + SparseExtentHeader.offsetOf(field),
        }) as unknown,
      }) as Error,
    );
  });

  it('with any power of two as grain, any as entries per table, and unknown low flags is read', () => {
    for (let grain = 1; grain <= 2 ** 21; grain *= 2) {
      expect(parseSparseHeader(vmware({ grainSize: BigInt(grain) }), '/a').grainSize).toBe(grain);
    }
    for (let entries = 1; entries <= 512; entries *= 2) {
      expect(parseSparseHeader(vmware({ numGTEsPerGT: entries }), '/a').numGTEsPerGT).toBe(entries);
    }
    expect(parseSparseHeader(vmware({ flags: 0xfffb }), '/a').flags).toBe(0xfffb);
  });

  it('that a text-mode transfer mangled is told from other damage, but only where the probe is valid', () => {
    const mangled = { doubleEndLineChar1: 0x0a };
    expect(() => parseSparseHeader(vmware(mangled), '/a')).toThrow(
      expect.objectContaining({ code: 'mangled-newlines' }) as Error,
    );
    expect(parseSparseHeader(vmware({ ...mangled, flags: 2 }), '/a').flags).toBe(2);
  });

  it('of a file that open-vmdk has not finished is told from other damage', () => {
    const bytes = vmware();
    bytes.write('kdmv', 0, 'latin1');
    expect(() => parseSparseHeader(bytes, '/a')).toThrow(
      expect.objectContaining({ code: 'unfinished-file' }) as Error,
    );
  });

  it('of a stream has no redundant directory whatever it says, and may leave the directory to its footer', () => {
    const qemu = parseSparseHeader(vmware({ ...STREAM, flags: 0x30003, rgdOffset: 2n ** 60n }), '/a');
    expect(qemu).toMatchObject({ compressed: true, markers: true, rgdOffset: undefined, gdOffset: 1304 });
    const esxi = parseSparseHeader(vmware({ ...STREAM, gdOffset: GD_AT_END }), '/a');
    expect(esxi.gdOffset).toBeUndefined();
    expect(SparseExtentHeader.decode(encodeSparseHeader(esxi)).gdOffset).toBe(GD_AT_END);
  });

  it('keeps the mark of an unclean end', () => {
    const unclean = parseSparseHeader(vmware({ uncleanShutdown: 1 }), '/a');
    expect(unclean.uncleanShutdown).toBe(true);
    expect(encodeSparseHeader(unclean)[72]).toBe(1);
  });
});
