// The patch stream of `vmdkit diff`: a header, records in ascending order, an end that proves all before it. The format
// is vmdkit's own; docs/cli.md describes it.
import { VmdkError } from '../core/errors.ts';
import { MAX_SECTORS } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const PATCH_MAGIC = 'VMDKITPT';
const VERSION = 1;
/** Sectors of data that one record has at most. */
export const MOST_PATCH_SECTORS = 2048;
export const PATCH_DIGEST_BYTES = 32;
export const PATCH_KINDS = { end: 0, data: 1, zero: 2 } as const;

export const PatchHeader = defineStruct('PatchHeader', 128, [
  ['magic', 8],
  ['version', 'u32'],
  ['flags', 'u32'],
  ['capacity', 'u64'],
  ['fromHash', 32],
  ['toHash', 32],
  ['reserved', 40],
]);

/** `start` and `count` in sectors; of the end the number of records, and 0. */
export const PatchRecord = defineStruct('PatchRecord', 24, [
  ['kind', 'u32'],
  ['flags', 'u32'],
  ['start', 'u64'],
  ['count', 'u64'],
]);

const BlockNumber = defineStruct('BlockNumber', 8, [['block', 'u64']]);

/** What goes before each block that `hashContents` hashes. */
export function encodeBlockNumber(block: number): Buffer {
  return BlockNumber.encode({ block: BigInt(block) });
}

export interface PatchFacts {
  /** Sectors of both disks. */
  readonly capacity: number;
  /** `hashContents` of the disk that the patch is made from, and of what it makes of it. */
  readonly fromHash: Uint8Array;
  readonly toHash: Uint8Array;
}

export interface PatchEntry {
  readonly kind: 'data' | 'zero' | 'end';
  /** Sectors; of the end the number of records. */
  readonly start: number;
  readonly count: number;
}

export function encodePatchHeader({ capacity, fromHash, toHash }: PatchFacts): Buffer {
  const magic = Buffer.from(PATCH_MAGIC, 'latin1');
  return PatchHeader.encode({ magic, version: VERSION, capacity: BigInt(capacity), fromHash, toHash });
}

/** @throws VmdkError `not-a-patch`, `unsupported-patch`. */
export function decodePatchHeader(bytes: Uint8Array, path: string): PatchFacts {
  const { magic, version, flags, capacity, fromHash, toHash } = PatchHeader.decode(bytes);
  const found = Buffer.from(magic).toString('latin1');
  if (found !== PATCH_MAGIC) throw notAPatch(path, 0, JSON.stringify(found), `"${PATCH_MAGIC}"`);
  if (version !== VERSION || flags !== 0) {
    throw new VmdkError('unsupported', 'unsupported-patch', 'this patch is of another version', {
      path,
      found: `version ${version}, flags ${flags}`,
      expected: `version ${VERSION}, flags 0`,
    });
  }
  if (capacity > BigInt(MAX_SECTORS)) {
    throw notAPatch(path, PatchHeader.offsetOf('capacity'), `${capacity} sectors`, `at most ${MAX_SECTORS}`);
  }
  return { capacity: Number(capacity), fromHash, toHash };
}

export function encodePatchRecord({ kind, start, count }: PatchEntry): Buffer {
  return PatchRecord.encode({ kind: PATCH_KINDS[kind], start: BigInt(start), count: BigInt(count) });
}

/** `at` is where the record stands. @throws VmdkError `not-a-patch` for what no patch has. */
export function decodePatchRecord(bytes: Uint8Array, path: string, at: number): PatchEntry {
  const record = PatchRecord.decode(bytes);
  const kind = (['end', 'data', 'zero'] as const)[record.kind];
  if (kind === undefined) throw notAPatch(path, at, `kind ${record.kind}`, 'a record');
  const most = BigInt(kind === 'data' ? MOST_PATCH_SECTORS : MAX_SECTORS);
  if (record.start > BigInt(MAX_SECTORS) || record.count > most) {
    throw notAPatch(path, at, `${record.count} sectors from ${record.start}`, `at most ${most} sectors`);
  }
  return { kind, start: Number(record.start), count: Number(record.count) };
}

export function notAPatch(path: string, offset: number, found: string, expected: string): VmdkError {
  return new VmdkError('corrupt', 'not-a-patch', 'this is not a whole patch of vmdkit', {
    path,
    offset,
    found,
    expected,
    hint: 'Make it anew: vmdkit diff A B -o FILE',
  });
}
