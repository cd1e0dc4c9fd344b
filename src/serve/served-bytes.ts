// The bytes of one export, for any offset and length: sectors below, whatever a client asks for above. One object for
// all clients of an export, so that no two of them rewrite one sector at once.
import { readBytes, writeBytes } from '../block/byte-access.ts';
import { readRuns } from '../block/read-runs.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { RunList } from '../block/run-list.ts';
import { RangeLock } from '../core/range-lock.ts';
import { roundDown, roundUp, SECTOR_BYTES, type Bytes } from '../core/units.ts';
import type { PlannedSource } from '../block/sector-source.ts';
import type { WritableTarget } from './export-types.ts';

/** Shorter zeros within a read are not worth a message of their own. */
const HOLE_WORTH_TELLING = 32 * 1024;
/** Bytes of zeros in memory for one request. */
export const LARGEST_ZERO_WRITE = 2 ** 20;

/** A part of a read: `hole` reads as zeros. Bytes; `runs` are of the whole range. */
export interface ReadPart {
  readonly offset: number;
  readonly length: number;
  readonly hole: boolean;
}

/**
 * What a read of whole sectors is made of, in order, when it is worth telling apart: undefined where one plain read is
 * as good.
 */
export async function partsOf(
  source: PlannedSource,
  offset: number,
  length: number,
): Promise<{ runs: RunList; parts: ReadPart[] } | undefined> {
  if (length < HOLE_WORTH_TELLING || offset % SECTOR_BYTES !== 0 || length % SECTOR_BYTES !== 0)
    return undefined;
  const range = sectorRange(offset / SECTOR_BYTES, length / SECTOR_BYTES);
  const runs = await source.plan(range);
  if (runs.end < range.start + range.count) return undefined;
  const parts: { offset: number; length: number; hole: boolean }[] = [];
  for (let index = 0; index < runs.length; index++) {
    const size = (runs.endAt(index) - runs.startAt(index)) * SECTOR_BYTES;
    const hole = !runs.isDataAt(index) && size >= HOLE_WORTH_TELLING;
    const before = parts.at(-1);
    if (before?.hole === hole) before.length += size;
    else parts.push({ offset: runs.startAt(index) * SECTOR_BYTES, length: size, hole });
  }
  return { runs, parts };
}

/** Reads one part of what `partsOf` gave. */
export function readPart(runs: RunList, { offset, length }: ReadPart, into: Uint8Array): Promise<void> {
  const whole = runs.start * SECTOR_BYTES === offset && (runs.end - runs.start) * SECTOR_BYTES === length;
  const part = whole ? runs : runs.slice(sectorRange(offset / SECTOR_BYTES, length / SECTOR_BYTES));
  return readRuns(part, into);
}

/** Fills `into` from byte `offset`. */
export function readAt(source: PlannedSource, offset: number, into: Uint8Array): Promise<void> {
  if (offset % SECTOR_BYTES === 0 && into.length % SECTOR_BYTES === 0) {
    return source.read(sectorRange(offset / SECTOR_BYTES, into.length / SECTOR_BYTES), into);
  }
  return readBytes(source, offset as Bytes, into);
}

/** The writing half. */
export class ServedTarget {
  readonly #target: WritableTarget;
  readonly #lock = new RangeLock();
  #changes = 0;
  #flushed = 0;

  constructor(target: WritableTarget) {
    this.#target = target;
  }

  /** Something was written that no flush has covered. */
  get isDirty(): boolean {
    return this.#changes !== this.#flushed;
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#change(offset, data.length, () => writeBytes(this.#target, offset as Bytes, data));
  }

