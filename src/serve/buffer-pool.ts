// Buffers that are used again: fresh memory for every read of 256 KiB costs more than the read. Rule: a buffer comes
// back only once nobody looks at it, the socket included.
import { allocateRoom } from '../core/room.ts';

const SMALLEST = 4096;
/** Larger ones are rare, and go back to the system. */
const LARGEST = 2 ** 20;

export class BufferPool {
  readonly #extra: number;
  readonly #most: number;
  readonly #free = new Map<number, Buffer[]>();
  #kept = 0;

  /** Each buffer has room for `extra` bytes besides what is asked for; the pool keeps at most `most` bytes. */
  constructor(extra: number, most = 32 * 2 ** 20) {
    this.#extra = extra;
    this.#most = most;
  }

  /** A buffer of at least `extra` + `length` bytes, with whatever it held. */
  take(length: number): Buffer {
    if (length > LARGEST) return allocateRoom(this.#extra + length);
    let size = SMALLEST;
    while (size < length) size *= 2;
    const free = this.#free.get(this.#extra + size)?.pop();
    if (free === undefined) return allocateRoom(this.#extra + size);
    this.#kept -= free.length;
    return free;
  }

  give(buffer: Buffer): void {
    const { length } = buffer;
    if (length > this.#extra + LARGEST || this.#kept + length > this.#most) return;
    const free = this.#free.get(length);
    if (free === undefined) this.#free.set(length, [buffer]);
    else free.push(buffer);
    this.#kept += length;
  }
}
