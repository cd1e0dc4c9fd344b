// Builds images byte by byte, after the tables of the format reference and not with the engine's own encoders, so that
// a test can put any value anywhere. Rule: what is built is sound until the test itself breaks it with `poke`.
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';

export const SECTOR = 512;

/** Byte offsets in the header of a hosted sparse extent, with the width of each field. */
export const KDMV = {
  magic: [0, 4],
  version: [4, 4],
  flags: [8, 4],
  capacity: [12, 8],
  grainSize: [20, 8],
  descriptorOffset: [28, 8],
  descriptorSize: [36, 8],
  numGTEsPerGT: [44, 4],
  rgdOffset: [48, 8],
  gdOffset: [56, 8],
  overHead: [64, 8],
  unclean: [72, 1],
  newlines: [73, 4],
  compress: [77, 2],
} as const satisfies FieldTable;

export const COWD = {
  magic: [0, 4],
  version: [4, 4],
  flags: [8, 4],
  capacity: [12, 4],
  grainSize: [16, 4],
  gdOffset: [20, 4],
  numGDEntries: [24, 4],
  freeSector: [28, 4],
  unclean: [1648, 4],
} as const satisfies FieldTable;

export const SESPARSE = {
  magic: [0, 8],
  version: [8, 8],
  capacity: [16, 8],
  grainSize: [24, 8],
  tableSize: [32, 8],
  flags: [40, 8],
  reserved: [48, 8],
  volatileOffset: [80, 8],
  volatileSize: [88, 8],
  gdOffset: [128, 8],
  gdSize: [136, 8],
  tablesOffset: [144, 8],
  tablesSize: [152, 8],
  grainOffset: [192, 8],
  grainSectors: [200, 8],
} as const satisfies FieldTable;

type FieldTable = Readonly<Record<string, readonly [offset: number, width: number]>>;
/** Values for fields of a header: any number that fits the field's width, sound or not. */
export type Fields<T extends FieldTable> = Partial<Record<keyof T, number | bigint>>;

/** Writes fields over the header that starts at byte `at`. */
export function poke<T extends FieldTable>(bytes: Buffer, table: T, fields: Fields<T>, at = 0): Buffer {
  for (const [name, value] of Object.entries(fields)) {
    const [offset, width] = table[name]!;
    writeUint(bytes, value as number | bigint, at + offset, width);
  }
  return bytes;
}

export function writeUint(bytes: Buffer, value: number | bigint, at: number, width: number): void {
  if (width === 8) bytes.writeBigUInt64LE(BigInt(value), at);
  else bytes.writeUIntLE(Number(value), at, width);
}

/** One 32-bit table entry: number `index` of the table at sector `table`. */
export function pokeEntry(bytes: Buffer, table: number, index: number, value: number): void {
  bytes.writeUInt32LE(value, table * SECTOR + index * 4);
}

/** `count` sectors from `first` on; each says in text whose it is and which, so that no two are alike. */
export function marked(tag: string, first: number, count: number): Buffer {
  const sectors = Array.from({ length: count }, (_, index) =>
    Buffer.alloc(SECTOR, `${tag}@${first + index};`),
  );
  return Buffer.concat(sectors);
}

export interface Text {
  version?: string;
  cid?: string;
  parentCid?: string;
  createType?: string;
  hint?: string;
  extents?: readonly string[];
  /** More lines, between header and extents. */
  header?: readonly string[];
  ddb?: readonly string[];
}

/** A descriptor as VMware writes it. */
export function text(fields: Text): string {
  const { version = '1', cid = '12345678', parentCid = 'ffffffff', createType = 'custom', hint } = fields;
  return [
    '# Disk DescriptorFile',
    `version=${version}`,
    `CID=${cid}`,
    `parentCID=${parentCid}`,
    `createType="${createType}"`,
    ...(hint === undefined ? [] : [`parentFileNameHint="${hint}"`]),
    ...(fields.header ?? []),
    '# Extent description',
    ...(fields.extents ?? []),
    '',
    '# The Disk Data Base ',
    '#DDB',
    ...(fields.ddb ?? []),
    '',
  ].join('\n');
}

export interface SparseSpec {
  capacity: number;
  grainSize?: number;
  entriesPerTable?: number;
  /** Stored grains: number to content, cut or padded to a grain. */
  grains?: Readonly<Record<number, Buffer>>;
  /** Grains whose table entry is 1. */
  zeros?: readonly number[];
  descriptor?: string;
  redundant?: boolean;
  fields?: Fields<typeof KDMV>;
}

/** Where everything of a built extent stands, in sectors. */
export interface Crafted {
  readonly bytes: Buffer;
  readonly gd: number;
  readonly rgd: number;
  readonly tables: readonly number[];
  readonly redundantTables: readonly number[];
  /** Grain number to its first sector (of its marker, in a stream). */
  readonly grains: ReadonlyMap<number, number>;
}

