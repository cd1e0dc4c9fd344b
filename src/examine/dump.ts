// The structures of an extent file as they stand: fields by name and offset, tables entry by entry, markers in order.
// Nothing is trusted: what a header says is only followed within the file, and what makes no sense is shown all the same.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { CowdHeaderStruct } from '../format/cowd-header.ts';
import { detectFileKind, type FileKind } from '../format/file-kind.ts';
import { seSparseIndex, seSparseType } from '../format/sesparse-entries.ts';
import { SeSparseConstHeader, SeSparseVolatileHeader } from '../format/sesparse-header.ts';
import { GD_AT_END, SparseExtentHeader, SPARSE_FLAGS } from '../format/sparse-header.ts';
import { FOOTER_FROM_END, FOOTER_MARKER_FROM_END, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { Struct } from '../format/struct.ts';
import { decodeTable } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';

export const DUMP_PARTS = ['header', 'descriptor', 'gd', 'rgd', 'gt', 'markers', 'footer'] as const;
export type DumpPart = (typeof DUMP_PARTS)[number];

/** One field: where it stands in the file, and what it says. */
export interface DumpedField {
  readonly offset: number;
  readonly name: string;
  /** A number, or the bytes. */
  readonly value: number | bigint | Uint8Array;
}

export type Dumped =
  | {
      readonly kind: 'struct';
      readonly part: DumpPart;
      readonly name: string;
      readonly offset: number;
      readonly fields: readonly DumpedField[];
    }
  | {
      readonly kind: 'text';
      readonly part: 'descriptor';
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** A table begins; its entries follow. */
  | {
      readonly kind: 'table';
      readonly part: 'gd' | 'rgd' | 'gt';
      readonly offset: number;
      readonly entries: number;
      readonly table?: number;
    }
  | {
      readonly kind: 'entry';
      readonly offset: number;
      readonly index: number;
      readonly value: number | bigint;
      readonly meaning: string;
    }
  | {
      readonly kind: 'marker';
      readonly offset: number;
      readonly type: string;
      readonly val: bigint;
      readonly size: number;
    }
  | { readonly kind: 'note'; readonly text: string };

const LONGEST_DESCRIPTOR = 1 << 20;
/** Entries of one table that are shown, and tables; more is damage or an attack. */
const MOST_TABLES = 8 << 20;
const READ_AT_ONCE = 64 << 10;
/** Zero sectors passed over in a stream. */
const MOST_ZERO_SECTORS = 65_536;

/** What kinds of files have which parts. */
const PARTS: Partial<Record<FileKind, readonly DumpPart[]>> = {
  descriptor: ['descriptor'],
  sparse: ['header', 'descriptor', 'gd', 'rgd', 'gt', 'markers', 'footer'],
  'unfinished-sparse': ['header', 'descriptor'],
  cowd: ['header', 'gd', 'gt'],
  sesparse: ['header', 'gd', 'gt'],
};

export interface DumpOptions {
  /** Only this grain table. */
  readonly table?: number | undefined;
}

/** Which kind of file this is, and the parts that it has. */
export async function dumpableParts(
  file: RandomAccessFile,
): Promise<{ readonly kind: FileKind; readonly parts: readonly DumpPart[] }> {
  const size = await file.size();
  const first = Buffer.alloc(Math.min(size, READ_AT_ONCE));
  await file.readExactly(first, 0);
  const kind = detectFileKind(first);
  return { kind, parts: PARTS[kind] ?? [] };
}

/** One part of a file of this kind, piece by piece. */
export async function* dumpPart(
  file: RandomAccessFile,
  kind: FileKind,
  part: DumpPart,
  options: DumpOptions = {},
): AsyncGenerator<Dumped> {
  const context: Context = { file, size: await file.size() };
  if (part === 'descriptor') yield* dumpDescriptor(context, kind);
  else if (kind === 'cowd') yield* dumpCowd(context, part, options);
  else if (kind === 'sesparse') yield* dumpSeSparse(context, part, options);
  else yield* dumpSparse(context, part, options);
}

interface Context {
  readonly file: RandomAccessFile;
  readonly size: number;
}

async function readAt({ file, size }: Context, at: number, length: number): Promise<Buffer | undefined> {
  if (!Number.isSafeInteger(at) || at < 0 || length < 0 || at + length > size) return undefined;
  const bytes = Buffer.alloc(length);
  await file.readExactly(bytes, at);
  return bytes;
}

function structOf<V extends object>(
  struct: Struct<V>,
  bytes: Uint8Array,
  offset: number,
  part: DumpPart,
): Dumped {
  const value = struct.decode(bytes) as Record<string, number | bigint | Uint8Array>;
  const fields = struct.fields.map(({ name, offset: at }) => ({
    name,
    offset: offset + at,
    value: value[name]!,
  }));
  return { kind: 'struct', part, name: struct.name, offset, fields };
}

async function* dumpDescriptor(context: Context, kind: FileKind): AsyncGenerator<Dumped> {
  let [offset, length] = [0, Math.min(context.size, LONGEST_DESCRIPTOR)];
  if (kind !== 'descriptor') {
    const header = await readAt(context, 0, SparseExtentHeader.byteLength);
    if (header === undefined) return yield past('the header');
    const raw = SparseExtentHeader.decode(header);
    [offset, length] = [
      Number(raw.descriptorOffset) * SECTOR_BYTES,
      Number(raw.descriptorSize) * SECTOR_BYTES,
    ];
    if (offset === 0)
      return yield { kind: 'note', text: 'no descriptor is embedded: it is a file of its own' };
    length = Math.min(length, LONGEST_DESCRIPTOR);
  }
  const bytes = await readAt(context, offset, length);
  if (bytes === undefined) return yield past('the descriptor');
  yield { kind: 'text', part: 'descriptor', offset, bytes };
}

function past(what: string): Dumped {
  return { kind: 'note', text: `${what} lies past the end of the file` };
}

async function* dumpSparse(context: Context, part: DumpPart, options: DumpOptions): AsyncGenerator<Dumped> {
  const bytes = await readAt(context, 0, SparseExtentHeader.byteLength);
  if (bytes === undefined) return yield past('the header');
  if (part === 'header') return yield structOf(SparseExtentHeader, bytes, 0, part);
  const front = SparseExtentHeader.decode(bytes);
  if (part === 'markers') return yield* dumpMarkers(context, front);
  if (part === 'footer') return yield* dumpFooter(context);
  const footer =
    front.gdOffset === GD_AT_END ? await readAt(context, context.size - FOOTER_FROM_END, 512) : undefined;
  const raw = footer === undefined ? front : SparseExtentHeader.decode(footer);
  const redundant =
    (raw.flags & SPARSE_FLAGS.redundantTables) !== 0 && (raw.flags & SPARSE_FLAGS.compressed) === 0;
  if (part === 'rgd' && !redundant)
    return yield { kind: 'note', text: 'there are no redundant tables (flags, bit 1)' };
  const grains = Number(raw.capacity) / Math.max(1, Number(raw.grainSize));
  const at = Number(part === 'rgd' ? raw.rgdOffset : raw.gdOffset) * SECTOR_BYTES;
  yield* dumpTables(context, part, options, {
    at,
    tables: ceilDiv(grains, Math.max(1, raw.numGTEsPerGT)),
    perTable: raw.numGTEsPerGT,
    entryBytes: 4,
    tableAt: (entry) => (entry < 2n ? undefined : Number(entry) * SECTOR_BYTES),
    ofDirectory: (entry) => (entry === 0n ? 'no table' : `table at byte ${entry * 512n}`),
    ofTable: (entry) => (entry === 0n ? 'absent' : entry === 1n ? 'zeros' : `grain at byte ${entry * 512n}`),
  });
}

async function* dumpCowd(context: Context, part: DumpPart, options: DumpOptions): AsyncGenerator<Dumped> {
  const bytes = await readAt(context, 0, CowdHeaderStruct.byteLength);
  if (bytes === undefined) return yield past('the header');
  if (part === 'header') return yield structOf(CowdHeaderStruct, bytes, 0, part);
  const raw = CowdHeaderStruct.decode(bytes);
  yield* dumpTables(context, part, options, {
    at: raw.gdOffset * SECTOR_BYTES,
    tables: raw.numGDEntries,
    perTable: 4096,
    entryBytes: 4,
    tableAt: (entry) => (entry === 0n ? undefined : Number(entry) * SECTOR_BYTES),
    ofDirectory: (entry) => (entry === 0n ? 'no table' : `table at byte ${entry * 512n}`),
    ofTable: (entry) => (entry === 0n ? 'absent' : entry === 1n ? 'zeros' : `grain at byte ${entry * 512n}`),
  });
}

async function* dumpSeSparse(context: Context, part: DumpPart, options: DumpOptions): AsyncGenerator<Dumped> {
  const bytes = await readAt(context, 0, SeSparseConstHeader.byteLength);
  if (bytes === undefined) return yield past('the header');
  const raw = SeSparseConstHeader.decode(bytes);
  if (part === 'header') {
    yield structOf(SeSparseConstHeader, bytes, 0, part);
    const at = Number(raw.volatileHeaderOffset) * SECTOR_BYTES;
    const changing = await readAt(context, at, SeSparseVolatileHeader.byteLength);
    if (changing === undefined) return yield past('the volatile header');
    return yield structOf(SeSparseVolatileHeader, changing, at, part);
  }
  const tableBytes = Number(raw.grainTableSize) * SECTOR_BYTES;
  const tablesAt = Number(raw.grainTablesOffset) * SECTOR_BYTES;
  const grainsAt = Number(raw.grainOffset);
  yield* dumpTables(context, part, options, {
    at: Number(raw.grainDirectoryOffset) * SECTOR_BYTES,
    tables: (Number(raw.grainDirectorySize) * SECTOR_BYTES) / 8,
    perTable: tableBytes / 8,
    entryBytes: 8,
    tableAt: (entry) =>
      entry >> 60n === 1n ? tablesAt + Number(entry & 0xffffffffn) * tableBytes : undefined,
    ofDirectory: (entry) => (entry === 0n ? 'no table' : `table ${entry & 0xffffffffn}`),
    ofTable(entry) {
      const [low, high] = [Number(entry & 0xffffffffn), Number(entry >> 32n)];
      const index = seSparseIndex(low, high);
      const place = (grainsAt + index * Number(raw.grainSize)) * SECTOR_BYTES;
      return (
        ['absent', 'unmapped: zeros', 'zeros', `grain ${index} at byte ${place}`][seSparseType(high)] ??
        'unknown type'
      );
    },
  });
}

interface Tables {
  readonly at: number;
  readonly tables: number;
  readonly perTable: number;
  readonly entryBytes: 4 | 8;
  /** Byte of the table that an entry of the directory names. */
  tableAt(entry: bigint): number | undefined;
  ofDirectory(entry: bigint): string;
  ofTable(entry: bigint): string;
}

/** The directory, or the tables that it names. Entries of zeros are passed over: a table of nothing is one line. */
async function* dumpTables(
  context: Context,
  part: DumpPart,
  options: DumpOptions,
  what: Tables,
): AsyncGenerator<Dumped> {
  const { at, tables, perTable, entryBytes } = what;
  if (tables > MOST_TABLES)
    return yield { kind: 'note', text: `${tables} tables are more than are ever read` };
  if (part !== 'gt') {
    yield { kind: 'table', part: part as 'gd' | 'rgd', offset: at, entries: tables };
    return yield* dumpEntries(context, at, tables, entryBytes, (entry) => what.ofDirectory(entry));
  }
  if (options.table !== undefined && options.table >= tables) {
    return yield { kind: 'note', text: `there are ${tables} tables, counted from 0` };
  }
  const [first, last] = options.table === undefined ? [0, tables] : [options.table, options.table + 1];
  for (let table = first; table < last; table++) {
    const bytes = await readAt(context, at + table * entryBytes, entryBytes);
    if (bytes === undefined) return yield past('the grain directory');
    const place = what.tableAt(entriesOf(bytes, entryBytes)[0]!);
    if (place === undefined) continue;
    yield { kind: 'table', part: 'gt', offset: place, entries: perTable, table };
    yield* dumpEntries(context, place, perTable, entryBytes, (entry) => what.ofTable(entry));
  }
}

async function* dumpEntries(
  context: Context,
  at: number,
  count: number,
  entryBytes: 4 | 8,
  meaning: (entry: bigint) => string,
): AsyncGenerator<Dumped> {
  for (let done = 0; done < count;) {
    const length = Math.min((count - done) * entryBytes, READ_AT_ONCE);
    const bytes = await readAt(context, at + done * entryBytes, length);
    if (bytes === undefined) return yield past(`entry ${done} and what follows`);
    for (const [index, entry] of entriesOf(bytes, entryBytes).entries()) {
      if (entry === 0n) continue;
      const value = entryBytes === 4 ? Number(entry) : entry;
      const offset = at + (done + index) * entryBytes;
      yield { kind: 'entry', offset, index: done + index, value, meaning: meaning(entry) };
    }
    done += length / entryBytes;
  }
}

function entriesOf(bytes: Uint8Array, entryBytes: 4 | 8): bigint[] {
  const halves = decodeTable(bytes);
  if (entryBytes === 4) return Array.from(halves, BigInt);
  return Array.from(
    { length: halves.length / 2 },
    (_, at) => (BigInt(halves[at * 2 + 1]!) << 32n) | BigInt(halves[at * 2]!),
  );
}

const MARKER_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(MARKER_TYPE).map(([name, type]) => [type, name]),
);

async function* dumpMarkers(
  context: Context,
  raw: ReturnType<typeof SparseExtentHeader.decode>,
): AsyncGenerator<Dumped> {
  if ((raw.flags & SPARSE_FLAGS.markers) === 0)
    return yield { kind: 'note', text: 'this file has no markers (flags, bit 17)' };
  let at = Math.max(1, Number(raw.overHead)) * SECTOR_BYTES;
  let zeros = 0;
  for (;;) {
    const bytes = await readAt(context, at, SECTOR_BYTES);
    if (bytes === undefined) return;
    const { val, size, type } = Marker.decode(bytes);
    const name = size > 0 ? 'grain' : (MARKER_NAMES[type] ?? `unknown (${type})`);
    const nothing = size === 0 && type === MARKER_TYPE.endOfStream && val === 0n;
    if (nothing && ++zeros > MOST_ZERO_SECTORS)
      return yield { kind: 'note', text: `zeros from byte ${at} on` };
    if (!nothing || at + SECTOR_BYTES >= context.size)
      yield { kind: 'marker', offset: at, type: name, val, size };
    const follows =
      size > 0 ? ceilDiv(12 + size, SECTOR_BYTES) : 1 + (type === MARKER_TYPE.progress ? 0 : Number(val));
    if (!Number.isSafeInteger(follows * SECTOR_BYTES)) return yield past('what follows');
    at += follows * SECTOR_BYTES;
  }
}

async function* dumpFooter(context: Context): AsyncGenerator<Dumped> {
  const at = context.size - FOOTER_MARKER_FROM_END;
  const marker = await readAt(context, at, SECTOR_BYTES);
  if (marker === undefined || Marker.decode(marker).type !== MARKER_TYPE.footer) {
    return yield {
      kind: 'note',
      text: 'no footer stands where a stream has one, three sectors before the end',
    };
  }
  yield structOf(Marker, marker, at, 'footer');
  const footer = (await readAt(context, context.size - FOOTER_FROM_END, SECTOR_BYTES))!;
  yield structOf(SparseExtentHeader, footer, context.size - FOOTER_FROM_END, 'footer');
}
