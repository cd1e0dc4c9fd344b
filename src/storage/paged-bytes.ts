// The bytes of a file in memory, in pages of which only those ever written exist, as far as they were. What was never
// written reads as zeros and is a hole, as in a sparse file.
import type { FileStretch } from './file-store.ts';
import { assertPosition } from './store-errors.ts';

const PAGE_BYTES = 65_536;
/** The least that is kept of a page; it grows up to the whole. */
const FIRST_BYTES = 1024;
/** Stretches one call answers at most. */
const MAX_STRETCHES = 4096;

export class PagedBytes {
  readonly #pages = new Map<number, Uint8Array>();
  /** Numbers of the pages in order; made when asked for, dropped when pages come or go. */
  #order: readonly number[] | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get allocated(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** Fills `into` from byte `at` as far as there is content; returns how many bytes there were. */
  read(into: Uint8Array, at: number): number {
    assertPosition(at, into.length);
    const there = Math.max(0, Math.min(into.length, this.#size - at));
    for (let done = 0; done < there;) {
      const { page, offset, length } = placeOf(at + done, there - done);
      const bytes = this.#pages.get(page);
      const kept = bytes?.subarray(offset, offset + length);
      if (kept !== undefined) into.set(kept, done);
      into.fill(0, done + (kept?.length ?? 0), done + length);
      done += length;
    }
    return there;
  }

  write(data: Uint8Array, at: number): void {
    assertPosition(at, data.length);
    for (let done = 0; done < data.length;) {
      const { page, offset, length } = placeOf(at + done, data.length - done);
      this.#pageToWrite(page, offset + length).set(data.subarray(done, done + length), offset);
      done += length;
    }
    if (data.length > 0) this.#size = Math.max(this.#size, at + data.length);
  }

  resize(size: number): void {
    assertPosition(size, 0);
    if (size < this.#size) {
      for (const page of this.#pages.keys()) {
        if (page * PAGE_BYTES >= size) this.#pages.delete(page);
      }
      // What is cut off must read as zeros when the file grows again.
      this.#pages.get(Math.floor(size / PAGE_BYTES))?.fill(0, size % PAGE_BYTES);
      this.#order = undefined;
    }
    this.#size = size;
  }

  /** A prefix of the range, no further than the end of the file; undefined past it. */
  stretches(start: number, length: number): readonly FileStretch[] | undefined {
    assertPosition(start, length);
    const end = Math.min(start + length, this.#size);
    if (start >= end) return undefined;
    this.#order ??= [...this.#pages.keys()].sort((a, b) => a - b);
    const stretches: FileStretch[] = [];
    let at = start;
    const add = (upTo: number, data: boolean): void => {
      if (upTo <= at) return;
      stretches.push({ start: at, length: upTo - at, data });
      at = upTo;
    };
    for (let i = firstAtLeast(this.#order, Math.floor(start / PAGE_BYTES)); at < end; i++) {
      const page = this.#order[i];
      if (page === undefined || stretches.length >= MAX_STRETCHES) break;
      add(Math.min(page * PAGE_BYTES, end), false);
      let last = page;
      while (this.#order[i + 1] === last + 1) {
        last++;
        i++;
      }
      add(Math.min((last + 1) * PAGE_BYTES, end), true);
    }
    if (stretches.length < MAX_STRETCHES) add(end, false);
    return stretches;
  }

  /** The page, long enough to be written up to byte `end`: small files take as much memory as they hold. */
  #pageToWrite(page: number, end: number): Uint8Array {
    const known = this.#pages.get(page);
    if (known !== undefined && known.length >= end) return known;
    const fresh = new Uint8Array(Math.min(PAGE_BYTES, Math.max(FIRST_BYTES, 2 ** Math.ceil(Math.log2(end)))));
    if (known !== undefined) fresh.set(known);
    else this.#order = undefined;
    this.#pages.set(page, fresh);
    return fresh;
  }
}

function placeOf(at: number, atMost: number): { page: number; offset: number; length: number } {
  const offset = at % PAGE_BYTES;
  return { page: Math.floor(at / PAGE_BYTES), offset, length: Math.min(PAGE_BYTES - offset, atMost) };
}

/** Index of the first of the ascending `numbers` that is at least `wanted`. */
function firstAtLeast(numbers: readonly number[], wanted: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
