// Text that is put together as bytes, in one piece of memory that is used again: for output of millions of lines, where
// joining strings would be most of the work. Rule: nothing here waits or writes; whoever fills it empties it.

/** Numbers are written in parts of nine digits, which the processor's own integers hold. */
const PART_DIGITS = 9;
const PART = 10 ** PART_DIGITS;
const ZERO = 0x30;

export class TextRoom {
  #room: Buffer;
  #length = 0;

  /** `size` in bytes; it grows when one line asks for more. */
  constructor(size: number) {
    this.#room = Buffer.allocUnsafe(size);
  }

  /** Bytes. */
  get length(): number {
    return this.#length;
  }

  /** What was put in since it was last emptied; good until the next is put in. */
  empty(): Uint8Array {
    const filled = this.#room.subarray(0, this.#length);
    this.#length = 0;
    return filled;
  }

  /** UTF-8. A loop: fragments are short, and a call into the system's copy takes longer. */
  bytes(fragment: Uint8Array): void {
    const room = this.#roomFor(fragment.length);
    let at = this.#length;
    for (let index = 0; index < fragment.length; index++) room[at++] = fragment[index]!;
    this.#length = at;
  }

  text(fragment: string): void {
    const room = this.#roomFor(3 * fragment.length);
    this.#length += room.write(fragment, this.#length);
  }

  /** In decimal. @throws RangeError for what is no integer from 0 to 2^53 - 1. */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no count`);
    this.#roomFor(2 * PART_DIGITS);
    if (value < PART) return this.#digits(value, digitsOf(value));
    const upper = Math.floor(value / PART);
    this.#digits(upper, digitsOf(upper));
    this.#digits(value - upper * PART, PART_DIGITS);
  }

  #digits(value: number, count: number): void {
    const room = this.#room;
    let at = this.#length + count;
    this.#length = at;
    for (let left = value | 0; count > 0; count--) {
      const tenth = (left / 10) | 0;
      room[--at] = ZERO + left - 10 * tenth;
      left = tenth;
    }
  }

  #roomFor(bytes: number): Buffer {
    if (this.#length + bytes > this.#room.length) {
      const larger = Buffer.allocUnsafe(2 * (this.#length + bytes));
      this.#room.copy(larger, 0, 0, this.#length);
      this.#room = larger;
    }
    return this.#room;
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}
