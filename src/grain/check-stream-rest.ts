// What stands in a stream between the things its directory leads to: markers, padding, grains that were given up.
// Rule: everything there must be accounted for; what is not is a leak, or damage when sequential readers meet it.
import { isZero } from '../block/zero-scan.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { GRAIN_MARKER_BYTES, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { ExtentCheck } from './check-context.ts';
import { GapTally } from './check-gaps.ts';
import type { CheckedDirectories } from './check-sparse-directory.ts';
import { ByteWindow } from './check-window.ts';

/** Gaps, and sectors in them, that are looked into; what is more is damage, and counted as a leak unseen. */
const MOST_GAPS = 1 << 20;
const MOST_SECTORS = 1 << 20;
const SPAN = 64 << 10;

/** The gaps of a stream, bounded. */
export class StreamGaps {
  readonly starts: number[] = [];
  readonly counts: number[] = [];
  /** Sector by sector: a compressed grain may be that small. */
  readonly leaks = new GapTally(1);
  #sectors = 0;

  add(start: number, count: number): void {
    const room = this.starts.length < MOST_GAPS ? MOST_SECTORS - this.#sectors : 0;
    const seen = Math.min(count, room);
    if (seen > 0) {
      this.starts.push(start);
      this.counts.push(seen);
      this.#sectors += seen;
    }
    if (seen < count) this.leaks.add(start + seen, count - seen);
  }
}

/** Finds the table entry of a grain. */
export type EntryOf = (grain: number) => Promise<number>;

export class GapJudge {
  readonly #check: ExtentCheck;
  readonly #directories: CheckedDirectories;
  readonly #leaks: GapTally;
  readonly #entryOf: EntryOf;
  readonly #window: ByteWindow;

  constructor(check: ExtentCheck, directories: CheckedDirectories, leaks: GapTally, entryOf: EntryOf) {
    this.#check = check;
    this.#directories = directories;
    this.#leaks = leaks;
    this.#entryOf = entryOf;
    this.#window = new ByteWindow(check.file, check.fileBytes, SPAN);
  }

  async judge({ starts, counts }: StreamGaps): Promise<void> {
    for (const [index, start] of starts.entries()) {
      const end = start + counts[index]!;
      let at = start;
      while (at < end) at = await this.#judgeAt(at, end);
    }
  }

  /** Judges what starts at sector `at` of a gap that ends before `end`; gives where to go on. */
  async #judgeAt(at: number, end: number): Promise<number> {
    const sectors = Math.min(end - at, SPAN / SECTOR_BYTES);
    const bytes = await this.#window.get(at * SECTOR_BYTES, sectors * SECTOR_BYTES);
    let zeros = 0;
    while (zeros < sectors && isZero(bytes.subarray(zeros * SECTOR_BYTES, (zeros + 1) * SECTOR_BYTES)))
      zeros++;
    if (zeros > 0) return at + zeros;
    const marker = Marker.decode(bytes);
    if (marker.size > 0) return this.#judgeGrain(marker, at, end);
    switch (marker.type) {
      case MARKER_TYPE.footer:
        return Math.min(end, at + 2);
      case MARKER_TYPE.progress:
        return at + 1;
      case MARKER_TYPE.grainTable:
      case MARKER_TYPE.grainDirectory:
        return this.#judgeTable(marker.val, at, end);
      default: {
        const detail = { path: this.#check.file.path, offset: at * SECTOR_BYTES };
        const message = () => `a marker is of the unknown type ${marker.type}: expected 0 to 4`;
        this.#check.log.error('MARKER', detail, message);
        return at + 1;
      }
    }
  }

  async #judgeGrain(marker: { val: bigint; size: number }, at: number, end: number): Promise<number> {
    const { capacity, grainSize } = this.#directories.header;
    const lba = Number(marker.val);
    const next = at + ceilDiv(GRAIN_MARKER_BYTES + marker.size, SECTOR_BYTES);
    if (marker.val >= BigInt(capacity) || lba % grainSize !== 0 || next > end) {
      this.#leaks.add(at, 1);
      return at + 1;
    }
    const grain = lba / grainSize;
    const entry = await this.#entryOf(grain);
    if (entry === 0) this.#leaks.add(at, next - at);
    else {
      const detail = { path: this.#check.file.path, offset: at * SECTOR_BYTES };
      const message = () =>
        `grain ${grain} stands in the stream twice: at sector ${entry}, and at sector ${at}`;
      this.#check.log.error('GRAIN-LBA', detail, message);
    }
    return next;
  }

  /** The marker of a table that is in use ends its gap. One that is not says nothing when it holds nothing. */
  async #judgeTable(val: bigint, at: number, end: number): Promise<number> {
    const next = val < BigInt(end - at) ? at + 1 + Number(val) : end;
    const length = Math.min(next - at - 1, SPAN / SECTOR_BYTES - 1);
    const table = await this.#window.get((at + 1) * SECTOR_BYTES, length * SECTOR_BYTES);
    // VMware's OVF export writes an empty table for the entry behind the last of the directory.
    if (length < next - at - 1 || !isZero(table)) this.#leaks.add(at, next - at);
    return next;
  }
}
