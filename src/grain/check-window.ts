// Reads small things that lie near one another out of a file: one read serves those that follow. A window is never
// written to again, so what was given out stays good.
import { allocateRoom } from '../core/room.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';

export class ByteWindow {
  readonly #file: RandomAccessFile;
  readonly #fileBytes: number;
  readonly #span: number;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  /** `span`: bytes read at once. */
  constructor(file: RandomAccessFile, fileBytes: number, span: number) {
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.#span = span;
  }

  /** The bytes if they are at hand: the way without a promise. */
  peek(at: number, length: number): Buffer | undefined {
    const from = at - this.#start;
    if (from < 0 || from + length > this.#bytes.length) return undefined;
    return this.#bytes.subarray(from, from + length);
  }

  /** `length` bytes from `at` on, fewer at the end of the file. */
  async get(at: number, length: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(length, this.#fileBytes - at));
    const known = this.peek(at, wanted);
    if (known !== undefined) return known;
    const bytes = allocateRoom(Math.min(Math.max(wanted, this.#span), this.#fileBytes - at));
    await this.#file.readExactly(bytes, at);
    this.#bytes = bytes;
    this.#start = at;
    return bytes.subarray(0, wanted);
  }
}
