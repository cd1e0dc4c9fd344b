// Builds streamOptimized disks byte by byte, in each layout that real tools write. Rule: as in craft.ts, what is built is
// sound until the test breaks it.
import { deflateSync } from 'node:zlib';
import {
  fitted,
  Growing,
  KDMV,
  poke,
  roundUp,
  SECTOR,
  sectorsFor,
  sparseHeader,
  text,
  type Crafted,
  type Text,
} from './craft.ts';

export interface StreamSpec {
  capacity: number;
  grainSize?: number;
  entriesPerTable?: number;
  /** In the order they stand in the file. */
  grains?: readonly (readonly [grain: number, content: Buffer])[];
  /** `footer`: tables behind their grains, markers, footer. `front`: tables first, end marker last. `qemu`: no marks. */
  layout?: 'footer' | 'front' | 'qemu';
  descriptor?: Text;
  /** In place of zlib's own output. */
  pack?: (content: Buffer, grain: number) => Buffer;
  /** Sectors put in front of the first grain (a progress marker, say). */
  before?: Buffer;
}

export interface CraftedStream extends Crafted {
  /** Sectors of the directory's marker, of the footer's and of the footer; 0 where there is none. */
  readonly gdMarker: number;
  readonly footerMarker: number;
  readonly footer: number;
}

/** A streamOptimized disk in any of its layouts. */
export function craftStream(spec: StreamSpec): CraftedStream {
  const { capacity, grainSize = 128, entriesPerTable = 512, grains = [], layout = 'footer' } = spec;
  const pack = spec.pack ?? ((content: Buffer) => deflateSync(content));
  const extents = [`RW ${capacity} SPARSE "stream.vmdk"`];
  const descriptor = Buffer.from(text({ createType: 'streamOptimized', extents, ...spec.descriptor }));
  const tableCount = Math.ceil(Math.ceil(capacity / grainSize) / entriesPerTable);
  const tableSectors = sectorsFor(entriesPerTable * 4);
  const gdSectors = sectorsFor(tableCount * 4);
  const front = layout !== 'footer';
  const frontTables = 21 + gdSectors;
  const overHead = front ? roundUp(frontTables + tableCount * tableSectors, 128) : 128;
  const file = new Growing(overHead);
  const directory = Buffer.alloc(gdSectors * SECTOR);
  const tables = Array.from({ length: tableCount }, (_, i) => (front ? frontTables + i * tableSectors : 0));
  const content = tables.map(() => Buffer.alloc(tableSectors * SECTOR));
  const places = new Map<number, number>();
  const closeTable = (table: number): void => {
    if (front || tables[table] !== 0) return;
    file.add(marker(tableSectors, 1));
    tables[table] = file.add(content[table]!);
  };
  if (spec.before !== undefined) file.add(spec.before);
  let open = -1;
  for (const [grain, data] of grains) {
    const table = Math.floor(grain / entriesPerTable);
    if (open !== -1 && table !== open) closeTable(open);
    open = table;
    const stored = pack(fitted(data, grainSize), grain);
    const at = file.add(Buffer.concat([grainMarker(grain * grainSize, stored.length), stored]));
    places.set(grain, at);
    content[table]!.writeUInt32LE(at, (grain % entriesPerTable) * 4);
  }
  if (open !== -1) closeTable(open);
  for (const [index, table] of tables.entries()) directory.writeUInt32LE(table, index * 4);
  const header = {
    ...sparseHeader(capacity, grainSize, entriesPerTable),
    version: 3,
    flags: layout === 'qemu' ? 0x30003 : 0x30001,
    descriptorOffset: 1,
    descriptorSize: 20,
    overHead,
    compress: 1,
  };
  let [gd, gdMarker, footerMarker, footer] = [21, 0, 0, 0];
  if (!front) {
    gdMarker = file.add(marker(gdSectors, 2));
    gd = file.add(directory);
    footerMarker = file.add(marker(1, 3));
    footer = file.add(poke(Buffer.alloc(SECTOR), KDMV, { ...header, gdOffset: gd }));
  }
  if (layout !== 'qemu') file.add(marker(0, 0));
  const bytes = file.bytes();
  poke(bytes, KDMV, { ...header, gdOffset: front ? gd : 0xffff_ffff_ffff_ffffn });
  bytes.set(descriptor, SECTOR);
  if (front) {
    bytes.set(directory, gd * SECTOR);
    for (const [index, table] of tables.entries()) bytes.set(content[index]!, table * SECTOR);
  }
  return { bytes, gd, rgd: 0, tables, redundantTables: [], grains: places, gdMarker, footerMarker, footer };
}

/** A marker's sector: what it counts, its type, and a size that only a grain has. */
export function marker(value: number | bigint, type: number, size = 0): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes.writeBigUInt64LE(BigInt(value), 0);
  bytes.writeUInt32LE(size, 8);
  bytes.writeUInt32LE(type, 12);
  return bytes;
}

function grainMarker(lba: number, size: number): Buffer {
  return marker(lba, 0, size).subarray(0, 12);
}
