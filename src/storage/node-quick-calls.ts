// Whether a read or write blocks or goes to another thread. What the page cache has or takes is copied in the time it
// takes to wake a thread, and by a thread that has the bytes at hand; two threads that write to one file wait for each
// other, spinning. What it has not, and what it has no room for, can take as long as the disk or the network likes, and
// wants company.
import { DONE } from '../core/settled.ts';

/** Larger calls would keep others waiting. */
const LARGEST = 2 ** 20;
/** What calls may take on the average, or they wait for more than the page cache and memory to put it in; milliseconds, and milliseconds a byte. */
const QUICK = 0.3;
const QUICK_BYTE = 3.7 / 2 ** 20;
/** What quick calls save up for one that is not: the system gives the processor to others now and then. Milliseconds. */
const MOST_SAVED = 20;
/** Calls that go to threads after slow ones, before the next is tried here. */
const ELSEWHERE_AFTER_SLOW = 64;
/** Signals, timers and other clients wait no longer than this, one slow call aside; milliseconds. */
const LONGEST_TURN = 4;

let turnBegan = 0;

/** The recent past of the reads, or of the writes, of one open file. */
export class QuickCalls {
  #elsewhere = 0;
  #saved = MOST_SAVED;

  /** Whether the next call, of `length` bytes, blocks. */
  blocks(length: number): boolean {
    if (length > LARGEST) return false;
    if (this.#elsewhere === 0) return true;
    this.#elsewhere--;
    return false;
  }

  /** After a call of `length` bytes that blocked and began at `began` (`performance.now()`): waits when others have to have their turn first. */
  done(began: number, length: number): Promise<void> {
    const now = performance.now();
    this.#saved = Math.min(MOST_SAVED, this.#saved + QUICK + length * QUICK_BYTE - (now - began));
    if (this.#saved < 0) {
      this.#saved = 0;
      this.#elsewhere = ELSEWHERE_AFTER_SLOW;
    }
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
