// Table sectors that changed in memory and not yet in the file. A flush writes what was pending when it began:
// what they point to is synced before, the redundant copies follow after (docs/design.md, "Write order").
import type { WritableFile } from '../storage/file-store.ts';

interface Pending {
  readonly encode: () => Uint8Array;
  /** Byte position of the redundant copy. */
  readonly copyAt: number | undefined;
}

interface Fresh {
  readonly at: number;
  readonly encode: () => Uint8Array;
}

interface Block {
  readonly at: number;
  readonly data: Uint8Array;
}

const LARGEST_WRITE = 1 << 20;

export class PendingPointers {
  /** By byte position of the primary. */
  #pending = new Map<number, Pending>();
  /** New tables that nothing points to yet, and their copies. */
  #fresh: Fresh[] = [];
  #pages = new Set<number>();
  #flushing: Promise<void> = Promise.resolve();

  /** Sectors waiting. */
  get size(): number {
    return this.#pending.size;
  }

  /** Notes that the sector at byte `at` changed; `encode` gives its contents when it is written. */
  note(page: number | undefined, at: number, copyAt: number | undefined, encode: () => Uint8Array): void {
    if (!this.#pending.has(at)) this.#pending.set(at, { encode, copyAt });
    if (page !== undefined) this.#pages.add(page);
  }

  /** Notes a whole new table: written together with the data, before anything points to it. */
  noteFresh(at: number, encode: () => Uint8Array): void {
    this.#fresh.push({ at, encode });
  }

  /**
   * Writes everything noted so far, in order; calls `written` for each page that has nothing pending any more.
   * `before` is called when what is to be written has just been taken, and made durable together with the data.
   */
  flush(
    file: WritableFile,
    written: (page: number) => void,
    before: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const run = this.#flushing.then(() => this.#flushNow(file, written, before));
    this.#flushing = run.catch(() => undefined);
    return run;
  }

  async #flushNow(
    file: WritableFile,
    written: (page: number) => void,
    before: () => Promise<void>,
  ): Promise<void> {
    const pending = this.#pending;
    const fresh = this.#fresh;
    const pages = this.#pages;
    this.#pending = new Map();
    this.#fresh = [];
    this.#pages = new Set();
    // Contents are taken now: an entry set from here on points to data that the next sync may not cover.
    const primaries: Block[] = [];
    const copies: Block[] = [];
    for (const [at, { encode, copyAt }] of pending) {
      const data = encode();
      primaries.push({ at, data });
      if (copyAt !== undefined) copies.push({ at: copyAt, data });
    }
    const tables = fresh.map(({ at, encode }) => ({ at, data: encode() }));
    try {
      await before();
      await writeBlocks(file, tables);
      await file.sync();
      if (primaries.length === 0) return;
      await writeBlocks(file, primaries);
      await file.sync();
      if (copies.length > 0) {
        await writeBlocks(file, copies);
        await file.sync();
      }
    } catch (error) {
      this.#takeBack(pending, fresh, pages);
      throw error;
    }
    for (const page of pages) if (!this.#pages.has(page)) written(page);
  }

  /** After a failed flush everything is pending again: a later flush may succeed. */
  #takeBack(pending: Map<number, Pending>, fresh: Fresh[], pages: Set<number>): void {
    this.#pending = new Map([...pending, ...this.#pending]);
    this.#fresh = [...fresh, ...this.#fresh];
    this.#pages = new Set([...pages, ...this.#pages]);
  }
}

/** Writes blocks in file order; neighbours become one write. */
async function writeBlocks(file: WritableFile, blocks: Block[]): Promise<void> {
  blocks.sort((a, b) => a.at - b.at);
  let from = 0;
  while (from < blocks.length) {
    const start = blocks[from]!.at;
    let end = start;
    let to = from;
    while (to < blocks.length && blocks[to]!.at === end && end - start < LARGEST_WRITE) {
      end += blocks[to]!.data.length;
      to++;
    }
    const parts = blocks.slice(from, to).map((block) => block.data);
    await file.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts), start);
    from = to;
  }
}
