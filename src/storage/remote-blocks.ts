// The blocks of remote objects that are kept in memory, and how missing ones are asked for: what is wanted at the same
// moment and lies side by side is one request, and a reader that goes straight on finds the next blocks under way.
// Memory is bounded: the cache by its size, requests by their number and length, one read by what it takes at a time.
import { isVmdkError } from '../core/errors.ts';
import type { LruCache } from '../core/lru-cache.ts';
import type { RemoteAddress } from './remote-address.ts';
import type { RemoteFacts } from './remote-answer.ts';
import type { RemoteClient } from './remote-client.ts';

/** A grain: the least that is asked for. */
export const BLOCK_BYTES = 64 << 10;
/** The longest request: 1 MiB. Longer ones gain nothing and lose more when a connection breaks. */
const MOST_BLOCKS_ASKED = 16;
/** Blocks that one read waits for at a time: 4 MiB. */
const MOST_BLOCKS_HELD = 64;
/** Blocks asked for ahead of a reader that goes straight on; doubled with each step. */
const FIRST_AHEAD = 4;
const MOST_AHEAD = 64;

/** An object as it was when it was opened. */
export interface PinnedObject {
  readonly address: RemoteAddress;
  readonly facts: RemoteFacts;
}

export class RemoteBlocks {
  readonly #object: PinnedObject;
  readonly #client: RemoteClient;
  readonly #cache: LruCache<string, Uint8Array>;
  /** Keeps blocks of this object apart from those of others, and of the same place at another time. */
  readonly #prefix: string;
  readonly #coming = new Map<number, Promise<Uint8Array>>();
  readonly #wanted = new Map<number, Arrival>();
  /** The block after the one that was read last. */
  #next = 0;
  #ahead = 0;
  #failure: unknown;
  #stopping = new AbortController();

  constructor(
    object: PinnedObject,
    client: RemoteClient,
    cache: LruCache<string, Uint8Array>,
    prefix: string,
  ) {
    this.#object = object;
    this.#client = client;
    this.#cache = cache;
    this.#prefix = prefix;
  }

  /** True once the object is known to be another one: nothing of it is read any more. */
  get hasChanged(): boolean {
    return this.#failure !== undefined;
  }