/** A hosted sparse extent: header, descriptor, redundant and primary tables, grains in order. */
export function craftSparse(spec: SparseSpec): Crafted {
  const { capacity, grainSize = 8, entriesPerTable = 512, grains = {}, zeros = [], redundant = true } = spec;
  const descriptor = Buffer.from(spec.descriptor ?? '');
  const descriptorSize = descriptor.length === 0 ? 0 : Math.max(20, sectorsFor(descriptor.length));
  const tableCount = Math.ceil(Math.ceil(capacity / grainSize) / entriesPerTable);
  const tableSectors = sectorsFor(entriesPerTable * 4);
  const gdSectors = sectorsFor(tableCount * 4);
  const place = (gd: number) =>
    Array.from({ length: tableCount }, (_, i) => gd + gdSectors + i * tableSectors);
  const rgd = 1 + descriptorSize;
  const gd = redundant ? rgd + gdSectors + tableCount * tableSectors : rgd;
  const [redundantTables, tables] = [redundant ? place(rgd) : [], place(gd)];
  const overHead = roundUp(gd + gdSectors + tableCount * tableSectors, grainSize);
  const numbers = Object.keys(grains).map(Number);
  const bytes = Buffer.alloc((overHead + numbers.length * grainSize) * SECTOR);
  const places = new Map(numbers.map((grain, index) => [grain, overHead + index * grainSize]));
  for (const [grain, at] of places)
    bytes.fill(0, at * SECTOR).set(fitted(grains[grain]!, grainSize), at * SECTOR);
  for (const [directory, list] of [
    [rgd, redundantTables],
    [gd, tables],
  ] as const) {
    for (const [index, table] of list.entries()) pokeEntry(bytes, directory, index, table);
    const entries = [...places, ...zeros.map((grain) => [grain, 1] as const)];
    for (const [grain, entry] of list.length === 0 ? [] : entries) {
      pokeEntry(bytes, list[Math.floor(grain / entriesPerTable)]!, grain % entriesPerTable, entry);
    }
  }
  bytes.set(descriptor, SECTOR);
  poke(bytes, KDMV, {
    ...sparseHeader(capacity, grainSize, entriesPerTable),
    version: zeros.length > 0 ? 2 : 1,
    flags: 1 | (redundant ? 2 : 0) | (zeros.length > 0 ? 4 : 0),
    descriptorOffset: descriptorSize === 0 ? 0 : 1,
    descriptorSize,
    rgdOffset: redundant ? rgd : 0,
    gdOffset: gd,
    overHead,
    ...spec.fields,
  });
  return { bytes, gd, rgd, tables, redundantTables, grains: places };
}

/** A monolithicSparse disk: `craftSparse` with a descriptor inside, which names `name`. */
export function craftMonolithic(spec: SparseSpec, fields: Text = {}, name = 'disk.vmdk'): Crafted {
  const extents = [`RW ${spec.capacity} SPARSE "${name}"`];
  const descriptor = text({ createType: 'monolithicSparse', extents, ...fields });
  return craftSparse({ descriptor, ...spec });
}

export interface CowdSpec {
  capacity: number;
  grainSize?: number;
  grains?: Readonly<Record<number, Buffer>>;
  zeros?: readonly number[];
  fields?: Fields<typeof COWD>;
}

/** An ESX delta: header, directory, then tables and grains as they were first used. */
export function craftCowd(spec: CowdSpec): Crafted {
  const { capacity, grainSize = 1, grains = {}, zeros = [] } = spec;
  const tableCount = Math.ceil(capacity / (4096 * grainSize));
  const gd = 4;
  const file = new Growing(gd + sectorsFor(tableCount * 4));
  const tables = Array.from({ length: tableCount }, () => 0);
  const places = new Map<number, number>();
  const entries: [grain: number, entry: number][] = zeros.map((grain) => [grain, 1]);
  const numbers = [...new Set([...Object.keys(grains).map(Number), ...zeros])];
  for (const grain of numbers) {
    const table = Math.floor(grain / 4096);
    if (tables[table] === 0) tables[table] = file.add(Buffer.alloc(4096 * 4));
    if (grains[grain] === undefined) continue;
    places.set(grain, file.add(fitted(grains[grain], grainSize)));
    entries.push([grain, places.get(grain)!]);
  }
  const bytes = file.bytes();
  for (const [grain, entry] of entries)
    pokeEntry(bytes, tables[Math.floor(grain / 4096)]!, grain % 4096, entry);
  for (const [index, table] of tables.entries()) pokeEntry(bytes, gd, index, table);
  bytes.write('COWD', 0, 'latin1');
  const [numGDEntries, freeSector] = [tableCount, bytes.length / SECTOR];
  poke(bytes, COWD, { version: 1, flags: 3, capacity, grainSize, gdOffset: gd, numGDEntries, freeSector });
  return {
    bytes: poke(bytes, COWD, spec.fields ?? {}),
    gd,
    rgd: 0,
    tables,
    redundantTables: [],
    grains: places,
  };
}

