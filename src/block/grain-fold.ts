// Grain tables of links laid over one another, entry by entry: the uppermost that says something answers a grain. Most of
// a deep chain is entries that say nothing, and nothing is cheaper than to step over them where they lie.
import type { DataOrigin, RunList } from './run-list.ts';
import type { SectorRange } from './sector-range.ts';
import { SECTOR_BYTES } from '../core/units.ts';

/** What the grain tables of one extent say of some grains that follow one another. */
export interface GrainColumn {
  /** Sector of the disk at which the first of the grains begins. */
  readonly start: number;
  readonly count: number;
  /** Holds the entries: 0 for nothing stored, `zeros`, or the first sector of the grain in the file. */
  readonly entries: Uint32Array;
  /** Where in `entries` the first grain is. */
  readonly first: number;
  /** The entry that says zeros; 0 where none may say so. */
  readonly zeros: number;
  /** First sectors that a grain can have. An entry outside takes a closer look than a fold gives. */
  readonly lowest: number;
  readonly highest: number;
  /** Reads the grains' bytes. */
  readonly origin: DataOrigin;
  /** Gives back the memory of `entries`. */
  done(): void;
}

/** The grain tables of an extent or a disk that does not change, for laying them over others. */
export interface GrainTables {
  /** Sectors. */
  readonly grainSize: number;
  /**
   * What they say of `range`, which begins and ends at a grain (or the end of the disk), in order. Undefined where
   * anything is damaged or odd: `map` knows what to do about it.
   */
  read(range: SectorRange): Promise<readonly GrainColumn[] | undefined>;
}

const UNANSWERED = 0;
/** Answers are numbers of 16 bits. */
const MOST_COLUMNS = 65_535;

export class GrainFold {
  readonly #grainSize: number;
  /** For each grain, the column that answers it, counted from 1; or UNANSWERED. */
  readonly #answers: Uint16Array;
  /** For each grain that is answered, the entry. */
  readonly #places: Uint32Array;
  readonly #columns: { column: GrainColumn; depth: number }[] = [];
  #start = 0;
  #grains = 0;
  #left = 0;

  /** Has room for `grains` grains of `grainSize` sectors. */
  constructor(grains: number, grainSize: number) {
    this.#grainSize = grainSize;
    this.#answers = new Uint16Array(grains);
    this.#places = new Uint32Array(grains);
  }

  /** Begins anew, with `grains` grains from sector `start` on. */
  begin(start: number, grains: number): void {
    this.#start = start;
    this.#grains = this.#left = grains;
    this.#answers.fill(UNANSWERED, 0, grains);
    this.#places.fill(0, 0, grains);
    this.#columns.length = 0;
  }

  /** True once every grain is answered: links below need not be asked. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Lays a column of the link at `depth` under what is there. False when an entry that counts takes a closer look. */
  lay(column: GrainColumn, depth: number): boolean {
    if (this.#columns.length === MOST_COLUMNS) return false;
    const answer = this.#columns.push({ column, depth });
    const at = (column.start - this.#start) / this.#grainSize;
    const taken = layEntries(column, this.#answers, this.#places, at, answer);
    if (taken < 0) return false;
    this.#left -= taken;
    return true;
  }

  /** Continues `runs` up to sector `end`. `deepest` is the last link that was asked about what is absent. */
  addTo(runs: RunList, end: number, deepest: number): void {
    const size = this.#grainSize;
    let at = Math.floor((runs.end - this.#start) / size);
    while (at < this.#grains && runs.end < end) {
      const answer = this.#answers[at]!;
      const place = this.#places[at]!;
      const answered = this.#columns[answer - 1];
      const isData = answered !== undefined && place !== answered.column.zeros;
      const next = stretchEnd(this.#answers, this.#places, at, this.#grains, isData ? size : 0);
      const count = Math.min(end, this.#start + next * size) - runs.end;
      if (answered === undefined) runs.addAbsent(count, deepest);
      else if (!isData) runs.addZero(count, answered.depth);
      else {
        const within = runs.end - (this.#start + at * size);
        const offset = (place + within) * SECTOR_BYTES;
        runs.addData(count, answered.column.origin, offset, 0, answered.depth);
      }
      at = next;
    }
  }
}

/** How many grains `column` answers that were not answered; -1 when one of them cannot be where it says. */
function layEntries(
  { entries, first, count, zeros, lowest, highest }: GrainColumn,
  answers: Uint16Array,
  places: Uint32Array,
  at: number,
  answer: number,
): number {
  let taken = 0;
  for (let index = 0; index < count; index++) {
    const entry = entries[first + index]!;
    if (entry === 0 || answers[at + index] !== UNANSWERED) continue;
    if ((entry < lowest || entry > highest) && entry !== zeros) return -1;
    answers[at + index] = answer;
    places[at + index] = entry;
    taken++;
  }
  return taken;
}

/** First grain after `at` that does not go on as those before: answered alike, and `step` sectors further in the file. */
function stretchEnd(
  answers: Uint16Array,
  places: Uint32Array,
  at: number,
  limit: number,
  step: number,
): number {
  const answer = answers[at];
  let place = places[at]!;
  let next = at + 1;
  while (next < limit && answers[next] === answer && places[next] === (place += step)) next++;
  return next;
}
