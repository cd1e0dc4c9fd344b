// Whether a small read blocks or goes to another thread. What is in the page cache is read in a few microseconds, less
// than it takes to wake a thread; what is not can take as long as the disk or the network likes, and wants company.

/** Larger reads are worth a thread: their copying can go on beside our own work. */
const LARGEST = 64 * 1024;
/** A read that took longer was not in the page cache; milliseconds. */
const SLOW = 0.3;
/** Reads of a file that go to threads after a slow one, before the next is tried here. */
const ELSEWHERE_AFTER_SLOW = 64;
/** Signals, timers and other clients wait no longer than this, one slow read aside; milliseconds. */
const LONGEST_TURN = 4;

const DONE = Promise.resolve();
let turnBegan = 0;

/** The recent past of one open file. */
export class SmallReads {
  #elsewhere = 0;

  /** Whether the next read, of `length` bytes, blocks. */
  blocks(length: number): boolean {
    if (length > LARGEST) return false;
    if (this.#elsewhere === 0) return true;
    this.#elsewhere--;
    return false;
  }

  /** After a read that began at `began` (`performance.now()`): waits when others have to have their turn first. */
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
