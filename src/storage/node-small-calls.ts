// Whether a small read or write blocks or goes to another thread. What the page cache has or takes is copied in a few
// microseconds, less than it takes to wake a thread; what it has not, and what it has no room for, can take as long as
// the disk or the network likes, and wants company.

/** Larger calls are worth a thread: their copying can go on beside our own work. */
const LARGEST = 64 * 1024;
/** A call that took longer waited for more than the page cache; milliseconds. */
const SLOW = 0.3;
/** Calls that go to threads after a slow one, before the next is tried here. */
const ELSEWHERE_AFTER_SLOW = 64;
/** Signals, timers and other clients wait no longer than this, one slow call aside; milliseconds. */
const LONGEST_TURN = 4;

const DONE = Promise.resolve();
let turnBegan = 0;

/** The recent past of the reads, or of the writes, of one open file. */
export class SmallCalls {
  #elsewhere = 0;

  /** Whether the next call, of `length` bytes, blocks. */
  blocks(length: number): boolean {
    if (length > LARGEST) return false;
    if (this.#elsewhere === 0) return true;
    this.#elsewhere--;
    return false;
  }

  /** After a call that blocked and began at `began` (`performance.now()`): waits when others have to have their turn first. */
  done(began: number): Promise<void> {
    const now = performance.now();
    if (now - began > SLOW) this.#elsewhere = ELSEWHERE_AFTER_SLOW;
    return now - turnBegan < LONGEST_TURN ? DONE : nextTurn();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      turnBegan = performance.now();
      resolve();
    });
  });
}
