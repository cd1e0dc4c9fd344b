// Extents that are written once, from front to back: what conversions make. Rule: grains come in ascending order, tables
// are kept in memory until they are whole, and what makes the file recognisable is written last.
import type { GrainTaker } from '../block/copy-grains.ts';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { encodeTable } from '../format/tables.ts';
import type { WritableFile } from '../storage/file-store.ts';

export interface ExtentBuilder extends GrainTaker {
  /** What is still in memory, the header last; the file then has its final length. */
  finish(): Promise<void>;
}

/** Bytes at a place in the new file. */
export interface BuilderPart {
  readonly at: number;
  readonly data: Uint8Array;
}

/** 256 KiB of entries are in memory at a time, whatever the capacity. */
const PAGE_ENTRIES = 1 << 16;

/** A table of 32-bit numbers that is filled in ascending order; pages without an entry stay holes. */
export class AscendingTable {
  readonly #length: number;
  readonly #write: (at: number, data: Uint8Array) => Promise<void>;
  #page = -1;
  #entries: Uint32Array | undefined;

  /** `write` is given whole pages, `at` in bytes from the start of the table. */
  constructor(length: number, write: (at: number, data: Uint8Array) => Promise<void>) {
    this.#length = length;
    this.#write = write;
  }

  /** Sets an entry; returns the writing of the page that this one ends, if any. */
  set(index: number, value: number): Promise<void> | undefined {
    const page = Math.floor(index / PAGE_ENTRIES);
    const leaving = page === this.#page ? undefined : this.flush();
    if (this.#entries === undefined) {
      this.#page = page;
      this.#entries = new Uint32Array(Math.min(PAGE_ENTRIES, this.#length - page * PAGE_ENTRIES));
    }
    this.#entries[index - page * PAGE_ENTRIES] = value;
    return leaving;
  }

  flush(): Promise<void> | undefined {
    const entries = this.#entries;
    if (entries === undefined) return undefined;
    this.#entries = undefined;
    return this.#write(this.#page * PAGE_ENTRIES * 4, encodeTable(entries));
  }
}

export async function writeParts(file: WritableFile, parts: readonly BuilderPart[]): Promise<void> {
  for (const { at, data } of parts) await file.write(data, at);
}

/** @throws VmdkError `extent-full` when sector `end` of the file has no number of 32 bits. */
export function assertNumbered(end: number, path: string): void {
  if (end <= 2 ** 32) return;
  throw new VmdkError('unsupported', 'extent-full', 'the file would grow beyond what its tables can number', {
    path,
    found: `${end * SECTOR_BYTES} bytes`,
    expected: `at most ${2 ** 32 * SECTOR_BYTES} bytes`,
    hint: 'Convert to twoGbMaxExtentSparse, a flat type or seSparse.',
  });
}
