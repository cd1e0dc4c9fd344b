// Where each grain of a seSparse extent is. Entries are pairs of 32-bit halves; unmapped grains read as zeros
// (tested in a guest by the author of QEMU's reader), never as the parent.
import type { DataOrigin, RunList } from '../block/run-list.ts';
import type { SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import {
  SESPARSE_DIRECTORY_ALLOCATED,
  SESPARSE_TYPE,
  seSparseIndex,
  seSparseType,
} from '../format/sesparse-entries.ts';
import {
  SESPARSE_ENTRIES_PER_TABLE,
  SESPARSE_GRAIN,
  SESPARSE_TABLE_SECTORS,
  seSparseTableCount,
  type SeSparseHeader,
} from '../format/sesparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { ExtentMemory } from './extent-memory.ts';
import type { GrainMap } from './grain-map.ts';
import { TablePages } from './table-pages.ts';

const TABLE_SPAN = SESPARSE_ENTRIES_PER_TABLE * SESPARSE_GRAIN;
const NO_TABLE = 0xffffffff;
const READ_AT_ONCE = 1 << 20;
/** 8 Mi tables, 128 TiB of guest: twice what vSphere allows; more is damage or an attack. */
const MOST_TABLES = 8 << 20;

export class SeSparseGrains implements GrainMap {
  readonly grainSize = SESPARSE_GRAIN;
  readonly header: SeSparseHeader;
  /** Index of each grain table among the tables; NO_TABLE where there is none. */
  readonly #directory: Uint32Array;
  readonly #pages: TablePages;
  readonly #file: RandomAccessFile;
  readonly #origin: DataOrigin;
  readonly #fileSectors: number;

  private constructor(
    file: RandomAccessFile,
    header: SeSparseHeader,
    directory: Uint32Array,
    fileSectors: number,
    origin: DataOrigin,
    memory: ExtentMemory,
  ) {
    this.#file = file;
    this.header = header;
    this.#directory = directory;
    this.#fileSectors = fileSectors;
    this.#origin = origin;
    this.#pages = new TablePages((table) => this.#loadTable(table), memory.keptTables());
  }

  /** @throws VmdkError `grain-directory-damaged`. */
  static async open(
    file: RandomAccessFile,
    header: SeSparseHeader,
    origin: DataOrigin,
    memory = new ExtentMemory(),
  ): Promise<SeSparseGrains> {
    const fileSectors = Math.floor((await file.size()) / SECTOR_BYTES);
    const directory = await readDirectory(file, header, fileSectors, memory);
    return new SeSparseGrains(file, header, directory, fileSectors, origin, memory);
  }

  async addRuns(range: SectorRange, into: RunList): Promise<void> {
    const end = range.start + range.count;
    while (into.end < end && into.length < MAP_RUN_LIMIT) {
      let table = Math.floor(into.end / TABLE_SPAN);
      if (this.#directory[table] === NO_TABLE) {
        while (table * TABLE_SPAN < end && this.#directory[table] === NO_TABLE) table++;
        into.addAbsent(Math.min(end, table * TABLE_SPAN) - into.end);
        continue;
      }
      const entries = this.#pages.peek(table) ?? (await this.#pages.get(table));
      this.#addTable(entries, table, Math.min(end, (table + 1) * TABLE_SPAN), into);
    }
  }

  #addTable(entries: Uint32Array, table: number, end: number, into: RunList): void {
    const tableStart = table * TABLE_SPAN;
    const last = ceilDiv(end - tableStart, SESPARSE_GRAIN);
    for (let at = Math.floor((into.end - tableStart) / SESPARSE_GRAIN); at < last; at++) {
      if (into.length >= MAP_RUN_LIMIT) return;
      const low = entries[at * 2]!;
      const high = entries[at * 2 + 1]!;
      const within = into.end - (tableStart + at * SESPARSE_GRAIN);
      const count = Math.min(end, tableStart + (at + 1) * SESPARSE_GRAIN) - into.end;
      const type = seSparseType(high);
      if (type === SESPARSE_TYPE.allocated) {
        const first = seSparseIndex(low, high) * SESPARSE_GRAIN;
        if (first >= this.header.grainSectors)
          this.#fail(table, at, low, high, `within ${this.header.grainSectors} sectors of grains`);
        const sector = this.header.grainOffset + first + within;
        if (sector + count > this.#fileSectors)
          this.#fail(table, at, low, high, `within ${this.#fileSectors} sectors`);
        into.addData(count, this.#origin, sector * SECTOR_BYTES);
      } else if (type === SESPARSE_TYPE.zero || type === SESPARSE_TYPE.unmapped) into.addZero(count);
      else if (low === 0 && high === 0) into.addAbsent(count);
      else this.#fail(table, at, low, high, 'type 0 (all zero), 1, 2 or 3');
    }
  }

  #fail(table: number, at: number, low: number, high: number, expected: string): never {
    const entry = (BigInt(high) << 32n) | BigInt(low);
    throw new VmdkError('corrupt', 'grain-out-of-range', 'a grain table entry makes no sense', {
      path: this.#file.path,
      offset: this.#placeOf(table) * SECTOR_BYTES + at * 8,
      field: 'grain table entry',
      found: `0x${entry.toString(16).padStart(16, '0')}`,
      expected,
    });
  }

  #placeOf(table: number): number {
    return this.header.grainTablesOffset + this.#directory[table]! * SESPARSE_TABLE_SECTORS;
  }

  async #loadTable(table: number): Promise<Uint32Array> {
    const bytes = allocateRoom(SESPARSE_TABLE_SECTORS * SECTOR_BYTES);
    await this.#file.readExactly(bytes, this.#placeOf(table) * SECTOR_BYTES);
    return decodeTable(bytes);
  }
}