export interface SeSparseSpec {
  capacity: number;
  /** Allocated grains of 8 sectors. */
  grains?: Readonly<Record<number, Buffer>>;
  /** Whole entries put as they are: unmapped 0x1…, zero 0x2…, anything. */
  entries?: Readonly<Record<number, bigint>>;
  replayJournal?: boolean;
  fields?: Fields<typeof SESPARSE>;
}

/** A seSparse extent with its regions close together: readers follow the header. */
export function craftSeSparse(spec: SeSparseSpec): Crafted {
  const { capacity, grains = {}, entries = {} } = spec;
  const all = new Map<number, bigint>(
    Object.entries(entries).map(([grain, entry]) => [Number(grain), entry]),
  );
  const numbers = Object.keys(grains).map(Number);
  for (const [index, grain] of numbers.entries()) all.set(grain, seSparseEntry(3, index));
  const directory = Buffer.alloc(Math.max(8, sectorsFor(Math.ceil(capacity / 32768) * 8)) * SECTOR);
  const used = [...new Set([...all.keys()].map((grain) => Math.floor(grain / 4096)))];
  const gd = 8;
  const tablesOffset = gd + directory.length / SECTOR;
  const grainOffset = tablesOffset + Math.max(1, used.length) * 64;
  const bytes = Buffer.alloc((grainOffset + numbers.length * 8) * SECTOR);
  for (const [slot, table] of used.entries())
    directory.writeBigUInt64LE((1n << 60n) | BigInt(slot), table * 8);
  for (const [grain, entry] of all) {
    const slot = used.indexOf(Math.floor(grain / 4096));
    bytes.writeBigUInt64LE(entry, (tablesOffset + slot * 64) * SECTOR + (grain % 4096) * 8);
  }
  bytes.set(directory, gd * SECTOR);
  const places = new Map(numbers.map((grain, index) => [grain, grainOffset + index * 8]));
  for (const [grain, at] of places) bytes.set(fitted(grains[grain]!, 8), at * SECTOR);
  poke(bytes, SESPARSE, {
    magic: 0xcafebabe,
    version: 0x2_0000_0001n,
    capacity,
    grainSize: 8,
    tableSize: 64,
  });
  const [gdSize, tablesSize, grainSectors] = [
    directory.length / SECTOR,
    grainOffset - tablesOffset,
    roundUp(capacity, 8),
  ];
  poke(bytes, SESPARSE, {
    volatileOffset: 1,
    volatileSize: 1,
    gdOffset: gd,
    gdSize,
    tablesOffset,
    tablesSize,
  });
  poke(bytes, SESPARSE, { grainOffset, grainSectors, ...spec.fields });
  bytes.writeBigUInt64LE(0xcafecafen, SECTOR);
  bytes.writeBigUInt64LE(spec.replayJournal === true ? 1n : 0n, SECTOR + 24);
  const tables = used.map((_, slot) => tablesOffset + slot * 64);
  return { bytes, gd, rgd: 0, tables, redundantTables: [], grains: places };
}

/** A seSparse table entry: its type in the top nibble, the grain's index rotated by 12 bits. */
export function seSparseEntry(type: number, index: number): bigint {
  const at = BigInt(index);
  return (BigInt(type) << 60n) | ((at & 0xfffn) << 48n) | (at >> 12n);
}

/** A store in memory that holds `files`; strings are texts. */
export function storeOf(files: Readonly<Record<string, string | Uint8Array>>): FileStore {
  const bytes = Object.entries(files).map(([path, content]) => [
    path,
    typeof content === 'string' ? Buffer.from(content) : content,
  ]);
  return createMemoryFileStore(Object.fromEntries(bytes) as Record<string, Uint8Array>);
}

export function sparseHeader(capacity: number, grainSize: number, numGTEsPerGT: number): Fields<typeof KDMV> {
  return { magic: 0x564d444b, capacity, grainSize, numGTEsPerGT, newlines: 0x0a0d200a };
}

/** Sectors in the order they are added. */
export class Growing {
  readonly #parts: Buffer[] = [];
  #sectors: number;

  constructor(reserved: number) {
    this.#parts.push(Buffer.alloc(reserved * SECTOR));
    this.#sectors = reserved;
  }

  /** Adds `content`, padded to whole sectors; returns its first sector. */
  add(content: Buffer): number {
    const at = this.#sectors;
    const padded = fitted(content, sectorsFor(content.length));
    this.#parts.push(padded);
    this.#sectors += padded.length / SECTOR;
    return at;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export function fitted(content: Buffer, sectors: number): Buffer {
  return Buffer.concat([content, Buffer.alloc(sectors * SECTOR)]).subarray(0, sectors * SECTOR);
}

export function sectorsFor(bytes: number): number {
  return Math.ceil(bytes / SECTOR);
}

export function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
