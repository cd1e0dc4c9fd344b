// What is where, as runs of sectors in guest order, held as columns: one run costs numbers, never an object.
// A list covers [start, end) without gaps; neighbours that continue one another are one run.
import type { VmdkError } from '../core/errors.ts';
import type { Sectors } from '../core/units.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { SectorRange } from './sector-range.ts';

/**
 * `absent`: this disk says nothing, ask the one below. `zero`: zeros, also above a parent with data.
 * `data`: bytes in a file.
 */
export type SectorState = 'absent' | 'zero' | 'data';

/** The file behind 'data' runs, and how its bytes become sectors. */
export interface DataOrigin {
  readonly path: string;
  /** True when a run is (part of) one compressed grain; its `offset` is then that of the grain's header. */
  readonly compressed: boolean;
  /** Why nothing of it can be read, where that is known beforehand: then `read` fails with it. */
  readonly lost?: VmdkError;
  /**
   * Reads `into.length` bytes of sectors that lie at byte `offset`. `sector` is the first of them as the extent
   * counts; it means something only to a compressed origin, which finds and proves the grain by it.
   */
  read(into: Uint8Array, offset: number, sector: number): Promise<void>;
}

/** One run, as the library's callers see it. Sectors; `offset` in bytes of `file`. */
export interface SectorRun {
  readonly start: Sectors;
  readonly count: Sectors;
  readonly state: SectorState;
  /** Which link answers: 0 is the leaf. On an absent run, the number of links that were asked, less one. */
  readonly depth: number;
  /** Only of data runs. */
  readonly file?: string;
  readonly offset?: number;
  readonly compressed?: boolean;
}

const ABSENT = 0;
const ZERO = 1;
const DATA = 2;
/** Columns of `#numbers`. */
const NUMBERS = 2;
const OFFSET = 1;
/** Of so few runs the columns are small enough for the engine's own heap, where they cost least. */
const USUAL_ROOM = 4;
const STATE_BITS = 3;
const DEPTH_SHIFT = 2;
const STATES: readonly SectorState[] = ['absent', 'zero', 'data'];

export class RunList implements Iterable<SectorRun> {
  /** First sector covered. */
  start: number;
  /** First sector not covered. */
  end: number;
  /** Number of runs. */
  length = 0;
  /** Two a run: its start and its byte offset. */
  #numbers: Float64Array;
  /** One a run, once one has another than 0: the sector for its origin. */
  #sectors: Float64Array | undefined;
  /** One a run: state in the low two bits, depth above. */
  #tags: Uint32Array;
  #origins: (DataOrigin | undefined)[] = [];

  constructor(start: number, room = USUAL_ROOM) {
    this.start = start;
    this.end = start;
    this.#numbers = new Float64Array(room * NUMBERS);
    this.#tags = new Uint32Array(room);
  }

  /** Continues the list with `count` sectors that are not in this disk. */
  addAbsent(count: number, depth = 0): void {
    this.#add(count, ABSENT, depth, undefined, 0, 0);
  }

  addZero(count: number, depth = 0): void {
    this.#add(count, ZERO, depth, undefined, 0, 0);
  }

  /** Continues the list with `count` sectors at byte `offset` of `origin` (see DataOrigin for `sector`). */
  addData(count: number, origin: DataOrigin, offset: number, sector = 0, depth = 0): void {
    this.#add(count, DATA, depth, origin, offset, sector);
  }

