// The header of a hosted sparse extent ("KDMV"): monolithicSparse, twoGbMaxExtentSparse, streamOptimized.
// Field names and order: VMware, Virtual Disk Format 5.0; the low 20 bits of flags as in open-vmdk.
import { VmdkError } from '../core/errors.ts';
import { isPowerOfTwo, MAX_SECTORS } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const SparseExtentHeader = defineStruct('SparseExtentHeader', 512, [
  ['magicNumber', 'u32'],
  ['version', 'u32'],
  ['flags', 'u32'],
  ['capacity', 'u64'],
  ['grainSize', 'u64'],
  ['descriptorOffset', 'u64'],
  ['descriptorSize', 'u64'],
  ['numGTEsPerGT', 'u32'],
  ['rgdOffset', 'u64'],
  ['gdOffset', 'u64'],
  ['overHead', 'u64'],
  ['uncleanShutdown', 'u8'],
  ['singleEndLineChar', 'u8'],
  ['nonEndLineChar', 'u8'],
  ['doubleEndLineChar1', 'u8'],
  ['doubleEndLineChar2', 'u8'],
  ['compressAlgorithm', 'u16'],
  ['pad', 433],
]);

export const SPARSE_MAGIC = 0x564d444b;
/** open-vmdk writes the magic with this flipped until a file is complete. */
export const UNFINISHED_MAGIC = (SPARSE_MAGIC ^ 0x20202020) >>> 0;

export const SPARSE_FLAGS = {
  newlineProbe: 0x1,
  redundantTables: 0x2,
  zeroedGrains: 0x4,
  compressed: 0x10000,
  markers: 0x20000,
} as const;

/** gdOffset of a stream whose real value stands in the footer. */
export const GD_AT_END = 0xffff_ffff_ffff_ffffn;
/** A table entry that says "zeros". */
export const ZERO_GRAIN = 1;

export const LARGEST_GRAIN = 0x200000;
/** 4 MiB: compressed grains are inflated whole, several at a time. Real streams have 64 KiB. */
export const LARGEST_COMPRESSED_GRAIN = 8192;
const MOST_ENTRIES_PER_TABLE = 512;

/** A checked header: safe numbers, sectors. */
export interface SparseHeader {
  readonly version: number;
  readonly flags: number;
  readonly capacity: number;
  readonly grainSize: number;
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  readonly numGTEsPerGT: number;
  /** Undefined when there are no redundant tables (or they mean nothing, as in streams). */
  readonly rgdOffset: number | undefined;
  /** Undefined when the footer has it. */
  readonly gdOffset: number | undefined;
  readonly overHead: number;
  readonly uncleanShutdown: boolean;
  readonly compressed: boolean;
  readonly markers: boolean;
}

/**
 * Reads and checks a header (or footer) that stands at byte `offset` of `path`.
 * @throws VmdkError `corrupt` or `unsupported`, naming the field, what was found and what was expected.
 */
