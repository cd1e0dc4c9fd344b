// Judges the grain table entries of a hosted sparse extent. Each entry is looked at once; odd ones that come in
// thousands (zero grains without the flag, grains off their alignment) are one finding with a count.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_FLAGS, ZERO_GRAIN } from '../format/sparse-header.ts';
import { misplaced } from './check-findings.ts';
import type { ExtentCheck } from './check-context.ts';
import { KIND, UNUSABLE, type CheckedDirectories } from './check-sparse-directory.ts';
import { sameEntries, type TableBatch } from './check-sparse-tables.ts';
import type { Take } from './check-space.ts';

interface Oddity {
  count: number;
  grain: number;
}

export class EntryJudge {
  /** Grains that the guest sees. */
  readonly grains: number;
  allocated = 0;
  readonly #check: ExtentCheck;
  readonly #directories: CheckedDirectories;
  readonly #fileSectors: number;
  readonly #perTable: number;
  readonly #zero: Oddity = { count: 0, grain: 0 };
  readonly #misplaced: Oddity = { count: 0, grain: 0 };

  constructor(check: ExtentCheck, directories: CheckedDirectories) {
    const { header } = directories;
    this.#check = check;
    this.#directories = directories;
    this.grains = ceilDiv(header.capacity, header.grainSize);
    this.#perTable = header.numGTEsPerGT;
    this.#fileSectors = Math.floor(check.fileBytes / SECTOR_BYTES);
  }

