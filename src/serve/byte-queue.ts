// Bytes as they came from a socket, in pieces of any size, taken again in pieces of any other. Rule: what lies in one
// piece is handed out as it is; only what spans pieces is copied.

export class ByteQueue {
  #pieces: Buffer[] = [];
  /** Bytes of the first piece that are taken. */
  #taken = 0;
  /** Bytes to be had. */
  length = 0;

  push(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.length += piece.length;
  }

  /** The next `count` bytes. @throws RangeError when there are fewer. */
  take(count: number): Buffer {
    if (count > this.length) throw new RangeError(`${count} bytes wanted, ${this.length} there`);
    if (count === 0) return Buffer.alloc(0);
    const first = this.#pieces[0]!;
    if (first.length - this.#taken >= count) {
      const part = first.subarray(this.#taken, this.#taken + count);
      this.#advance(count);
      return part;
    }
    const whole = Buffer.allocUnsafe(count);
    this.takeInto(whole, 0);
    return whole;
  }

  /** Fills `target` from `at` on, as far as there are bytes; gives how many that were. */
  takeInto(target: Buffer, at: number): number {
    let filled = 0;
    while (this.length > 0 && at + filled < target.length) {
      const first = this.#pieces[0]!;
      const count = Math.min(first.length - this.#taken, target.length - at - filled);
      first.copy(target, at + filled, this.#taken, this.#taken + count);
      this.#advance(count);
      filled += count;
    }
    return filled;
  }

  /** Drops up to `count` bytes; gives how many. */
  skip(count: number): number {
    let left = Math.min(count, this.length);
    const skipped = left;
    while (left > 0) {
      const part = Math.min(this.#pieces[0]!.length - this.#taken, left);
      this.#advance(part);
      left -= part;
    }
    return skipped;
  }

  #advance(count: number): void {
    this.#taken += count;
    this.length -= count;
    if (this.#taken < this.#pieces[0]!.length) return;
    this.#pieces.shift();
    this.#taken = 0;
  }
}
