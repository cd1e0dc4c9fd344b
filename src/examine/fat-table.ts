// The file allocation table: which cluster follows which. Rule: a chain is followed for as many clusters as the volume
// has, so that a circle ends.
import { LruCache } from '../core/lru-cache.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { fatEntryAt, type FatBits } from '../format/fat.ts';
import type { Volume } from './volume.ts';

/** Even, and whole bytes of 12-bit entries. */
const PAGE_ENTRIES = 32_768;
const KEPT_PAGES = 64;

export class FatTable {
  readonly #volume: Volume;
  readonly #start: number;
  readonly #bits: FatBits;
  readonly #clusters: number;
  readonly #pages = new LruCache<number, Buffer>(KEPT_PAGES);

  /** `start` in bytes of the volume; `clusters` is the number of the last one, plus one. */
  constructor(volume: Volume, start: number, bits: FatBits, clusters: number) {
    this.#volume = volume;
    this.#start = start;
    this.#bits = bits;
    this.#clusters = clusters;
  }

  /**
   * Calls `use` with each stretch of neighbouring clusters of the chain from `first` on, until it has had `most`.
   * @throws VmdkError `file-system-damaged` when the chain leads outside, or in a circle.
   */
  async follow(first: number, most: number, use: (cluster: number, count: number) => void): Promise<void> {
    let [start, count, left] = [first, 0, Math.min(most, this.#clusters)];
    let cluster = first;
    while (left > 0) {
      if (cluster < 2 || cluster >= this.#clusters) {
        throw this.#volume.damaged('a chain of clusters leads outside of the volume', {
          found: `cluster ${cluster}`,
          expected: `2 to ${this.#clusters - 1}`,
        });
      }
      if (cluster === start + count) count++;
      else {
        use(start, count);
        [start, count] = [cluster, 1];
      }
      left--;
      const next = this.#known(cluster) ?? (await this.#load(cluster));
      if (this.#endsChain(next)) break;
      if (left === 0 && most >= this.#clusters) {
        throw this.#volume.damaged('a chain of clusters is a circle', { found: `from cluster ${first}` });
      }
      cluster = next;
    }
    if (count > 0) use(start, count);
  }

  /** Also the mark of a bad cluster ends a chain. */
  #endsChain(value: number): boolean {
    return value >= (this.#bits === 32 ? 0x0ffffff7 : 2 ** this.#bits - 9);
  }

  #known(cluster: number): number | undefined {
    const page = this.#pages.get(Math.floor(cluster / PAGE_ENTRIES));
    return page === undefined ? undefined : fatEntryAt(page, cluster % PAGE_ENTRIES, this.#bits);
  }

  async #load(cluster: number): Promise<number> {
    const number = Math.floor(cluster / PAGE_ENTRIES);
    const entryBytes = this.#bits / 8;
    const at = this.#start + number * PAGE_ENTRIES * entryBytes;
    const entries = Math.min(PAGE_ENTRIES, this.#clusters - number * PAGE_ENTRIES);
    const length = Math.ceil((entries * entryBytes) / SECTOR_BYTES) * SECTOR_BYTES;
    const page = await this.#volume.read(at, length);
    this.#pages.set(number, page, 1);
    return fatEntryAt(page, cluster % PAGE_ENTRIES, this.#bits);
  }
}
