// A chain is a disk whose absent runs are answered by the disk below. Reading plans from metadata, once per window
// of the guest's range, so that depth costs nothing afterwards; then the plan is carried out, run by run.
import { absentBounds, overlay, overlayAll } from '../block/overlay.ts';
import { assertFits, readMapped, readWithin } from '../block/read-runs.ts';
import { RunList } from '../block/run-list.ts';
import { assertWithin, sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { LruCache } from '../core/lru-cache.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';

/** 256 MiB of guest are planned together. */
const WINDOW_SECTORS = 524_288;
/** Runs kept in memory: about 60 MiB at the very worst, one-sector grains everywhere. */
const KEPT_RUNS = 1 << 20;
/** Longer reads are planned as they come: a window serves many small ones. */
const LARGEST_WINDOWED_READ = 8192;

/** Links whose maps are asked for before they are laid under the ones above, in one pass. */
const FOLDED_TOGETHER = 16;
/** Of these, links that are asked at once: each takes memory for the tables that it reads. */
const ASKED_AT_ONCE = 4;

export interface Chain extends SectorSource {
  /** Leaf first, base last. */
  readonly links: readonly Disk[];
  readonly leaf: Disk;
  /** What finding and opening the links got past; each link has its own besides. */
  readonly findings: readonly Finding[];
  /** As `map`, from plans that are kept: for many small ranges near one another. Covers a prefix of `range`. */
  plan(range: SectorRange): Promise<RunList>;
  /** Why the disk that the last link stands on is not there: opened with `damaged`, which says how it reads. */
  readonly lostParent?: VmdkError;
}

/** Reads through links that do not change, leaf first. Owns nothing: whoever opened the links closes them. */
export class MergedSource {
  readonly capacity: Sectors;
  readonly #links: readonly Pick<SectorSource, 'capacity' | 'map'>[];
  readonly #windows = new LruCache<number, RunList>(KEPT_RUNS);

  constructor(links: readonly Pick<SectorSource, 'capacity' | 'map'>[]) {
    this.#links = links;
    this.capacity = links[0]!.capacity;
  }

  async map(range: SectorRange): Promise<RunList> {
    assertWithin(range, this.capacity);
    let runs = await this.#links[0]!.map(range);
    for (let depth = 1; depth < this.#links.length; depth += FOLDED_TOGETHER) {
      const absent = absentBounds(runs);
      if (absent === undefined) break;
      runs = await this.#overlayBelow(runs, absent, depth);
    }
    return runs;
  }

  /**
   * Several links are laid under what is known in one pass: it would be copied once for each. Damage in a link that need
   * not have been asked must not matter: then one by one.
   */
  async #overlayBelow(
    upper: RunList,
    absent: { start: number; end: number },
    depth: number,
  ): Promise<RunList> {
    const links = this.#links.slice(depth, depth + FOLDED_TOGETHER);
    const lists = [upper];
    for (let asked = 0; asked < links.length; asked += ASKED_AT_ONCE) {
      const some = links.slice(asked, asked + ASKED_AT_ONCE);
      const answers = await Promise.allSettled(some.map((link) => mapBelow(link, absent.start, absent.end)));
      for (const answer of answers) {
        if (answer.status === 'rejected') return this.#overlayOneByOne(upper, depth, links.length);
        lists.push(answer.value);
      }
    }
    return overlayAll(lists, [0, ...links.map((_, index) => depth + index)]);
  }

  async #overlayOneByOne(upper: RunList, depth: number, count: number): Promise<RunList> {
    let runs = upper;
    for (let index = depth; index < depth + count; index++) {
      const absent = absentBounds(runs);
      if (absent === undefined) break;
      runs = overlay(runs, await mapBelow(this.#links[index]!, absent.start, absent.end), index);
    }
    return runs;
  }

  read(range: SectorRange, into: Uint8Array): Promise<void> {
    // Most small reads fall into a plan that is kept: the way without a promise of its own.
    const { start, count } = range;
    const known = this.#windows.get(Math.floor(start / WINDOW_SECTORS));
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
    const key = Math.floor(sector / WINDOW_SECTORS);
    const known = this.#windows.get(key);
    if (known !== undefined && sector >= known.start && sector < known.end) return known;
    const end = Math.min(this.capacity, (key + 1) * WINDOW_SECTORS);
    // A window with very many runs is answered in parts: then the part that is wanted now is kept.
    const start = known === undefined ? key * WINDOW_SECTORS : sector;
    let runs: RunList;
    try {
      runs = await this.map(sectorRange(start, end - start));
    } catch (error) {
      if (!(error instanceof VmdkError)) throw error;
      // Damage beside what is wanted: the reader gets its own sectors, or the error about them.
      return this.map(sectorRange(sector, Math.min(end, wanted) - sector));
    }
    if (runs.end <= sector) runs = await this.map(sectorRange(sector, end - sector));
    this.#windows.set(key, runs, runs.length);
    return runs;
  }

  /** As `map`, from a plan that is kept: for many small ranges near one another. Covers a prefix of `range`. */
  async plan(range: SectorRange): Promise<RunList> {
    if (range.start >= this.capacity) return zerosFrom(range.start, range.count);
    return (await this.#window(range.start, range.start + range.count)).slice(range);
  }
}

/** The runs of a disk below in [start, end); past its end there are zeros (a smaller parent, accepted by the caller). */
async function mapBelow(
  disk: Pick<SectorSource, 'capacity' | 'map'>,
  start: number,
  end: number,
): Promise<RunList> {
  if (start >= disk.capacity) return zerosFrom(start, end - start);
  const within = Math.min(end, disk.capacity);
  const runs = await disk.map(sectorRange(start, within - start));
  if (runs.end === within && within < end) runs.addZero(end - within);
  return runs;
}

function zerosFrom(start: number, count: number): RunList {
  const zeros = new RunList(start);
  zeros.addZero(count);
  return zeros;
}
