// Reads a grain directory and its tables off a hosted sparse extent: few large reads, every number checked before
// it sizes or places anything. Only entries that count are looked at: VMware leaves junk behind them.
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_FLAGS, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { readTableInto } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { ExtentMemory } from './extent-memory.ts';

/** Tables read and kept together: 128 KiB of entries, 2 GiB of guest at the usual grain. */
export const TABLES_PER_PAGE = 64;
/** 4 Mi tables, 128 TiB of guest at the usual grain; more is damage or an attack. */
const MOST_TABLES = 4 << 20;
const READ_AT_ONCE = 1 << 20;

export interface SparseDirectory {
  /** Sector of the file. */
  readonly offset: number;
  /** One sector number per table: 0 = no table. */
  readonly entries: Uint32Array;
}

/** Entries of a directory that count. */
export function tableCount(header: SparseHeader): number {
  return ceilDiv(ceilDiv(header.capacity, header.grainSize), header.numGTEsPerGT);
}

/** @throws VmdkError `grain-directory-damaged` when the header asks for more tables than are ever read. */
export function assertTableCount(path: string, header: SparseHeader): void {
  const tables = tableCount(header);
  if (tables <= MOST_TABLES) return;
  const context = { path, field: 'capacity', found: `${tables} tables`, expected: `at most ${MOST_TABLES}` };
  throw new VmdkError('corrupt', 'grain-directory-damaged', 'the grain directory cannot be read', context);
}

/** @throws VmdkError `grain-directory-damaged`. */
export async function readDirectory(
  file: RandomAccessFile,
  header: SparseHeader,
  offset: number,
  fileSectors: number,
  memory = new ExtentMemory(),
): Promise<SparseDirectory> {
  const length = tableCount(header) * 4;
  const fail = (found: string, expected: string): never => {
    const context = {
      path: file.path,
      offset: offset * SECTOR_BYTES,
      field: 'grain directory',
      found,
      expected,
    };
    throw new VmdkError('corrupt', 'grain-directory-damaged', 'the grain directory cannot be read', context);
  };
  assertTableCount(file.path, header);
  const needed = ceilDiv(length, SECTOR_BYTES);
  if (offset < 1 || offset + needed > fileSectors) {
    fail(`sectors ${offset} to ${offset + needed}`, `within sectors 1 to ${fileSectors} (end of file)`);
  }
  memory.reserveDirectory(length, file.path);
  const entries = new Uint32Array(length / 4);
  for (let done = 0; done < length; done += READ_AT_ONCE) {
    const part = entries.subarray(done / 4, Math.min(done + READ_AT_ONCE, length) / 4);
    await readTableInto(part, (bytes) => file.readExactly(bytes, offset * SECTOR_BYTES + done));
  }
  // A directory none of whose entries can be a table is not one; a few bad entries are judged table by table.
  const none = entries.every((entry) => entry === 0 || entry >= fileSectors);
  if (none && entries.some((entry) => entry !== 0))
    fail('no entry within the file', 'sectors of grain tables');
  return { offset, entries };
}

interface TableContext {
  readonly file: RandomAccessFile;
  readonly header: SparseHeader;
  readonly fileSectors: number;
}

/**
 * Fills `entries`, a page, with `count` tables from table `first` on, those that lie one after the other in one go. A
 * table whose directory entry cannot be right is taken from its redundant copy, and `say` is told.
 * @throws VmdkError `grain-table-damaged`.
 */
export async function readTables(
  context: TableContext,
  directory: SparseDirectory,
  copyOf: (table: number) => number,
  first: number,
  count: number,
  say: (what: string, offset: number) => void,
  entries: Uint32Array,
): Promise<void> {
  const perTable = context.header.numGTEsPerGT;
  const tableBytes = perTable * 4;
  const tableSectors = ceilDiv(tableBytes, SECTOR_BYTES);
  const places = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    places[index] = placeOf(context, directory, copyOf, first + index, tableSectors, say);
  }
  entries.fill(0, count * perTable);
  let from = 0;
  while (from < count) {
    let to = from + 1;
    const place = places[from]!;
    if (place <= ZERO_GRAIN) {
      entries.fill(place, from * perTable, to * perTable);
      from = to;
      continue;
    }
    while (to < count && places[to] === place + (to - from) * tableSectors && tableBytes % SECTOR_BYTES === 0)
      to++;
    const { file } = context;
    await readTableInto(entries.subarray(from * perTable, to * perTable), (bytes) =>
      file.readExactly(bytes, place * SECTOR_BYTES),
    );
    from = to;
  }
}

/** Sector of a table: 0 for none, 1 for "all zeros" where the header declares zero grains. */
function placeOf(
  context: TableContext,
  directory: SparseDirectory,
  copyOf: (table: number) => number,
  table: number,
  tableSectors: number,
  say: (what: string, offset: number) => void,
): number {
  const place = directory.entries[table]!;
  const copy = copyOf(table);
  // No table and none in the copy: nothing is stored. With a table in the copy, zeros here are damage: writers set the
  // primary entry first.
  if (place === 0 && copy === 0) return 0;
  const zeroed = (context.header.flags & SPARSE_FLAGS.zeroedGrains) !== 0;
  if (place === ZERO_GRAIN && zeroed) return place;
  const fits = (sector: number): boolean =>
    sector > ZERO_GRAIN && sector + tableSectors <= context.fileSectors;
  if (fits(place)) return place;
  const offset = directory.offset * SECTOR_BYTES + table * 4;
  if (fits(copy)) {
    say(`grain table ${table} cannot be at sector ${place}; read by the redundant table`, offset);
    return copy;
  }
  // The copy is the one that is damaged.
  if (place === 0) return 0;
  throw new VmdkError(
    'corrupt',
    'grain-table-damaged',
    `grain table ${table} cannot be where the directory says`,
    {
      path: context.file.path,
      offset,
      field: 'grain directory entry',
      found: `sector ${place}`,
      expected: `within sectors 2 to ${context.fileSectors} (end of file)`,
    },
  );
}
