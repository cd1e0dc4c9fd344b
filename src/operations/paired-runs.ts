// Two chains side by side: what each says of the same sectors, from metadata alone. Rule: links that both stand on are
// asked once, and only where one of the two leaves the answer to them.
import { overlay } from '../block/overlay.ts';
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { MergedSource, type Chain } from '../chain/chain.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import type { FileStore } from '../storage/file-store.ts';

/** Sectors that are asked together: as many as a chain plans together (1 GiB). */
const STEP_SECTORS = 2_097_152;

/** Both cover the same sectors. Absent in both: whatever it is, it is the same. */
export interface PairedRuns {
  readonly a: RunList;
  readonly b: RunList;
}

/** A stretch of sectors, `end` exclusive. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
}

export class PairedChains {
  /** Sectors of the larger one; the smaller reads as zeros past its end. */
  readonly capacity: number;
  readonly #sides: readonly Side[];
  readonly #common: MergedSource | undefined;
  readonly #identities: ReadonlyMap<string, string>;

  private constructor(a: Chain, b: Chain, identities: ReadonlyMap<string, string>) {
    const shared = sharedLinks(a.links, b.links);
    this.capacity = Math.max(a.capacity, b.capacity);
    this.#sides = [a, b].map(({ links, capacity }) => {
      const upper = links.slice(0, links.length - shared);
      return { capacity, depth: upper.length, upper: upper.length > 0 ? new MergedSource(upper) : undefined };
    });
    this.#common = shared === 0 ? undefined : new MergedSource(a.links.slice(a.links.length - shared));
    this.#identities = identities;
  }

  /** Owns neither chain. */
  static async of(store: FileStore, a: Chain, b: Chain): Promise<PairedChains> {
    const extents = [...a.links, ...b.links].flatMap((link) => link.extents);
    const paths = [...new Set(extents.flatMap(({ extent }) => extent.path ?? []))];
    const known = await Promise.all(
      paths.map(async (path) => [path, (await store.resolve(path)).identity] as const),
    );
    const identities = new Map(known);
    return new PairedChains(a, b, identities);
  }

  /** What both say of `range`, in order and in bounded memory. */
  async *walk(range: SectorRange): AsyncGenerator<PairedRuns> {
    const end = range.start + range.count;
    let at: number = range.start;
    while (at < end) {
      const stop = Math.min(end, (Math.floor(at / STEP_SECTORS) + 1) * STEP_SECTORS);
      const pair = await this.#pairAt(at, stop);
      yield pair;
      at = pair.a.end;
    }
  }

  /** The stretches that metadata alone does not show to be equal. */
  mayDiffer({ a, b }: PairedRuns): Stretch[] {
    const found: { start: number; end: number }[] = [];
    eachPiece(a, b, (from, to, inA, inB) => {
      if (this.#sameAt(a, inA, b, inB, from)) return;
      const last = found.at(-1);
      if (last?.end === from) last.end = to;
      else found.push({ start: from, end: to });
    });
    return found;
  }

  async #pairAt(start: number, stop: number): Promise<PairedRuns> {
    const [a, b] = await Promise.all(this.#sides.map((side) => mapSide(side, start, stop)));
    const pair = { a: a!, b: b! };
    if (this.#common === undefined || !absentInOne(pair)) return cutAlike(pair);
    const below = await this.#common.plan(sectorRange(start, stop - start));
    const [sideA, sideB] = this.#sides;
    return cutAlike({
      a: overlay(pair.a, below, sideA!.depth),
      b: overlay(pair.b, below, sideB!.depth),
    });
  }

  #sameAt(a: RunList, inA: number, b: RunList, inB: number, sector: number): boolean {
    const [originA, originB] = [a.originAt(inA), b.originAt(inB)];
    if (originA === undefined || originB === undefined) return originA === originB;
    if (originA.compressed !== originB.compressed) return false;
    if (originA.path !== originB.path && this.#identityOf(originA.path) !== this.#identityOf(originB.path)) {
      return false;
    }
    const [intoA, intoB] = [sector - a.startAt(inA), sector - b.startAt(inB)];
    if (originA.compressed) {
      return a.offsetAt(inA) === b.offsetAt(inB) && a.sectorAt(inA) + intoA === b.sectorAt(inB) + intoB;
    }
    return a.offsetAt(inA) - b.offsetAt(inB) === (intoB - intoA) * SECTOR_BYTES;
  }

  #identityOf(path: string): string {
    return this.#identities.get(path) ?? path;
  }
}

interface Side {
  readonly capacity: number;
  /** Links above the common ones. */
  readonly depth: number;
  readonly upper: MergedSource | undefined;
}

/** How many links at the base end are the same files. */
function sharedLinks(a: readonly Disk[], b: readonly Disk[]): number {
  let shared = 0;
  while (shared < Math.min(a.length, b.length)) {
    if (a[a.length - 1 - shared]!.identity !== b[b.length - 1 - shared]!.identity) break;
    shared++;
  }
  return shared;
}

/** What the links of one side alone say of a prefix of [start, stop). */
async function mapSide({ capacity, upper }: Side, start: number, stop: number): Promise<RunList> {
  const within = Math.min(stop, capacity);
  let runs = new RunList(start);
  if (within > start) {
    if (upper === undefined) runs.addAbsent(within - start);
    else runs = await upper.map(sectorRange(start, within - start));
  }
  if (runs.end >= within) runs.addZero(stop - runs.end);
  return runs;
}

/** The prefix that both cover. */
function cutAlike({ a, b }: PairedRuns): PairedRuns {
  const count = Math.min(a.end, b.end) - a.start;
  const cut = (runs: RunList): RunList =>
    runs.end - runs.start === count ? runs : runs.slice(sectorRange(a.start, count));
  return { a: cut(a), b: cut(b) };
}

function absentInOne({ a, b }: PairedRuns): boolean {
  let found = false;
  eachPiece(a, b, (_from, _to, inA, inB) => {
    found ||= a.isAbsentAt(inA) !== b.isAbsentAt(inB);
  });
  return found;
}

/** Calls `visit` for each longest stretch that lies within one run of each. */
function eachPiece(
  a: RunList,
  b: RunList,
  visit: (from: number, to: number, inA: number, inB: number) => void,
): void {
  const end = Math.min(a.end, b.end);
  let [inA, inB, at] = [0, 0, a.start];
  while (at < end) {
    const to = Math.min(a.endAt(inA), b.endAt(inB), end);
    visit(at, to, inA, inB);
    if (a.endAt(inA) === to) inA++;
    if (b.endAt(inB) === to) inB++;
    at = to;
  }
}