  /** Zeros; `allocate` stores them, so that later writes find their place taken. */
  zero(offset: number, length: number, allocate: boolean): Promise<void> {
    return this.#change(offset, length, async () => {
      const [start, end] = wholeSectors(offset, length);
      if (start >= end) return this.#writeZeros(offset, length);
      await this.#writeZeros(offset, start - offset);
      if (allocate) await this.#writeZeros(start, end - start);
      else await this.#target.zero(sectorsOf(start, end));
      await this.#writeZeros(end, offset + length - end);
    });
  }

  /** Whether `zero` would be metadata alone, here and now. */
  async isZeroFast(offset: number, length: number): Promise<boolean> {
    const [start, end] = wholeSectors(offset, length);
    const around = sectorsOf(roundDown(offset, SECTOR_BYTES), roundUp(offset + length, SECTOR_BYTES));
    for await (const { from, to, hidden } of this.#dataIn(around)) {
      // What the leaf holds itself would have to be overwritten; what lies below is hidden grain by grain.
      if (!hidden || from < start / SECTOR_BYTES || to > end / SECTOR_BYTES) return false;
      if (this.#wholeGrains(from, to)?.count !== to - from) return false;
    }
    return true;
  }

  /**
   * Nobody needs the range any more. Whole grains that lie below the leaf are hidden; what the leaf holds stays, since a
   * grain that is given up would be lost space until the disk is compacted.
   */
  trim(offset: number, length: number): Promise<void> {
    return this.#change(offset, length, async () => {
      const [start, end] = wholeSectors(offset, length);
      if (start >= end) return;
      for await (const { from, to, hidden } of this.#dataIn(sectorsOf(start, end))) {
        const whole = hidden ? this.#wholeGrains(from, to) : undefined;
        if (whole !== undefined) await this.#target.zero(whole);
      }
    });
  }

  /** Durable after it returns: all that was answered before. */
  async flush(): Promise<void> {
    const before = this.#changes;
    await this.#target.flush();
    this.#flushed = Math.max(this.#flushed, before);
  }

  async #change(offset: number, length: number, work: () => Promise<void>): Promise<void> {
    if (length === 0) return;
    try {
      await this.#lock.run(
        Math.floor(offset / SECTOR_BYTES),
        Math.ceil((offset + length) / SECTOR_BYTES),
        work,
      );
    } finally {
      this.#changes++;
    }
  }

  async #writeZeros(offset: number, length: number): Promise<void> {
    const zeros = Buffer.alloc(Math.min(length, LARGEST_ZERO_WRITE));
    for (let done = 0; done < length; done += LARGEST_ZERO_WRITE) {
      const part = zeros.subarray(0, Math.min(LARGEST_ZERO_WRITE, length - done));
      await writeBytes(this.#target, (offset + done) as Bytes, part);
    }
  }

  /** Runs with data; `hidden` when zeros could hide them. */
  async *#dataIn(range: SectorRange): AsyncGenerator<{ from: number; to: number; hidden: boolean }> {
    const end = range.start + range.count;
    let at: number = range.start;
    while (at < end) {
      const runs = await this.#target.plan(sectorRange(at, end - at));
      for (let index = 0; index < runs.length; index++) {
        if (!runs.isDataAt(index)) continue;
        const hidden = runs.depthAt(index) > 0 && this.#target.hidesByMetadata;
        yield { from: runs.startAt(index), to: runs.endAt(index), hidden };
      }
      at = runs.end;
    }
  }

  #wholeGrains(from: number, to: number): SectorRange | undefined {
    const first = this.#target.grainAt(from);
    const last = this.#target.grainAt(to - 1);
    const start = first.start === from ? from : first.start + first.count;
    const end = last.start + last.count === to ? to : last.start;
    return start < end ? sectorRange(start, end - start) : undefined;
  }
}

/** The whole sectors within a range of bytes, as bytes: `start >= end` where there are none. */
function wholeSectors(offset: number, length: number): [start: number, end: number] {
  return [roundUp(offset, SECTOR_BYTES), roundDown(offset + length, SECTOR_BYTES)];
}

function sectorsOf(start: number, end: number): SectorRange {
  return sectorRange(start / SECTOR_BYTES, (end - start) / SECTOR_BYTES);
}
