// Gives grains of a hosted sparse extent their place and their contents. New grains go to the end of the file;
// tables change in memory and reach the file in `flush`, always after what they point to.
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { ZERO_GRAIN } from '../format/sparse-header.ts';
import { decodeTable, encodeTable } from '../format/tables.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { PendingPointers } from './pending-pointers.ts';
import { reserveAtEnd, writeByMap } from './place-grains.ts';
import { TABLES_PER_PAGE, type SparseDirectory } from './sparse-directory.ts';
import type { SparseGrains } from './sparse-grains.ts';

/** Table sectors in memory before they are flushed unasked: 8 MiB of tables, 128 GiB of guest. */
const MOST_PENDING = 16_384;
const ENTRIES_PER_SECTOR = SECTOR_BYTES / 4;

export class SparseGrainWriter {
  readonly #file: WritableFile;
  readonly #grains: SparseGrains;
  readonly #pending = new PendingPointers();
  readonly #entriesPerChunk: number;

  constructor(file: WritableFile, grains: SparseGrains) {
    this.#file = file;
    this.#grains = grains;
    this.#entriesPerChunk = Math.min(ENTRIES_PER_SECTOR, grains.header.numGTEsPerGT);
  }

  /** Writes sectors; those not yet allocated must come as whole grains (the last may end with the extent). */
  async write(start: number, data: Uint8Array): Promise<void> {
    await writeByMap(this.#file, this.#grains, start, data, (first, count, place) =>
      this.#setEntries(first, count, (index) => place + index * this.#grains.grainSize),
    );
    if (this.#pending.size > MOST_PENDING) await this.flush();
  }

  /** Makes whole grains read as zeros, parent or not. The header must already declare zero grains. */
  async zeroGrains(range: SectorRange): Promise<void> {
    const { grainSize } = this.#grains;
    const end = ceilDiv(range.start + range.count, grainSize);
    await this.#setEntries(range.start / grainSize, end - range.start / grainSize, () => ZERO_GRAIN);
    if (this.#pending.size > MOST_PENDING) await this.flush();
  }

  /** Durable after it returns: data, then tables, then their redundant copies. */
  flush(): Promise<void> {
    return this.#pending.flush(this.#file, (page) => this.#grains.pages.unpin(page));
  }

  /**
   * After an unclean end: makes the redundant tables equal to the primary ones, which are always written first.
   * @throws VmdkError when a primary entry cannot be right; that needs a repair, not a writer.
   */
  async settle(): Promise<void> {
    const { grains, copies } = { grains: this.#grains, copies: this.#grains.redundant };
    if (copies === undefined) return;
    const perTable = grains.header.numGTEsPerGT;
    for (let table = 0; table < grains.directory.entries.length; table++) {
      const copyAt = copies.entries[table]!;
      if (grains.directory.entries[table]! <= ZERO_GRAIN) continue;
      const page = await grains.pages.get(Math.floor(table / TABLES_PER_PAGE));
      if (copyAt <= ZERO_GRAIN) {
        this.#addTable(table, page, copies, true);
        continue;
      }
      const first = (table % TABLES_PER_PAGE) * perTable;
      const bytes = Buffer.alloc(perTable * 4);
      await this.#file.readExactly(bytes, copyAt * SECTOR_BYTES);
      const copy = decodeTable(bytes);
      for (let entry = 0; entry < perTable; entry++) {
        if (copy[entry] === page[first + entry]) continue;
        // Mapping the grain proves the primary entry before the copy is made to follow it.
        const start = (table * perTable + entry) * grains.grainSize;
        if (start < grains.header.capacity) await grains.addRuns(sectorRange(start, 1), new RunList(start));
        this.#noteChunk(table * perTable + entry, page);
      }
    }
    await this.flush();
  }

  async #setEntries(first: number, count: number, entryOf: (index: number) => number): Promise<void> {
    const { entriesPerPage, pages } = this.#grains;
    let done = 0;
    while (done < count) {
      const page = Math.floor((first + done) / entriesPerPage);
      const stop = Math.min(count, (page + 1) * entriesPerPage - first);
      await pages.change(page, (entries) => {
        for (; done < stop; done++) {
          entries[(first + done) % entriesPerPage] = entryOf(done);
          if (done === 0 || (first + done) % this.#entriesPerChunk === 0 || done === stop - 1) {
            this.#noteChunk(first + done, entries);
          }
        }
      });
    }
  }

  /** Notes the table sector that holds the entry of `grain` as changed. */
  #noteChunk(grain: number, entries: Uint32Array): void {
    const { directory, redundant, entriesPerPage, header } = this.#grains;
    const table = Math.floor(grain / header.numGTEsPerGT);
    if (directory.entries[table]! <= ZERO_GRAIN) {
      this.#addTable(table, entries, directory, false);
      if (redundant !== undefined) this.#addTable(table, entries, redundant, true);
    }
    const inTable = grain % header.numGTEsPerGT;
    const chunk = inTable - (inTable % this.#entriesPerChunk);
    const inPage = (grain % entriesPerPage) - (inTable - chunk);
    const encode = (): Uint8Array => encodeTable(entries.subarray(inPage, inPage + this.#entriesPerChunk));
    const placeIn = (tables: SparseDirectory): number => tables.entries[table]! * SECTOR_BYTES + chunk * 4;
    this.#pending.note(Math.floor(grain / entriesPerPage), placeIn(directory), encode);
    if (redundant !== undefined && redundant.entries[table]! > ZERO_GRAIN) {
      this.#pending.noteCopy(placeIn(redundant), encode);
    }
  }

  /**
   * A table for a directory entry of 0, or of 1 (all zeros): only files by other writers lack tables. A redundant
   * directory is pointed to its table after the primary one is, like every copy.
   */
  #addTable(table: number, entries: Uint32Array, directory: SparseDirectory, isCopy: boolean): void {
    const perTable = this.#grains.header.numGTEsPerGT;
    const from = (table % TABLES_PER_PAGE) * perTable;
    const place = reserveAtEnd(this.#file, this.#grains, ceilDiv(perTable * 4, SECTOR_BYTES), 1);
    directory.entries[table] = place;
    this.#pending.noteFresh(place * SECTOR_BYTES, () => encodeTable(entries.subarray(from, from + perTable)));
    const first = table - (table % ENTRIES_PER_SECTOR);
    const at = directory.offset * SECTOR_BYTES + first * 4;
    const encode = (): Uint8Array =>
      encodeTable(directory.entries.subarray(first, first + ENTRIES_PER_SECTOR));
    if (isCopy) this.#pending.noteCopy(at, encode);
    else this.#pending.note(undefined, at, encode);
  }
}
