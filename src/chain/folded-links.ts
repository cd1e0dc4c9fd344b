// Links that follow one another in a chain and have grain tables of one grain size, folded entry by entry: in a deep
// chain that is most of the work there is. Whatever is odd in a table is left to the links' own maps, stretch by stretch.
import { GrainFold, type GrainColumn, type GrainTables } from '../block/grain-fold.ts';
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT, type SectorSource } from '../block/sector-source.ts';
import type { Sectors } from '../core/units.ts';
import { mapLayers, type Layer } from './overlaid-links.ts';

/** What is folded of a link. */
export type ChainLink = Pick<SectorSource, 'capacity' | 'map' | 'tables'>;
type FoldableLink = ChainLink & { readonly tables: GrainTables };

/** Grains folded together: 1 GiB of guest at the usual grain, 64 KiB of tables of each link. */
const STEP_GRAINS = 16_384;
/** Longer lists are given away: they are not kept, and copying them takes as much fresh memory as making the next. */
const MOST_COPIED = 16_384;
/** Links whose tables are read at once: each takes memory for them. */
const READ_AT_ONCE = 4;

/** The links of a chain, leaf first, with those that can be folded together as one. */
export function layersOf(links: readonly ChainLink[]): Layer[] {
  const layers: Layer[] = [];
  for (let at = 0; at < links.length;) {
    const group = foldableFrom(links, at);
    if (group.length > 1) layers.push({ source: new FoldedLinks(group), depth: at });
    else layers.push({ source: links[at]!, depth: at });
    at += Math.max(1, group.length);
  }
  return layers;
}

function foldableFrom(links: readonly ChainLink[], from: number): FoldableLink[] {
  const { tables, capacity } = links[from]!;
  const group: FoldableLink[] = [];
  for (let at = from; at < links.length; at++) {
    const link = links[at]!;
    if (!isFoldable(link) || link.tables.grainSize !== tables?.grainSize) break;
    if (link.capacity !== capacity) break;
    group.push(link);
  }
  return group;
}

function isFoldable(link: ChainLink): link is FoldableLink {
  return link.tables !== undefined;
}

class FoldedLinks {
  readonly capacity: Sectors;
  readonly #links: readonly FoldableLink[];
  readonly #layers: readonly Layer[];
  readonly #grainSize: number;
  /** A fold and a list that nobody uses just now: fresh memory is slow. */
  #spare: GrainFold | undefined;
  #spareRuns: RunList | undefined;

  constructor(links: readonly FoldableLink[]) {
    this.#links = links;
    this.#layers = links.map((source, depth) => ({ source, depth }));
    this.capacity = links[0]!.capacity;
    this.#grainSize = links[0]!.tables.grainSize;
  }

  async map(range: SectorRange): Promise<RunList> {
    const end = range.start + range.count;
    const stepSectors = STEP_GRAINS * this.#grainSize;
    const runs = this.#spareRuns ?? new RunList(range.start);
    this.#spareRuns = undefined;
    runs.begin(range.start);
    while (runs.end < end && runs.length < MAP_RUN_LIMIT) {
      const stop = Math.min(end, (Math.floor(runs.end / stepSectors) + 1) * stepSectors);
      await this.#addStep(runs, stop);
    }
    if (runs.length > MOST_COPIED) return runs;
    this.#spareRuns = runs;
    return runs.copy();
  }

  async #addStep(runs: RunList, stop: number): Promise<void> {
    const fold = this.#spare ?? new GrainFold(STEP_GRAINS, this.#grainSize);
    this.#spare = undefined;
    if (await this.#fold(fold, runs.end, stop)) fold.addTo(runs, stop, this.#links.length - 1);
    else runs.addAll(await mapLayers(this.#layers, sectorRange(runs.end, stop - runs.end)));
    this.#spare = fold;
  }

  /** Folds the grains from `start` to `stop`. False when `map` has to be asked instead. */
  async #fold(fold: GrainFold, start: number, stop: number): Promise<boolean> {
    const from = Math.floor(start / this.#grainSize);
    const grains = Math.ceil(stop / this.#grainSize) - from;
    const first = from * this.#grainSize;
    const range = sectorRange(first, Math.min(this.capacity, first + grains * this.#grainSize) - first);
    fold.begin(first, grains);
    for (let depth = 0; depth < this.#links.length && !fold.isComplete; depth += READ_AT_ONCE) {
      const some = this.#links.slice(depth, depth + READ_AT_ONCE);
      const answers = await Promise.all(some.map(({ tables }) => tables.read(range)));
      const laid = answers.every((columns, index) => layColumns(fold, columns, depth + index));
      for (const columns of answers) columns?.forEach((column) => column.done());
      if (!laid) return false;
    }
    return true;
  }
}

function layColumns(fold: GrainFold, columns: readonly GrainColumn[] | undefined, depth: number): boolean {
  return fold.isComplete || (columns?.every((column) => fold.lay(column, depth)) ?? false);
}