  /** Continues the list with a part of run `index` of another list: `count` sectors from sector `from`. */
  addPart(other: RunList, index: number, from: number, count: number, depth = other.depthAt(index)): void {
    const into = from - other.startAt(index);
    const origin = other.#origins[index];
    const compressed = origin?.compressed === true;
    const offset = other.offsetAt(index);
    this.#add(
      count,
      other.#tags[index]! & STATE_BITS,
      depth,
      origin,
      compressed || origin === undefined ? offset : offset + into * SECTOR_BYTES,
      compressed ? other.sectorAt(index) + into : 0,
    );
  }

  startAt(index: number): number {
    return this.#numbers[index * NUMBERS]!;
  }

  endAt(index: number): number {
    return index + 1 < this.length ? this.#numbers[(index + 1) * NUMBERS]! : this.end;
  }

  isAbsentAt(index: number): boolean {
    return (this.#tags[index]! & STATE_BITS) === ABSENT;
  }

  isDataAt(index: number): boolean {
    return (this.#tags[index]! & STATE_BITS) === DATA;
  }

  depthAt(index: number): number {
    return this.#tags[index]! >>> DEPTH_SHIFT;
  }

  /** The origin of a data run; undefined for the others. */
  originAt(index: number): DataOrigin | undefined {
    return this.#origins[index];
  }

  offsetAt(index: number): number {
    return this.#numbers[index * NUMBERS + OFFSET]!;
  }

  /** See DataOrigin: what its `read` wants as `sector`. */
  sectorAt(index: number): number {
    return this.#sectors?.[index] ?? 0;
  }

  /** Index of the run that holds `sector`, which the list must cover. */
  indexOf(sector: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#numbers[middle * NUMBERS]! <= sector) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Continues the list with all of another, whose first sector comes next here, up to `end` of this list. */
  addAll(other: RunList, end = this.end + other.end - other.start): void {
    const shift = this.end - other.start;
    for (let index = 0; index < other.length && this.end < end; index++) {
      const from = other.startAt(index);
      this.addPart(other, index, from, Math.min(other.endAt(index), end - shift) - from);
    }
  }

  /** The part of the list within `range`, as far as the list covers it. */
  slice(range: SectorRange): RunList {
    const end = Math.min(this.end, range.start + range.count);
    const part = new RunList(range.start);
    if (this.length === 0 || range.start >= end) return part;
    for (let index = this.indexOf(range.start); index < this.length && part.end < end; index++) {
      part.addPart(this, index, part.end, Math.min(this.endAt(index), end) - part.end);
    }
    return part;
  }

  /** The same list in just the memory that it takes. */
  copy(): RunList {
    const copy = new RunList(this.start, 0);
    copy.end = this.end;
    copy.length = this.length;
    copy.#numbers = this.#numbers.slice(0, this.length * NUMBERS);
    copy.#sectors = this.#sectors?.slice(0, this.length);
    copy.#tags = this.#tags.slice(0, this.length);
    copy.#origins = this.#origins.slice(0, this.length);
    return copy;
  }

  /** Begins anew, from sector `start` on, in the memory that is there: growing takes fresh memory, which is slow. */
  begin(start: number): void {
    this.start = this.end = start;
    this.length = 0;
    this.#sectors = undefined;
  }

  runAt(index: number): SectorRun {
    const start = this.startAt(index) as Sectors;
    const count = (this.endAt(index) - start) as Sectors;
    const base = {
      start,
      count,
      state: STATES[this.#tags[index]! & STATE_BITS]!,
      depth: this.depthAt(index),
    };
    const origin = this.#origins[index];
    if (origin === undefined) return base;
    return { ...base, file: origin.path, offset: this.offsetAt(index), compressed: origin.compressed };
  }

  *[Symbol.iterator](): Iterator<SectorRun> {
    for (let index = 0; index < this.length; index++) yield this.runAt(index);
  }

  #add(
    count: number,
    state: number,
    depth: number,
    origin: DataOrigin | undefined,
    offset: number,
    sector: number,
  ): void {
    if (count <= 0) return;
    const last = this.length - 1;
    const tag = state | (depth << DEPTH_SHIFT);
    if (last >= 0 && this.#tags[last] === tag && (state !== DATA || this.#continues(last, origin!, offset))) {
      this.end += count;
      return;
    }
    if (this.length === this.#tags.length) this.#grow();
    const index = this.length++;
    this.#numbers[index * NUMBERS] = this.end;
    this.#numbers[index * NUMBERS + OFFSET] = offset;
    if (sector !== 0) this.#sectors ??= new Float64Array(this.#tags.length);
    if (this.#sectors !== undefined) this.#sectors[index] = sector;
    this.#tags[index] = tag;
    this.#origins[index] = origin;
    this.end += count;
  }

  #continues(last: number, origin: DataOrigin, offset: number): boolean {
    if (this.#origins[last] !== origin || origin.compressed) return false;
    return offset === this.offsetAt(last) + (this.end - this.startAt(last)) * SECTOR_BYTES;
  }

  #grow(): void {
    const room = Math.max(USUAL_ROOM, this.#tags.length * 2);
    const numbers = new Float64Array(room * NUMBERS);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    if (this.#sectors !== undefined) {
      const sectors = new Float64Array(room);
      sectors.set(this.#sectors);
      this.#sectors = sectors;
    }
    const tags = new Uint32Array(room);
    tags.set(this.#tags);
    this.#tags = tags;
  }
}
