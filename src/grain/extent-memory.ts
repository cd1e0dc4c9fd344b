// The memory that all extents of one chain share: directories are taken from a budget, tables and inflated grains are
// kept while there is room. So a bound holds however many links and extents a descriptor names.
import { VmdkError } from '../core/errors.ts';
import { LruCache } from '../core/lru-cache.ts';
import type { TableEntries } from './table-entries.ts';

/** Directories, in bytes: eleven links of 62 TiB (seSparse), or hundreds of 2 TiB (hosted sparse). */
const DIRECTORIES = 192 << 20;
/** Tables, in bytes: 2 MiB each in a chain of 32. */
const TABLES = 64 << 20;
/** Tables that are packed, in bytes as well. */
const PACKED_TABLES = 64 << 20;
/** Pieces of memory kept to work in: reading six links at a time takes twelve. */
const SCRATCH_PIECES = 16;
/** Inflated grains, in bytes. */
const GRAINS = 16 << 20;
/** Numbers of pages and grains stay below this: no more tables are ever read (see `assertTableCount`). */
const NUMBERS = 2 ** 32;

/** One extent's part of a cache; numbers count within the extent. */
export interface Kept<V> {
  get(number: number): V | undefined;
  set(number: number, value: V, bytes: number): void;
  delete(number: number): void;
}

/** Memory to work in for a moment: the system gives fresh memory slowly, so the same pieces serve again. */
export interface Scratch {
  /** `length` numbers, whatever they held before. */
  take(length: number): Uint32Array;
  giveBack(room: Uint32Array): void;
}

export class ExtentMemory {
  readonly scratch: Scratch = createScratch();
  readonly #tables = new LruCache<number, Uint32Array>(TABLES);
  readonly #packed = new LruCache<number, TableEntries>(PACKED_TABLES);
  readonly #grains = new LruCache<number, Promise<Buffer>>(GRAINS);
  #directoryBytes = 0;
  #parts = 0;

  /** @throws VmdkError `tables-too-large` when the directories of all extents so far would take too much. */
  reserveDirectory(bytes: number, path: string): void {
    this.#directoryBytes += bytes;
    if (this.#directoryBytes <= DIRECTORIES) return;
    throw new VmdkError(
      'unsupported',
      'tables-too-large',
      'the grain directories of the chain are too large',
      {
        path,
        field: 'grain directory',
        found: `${this.#directoryBytes} bytes in all extents up to this one`,
        expected: `at most ${DIRECTORIES} bytes`,
      },
    );
  }

  keptTables(): Kept<Uint32Array> {
    return this.#partOf(this.#tables);
  }

  keptEntries(): Kept<TableEntries> {
    return this.#partOf(this.#packed);
  }

  keptGrains(): Kept<Promise<Buffer>> {
    return this.#partOf(this.#grains);
  }

  #partOf<V>(cache: LruCache<number, V>): Kept<V> {
    const base = this.#parts++ * NUMBERS;
    return {
      get: (number) => cache.get(base + number),
      set: (number, value, bytes) => cache.set(base + number, value, bytes),
      delete: (number) => cache.delete(base + number),
    };
  }
}

function createScratch(): Scratch {
  const free: Uint32Array[] = [];
  return {
    take(length) {
      const index = free.findIndex((room) => room.length === length);
      return index < 0 ? new Uint32Array(length) : free.splice(index, 1)[0]!;
    },
    giveBack(room) {
      if (free.length < SCRATCH_PIECES) free.push(room);
    },
  };
}
