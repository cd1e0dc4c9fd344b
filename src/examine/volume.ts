// A stretch of a disk read as bytes, small pieces from memory: how partition tables and file systems are looked at.
// Rule: what a damaged structure names outside of the stretch is an error, never a read.
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { VmdkError, type ErrorContext } from '../core/errors.ts';
import { LruCache } from '../core/lru-cache.ts';
import { SECTOR_BYTES } from '../core/units.ts';

const PAGE_SECTORS = 32;
const KEPT_PAGES = 1024;

export class Volume {
  /** The disk, for messages. */
  readonly path: string;
  /** First sector of the disk. */
  readonly start: number;
  /** Sectors. */
  readonly count: number;
  readonly #source: SectorSource;
  readonly #pages: LruCache<number, Buffer>;

  private constructor(
    path: string,
    source: SectorSource,
    start: number,
    count: number,
    pages: LruCache<number, Buffer>,
  ) {
    this.path = path;
    this.#source = source;
    this.start = start;
    this.count = count;
    this.#pages = pages;
  }

  /** All of a disk. `path` is what messages call it. */
  static whole(path: string, source: SectorSource): Volume {
    return new Volume(path, source, 0, source.capacity, new LruCache(KEPT_PAGES));
  }

  /** A part that shares what was read; cut at the end of this one. */
  part(start: number, count: number): Volume {
    const from = Math.min(start, this.count);
    const length = Math.max(0, Math.min(count, this.count - from));
    return new Volume(this.path, this.#source, this.start + from, length, this.#pages);
  }

  get bytes(): number {
    return this.count * SECTOR_BYTES;
  }

  /** @throws VmdkError `file-system-damaged` when the bytes do not lie within the stretch. */
  async read(at: number, length: number): Promise<Buffer> {
    if (!Number.isSafeInteger(at) || at < 0 || length < 0 || at + length > this.bytes) {
      throw this.damaged('a structure lies outside of its volume', {
        found: `${length} bytes at byte ${at}`,
        expected: `within ${this.bytes} bytes`,
      });
    }
    const into = Buffer.alloc(length);
    if (length > PAGE_SECTORS * SECTOR_BYTES) await this.#readLarge(at, into);
    else await this.#readSmall(at, into);
    return into;
  }

  /** An error about this volume; `context` may say at which sector of the disk. */
  damaged(what: string, context: ErrorContext = {}): VmdkError {
    return new VmdkError('corrupt', 'file-system-damaged', what, {
      path: this.path,
      sector: this.start,
      ...context,
    });
  }

  /** The same for what is whole, yet not read here. */
  unsupported(what: string, context: ErrorContext = {}): VmdkError {
    const place = { path: this.path, sector: this.start, ...context };
    return new VmdkError('unsupported', 'file-system-unsupported', what, place);
  }

  async #readSmall(at: number, into: Buffer): Promise<void> {
    const pageBytes = PAGE_SECTORS * SECTOR_BYTES;
    let done = 0;
    while (done < into.length) {
      const place = this.start * SECTOR_BYTES + at + done;
      const page = await this.#page(Math.floor(place / pageBytes));
      done += page.copy(into, done, place % pageBytes);
    }
  }

  async #readLarge(at: number, into: Buffer): Promise<void> {
    const lead = at % SECTOR_BYTES;
    const start = this.start + (at - lead) / SECTOR_BYTES;
    const count = Math.ceil((lead + into.length) / SECTOR_BYTES);
    if (lead === 0 && into.length % SECTOR_BYTES === 0) {
      return this.#source.read(sectorRange(start, count), into);
    }
    const whole = Buffer.alloc(count * SECTOR_BYTES);
    await this.#source.read(sectorRange(start, count), whole);
    whole.copy(into, 0, lead);
  }

  async #page(number: number): Promise<Buffer> {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const start = number * PAGE_SECTORS;
    const count = Math.min(PAGE_SECTORS, this.#source.capacity - start);
    const page = Buffer.alloc(count * SECTOR_BYTES);
    await this.#source.read(sectorRange(start, count), page);
    this.#pages.set(number, page, 1);
    return page;
  }
}