  /** Byte offset of a grain's entry, in the copy that is walked. */
  offsetOf(grain: number): number {
    const place = this.#directories.places[Math.floor(grain / this.#perTable)]!;
    return place * SECTOR_BYTES + (grain % this.#perTable) * 4;
  }

  /** Takes the space of every grain that can be where its entry says; with `judge`, notes all others. */
  takeGrains(
    batch: TableBatch,
    entries: Uint32Array,
    copies: Uint32Array | undefined,
    judge: boolean,
    take: Take,
  ): void {
    const { grainSize, overHead, capacity } = this.#directories.header;
    const first = batch.first * this.#perTable;
    const count = Math.min(batch.count * this.#perTable, this.grains - first);
    for (let at = 0; at < count; at++) {
      const entry = entries[at]!;
      if (entry === 0) continue;
      const grain = first + at;
      if (entry === ZERO_GRAIN) {
        if (judge) count1(this.#zero, grain);
        continue;
      }
      const rest = this.#fileSectors - entry;
      const sound = entry >= overHead && rest >= grainSize;
      if (!sound && (entry < overHead || rest < Math.min(grainSize, capacity - grain * grainSize))) {
        if (judge) this.#noteRange(grain, entry, copies?.[at]);
        continue;
      }
      take(KIND.grain, grain, entry, Math.min(grainSize, rest));
      if (!judge) continue;
      this.allocated++;
      if (entry % grainSize !== 0) count1(this.#misplaced, grain);
    }
    if (judge) this.#noteSlack(batch, entries, copies, count);
  }

  /** Whether an entry could stand in a table: nothing, zeros, or a place for a grain. */
  #isPossible(grain: number, entry: number): boolean {
    const { grainSize, overHead, capacity } = this.#directories.header;
    const needed = Math.min(grainSize, capacity - grain * grainSize);
    return entry <= ZERO_GRAIN || (entry >= overHead && entry + needed <= this.#fileSectors);
  }

  /** Compares tables with their copies by content: their places differ in sound files. */
  compareCopies(batch: TableBatch, entries: Uint32Array | undefined, copies: Uint32Array | undefined): void {
    const { places, copies: copyPlaces } = this.#directories;
    for (let index = 0; index < batch.count; index++) {
      const table = batch.first + index;
      if (places[table] === UNUSABLE || copyPlaces![table] === UNUSABLE) continue;
      const from = index * this.#perTable;
      const used = Math.min(this.#perTable, this.grains - table * this.#perTable);
      if (sameEntries(entries, copies, from, from + used)) continue;
      this.#noteDifference(table, entries, copies, from, used);
    }
  }

  /** Notes what was only counted on the way. */
  noteTotals(): void {
    const { log, file } = this.#check;
    const { header } = this.#directories;
    const zero = this.#zero;
    if (zero.count > 0 && (header.flags & SPARSE_FLAGS.zeroedGrains) === 0) {
      const detail = { path: file.path, offset: this.offsetOf(zero.grain), repairable: true };
      const message = () =>
        `${zero.count} zero grains, the first grain ${zero.grain}, but the header does not declare them: programs disagree on how they read`;
      log.warning('GTE1-FLAG', detail, message);
    }
    const odd = this.#misplaced;
    if (odd.count === 0) return;
    const detail = { path: file.path, offset: this.offsetOf(odd.grain) };
    const message = () =>
      `${odd.count} grains do not start on a multiple of ${header.grainSize} sectors, the first is grain ${odd.grain}`;
    log.warning('GTE-ALIGN', detail, message);
  }

  #noteRange(grain: number, entry: number, copy: number | undefined): void {
    const { log, file } = this.#check;
    const { header } = this.#directories;
    const detail = {
      path: file.path,
      offset: this.offsetOf(grain),
      repairable: this.#isSavedByCopy(grain, copy),
    };
    if (entry >= header.overHead && entry < this.#fileSectors) {
      const start = entry * SECTOR_BYTES;
      const end = this.#check.fileBytes;
      log.error(
        'TRUNC',
        detail,
        () => `the file ends at byte ${end}, within grain ${grain}, which starts at byte ${start}`,
      );
      return;
    }
    const last = this.#fileSectors;
    log.error('GTE-RANGE', detail, () => misplaced(`grain ${grain}`, entry, header.overHead, last));
  }

  /** Of both copies, or of the one that has any. */
  #noteSlack(batch: TableBatch, entries: Uint32Array, copies: Uint32Array | undefined, used: number): void {
    const end = batch.count * this.#perTable;
    const own = entries.subarray(used, end);
    const inCopy = own.every((entry) => entry === 0);
    const odd = inCopy ? copies?.subarray(used, end) : own;
    const first = odd?.findIndex((entry) => entry !== 0) ?? -1;
    if (odd === undefined || first === -1) return;
    const at = batch.first * this.#perTable + used + first;
    const table = Math.floor(at / this.#perTable);
    const place = inCopy ? this.#directories.copies![table]! : this.#directories.places[table]!;
    const { log, file } = this.#check;
    const offset = place * SECTOR_BYTES + (at % this.#perTable) * 4;
    const count = odd.filter((entry) => entry !== 0).length;
    log.warning('SLACK', { path: file.path, offset, repairable: true }, () => {
      const where = inCopy ? 'redundant table alone' : 'last table';
      return `${count} entries behind the last grain of the ${where} are not zero`;
    });
  }

  #noteDifference(
    table: number,
    entries: Uint32Array | undefined,
    copies: Uint32Array | undefined,
    from: number,
    used: number,
  ): void {
    let count = 0;
    let first = 0;
    for (let at = from; at < from + used; at++) {
      const entry = entries?.[at] ?? 0;
      // An entry that cannot be right is noted as such; its copy is what may save it.
      if (entry === (copies?.[at] ?? 0) || !this.#isPossible(table * this.#perTable + at - from, entry))
        continue;
      if (count++ === 0) first = at;
    }
    if (count === 0) return;
    const { log, file } = this.#check;
    const { header, copies: copyPlaces, places } = this.#directories;
    const grain = table * this.#perTable + first - from;
    const place = places[table]! > ZERO_GRAIN ? places[table]! : copyPlaces![table]!;
    const detail = { path: file.path, offset: place * SECTOR_BYTES + (first - from) * 4, repairable: true };
    const says = `the first for grain ${grain}: ${sectorText(entries?.[first])}, in the copy ${sectorText(copies?.[first])}`;
    const message = `grain table ${table} differs from its copy in ${count} entries, ${says}`;
    if (header.uncleanShutdown) {
      log.warning('RGD-DIFF', detail, () => `${message}; left by a crash, settled by the next writer`);
    } else log.error('RGD-DIFF', detail, () => message);
  }

  #isSavedByCopy(grain: number, copy: number | undefined): boolean {
    const place = this.#directories.copies?.[Math.floor(grain / this.#perTable)] ?? 0;
    return place > ZERO_GRAIN && place !== UNUSABLE && this.#isPossible(grain, copy ?? 0);
  }
}

function count1(oddity: Oddity, grain: number): void {
  if (oddity.count++ === 0) oddity.grain = grain;
}

function sectorText(entry = 0): string {
  if (entry === 0) return 'nothing';
  return entry === ZERO_GRAIN ? 'zeros' : `sector ${entry}`;
}
