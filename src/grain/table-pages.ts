// Grain tables in memory, a page (several tables) at a time, within a bound. Pages that were changed stay until
// they have been written: a page is never dropped while it knows something that the file does not.
import { LruCache } from '../core/lru-cache.ts';
import type { Kept, Scratch } from './extent-memory.ts';
import { packEntries, rawEntries, type TableEntries } from './table-entries.ts';

/** Bytes of tables that pages keep when they share no memory with others. */
const ALONE = 4 << 20;

/** Reads a page: into `into`, whatever it held before, where that is given; else into memory of its own. */
export type PageLoader = (page: number, into?: Uint32Array) => Promise<Uint32Array>;

/** How pages that are only read are kept small. */
export interface Packing {
  readonly kept: Kept<TableEntries>;
  readonly scratch: Scratch;
  /** Entries of a page. */
  readonly length: number;
  /** See `rawEntries`. */
  readonly step: number;
}

export class TablePages {
  readonly #load: PageLoader;
  readonly #kept: Kept<Uint32Array>;
  readonly #packing: Packing | undefined;
  readonly #loading = new Map<number, Promise<Uint32Array>>();
  readonly #viewing = new Map<number, Promise<TableEntries>>();
  readonly #pinned = new Map<number, Uint32Array>();
  /** Grows with every change: what was read meanwhile may be older than it. */
  #changes = 0;

  constructor(load: PageLoader, kept: Kept<Uint32Array> = new LruCache(ALONE), packing?: Packing) {
    this.#load = load;
    this.#kept = kept;
    this.#packing = packing;
  }

  /** The page if it is in memory: the way without a promise. */
  peek(page: number): Uint32Array | undefined {
    return this.#pinned.get(page) ?? this.#kept.get(page);
  }

  get(page: number): Promise<Uint32Array> {
    const known = this.peek(page);
    if (known !== undefined) return Promise.resolve(known);
    return once(this.#loading, page, async () => {
      const entries = await this.#load(page);
      this.#kept.set(page, entries, entries.byteLength);
      return entries;
    });
  }

  /** The entries of a page to read now, if they are in memory. They do not follow later changes. */
  peekEntries(page: number): TableEntries | undefined {
    const raw = this.peek(page);
    if (raw !== undefined) return rawEntries(raw, this.#packing?.step ?? 0);
    return this.#packing?.kept.get(page);
  }

  /** The entries of a page to read now. Pages that nobody changes are kept packed. */
  entries(page: number): Promise<TableEntries> {
    const known = this.peekEntries(page);
    if (known !== undefined) return Promise.resolve(known);
    return once(this.#viewing, page, async () => {
      for (;;) {
        const changes = this.#changes;
        const packing = this.#packing;
        const entries =
          packing === undefined ? rawEntries(await this.get(page), 0) : await this.#loadPacked(page, packing);
        if (changes === this.#changes) {
          packing?.kept.set(page, entries, entries.byteLength);
          return entries;
        }
        const changed = this.peekEntries(page);
        if (changed !== undefined) return changed;
      }
    });
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
    this.#changes++;
    this.#pinned.set(page, entries);
    this.#kept.delete(page);
    this.#packing?.kept.delete(page);
  }

  unpin(page: number): void {
    const entries = this.#pinned.get(page);
    if (entries === undefined) return;
    this.#pinned.delete(page);
    this.#kept.set(page, entries, entries.byteLength);
  }

  async #loadPacked(page: number, { scratch, length, step }: Packing): Promise<TableEntries> {
    const [room, second] = [scratch.take(length), scratch.take(length)];
    try {
      const entries = await this.#load(page, room);
      return packEntries(entries, step, second) ?? rawEntries(entries.slice(), step);
    } finally {
      scratch.giveBack(room);
      scratch.giveBack(second);
    }
  }
}

/** Runs `work` for `key` unless it is running already: then waits for that. */
function once<T>(running: Map<number, Promise<T>>, key: number, work: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known !== undefined) return known;
  const promise = work().finally(() => running.delete(key));
  running.set(key, promise);
  return promise;
}
