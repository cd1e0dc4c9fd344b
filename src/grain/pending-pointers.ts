// Table sectors that changed in memory and not yet in the file. A flush writes what was pending when it began:
// what they point to is synced before, the redundant copies follow after (docs/design.md, "Write order").
import type { WritableFile } from '../storage/file-store.ts';

/** What to write, by byte position: asked for when it is written. */
type Encoders = Map<number, () => Uint8Array>;

/** All that waits at one moment. */
interface Waiting {
  /** New tables that nothing points to yet, and their copies. */
  readonly fresh: Encoders;
  readonly primaries: Encoders;
  readonly copies: Encoders;
  readonly pages: Set<number>;
}

interface Block {
  readonly at: number;
  readonly data: Uint8Array;
}

const LARGEST_WRITE = 1 << 20;

export class PendingPointers {
  #waiting = nothing();
  #flushing: Promise<void> = Promise.resolve();

  /** Sectors waiting. */
  get size(): number {
    return this.#waiting.primaries.size;
  }

  /** Notes that the sector at byte `at` changed; `encode` gives its contents when it is written. */
  note(page: number | undefined, at: number, encode: () => Uint8Array): void {
    this.#waiting.primaries.set(at, encode);
    if (page !== undefined) this.#waiting.pages.add(page);
  }

  /** Notes a sector of the redundant tables or of their directory: it follows once all primaries are durable. */
  noteCopy(at: number, encode: () => Uint8Array): void {
    this.#waiting.copies.set(at, encode);
  }

  /** Notes a whole new table: written together with the data, before anything points to it. */
  noteFresh(at: number, encode: () => Uint8Array): void {
    this.#waiting.fresh.set(at, encode);
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
    const now = this.#waiting;
    this.#waiting = nothing();
    // Contents are taken now: an entry set from here on points to data that the next sync may not cover.
    const stages = [now.fresh, now.primaries, now.copies].map(blocksOf);
    try {
      await before();
      for (const [index, blocks] of stages.entries()) {
        // The first sync is for the data as well, which has been written whether or not a table is new.
        if (blocks.length === 0 && index > 0) continue;
        await writeBlocks(file, blocks);
        await file.sync();
      }
    } catch (error) {
      this.#takeBack(now);
      throw error;
    }
    for (const page of now.pages) if (!this.#waiting.pages.has(page)) written(page);
  }

  /** After a failed flush everything is pending again: a later flush may succeed. */
  #takeBack(before: Waiting): void {
    const since = this.#waiting;
    this.#waiting = {
      fresh: new Map([...before.fresh, ...since.fresh]),
      primaries: new Map([...before.primaries, ...since.primaries]),
      copies: new Map([...before.copies, ...since.copies]),
      pages: new Set([...before.pages, ...since.pages]),
    };
  }
}

function nothing(): Waiting {
  return { fresh: new Map(), primaries: new Map(), copies: new Map(), pages: new Set() };
}

function blocksOf(encoders: Encoders): Block[] {
  return [...encoders].map(([at, encode]) => ({ at, data: encode() }));
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
