// Judges the grain table entries of a seSparse extent, a table at a time. An unmapped grain still names the grain it
// had: that one is neither in use nor lost.
import { throwIfAborted } from '../core/task.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SESPARSE_TYPE, seSparseIndex, seSparseType } from '../format/sesparse-entries.ts';
import {
  SESPARSE_ENTRIES_PER_TABLE,
  SESPARSE_GRAIN,
  SESPARSE_TABLE_SECTORS,
  type SeSparseHeader,
} from '../format/sesparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { ExtentCheck } from './check-context.ts';
import { NO_SLOT } from './check-sesparse-directory.ts';

/** Called for each grain that is allocated: its number, and its index in the data region. */
export type OnGrain = (grain: number, index: number) => void;

export class SeSparseJudge {
  readonly grains: number;
  /** Grains of the data region that lie within the file. */
  readonly grainsInFile: number;
  allocated = 0;
  unmapped = 0;
  readonly #check: ExtentCheck;
  readonly #header: SeSparseHeader;
  readonly #slots: Uint32Array;
  readonly #slack = { count: 0, grain: 0 };

  constructor(check: ExtentCheck, header: SeSparseHeader, slots: Uint32Array) {
    this.#check = check;
    this.#header = header;
    this.#slots = slots;
    this.grains = ceilDiv(header.capacity, SESPARSE_GRAIN);
    const sectors = Math.floor(check.fileBytes / SECTOR_BYTES) - header.grainOffset;
    this.grainsInFile = Math.max(0, Math.floor(sectors / SESPARSE_GRAIN));
  }

  offsetOf(grain: number): number {
    const slot = this.#slots[Math.floor(grain / SESPARSE_ENTRIES_PER_TABLE)]!;
    const place = this.#header.grainTablesOffset + slot * SESPARSE_TABLE_SECTORS;
    return place * SECTOR_BYTES + (grain % SESPARSE_ENTRIES_PER_TABLE) * 8;
  }

  /** Slots and entries (pairs of halves) of all tables. */
  async *tables(): AsyncGenerator<{ table: number; slot: number; entries: Uint32Array }> {
    for (const [table, slot] of this.#slots.entries()) {
      if (slot === NO_SLOT) continue;
      throwIfAborted(this.#check.task);
      const bytes = Buffer.allocUnsafe(SESPARSE_TABLE_SECTORS * SECTOR_BYTES);
      const place = this.#header.grainTablesOffset + slot * SESPARSE_TABLE_SECTORS;
      await this.#check.file.readExactly(bytes, place * SECTOR_BYTES);
      yield { table, slot, entries: decodeTable(bytes) };
    }
  }

  /** Goes through all entries; with `judge`, counts them and notes what is wrong. */
  async walk(onGrain: OnGrain, judge: boolean): Promise<void> {
    for await (const { table, entries } of this.tables()) {
      this.#walkTable(table * SESPARSE_ENTRIES_PER_TABLE, entries, onGrain, judge);
    }
  }

  #walkTable(first: number, entries: Uint32Array, onGrain: OnGrain, judge: boolean): void {
    for (let at = 0; at < SESPARSE_ENTRIES_PER_TABLE; at++) {
      const low = entries[at * 2]!;
      const high = entries[at * 2 + 1]!;
      if (low === 0 && high === 0) continue;
      const grain = first + at;
      if (grain >= this.grains) {
        if (judge && this.#slack.count++ === 0) this.#slack.grain = grain;
        continue;
      }
      const type = seSparseType(high);
      if (type === SESPARSE_TYPE.allocated) this.#judgeAllocated(grain, low, high, onGrain, judge);
      else if (judge && type === SESPARSE_TYPE.unmapped) this.unmapped++;
      else if (judge && type !== SESPARSE_TYPE.zero && type !== SESPARSE_TYPE.unmapped) {
        this.#noteEntry(grain, low, high, 'type 0 (all zero), 1, 2 or 3');
      }
    }
  }

  #judgeAllocated(grain: number, low: number, high: number, onGrain: OnGrain, judge: boolean): void {
    const index = seSparseIndex(low, high);
    const { grainSectors, grainOffset, capacity } = this.#header;
    const needed = Math.min(SESPARSE_GRAIN, capacity - grain * SESPARSE_GRAIN);
    const end = (index * SESPARSE_GRAIN + needed) * SECTOR_BYTES;
    const start = grainOffset * SECTOR_BYTES;
    if (index < ceilDiv(grainSectors, SESPARSE_GRAIN) && start + end <= this.#check.fileBytes) {
      onGrain(grain, index);
      if (judge) this.allocated++;
      return;
    }
    if (!judge) return;
    if (
      index === this.grainsInFile &&
      this.#check.fileBytes > start + index * SESPARSE_GRAIN * SECTOR_BYTES
    ) {
      const { log, file, fileBytes } = this.#check;
      const message = () => `the file ends at byte ${fileBytes}, within grain ${grain}`;
      log.error('TRUNC', { path: file.path, offset: this.offsetOf(grain) }, message);
    } else this.#noteEntry(grain, low, high, `a grain below ${this.grainsInFile} (end of file)`);
  }

  #noteEntry(grain: number, low: number, high: number, expected: string): void {
    const { log, file } = this.#check;
    log.error('GTE-RANGE', { path: file.path, offset: this.offsetOf(grain) }, () => {
      const found = `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
      return `the table entry of grain ${grain} is ${found}, expected ${expected}`;
    });
  }

  noteTotals(): void {
    const { count, grain } = this.#slack;
    if (count === 0) return;
    const { log, file } = this.#check;
    const message = () => `${count} entries behind the last grain of the last table are not zero`;
    log.warning('SLACK', { path: file.path, offset: this.offsetOf(grain), repairable: true }, message);
  }
}
