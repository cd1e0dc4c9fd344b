// One holder at a time per number range; ranges that do not touch do not wait for one another. A range is taken whole,
// so that a write over many grains takes one lock, and no order of taking can deadlock.

interface Held {
  readonly start: number;
  readonly end: number;
  readonly released: Promise<void>;
}

export class RangeLock {
  readonly #held = new Set<Held>();

  /** Runs `work` while holding [start, end); releases it however `work` ends. */
  async run<T>(start: number, end: number, work: () => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.#conflict(start, end);
      if (before === undefined) break;
      await before.released;
    }
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    const mine: Held = { start, end, released };
    this.#held.add(mine);
    try {
      return await work();
    } finally {
      this.#held.delete(mine);
      release();
    }
  }

  #conflict(start: number, end: number): Held | undefined {
    for (const held of this.#held) if (held.start < end && start < held.end) return held;
    return undefined;
  }
}
