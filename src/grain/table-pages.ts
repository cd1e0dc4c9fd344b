// Grain tables in memory, a page (several tables) at a time, within a bound. Pages that were changed stay until
// they have been written: a page is never dropped while it knows something that the file does not.
import { LruCache } from '../core/lru-cache.ts';
import type { Kept } from './extent-memory.ts';

/** Bytes of tables that pages keep when they share no memory with others. */
const ALONE = 4 << 20;

export class TablePages {
  readonly #load: (page: number) => Promise<Uint32Array>;
  readonly #kept: Kept<Uint32Array>;
  readonly #loading = new Map<number, Promise<Uint32Array>>();
  readonly #pinned = new Map<number, Uint32Array>();

  constructor(load: (page: number) => Promise<Uint32Array>, kept: Kept<Uint32Array> = new LruCache(ALONE)) {
    this.#load = load;
    this.#kept = kept;
  }

  /** The page if it is in memory: the way without a promise. */
  peek(page: number): Uint32Array | undefined {
    return this.#pinned.get(page) ?? this.#kept.get(page);
  }

  async get(page: number): Promise<Uint32Array> {
    const known = this.peek(page);
    if (known !== undefined) return known;
    const running = this.#loading.get(page);
    if (running !== undefined) return running;
    const loading = this.#load(page);
    this.#loading.set(page, loading);
    try {
      const entries = await loading;
      this.#kept.set(page, entries, entries.byteLength);
      return entries;
    } finally {
      this.#loading.delete(page);
    }
  }

  /** Lets `change` set entries of a page, at once, and keeps the page until `unpin`. */
  async change(page: number, change: (entries: Uint32Array) => void): Promise<void> {
    let entries = this.peek(page);
    while (entries === undefined) {
      await this.get(page);
      // Other pages may have driven it out before we go on: only what is in memory now is the page.
      entries = this.peek(page);
    }
    change(entries);
    this.pin(page, entries);
  }

  /** Keeps a page, changed in place, until `unpin`. */
  pin(page: number, entries: Uint32Array): void {
    this.#pinned.set(page, entries);
    this.#kept.delete(page);
  }

  unpin(page: number): void {
    const entries = this.#pinned.get(page);
    if (entries === undefined) return;
    this.#pinned.delete(page);
    this.#kept.set(page, entries, entries.byteLength);
  }
}
