// Who has which part of a file: finds what two have and what nobody has, exactly, to the sector. Rule: memory is
// bounded by looking at one window of the file at a time and walking everything once per window.
import { KEPT_PER_CODE } from './check-findings.ts';

/** Says that something takes `count` units (sectors, or grains of a data region) from `start` on. */
export type Take = (kind: number, index: number, start: number, count: number) => void;

/** Takes everything there is, in the same order each time it is called. */
export type Walk = (take: Take) => void | Promise<void>;

/** Something that takes space which `other` has taken before it. */
export interface Overlap {
  readonly kind: number;
  readonly index: number;
  readonly start: number;
  readonly count: number;
  readonly other: { readonly kind: number; readonly index: number };
}

export interface SpaceUse {
  /** First unit behind everything that is taken. */
  readonly end: number;
  /** The first KEPT_PER_CODE of them. */
  readonly overlaps: readonly Overlap[];
  readonly overlapCount: number;
}

/** 2^30 units are 128 MiB of bits: 512 GiB of a file in sectors. Only what is taken costs memory. */
const WINDOW = 2 ** 30;
const PAGE_SHIFT = 20;
const PAGE_BITS = 1 << PAGE_SHIFT;
const ALL_SET = 0xffffffff;
const NOBODY = { kind: -1, index: -1 };

export interface SpaceSurvey {
  readonly walk: Walk;
  /** Gaps are looked for in [from, to). */
  readonly from: number;
  readonly to: number;
  /** Told of every stretch that nobody takes, in order. */
  readonly onGap?: (start: number, count: number) => void;
  /** Told of every taker of space that was taken, also of those not kept. */
  readonly onClash?: (kind: number, index: number) => void;
  /** Units looked at in one walk. */
  readonly windowUnits?: number;
}

export async function surveySpace({
  walk,
  from,
  to,
  onGap = () => undefined,
  onClash = () => undefined,
  windowUnits = WINDOW,
}: SpaceSurvey): Promise<SpaceUse> {
  let end = 0;
  let overlapCount = 0;
  const clashes: Clash[] = [];
  let gap = from;
  const bits = new WindowBits(windowUnits);
  for (let base = 0; base === 0 || base < Math.min(end, to); base += windowUnits) {
    bits.moveTo(base);
    await walk((kind, index, start, count) => {
      const stop = start + count;
      if (stop > end) end = stop;
      if (!bits.take(start, stop)) return;
      overlapCount++;
      onClash(kind, index);
      if (clashes.length < KEPT_PER_CODE) clashes.push({ kind, index, start, count, other: NOBODY });
    });
    const windowEnd = Math.min(to, base + windowUnits);
    gap = bits.gaps(gap, windowEnd, onGap);
  }
  if (gap < to) onGap(gap, to - gap);
  if (clashes.length > 0) await findOthers(walk, clashes);
  return { end, overlaps: clashes, overlapCount };
}

type Clash = { -readonly [K in keyof Overlap]: Overlap[K] };

/** Walks once more to name, for each clash, who was there first. */
async function findOthers(walk: Walk, clashes: readonly Clash[]): Promise<void> {
  const longest = Math.max(...clashes.map(({ count }) => count));
  let open = [...clashes].sort((a, b) => a.start - b.start);
  await walk((kind, index, start, count) => {
    let found = false;
    for (let at = lowerBound(open, start - longest); at < open.length; at++) {
      const clash = open[at]!;
      if (clash.start >= start + count) break;
      const itself = clash.kind === kind && clash.index === index;
      if (itself || clash.start + clash.count <= start) continue;
      clash.other = { kind, index };
      found = true;
    }
    // What is answered is not looked at again: everything may lie over one place.
    if (found) open = open.filter(({ other }) => other === NOBODY);
  });
}

function lowerBound(sorted: readonly Clash[], start: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.start < start) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One bit per unit of [base, base + length), in pages that are made when they are first needed. */
class WindowBits {
  readonly #length: number;
  readonly #pages: (Uint32Array | undefined)[] = [];
  #base = 0;

  constructor(length: number) {
    this.#length = length;
  }

  /** Starts anew at `base`; pages are used again, so that two windows never take room together. */
  moveTo(base: number): void {
    this.#base = base;
    for (const page of this.#pages) page?.fill(0);
  }

  /** Sets [start, stop) as far as it lies here; true when some of it was set before. */
  take(start: number, stop: number): boolean {
    if (stop <= this.#base || start >= this.#base + this.#length) return false;
    // Below 2^30, so that bit operators serve.
    let at = Math.max(0, start - this.#base);
    const end = Math.min(this.#length, stop - this.#base);
    let clash = 0;
    while (at < end) {
      const number = at >>> PAGE_SHIFT;
      const page = (this.#pages[number] ??= new Uint32Array(PAGE_BITS / 32));
      const stopHere = Math.min(end, (number + 1) << PAGE_SHIFT);
      while (at < stopHere) {
        const word = (at & (PAGE_BITS - 1)) >>> 5;
        const bit = at & 31;
        const count = Math.min(32 - bit, stopHere - at);
        const mask = count === 32 ? ALL_SET : ((1 << count) - 1) << bit;
        const before = page[word]!;
        clash |= before & mask;
        page[word] = before | mask;
        at += count;
      }
    }
    return clash !== 0;
  }

  /**
   * Tells of the clear stretches from `from` (perhaps before this window) to `end`; one that reaches `end` is left
   * open. Gives where the open one starts, or `end`.
   */
  gaps(from: number, end: number, onGap: (start: number, count: number) => void): number {
    const base = this.#base;
    const stop = end - base;
    let open = from;
    let at = Math.max(from, base) - base;
    const close = (taken: number): void => {
      if (open < base + at) onGap(open, base + at - open);
      open = base + at + taken;
    };
    while (at < stop) {
      const page = this.#pages[at >>> PAGE_SHIFT];
      if (page === undefined) {
        at = Math.min(stop, ((at >>> PAGE_SHIFT) + 1) << PAGE_SHIFT);
        continue;
      }
      const word = page[(at & (PAGE_BITS - 1)) >>> 5]!;
      if ((at & 31) === 0 && at + 32 <= stop && (word === 0 || word === ALL_SET)) {
        if (word !== 0) close(32);
        at += 32;
      } else {
        if ((word & (1 << (at & 31))) !== 0) close(1);
        at++;
      }
    }
    return open;
  }
}
