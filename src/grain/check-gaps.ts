// What to say about parts of a file that nothing refers to, and about parts that two grains refer to. Rule: space is
// called lost only when every table could be read: else it may belong to what could not.
import { SECTOR_BYTES } from '../core/units.ts';
import type { ExtentCheck } from './check-context.ts';
import type { Overlap, SpaceUse } from './check-space.ts';

/** Adds up gaps. Shorter ones than a grain are alignment. */
export class GapTally {
  readonly #grainSectors: number;
  /** Byte offset of the first that counts. */
  first: number | undefined;
  stretches = 0;
  sectors = 0;
  /** Whole grains that would fit into them. */
  grains = 0;

  constructor(grainSectors: number) {
    this.#grainSectors = grainSectors;
  }

  add(start: number, count: number): void {
    if (count < this.#grainSectors) return;
    this.first ??= start * SECTOR_BYTES;
    this.stretches++;
    this.sectors += count;
    this.grains += Math.floor(count / this.#grainSectors);
  }
}

export interface Leak {
  readonly leaked: number;
  readonly leakedBytes: number;
}

export const NO_LEAK: Leak = { leaked: 0, leakedBytes: 0 };

/** One finding for all of them. */
export function noteLeak({ log, file }: ExtentCheck, gaps: GapTally, more = ''): Leak {
  if (gaps.first === undefined) return NO_LEAK;
  const bytes = gaps.sectors * SECTOR_BYTES;
  log.warning('LEAK', { path: file.path, offset: gaps.first, repairable: true }, () => {
    const where = gaps.stretches === 1 ? '' : ` in ${gaps.stretches} places, the first`;
    return `nothing refers to ${bytes} bytes${where} at byte ${gaps.first}${more}: lost space, as the tables stand`;
  });
  return { leaked: gaps.grains, leakedBytes: bytes };
}

/**
 * What lies behind the last structure and is shorter than a grain: from a grain on it is a leak like others, and a
 * crash may leave anything.
 */
export function noteTail(
  { log, file, fileBytes }: ExtentCheck,
  end: number,
  grainSectors: number,
  unclean: boolean,
): void {
  const length = fileBytes - end * SECTOR_BYTES;
  if (length <= 0 || length >= grainSectors * SECTOR_BYTES || unclean) return;
  const offset = end * SECTOR_BYTES;
  const message = () =>
    `${length} bytes lie behind the last grain, from byte ${offset} to the end of the file`;
  log.warning('TAIL', { path: file.path, offset, repairable: true }, message);
}

/** Notes every overlap of which a grain is the later part; `name` and `offsetOf` tell of takers by kind and index. */
export function noteGrainOverlaps(
  { log, file }: ExtentCheck,
  use: SpaceUse,
  grainKind: number,
  nameOf: (taker: { kind: number; index: number }) => string,
  offsetOf: (grain: number) => number,
): void {
  const kept = use.overlaps.filter(({ kind }) => kind === grainKind);
  for (const overlap of kept) {
    const code = overlap.other.kind === grainKind ? 'GRAIN-OVERLAP' : 'GT-OVERLAP';
    log.error(code, { path: file.path, offset: offsetOf(overlap.index) }, () => describe(overlap, nameOf));
  }
  if (kept.length > 0) log.moreErrors('GRAIN-OVERLAP', use.overlapCount - use.overlaps.length);
}

function describe(overlap: Overlap, nameOf: (taker: { kind: number; index: number }) => string): string {
  return `${nameOf(overlap)} lies over ${nameOf(overlap.other)}, at sector ${overlap.start} of the file`;
}
