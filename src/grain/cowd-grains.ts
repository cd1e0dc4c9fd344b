// Where each grain of an ESX delta (COWD) is. A grain is usually one sector, so cost must follow runs: one pass
// over a table's numbers, no promise and no object per grain.
import type { DataOrigin, RunList } from '../block/run-list.ts';
import type { SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { COWD_ENTRIES_PER_TABLE, COWD_TABLE_SECTORS, type CowdHeader } from '../format/cowd-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { ExtentMemory } from './extent-memory.ts';
import type { GrainMap } from './grain-map.ts';
import { TablePages } from './table-pages.ts';

const ZERO_GRAIN = 1;

export class CowdGrains implements GrainMap {
  readonly grainSize: number;
  readonly header: CowdHeader;
  /** Sector of each grain table; 0 = none yet. */
  readonly directory: Uint32Array;
  /** One page is one table. */
  readonly pages: TablePages;
  /** Sectors of the file; grows when a writer appends. */
  fileSectors: number;
  readonly #file: RandomAccessFile;
  readonly #origin: DataOrigin;
  readonly #onFinding: OnFinding;
  #saidZero = false;

  private constructor(
    file: RandomAccessFile,
    header: CowdHeader,
    directory: Uint32Array,
    fileSectors: number,
    origin: DataOrigin,
    onFinding: OnFinding,
    memory: ExtentMemory,
  ) {
    this.#file = file;
    this.header = header;
    this.grainSize = header.grainSize;
    this.directory = directory;
    this.fileSectors = fileSectors;
    this.#origin = origin;
    this.#onFinding = onFinding;
    this.pages = new TablePages((table) => this.#loadTable(table), memory.keptTables());
  }

  /** @throws VmdkError `grain-directory-damaged` when the directory does not lie within the file. */
  static async open(
    file: RandomAccessFile,
    header: CowdHeader,
    origin: DataOrigin,
    onFinding: OnFinding,
    memory = new ExtentMemory(),
  ): Promise<CowdGrains> {
    const fileSectors = Math.floor((await file.size()) / SECTOR_BYTES);
    const needed = ceilDiv(header.numGDEntries * 4, SECTOR_BYTES);
    if (header.gdOffset + needed > fileSectors) {
      throw new VmdkError(
        'corrupt',
        'grain-directory-damaged',
        'the grain directory does not lie within the file',
        {
          path: file.path,
          offset: header.gdOffset * SECTOR_BYTES,
          field: 'gdOffset',
          found: `sectors ${header.gdOffset} to ${header.gdOffset + needed}`,
          expected: `at most ${fileSectors} (end of file)`,
        },
      );
    }
    memory.reserveDirectory(header.numGDEntries * 4, file.path);
    const bytes = allocateRoom(header.numGDEntries * 4);
    await file.readExactly(bytes, header.gdOffset * SECTOR_BYTES);
    return new CowdGrains(file, header, decodeTable(bytes), fileSectors, origin, onFinding, memory);
  }

  async addRuns(range: SectorRange, into: RunList): Promise<void> {
    const end = range.start + range.count;
    const perTable = COWD_ENTRIES_PER_TABLE * this.grainSize;
    while (into.end < end && into.length < MAP_RUN_LIMIT) {
      const table = Math.floor(into.end / perTable);
      const tableEnd = Math.min(end, (table + 1) * perTable);
      if (this.directory[table] === 0 && this.pages.peek(table) === undefined) {
        into.addAbsent(tableEnd - into.end);
        continue;
      }
      const entries = this.pages.peek(table) ?? (await this.pages.get(table));
      this.#addTable(entries, table * perTable, tableEnd, into);
    }
  }

  #addTable(entries: Uint32Array, tableStart: number, end: number, into: RunList): void {
    const { grainSize } = this;
    const last = ceilDiv(end - tableStart, grainSize);
    for (let at = Math.floor((into.end - tableStart) / grainSize); at < last; at++) {
      if (into.length >= MAP_RUN_LIMIT) return;
      const entry = entries[at]!;
      const within = into.end - (tableStart + at * grainSize);
      const count = Math.min(end, tableStart + (at + 1) * grainSize) - into.end;
      if (entry === 0) into.addAbsent(count);
      else if (entry === ZERO_GRAIN) this.#addZero(count, into);
      else {
        this.#assertSound(entry, tableStart / grainSize + at, within + count);
        into.addData(count, this.#origin, (entry + within) * SECTOR_BYTES);
      }
    }
  }

  /** Read as zeros by Xen Orchestra and the ESX punch tools; QEMU hands out sector 1 here. Never written by us. */
  #addZero(count: number, into: RunList): void {
    if (!this.#saidZero) {
      this.#saidZero = true;
      this.#onFinding({
        code: 'GTE1-FLAG',
        severity: 'warning',
        message: 'grain table entries of 1 are read as zeros; other readers disagree on them',
        path: this.#file.path,
        repairable: false,
      });
    }
    into.addZero(count);
  }

  #assertSound(entry: number, grain: number, sectors: number): void {
    const first = this.header.gdOffset + ceilDiv(this.header.numGDEntries * 4, SECTOR_BYTES);
    if (entry >= first && entry + sectors <= this.fileSectors) return;
    throw new VmdkError('corrupt', 'grain-out-of-range', `grain ${grain} cannot be where its table says`, {
      path: this.#file.path,
      offset: this.directory[Math.floor(grain / COWD_ENTRIES_PER_TABLE)]! * SECTOR_BYTES + (grain % 4096) * 4,
      field: 'grain table entry',
      found: `sector ${entry}`,
      expected: `sector ${first} to ${this.fileSectors} (end of file)`,
    });
  }

  async #loadTable(table: number): Promise<Uint32Array> {
    const place = this.directory[table]!;
    if (place === 0) return new Uint32Array(COWD_ENTRIES_PER_TABLE);
    if (place <= this.header.gdOffset || place + COWD_TABLE_SECTORS > this.fileSectors) {
      throw new VmdkError(
        'corrupt',
        'grain-table-damaged',
        `grain table ${table} cannot be where the directory says`,
        {
          path: this.#file.path,
          offset: this.header.gdOffset * SECTOR_BYTES + table * 4,
          field: 'grain directory entry',
          found: `sector ${place}`,
          expected: `sector ${this.header.gdOffset + 1} to ${this.fileSectors} (end of file)`,
        },
      );
    }
    const bytes = allocateRoom(COWD_TABLE_SECTORS * SECTOR_BYTES);
    await this.#file.readExactly(bytes, place * SECTOR_BYTES);
    return decodeTable(bytes);
  }
}
