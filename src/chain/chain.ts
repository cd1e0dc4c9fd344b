// A chain is a disk whose absent runs are answered by the disk below. Reading plans from metadata, once per window
// of the guest's range, so that depth costs nothing afterwards; then the plan is carried out, run by run.
import { assertFits, readMapped, readWithin } from '../block/read-runs.ts';
import type { RunList } from '../block/run-list.ts';
import { assertWithin, sectorRange, type SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT, type PlannedSource } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { LruCache } from '../core/lru-cache.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { layersOf, type ChainLink } from './folded-links.ts';
import { mapLayers, zerosFrom, type Layer } from './overlaid-links.ts';

/** 1 GiB of guest is planned together. */
const WINDOW_SECTORS = 2_097_152;
/** As many as a map has runs at the most, so that every such window is answered whole: 32 MiB. */
const DENSE_WINDOW_SECTORS = MAP_RUN_LIMIT;
/** Runs kept in memory: about 60 MiB at the very worst, one-sector grains everywhere. */
const KEPT_RUNS = 1 << 20;
/** Longer reads are planned as they come: a window serves many small ones. */
const LARGEST_WINDOWED_READ = 8192;

export interface Chain extends PlannedSource {
  /** Leaf first, base last. */
  readonly links: readonly Disk[];
  readonly leaf: Disk;
  /** What finding and opening the links got past; each link has its own besides. */
  readonly findings: readonly Finding[];
  /** Why the disk that the last link stands on is not there: opened with `damaged`, which says how it reads. */
  readonly lostParent?: VmdkError;
}

/** Reads through links that do not change, leaf first. Owns nothing: whoever opened the links closes them. */
export class MergedSource {
  readonly capacity: Sectors;
  readonly #layers: readonly Layer[];
  readonly #windows = new LruCache<number, RunList>(KEPT_RUNS);
  /** Windows that are planned in small ones: they have more runs than a map has, or damage that only some reads meet. */
  readonly #dense = new Set<number>();

  constructor(links: readonly ChainLink[]) {
    this.#layers = layersOf(links);
    this.capacity = links[0]!.capacity;
  }

  async map(range: SectorRange): Promise<RunList> {
    assertWithin(range, this.capacity);
    return mapLayers(this.#layers, range);
  }

  read(range: SectorRange, into: Uint8Array): Promise<void> {
    // Most small reads fall into a plan that is kept: the way without a promise of its own.
    const { start, count } = range;
    const known = this.#windows.get(this.#keyOf(start));
    const covered = known !== undefined && start >= known.start && start + count <= known.end;
    if (!covered || count < 1 || into.length !== count * SECTOR_BYTES) return this.#readPlanned(range, into);
    return readWithin(known, range, into);
  }

  async #readPlanned(range: SectorRange, into: Uint8Array): Promise<void> {
    assertWithin(range, this.capacity);
    assertFits(range, into);
    if (range.count > LARGEST_WINDOWED_READ) return readMapped(this, range, into);
    let done = 0;
    while (done < range.count) {
      const start = range.start + done;
      const runs = await this.#window(start, range.start + range.count);
      const count = Math.min(range.start + range.count, runs.end) - start;
      const part = into.subarray(done * SECTOR_BYTES, (done + count) * SECTOR_BYTES);
      await readWithin(runs, sectorRange(start, count), part);
      done += count;
    }
  }

  /**
   * A plan from `sector` on, kept for the next reads; covers `sector` and usually much more on both sides. `wanted` is
   * where the reader stops.
   */
  async #window(sector: number, wanted: number): Promise<RunList> {
    const key = this.#keyOf(sector);
    const known = this.#windows.get(key);
    if (known !== undefined && sector >= known.start && sector < known.end) return known;
    const size = key < 0 ? DENSE_WINDOW_SECTORS : WINDOW_SECTORS;
    const start = Math.floor(sector / size) * size;
    const end = Math.min(this.capacity, start + size);
    const runs = await this.map(sectorRange(start, end - start)).catch(damageOf);
    const whole = runs?.end === end ? runs : undefined;
    if (whole === undefined && key >= 0) {
      this.#dense.add(key);
      return this.#window(sector, wanted);
    }
    // Damage beside what is wanted: the reader gets its own sectors, or the error about them.
    if (whole === undefined) return this.map(sectorRange(sector, Math.min(end, wanted) - sector));
    this.#windows.set(key, whole, whole.length);
    return whole;
  }

  /** The number of the window that holds `sector`; below 0 for a small one. */
  #keyOf(sector: number): number {
    const key = Math.floor(sector / WINDOW_SECTORS);
    return this.#dense.has(key) ? -1 - Math.floor(sector / DENSE_WINDOW_SECTORS) : key;
  }

  /** As `map`, from a plan that is kept: for many small ranges near one another. Covers a prefix of `range`. */
  async plan(range: SectorRange): Promise<RunList> {
    if (range.start >= this.capacity) return zerosFrom(range.start, range.count);
    return (await this.#window(range.start, range.start + range.count)).slice(range);
  }
}

/** Nothing, where a map fails because of what the disk holds. */
function damageOf(error: unknown): undefined {
  if (error instanceof VmdkError) return undefined;
  throw error;
}
