// Who else refers to a place in a sparse file that a repair thinks of giving to a grain. Rule: places are asked for
// first, then everything that takes space is walked once, so that memory follows the questions, not the disk.

interface Question {
  readonly start: number;
  readonly grain: number;
  taken: boolean;
}

export class Claims {
  readonly #grainSize: number;
  #questions: Question[] = [];
  #sorted = false;

  /** In sectors. */
  constructor(grainSize: number) {
    this.#grainSize = grainSize;
  }

  /** Whether anybody but `grain` takes the grain's worth of sectors at `start`: two places at most for each grain. */
  ask(start: number, grain: number): void {
    this.#questions.push({ start, grain, taken: false });
    this.#sorted = false;
  }

  /**
   * Questions are claims as well: two grains that one place may be given to keep each other from it. What is left has
   * no neighbours that reach into it, so that everything after this costs the same for any damage.
   */
  settle(): void {
    const all = this.#questions.sort((a, b) => a.start - b.start || a.grain - b.grain);
    for (const [index, one] of all.entries()) {
      const before = nextOther(all, index, -1);
      const after = nextOther(all, index, 1);
      one.taken = [before, after].some(
        (other) => other !== undefined && Math.abs(other.start - one.start) < this.#grainSize,
      );
    }
    this.#questions = all.filter(({ taken }) => !taken);
    this.#sorted = true;
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
    const question = this.#questions[this.#indexFrom(start)];
    return question?.start !== start || question.grain !== grain || question.taken;
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

/** The nearest question of another grain; a grain asks twice at most, so it is near. */
function nextOther(all: readonly Question[], index: number, step: 1 | -1): Question | undefined {
  let at = index + step;
  while (all[at]?.grain === all[index]!.grain) at += step;
  return all[at];
}
