// Reads DOS partitions: the table in sector 0 and the chain of tables within an extended partition. Rule: a chain is
// followed once round at most, and only as far as the disk goes.
import { decodeMbr, isExtendedType, BOOTABLE, partitionTypeName, type MbrEntry } from '../format/mbr.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Note, PartitionRow } from './partition-types.ts';
import type { Volume } from './volume.ts';

/** Logical partitions that are followed; Linux takes 60. */
const MOST_TABLES = 256;

/** The rows of a disk whose sector 0 holds `entries`, gaps not among them. */
export async function readMbrRows(
  disk: Volume,
  entries: readonly MbrEntry[],
  note: Note,
): Promise<PartitionRow[]> {
  const rows = [metaRow(0, 1, 'Primary Table (#0)')];
  const chains: number[] = [];
  for (const entry of entries) {
    if (isExtendedType(entry.type)) {
      rows.push({ ...extendedRow(entry, entry.start), number: entry.index + 1 });
      chains.push(entry.start);
    } else rows.push(partitionRow(entry, entry.start, 0, entry.index + 1));
  }
  if (chains.length > 1) note('EBR-TWO', 'warning', 'more than one extended partition: all are followed');
  const follow: Follow = { disk, note, rows, tables: 0, number: 5, seen: new Set() };
  for (const base of chains) await followChain(follow, base);
  return rows;
}

interface Follow {
  readonly disk: Volume;
  readonly note: Note;
  readonly rows: PartitionRow[];
  readonly seen: Set<number>;
  tables: number;
  number: number;
}

/** Logical partitions count from the table that names them, further tables from the first table of the chain. */
async function followChain(follow: Follow, base: number): Promise<void> {
  const { disk, note, rows, seen } = follow;
  let at: number | undefined = base;
  while (at !== undefined) {
    const from: number = at;
    if (seen.has(from)) return note('EBR-LOOP', 'error', 'the chain of extended tables is a circle', from);
    seen.add(from);
    if (from >= disk.count)
      return note('EBR-OUTSIDE', 'error', 'an extended table lies past the end of the disk', from);
    if (follow.tables === MOST_TABLES) {
      return note(
        'EBR-MANY',
        'error',
        `more than ${MOST_TABLES} extended tables: the rest is left out`,
        from,
      );
    }
    const table = decodeMbr(await disk.read(from * SECTOR_BYTES, SECTOR_BYTES));
    if (table === undefined)
      return note('EBR-SIGNATURE', 'error', 'an extended table does not end in 0xaa55', from);
    const number = ++follow.tables;
    rows.push(metaRow(from, 1, `Extended Table (#${number})`));
    at = undefined;
    for (const entry of table.entries) {
      if (isExtendedType(entry.type)) {
        rows.push(extendedRow(entry, base + entry.start));
        at ??= base + entry.start;
      } else rows.push(partitionRow(entry, from + entry.start, number, follow.number++));
    }
  }
}

export function metaRow(start: number, count: number, description: string): PartitionRow {
  return { kind: 'meta', slot: 'Meta', start, count, description };
}

function extendedRow(entry: MbrEntry, start: number): PartitionRow {
  return { ...metaRow(start, entry.count, partitionTypeName(entry.type)), type: typeText(entry) };
}

function partitionRow(entry: MbrEntry, start: number, table: number, number: number): PartitionRow {
  return {
    kind: 'partition',
    slot: `${padded(table)}:${padded(entry.index)}`,
    number,
    start,
    count: entry.count,
    description: partitionTypeName(entry.type),
    type: typeText(entry),
    bootable: entry.bootIndicator === BOOTABLE,
  };
}

function typeText({ type }: MbrEntry): string {
  return `0x${type.toString(16).padStart(2, '0')}`;
}

export function padded(value: number): string {
  return String(value).padStart(3, '0');
}