async function readDirectory(
  file: RandomAccessFile,
  header: SeSparseHeader,
  fileSectors: number,
  memory: ExtentMemory,
): Promise<Uint32Array> {
  const fail = (offset: number, found: string, expected: string): never => {
    const context = { path: file.path, offset, field: 'grain directory', found, expected };
    throw new VmdkError('corrupt', 'grain-directory-damaged', 'the grain directory cannot be used', context);
  };
  const tables = seSparseTableCount(header.capacity);
  const start = header.grainDirectoryOffset * SECTOR_BYTES;
  if (tables > MOST_TABLES) fail(start, `${tables} tables`, `at most ${MOST_TABLES}`);
  const needed = header.grainDirectoryOffset + ceilDiv(tables * 8, SECTOR_BYTES);
  if (needed > fileSectors) fail(start, `up to sector ${needed}`, `at most ${fileSectors} (end of file)`);
  const room = Math.floor(header.grainTablesSize / SESPARSE_TABLE_SECTORS);
  memory.reserveDirectory(tables * 4, file.path);
  const directory = new Uint32Array(tables).fill(NO_TABLE);
  for (let done = 0; done < tables; done += READ_AT_ONCE / 8) {
    const count = Math.min(READ_AT_ONCE / 8, tables - done);
    const bytes = allocateRoom(count * 8);
    await file.readExactly(bytes, start + done * 8);
    const halves = decodeTable(bytes);
    for (let index = 0; index < count; index++) {
      const low = halves[index * 2]!;
      const high = halves[index * 2 + 1]!;
      if (low === 0 && high === 0) continue;
      const end = header.grainTablesOffset + (low + 1) * SESPARSE_TABLE_SECTORS;
      if (high !== SESPARSE_DIRECTORY_ALLOCATED || low >= room || end > fileSectors) {
        const found = `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
        fail(
          start + (done + index) * 8,
          found,
          `0 or 0x10000000 and the index of one of ${room} tables in the file`,
        );
      }
      directory[done + index] = low;
    }
  }
  return directory;
}