  /** Breaks off what is under way, which nobody waits for any more. */
  stop(): void {
    this.#stopping.abort();
    // What was not asked for yet is not asked for any more.
    for (const arrival of this.#wanted.values()) arrival.failed(this.#stopping.signal.reason);
    this.#wanted.clear();
    this.#stopping = new AbortController();
    this.#coming.clear();
    this.#ahead = 0;
  }

  /** What came with the first answer, from the object's first byte on. */
  keepFirst(bytes: Uint8Array): void {
    this.#keep(0, bytes);
  }

  /** Fills `into`, which lies within the object. */
  async read(into: Uint8Array, at: number): Promise<void> {
    const last = blockOf(at + into.length - 1);
    for (let first = blockOf(at); first <= last; first += MOST_BLOCKS_HELD) {
      const stop = Math.min(last, first + MOST_BLOCKS_HELD - 1);
      const blocks: Promise<Uint8Array>[] = [];
      for (let index = first; index <= stop; index++) blocks.push(this.#want(index));
      this.#readAhead(first, stop);
      // All are awaited together, so that none that fails later is nobody's.
      for (const [index, block] of (await Promise.all(blocks)).entries()) {
        copyPart(block, (first + index) * BLOCK_BYTES, into, at);
      }
    }
  }

  #want(index: number): Promise<Uint8Array> {
    const kept = this.#cache.get(this.#key(index));
    if (kept !== undefined) return Promise.resolve(kept);
    const coming = this.#coming.get(index);
    if (coming !== undefined) return coming;
    if (this.#failure !== undefined) return Promise.reject(this.#failure as Error);
    const arrival = createArrival();
    this.#coming.set(index, arrival.block);
    // Readers that start together want their blocks before any of them waits for the network.
    if (this.#wanted.size === 0) setImmediate(() => this.#send());
    this.#wanted.set(index, arrival);
    return arrival.block;
  }

  #readAhead(first: number, last: number): void {
    const goesOn = first === this.#next || first === this.#next - 1;
    if (!goesOn) this.#ahead = 0;
    else if (last >= this.#next)
      this.#ahead = Math.min(MOST_AHEAD, this.#ahead === 0 ? FIRST_AHEAD : this.#ahead * 2);
    this.#next = last + 1;
    const end = Math.min(last + this.#ahead, blockOf(this.#object.facts.size - 1));
    // Asked for when the half of it is used up, so that requests stay long.
    if (this.#ahead === 0 || this.#has(Math.min(end, last + (this.#ahead >> 1)))) return;
    if (!this.#client.isIdle() || this.#failure !== undefined) return;
    for (let index = last + 1; index <= end; index++) this.#want(index).catch(() => undefined);
  }

  #has(index: number): boolean {
    return this.#coming.has(index) || this.#cache.get(this.#key(index)) !== undefined;
  }

  /** Turns what is wanted into requests, neighbours together. */
  #send(): void {
    const wanted = [...this.#wanted].sort(([a], [b]) => a - b);
    this.#wanted.clear();
    for (let from = 0; from < wanted.length;) {
      let to = from + 1;
      while (to < wanted.length && to - from < MOST_BLOCKS_ASKED && wanted[to]![0] === wanted[to - 1]![0] + 1)
        to++;
      void this.#request(
        wanted[from]![0],
        wanted.slice(from, to).map(([, arrival]) => arrival),
      );
      from = to;
    }
  }

  /** Never rejects: each block tells its reader. */
  async #request(first: number, arrivals: readonly Arrival[]): Promise<void> {
    const { address, facts } = this.#object;
    const { signal } = this.#stopping;
    const start = first * BLOCK_BYTES;
    const end = Math.min((first + arrivals.length) * BLOCK_BYTES, facts.size);
    let done = 0;
    let block: Uint8Array | undefined;
    let filled = 0;
    // Each block has memory of its own: a part of a larger one would keep all of it.
    const take = (piece: Uint8Array): void => {
      for (let at = 0; at < piece.length;) {
        block ??= Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, end - start - done * BLOCK_BYTES));
        const part = piece.subarray(at, at + block.length - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < block.length) return;
        this.#keep(first + done, block);
        arrivals[done++]!.arrived(block);
        [block, filled] = [undefined, 0];
      }
    };
    try {
      await this.#client.get({ address, start, end, pin: facts, signal, take });
    } catch (error) {
      if (isVmdkError(error, 'remote-changed')) this.#failure ??= error;
      for (const arrival of arrivals.slice(done)) arrival.failed(error);
      for (const [index, { block: coming }] of arrivals.entries()) {
        if (this.#coming.get(first + index) === coming) this.#coming.delete(first + index);
      }
    }
  }

  #keep(index: number, block: Uint8Array): void {
    this.#cache.set(this.#key(index), block, block.length);
    this.#coming.delete(index);
  }

  #key(index: number): string {
    return `${this.#prefix}:${index}`;
  }
}

/** A block that is on its way. */
interface Arrival {
  readonly block: Promise<Uint8Array>;
  arrived(block: Uint8Array): void;
  failed(error: unknown): void;
}

function createArrival(): Arrival {
  let arrived!: (block: Uint8Array) => void;
  let failed!: (error: unknown) => void;
  const block = new Promise<Uint8Array>((resolve, reject) => {
    arrived = resolve;
    failed = reject;
  });
  return { block, arrived, failed };
}

function blockOf(at: number): number {
  return Math.floor(at / BLOCK_BYTES);
}

/** Copies what `block`, which begins at byte `start`, has of `into`, which begins at byte `at`. */
function copyPart(block: Uint8Array, start: number, into: Uint8Array, at: number): void {
  const from = Math.max(at, start);
  const to = Math.min(at + into.length, start + block.length);
  into.set(block.subarray(from - start, to - start), from - at);
}