export function parseSparseHeader(from: Uint8Array, path: string, offset = 0): SparseHeader {
  const raw = SparseExtentHeader.decode(from);
  const fail = (
    field: keyof typeof raw & string,
    found: string | number | bigint,
    expected: string,
  ): never => {
    const at = offset + SparseExtentHeader.offsetOf(field);
    throw new VmdkError('corrupt', 'bad-header', 'sparse extent header is damaged', {
      path,
      offset: at,
      field,
      found: typeof found === 'bigint' ? found.toString() : found,
      expected,
    });
  };
  if (raw.magicNumber === UNFINISHED_MAGIC) {
    throw new VmdkError('corrupt', 'unfinished-file', 'its writer never finished this file', {
      path,
      offset,
      field: 'magicNumber',
      found: 'kdmv',
      expected: 'KDMV',
    });
  }
  if (raw.magicNumber !== SPARSE_MAGIC) fail('magicNumber', hex(raw.magicNumber), 'KDMV (0x564d444b)');
  if (raw.version < 1 || raw.version > 3) fail('version', raw.version, '1, 2 or 3');
  const unknown = (raw.flags & 0xfffc0000) >>> 0;
  if (unknown !== 0) fail('flags', hex(raw.flags), 'no unknown bit above bit 17');
  if ((raw.flags & SPARSE_FLAGS.newlineProbe) !== 0) checkNewlines(raw, path, offset);
  const number = (field: 'capacity' | 'grainSize' | 'descriptorOffset' | 'descriptorSize' | 'overHead') => {
    const value = raw[field];
    if (value > BigInt(MAX_SECTORS)) fail(field, value, `at most ${MAX_SECTORS} sectors`);
    return Number(value);
  };
  const grainSize = number('grainSize');
  if (!isPowerOfTwo(grainSize) || grainSize > LARGEST_GRAIN) {
    fail('grainSize', grainSize, `a power of two, 1 to ${LARGEST_GRAIN} sectors`);
  }
  if (raw.numGTEsPerGT < 1 || raw.numGTEsPerGT > MOST_ENTRIES_PER_TABLE || !isPowerOfTwo(raw.numGTEsPerGT)) {
    fail('numGTEsPerGT', raw.numGTEsPerGT, `a power of two, 1 to ${MOST_ENTRIES_PER_TABLE}`);
  }
  const compressed = (raw.flags & SPARSE_FLAGS.compressed) !== 0;
  const markers = (raw.flags & SPARSE_FLAGS.markers) !== 0;
  if (markers && !compressed)
    fail('flags', hex(raw.flags), 'markers (bit 17) only with compression (bit 16)');
  if (compressed && raw.compressAlgorithm !== 1)
    fail('compressAlgorithm', raw.compressAlgorithm, '1 (deflate)');
  if (!compressed && raw.compressAlgorithm !== 0) {
    fail('compressAlgorithm', raw.compressAlgorithm, '0 without the compression flag (bit 16)');
  }
  if (compressed && grainSize > LARGEST_COMPRESSED_GRAIN) {
    fail('grainSize', grainSize, `at most ${LARGEST_COMPRESSED_GRAIN} sectors where grains are compressed`);
  }
  const capacity = number('capacity');
  // Table memory follows capacity: an absurd one must fail here, before anything is sized by it.
  if (!compressed && capacity / grainSize > 2 ** 32) fail('capacity', capacity, 'fewer than 2^32 grains');
  if (raw.gdOffset !== GD_AT_END && raw.gdOffset > BigInt(MAX_SECTORS)) {
    fail('gdOffset', raw.gdOffset, `at most ${MAX_SECTORS} sectors`);
  }
  const redundant = (raw.flags & SPARSE_FLAGS.redundantTables) !== 0 && !compressed;
  if (redundant && raw.rgdOffset > BigInt(MAX_SECTORS)) {
    fail('rgdOffset', raw.rgdOffset, `at most ${MAX_SECTORS} sectors`);
  }
  return {
    version: raw.version,
    flags: raw.flags,
    capacity,
    grainSize,
    descriptorOffset: number('descriptorOffset'),
    descriptorSize: number('descriptorSize'),
    numGTEsPerGT: raw.numGTEsPerGT,
    rgdOffset: redundant ? Number(raw.rgdOffset) : undefined,
    gdOffset: raw.gdOffset === GD_AT_END ? undefined : Number(raw.gdOffset),
    overHead: number('overHead'),
    uncleanShutdown: raw.uncleanShutdown !== 0,
    compressed,
    markers,
  };
}

/** Encodes a header; the newline probe is always written. */
export function encodeSparseHeader(header: SparseHeader): Buffer {
  return SparseExtentHeader.encode({
    magicNumber: SPARSE_MAGIC,
    version: header.version,
    flags: header.flags,
    capacity: BigInt(header.capacity),
    grainSize: BigInt(header.grainSize),
    descriptorOffset: BigInt(header.descriptorOffset),
    descriptorSize: BigInt(header.descriptorSize),
    numGTEsPerGT: header.numGTEsPerGT,
    rgdOffset: BigInt(header.rgdOffset ?? 0),
    gdOffset: header.gdOffset === undefined ? GD_AT_END : BigInt(header.gdOffset),
    overHead: BigInt(header.overHead),
    uncleanShutdown: header.uncleanShutdown ? 1 : 0,
    singleEndLineChar: 0x0a,
    nonEndLineChar: 0x20,
    doubleEndLineChar1: 0x0d,
    doubleEndLineChar2: 0x0a,
    compressAlgorithm: header.compressed ? 1 : 0,
  });
}

type RawHeader = ReturnType<typeof SparseExtentHeader.decode>;

function checkNewlines(raw: RawHeader, path: string, offset: number): void {
  const found = [raw.singleEndLineChar, raw.nonEndLineChar, raw.doubleEndLineChar1, raw.doubleEndLineChar2];
  const text = Buffer.from(found).toString('hex');
  if (text === '0a200d0a') return;
  throw new VmdkError('corrupt', 'mangled-newlines', 'the file went through a text-mode transfer', {
    path,
    offset: offset + SparseExtentHeader.offsetOf('singleEndLineChar'),
    field: 'newline probe',
    found: text,
    expected: '0a200d0a',
    hint: 'Fetch it again in binary mode: nothing in this copy can be trusted.',
  });
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
