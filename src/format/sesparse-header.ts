// The two headers of a space-efficient sparse extent (seSparse 2.1). Not published by VMware: names and rules
// after QEMU's reader and its author's notes on qemu-devel (2020-03-09).
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, MAX_SECTORS } from '../core/units.ts';
import { defineStruct } from './struct.ts';

export const SeSparseConstHeader = defineStruct('SESparseConstHeader', 512, [
  ['constMagic', 'u64'],
  ['version', 'u64'],
  ['capacity', 'u64'],
  ['grainSize', 'u64'],
  ['grainTableSize', 'u64'],
  ['flags', 'u64'],
  ['reserved1', 'u64'],
  ['reserved2', 'u64'],
  ['reserved3', 'u64'],
  ['reserved4', 'u64'],
  ['volatileHeaderOffset', 'u64'],
  ['volatileHeaderSize', 'u64'],
  ['journalHeaderOffset', 'u64'],
  ['journalHeaderSize', 'u64'],
  ['journalOffset', 'u64'],
  ['journalSize', 'u64'],
  ['grainDirectoryOffset', 'u64'],
  ['grainDirectorySize', 'u64'],
  ['grainTablesOffset', 'u64'],
  ['grainTablesSize', 'u64'],
  ['freeBitmapOffset', 'u64'],
  ['freeBitmapSize', 'u64'],
  ['backMapOffset', 'u64'],
  ['backMapSize', 'u64'],
  ['grainOffset', 'u64'],
  ['grainSectors', 'u64'],
  ['pad', 304],
]);

export const SeSparseVolatileHeader = defineStruct('SESparseVolatileHeader', 512, [
  ['volatileMagic', 'u64'],
  ['freeGTNumber', 'u64'],
  ['nextTxnSeqNumber', 'u64'],
  ['replayJournal', 'u64'],
  ['pad', 480],
]);

export const SESPARSE_MAGIC = 0xcafebaben;
export const SESPARSE_VERSION = 0x2_0000_0001n;
export const SESPARSE_VOLATILE_MAGIC = 0xcafecafen;
export const SESPARSE_GRAIN = 8;
export const SESPARSE_TABLE_SECTORS = 64;
export const SESPARSE_ENTRIES_PER_TABLE = 4096;

type RawConst = ReturnType<typeof SeSparseConstHeader.decode>;
type Field = keyof RawConst & string;

/** A checked header: sectors. */
export interface SeSparseHeader {
  readonly capacity: number;
  readonly grainSize: number;
  readonly grainDirectoryOffset: number;
  readonly grainDirectorySize: number;
  readonly grainTablesOffset: number;
  readonly grainTablesSize: number;
  readonly grainOffset: number;
  readonly grainSectors: number;
  readonly volatileHeaderOffset: number;
}

const EXACT: readonly (readonly [Field, bigint])[] = [
  ['constMagic', SESPARSE_MAGIC],
  ['version', SESPARSE_VERSION],
  ['grainSize', BigInt(SESPARSE_GRAIN)],
  ['grainTableSize', BigInt(SESPARSE_TABLE_SECTORS)],
  ['flags', 0n],
  ['reserved1', 0n],
  ['reserved2', 0n],
  ['reserved3', 0n],
  ['reserved4', 0n],
];

/** @throws VmdkError `bad-header` naming field, found and expected. */
export function parseSeSparseHeader(from: Uint8Array, path: string): SeSparseHeader {
  const raw = SeSparseConstHeader.decode(from);
  const fail = (field: Field, found: bigint, expected: string): never => {
    const offset = SeSparseConstHeader.offsetOf(field);
    const context = { path, offset, field, found: `0x${found.toString(16)}`, expected };
    throw new VmdkError(
      'corrupt',
      'bad-header',
      'seSparse header is damaged or of an unknown version',
      context,
    );
  };
  for (const [field, value] of EXACT) {
    const found = raw[field] as bigint;
    if (found !== value) fail(field, found, `0x${value.toString(16)}`);
  }
  const number = (field: Field): number => {
    const value = raw[field] as bigint;
    if (value > BigInt(MAX_SECTORS)) fail(field, value, `at most ${MAX_SECTORS} sectors`);
    return Number(value);
  };
  const capacity = number('capacity');
  if (capacity === 0) fail('capacity', raw.capacity, 'at least 1 sector');
  const grainDirectorySize = number('grainDirectorySize');
  const tables = seSparseTableCount(capacity);
  if (grainDirectorySize * 64 < tables) {
    fail('grainDirectorySize', raw.grainDirectorySize, `room for ${tables} entries`);
  }
  const header: SeSparseHeader = {
    capacity,
    grainSize: SESPARSE_GRAIN,
    grainDirectoryOffset: number('grainDirectoryOffset'),
    grainDirectorySize,
    grainTablesOffset: number('grainTablesOffset'),
    grainTablesSize: number('grainTablesSize'),
    grainOffset: number('grainOffset'),
    grainSectors: number('grainSectors'),
    volatileHeaderOffset: number('volatileHeaderOffset'),
  };
  const crossed = crossedRegions(header);
  if (crossed !== undefined) fail(crossed.field, raw[crossed.field] as bigint, crossed.expected);
  return header;
}

/** Two regions that share sectors: one of them then reads as what the other holds, tables as grains or as a directory. */
function crossedRegions(header: SeSparseHeader): { field: Field; expected: string } | undefined {
  const regions: readonly (readonly [name: string, field: Field, offset: number, size: number])[] = [
    ['header', 'constMagic', 0, 1],
    ['volatile header', 'volatileHeaderOffset', header.volatileHeaderOffset, 1],
    ['grain directory', 'grainDirectoryOffset', header.grainDirectoryOffset, header.grainDirectorySize],
    ['grain tables', 'grainTablesOffset', header.grainTablesOffset, header.grainTablesSize],
    ['grains', 'grainOffset', header.grainOffset, header.grainSectors],
  ];
  for (const [index, [name, field, start, size]] of regions.entries()) {
    const over = regions
      .slice(0, index)
      .find(([, , offset, length]) => offset < start + size && start < offset + length);
    if (over !== undefined) return { field, expected: `${name} apart from the ${over[0]}` };
  }
  return undefined;
}

/** Grain tables that a disk of `capacity` sectors can use: one per 16 MiB. */
export function seSparseTableCount(capacity: number): number {
  return ceilDiv(ceilDiv(capacity, SESPARSE_GRAIN), SESPARSE_ENTRIES_PER_TABLE);
}
