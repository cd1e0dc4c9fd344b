// Reads the tables of a hosted sparse extent for a check: many at once, each by its own place, those that lie one
// after the other in one read.
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { ZERO_GRAIN } from '../format/sparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { UNUSABLE } from './check-sparse-directory.ts';

/** Bytes of tables taken together. */
const BATCH_BYTES = 1 << 20;

export interface TableBatch {
  /** First table, and how many. */
  readonly first: number;
  readonly count: number;
}

/** All tables, in batches. */
export function* tableBatches(tables: number, tableBytes: number): Generator<TableBatch> {
  const most = Math.max(1, Math.floor(BATCH_BYTES / tableBytes));
  for (let first = 0; first < tables; first += most) yield { first, count: Math.min(most, tables - first) };
}

/** The tables of a batch, `perTable` entries each; zeros for a table that is not there or cannot be used. */
export async function readBatch(
  file: RandomAccessFile,
  places: Uint32Array,
  { first, count }: TableBatch,
  perTable: number,
): Promise<Uint32Array | undefined> {
  const tableBytes = perTable * 4;
  const step = ceilDiv(tableBytes, SECTOR_BYTES);
  let entries: Uint32Array | undefined;
  let from = 0;
  while (from < count) {
    const place = places[first + from]!;
    let to = from + 1;
    if (place > ZERO_GRAIN && place !== UNUSABLE) {
      const together = tableBytes % SECTOR_BYTES === 0;
      while (together && to < count && places[first + to] === place + (to - from) * step) to++;
      const bytes = allocateRoom((to - from) * tableBytes);
      await file.readExactly(bytes, place * SECTOR_BYTES);
      if (from === 0 && to === count) return decodeTable(bytes);
      entries ??= new Uint32Array(count * perTable);
      entries.set(decodeTable(bytes), from * perTable);
    } else if (place === ZERO_GRAIN) {
      entries ??= new Uint32Array(count * perTable);
      entries.fill(ZERO_GRAIN, from * perTable, to * perTable);
    }
    from = to;
  }
  return entries;
}

/** True when two stretches of tables are equal; undefined stands for zeros. */
export function sameEntries(
  one: Uint32Array | undefined,
  other: Uint32Array | undefined,
  from: number,
  to: number,
): boolean {
  if (one === undefined && other === undefined) return true;
  if (one === undefined || other === undefined) {
    const entries = (one ?? other)!;
    for (let at = from; at < to; at++) if (entries[at] !== 0) return false;
    return true;
  }
  return bytesOf(one, from, to).equals(bytesOf(other, from, to));
}

function bytesOf(entries: Uint32Array, from: number, to: number): Buffer {
  return Buffer.from(entries.buffer, entries.byteOffset + from * 4, (to - from) * 4);
}
