// Who else refers to a place in a sparse file that a repair thinks of giving to a grain. Rule: places are asked for
// first, then everything that takes space is walked once, so that memory follows the questions, not the disk.

interface Question {
  readonly start: number;
  readonly grain: number;
  taken: boolean;
}

export class Claims {
  readonly #grainSize: number;
  readonly #questions: Question[] = [];
  #sorted = false;

  /** In sectors. */
  constructor(grainSize: number) {
    this.#grainSize = grainSize;
  }

  get size(): number {
    return this.#questions.length;
  }

  /** Whether anybody but `grain` takes the grain's worth of sectors at `start`. */
  ask(start: number, grain: number): void {
    this.#questions.push({ start, grain, taken: false });
    this.#sorted = false;
  }

  /** Questions are claims as well: two grains that one place may be given to keep each other from it. */
  settle(): void {
    this.#questions.sort((a, b) => a.start - b.start || a.grain - b.grain);
    this.#sorted = true;
    for (const [index, one] of this.#questions.entries()) {
      for (let next = index + 1; next < this.#questions.length; next++) {
        const other = this.#questions[next]!;
        if (other.start >= one.start + this.#grainSize) break;
        if (other.grain === one.grain) continue;
        one.taken = true;
        other.taken = true;
      }
    }
  }

  /** Something takes `count` sectors from `start` on; `grain` undefined for what is no grain. */
  take(start: number, count: number, grain?: number): void {
    const questions = this.#questions;
    for (let at = this.#indexFrom(start - this.#grainSize + 1); at < questions.length; at++) {
      const question = questions[at]!;
      if (question.start >= start + count) break;
      if (question.grain !== grain) question.taken = true;
    }
  }

  isTaken(start: number, grain: number): boolean {
    if (!this.#sorted) throw new RangeError('ask first, settle, then look');
    for (let at = this.#indexFrom(start); this.#questions[at]?.start === start; at++)
      if (this.#questions[at]!.grain === grain) return this.#questions[at]!.taken;
    return true;
  }

  /** Index of the first question that is not before `start`. */
  #indexFrom(start: number): number {
    let low = 0;
    let high = this.#questions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#questions[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
