// Judges the grain table entries of an ESX delta. A grain is usually one sector, so entries come in thousands: what is
// odd about many is one finding with a count.
import { throwIfAborted } from '../core/task.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { COWD_ENTRIES_PER_TABLE, COWD_TABLE_SECTORS, type CowdHeader } from '../format/cowd-header.ts';
import { decodeTable } from '../format/tables.ts';
import { misplaced } from './check-findings.ts';
import type { ExtentCheck } from './check-context.ts';
import type { Take } from './check-space.ts';

/** What takes space in a delta. */
export const COWD_KIND = { header: 0, directory: 1, table: 2, grain: 3 } as const;
/** In place of the sector of a table that is there and cannot be used. */
export const UNUSABLE = 0xffffffff;
const ZERO_GRAIN = 1;

export class CowdJudge {
  readonly grains: number;
  /** First sector behind header and directory. */
  readonly firstFree: number;
  allocated = 0;
  readonly #check: ExtentCheck;
  readonly #header: CowdHeader;
  readonly #places: Uint32Array;
  readonly #fileSectors: number;
  readonly #zero = { count: 0, grain: 0 };
  readonly #slack = { count: 0, grain: 0 };

  constructor(check: ExtentCheck, header: CowdHeader, places: Uint32Array) {
    this.#check = check;
    this.#header = header;
    this.#places = places;
    this.grains = ceilDiv(header.capacity, header.grainSize);
    this.firstFree = header.gdOffset + ceilDiv(header.numGDEntries * 4, SECTOR_BYTES);
    this.#fileSectors = Math.floor(check.fileBytes / SECTOR_BYTES);
  }

  offsetOf(grain: number): number {
    const place = this.#places[Math.floor(grain / COWD_ENTRIES_PER_TABLE)]!;
    return place * SECTOR_BYTES + (grain % COWD_ENTRIES_PER_TABLE) * 4;
  }

  async walk(judge: boolean, take: Take): Promise<void> {
    const bytes = Buffer.alloc(COWD_TABLE_SECTORS * SECTOR_BYTES);
    for (const [table, place] of this.#places.entries()) {
      if (place === 0 || place === UNUSABLE) continue;
      throwIfAborted(this.#check.task);
      await this.#check.file.readExactly(bytes, place * SECTOR_BYTES);
      this.#takeGrains(table * COWD_ENTRIES_PER_TABLE, decodeTable(bytes), judge, take);
    }
  }

  #takeGrains(first: number, entries: Uint32Array, judge: boolean, take: Take): void {
    const { grainSize, capacity } = this.#header;
    for (let at = 0; at < COWD_ENTRIES_PER_TABLE; at++) {
      const entry = entries[at]!;
      if (entry === 0) continue;
      const grain = first + at;
      if (grain >= this.grains) {
        if (judge && this.#slack.count++ === 0) this.#slack.grain = grain;
        continue;
      }
      if (entry === ZERO_GRAIN) {
        if (judge && this.#zero.count++ === 0) this.#zero.grain = grain;
        continue;
      }
      const rest = this.#fileSectors - entry;
      if (entry < this.firstFree || rest < Math.min(grainSize, capacity - grain * grainSize)) {
        if (judge) this.#noteRange(grain, entry);
        continue;
      }
      take(COWD_KIND.grain, grain, entry, Math.min(grainSize, rest));
      if (judge) this.allocated++;
    }
  }

  noteTotals(): void {
    const { log, file } = this.#check;
    const [zero, slack] = [this.#zero, this.#slack];
    if (zero.count > 0) {
      const message = () =>
        `${zero.count} entries are 1, the first for grain ${zero.grain}: read as zeros here, as sector 1 by others`;
      log.warning('GTE1-FLAG', { path: file.path, offset: this.offsetOf(zero.grain) }, message);
    }
    if (slack.count > 0) {
      const message = () => `${slack.count} entries behind the last grain of the last table are not zero`;
      log.warning(
        'SLACK',
        { path: file.path, offset: this.offsetOf(slack.grain), repairable: true },
        message,
      );
    }
  }

  #noteRange(grain: number, entry: number): void {
    const { log, file, fileBytes } = this.#check;
    const detail = { path: file.path, offset: this.offsetOf(grain) };
    const start = entry * SECTOR_BYTES;
    if (entry >= this.firstFree && start < fileBytes) {
      const message = () =>
        `the file ends at byte ${fileBytes}, within grain ${grain}, which starts at byte ${start}`;
      log.error('TRUNC', detail, message);
      return;
    }
    const [first, last] = [this.firstFree, this.#fileSectors];
    log.error('GTE-RANGE', detail, () => misplaced(`grain ${grain}`, entry, first, last));
  }
}
