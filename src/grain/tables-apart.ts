// Before anything is written: proves that a write into a grain table can hit nothing but that table. A reader never
// follows a damaged redundant entry, but a writer would, over whatever lies there.
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { COWD_TABLE_SECTORS } from '../format/cowd-header.ts';
import { ZERO_GRAIN } from '../format/sparse-header.ts';
import type { CowdGrains } from './cowd-grains.ts';
import { TABLES_PER_PAGE } from './sparse-directory.ts';
import type { SparseGrains } from './sparse-grains.ts';

/** What tables must keep clear of: sectors, `end` exclusive. */
interface Piece {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** @throws VmdkError `needs-repair` when tables, directories, header or grains overlap. */
export async function assertSparseTablesApart(path: string, grains: SparseGrains): Promise<void> {
  const { header, directory, redundant } = grains;
  const directorySectors = ceilDiv(directory.entries.length * 4, SECTOR_BYTES);
  const tableSectors = ceilDiv(header.numGTEsPerGT * 4, SECTOR_BYTES);
  const pieceOf = (name: string, start: number): Piece => ({ name, start, end: start + directorySectors });
  const pieces = [
    {
      name: 'the header and the descriptor',
      start: 0,
      end: header.descriptorOffset + header.descriptorSize || 1,
    },
    pieceOf('the grain directory', directory.offset),
    ...(redundant === undefined ? [] : [pieceOf('the redundant grain directory', redundant.offset)]),
  ];
  const tables = sorted(directory.entries, redundant?.entries);
  assertApart(path, tables, tableSectors, pieces, grains.fileSectors);
  // Where tables stand among grains, no grain may stand on one. Files by VMware, QEMU and VirtualBox have none there.
  const among = tables.filter((place) => place + tableSectors > header.overHead);
  if (among.length > 0) await assertNoGrainOn(path, grains, among, tableSectors);
}

/** The tables of an ESX delta. @throws VmdkError `needs-repair`. */
export function assertCowdTablesApart(path: string, grains: CowdGrains): void {
  const { gdOffset } = grains.header;
  const end = gdOffset + ceilDiv(grains.directory.length * 4, SECTOR_BYTES);
  const front = { name: 'the header and the grain directory', start: 0, end };
  assertApart(path, sorted(grains.directory), COWD_TABLE_SECTORS, [front], grains.fileSectors);
}

/** The sectors of all tables there are, in order. */
function sorted(...directories: readonly (Uint32Array | undefined)[]): Uint32Array {
  const count = directories.reduce((sum, entries) => sum + (entries?.length ?? 0), 0);
  const all = new Uint32Array(count);
  let at = 0;
  for (const entries of directories) {
    for (const place of entries ?? []) if (place > ZERO_GRAIN) all[at++] = place;
  }
  return all.subarray(0, at).sort();
}

function assertApart(
  path: string,
  tables: Uint32Array,
  tableSectors: number,
  pieces: readonly Piece[],
  fileSectors: number,
): void {
  for (const [index, place] of tables.entries()) {
    const end = place + tableSectors;
    if (end > fileSectors) throw needsRepair(path, place, `the end of the file at sector ${fileSectors}`);
    if (index + 1 < tables.length && end > tables[index + 1]!) {
      throw needsRepair(path, place, `the grain table at sector ${tables[index + 1]}`);
    }
    const hit = pieces.find((piece) => piece.start < end && place < piece.end);
    if (hit !== undefined) throw needsRepair(path, place, hit.name);
  }
}

async function assertNoGrainOn(
  path: string,
  grains: SparseGrains,
  tables: Uint32Array,
  tableSectors: number,
): Promise<void> {
  const pages = ceilDiv(grains.directory.entries.length, TABLES_PER_PAGE);
  for (let page = 0; page < pages; page++) {
    for (const entry of await grains.pages.get(page)) {
      if (entry <= ZERO_GRAIN) continue;
      const place = firstEndingAfter(tables, tableSectors, entry);
      if (place !== undefined && place < entry + grains.grainSize) {
        throw needsRepair(path, place, `the grain at sector ${entry}`);
      }
    }
  }
}

/** The first table that ends behind `sector`. */
function firstEndingAfter(tables: Uint32Array, tableSectors: number, sector: number): number | undefined {
  let low = 0;
  let high = tables.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (tables[middle]! + tableSectors > sector) high = middle;
    else low = middle + 1;
  }
  return tables[low];
}

function needsRepair(path: string, place: number, other: string): VmdkError {
  return new VmdkError('refused', 'needs-repair', 'the disk is damaged and must not be written', {
    path,
    offset: place * SECTOR_BYTES,
    field: 'grain directory entry',
    found: `a grain table at sector ${place} that overlaps ${other}`,
    expected: 'tables that overlap nothing',
    hint: 'Run `vmdkit check` on it first.',
  });
}
