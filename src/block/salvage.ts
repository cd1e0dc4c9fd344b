// A source that goes on where another gives up: what cannot be read is zeros here, and every such stretch is told of.
// Rule: damage is narrowed down before it is given up, so that as little as possible is lost with it.
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { readMapped } from './read-runs.ts';
import { RunList } from './run-list.ts';
import { sectorRange, type SectorRange } from './sector-range.ts';
import type { SectorSource } from './sector-source.ts';

/** A stretch that could not be read, and why. Sectors. */
export interface LostRange {
  readonly start: number;
  readonly count: number;
  readonly error: VmdkError;
}

/** Tables are asked about so much at a time: 256 MiB. */
const MAP_AT_ONCE = 524_288;
/** Where maps fail, so much is given up at a time: a grain of hosted disks. */
const MAP_UNIT = 128;
/** Where reading fails: a block of file systems. */
const READ_UNIT = 8;

export interface SalvagingSource extends SectorSource {
  /** What was lost so far, ascending; neighbours lost for the same reason are one. */
  lost(): readonly LostRange[];
}

/** Owns nothing: whoever opened `source` closes it. */
export function salvagingSource(source: SectorSource): SalvagingSource {
  const given = new Map<number, LostRange>();
  const note = (start: number, count: number, error: unknown): void => {
    if (!isVmdkError(error)) throw error;
    const known = given.get(start);
    if (known === undefined || known.count < count) given.set(start, { start, count, error });
  };
  const mapWithin = async (range: SectorRange): Promise<RunList> => {
    let count = Math.min(range.count, MAP_AT_ONCE);
    for (;;) {
      try {
        return await source.map(sectorRange(range.start, count));
      } catch (error) {
        if (count > MAP_UNIT) {
          if (!isLoss(error)) throw error;
          count = Math.max(MAP_UNIT, Math.ceil(count / 2 / MAP_UNIT) * MAP_UNIT);
          continue;
        }
        // Up to the end of the unit, so that the next question begins at the next one.
        count = Math.min(range.count, MAP_UNIT - (range.start % MAP_UNIT));
        if (!isLoss(error)) throw error;
        note(range.start, count, error);
        const runs = new RunList(range.start);
        runs.addZero(count);
        return runs;
      }
    }
  };
  const map = async (range: SectorRange): Promise<RunList> => withoutLost(await mapWithin(range), note);
  const read = async (range: SectorRange, into: Uint8Array): Promise<void> => {
    try {
      await readMapped({ map }, range, into);
    } catch (error) {
      if (!isLoss(error)) throw error;
      if (range.count <= READ_UNIT) {
        note(range.start, range.count, error);
        into.fill(0);
        return;
      }
      const half = Math.max(READ_UNIT, Math.floor(range.count / 2 / READ_UNIT) * READ_UNIT);
      await read(sectorRange(range.start, half), into.subarray(0, half * SECTOR_BYTES));
      await read(sectorRange(range.start + half, range.count - half), into.subarray(half * SECTOR_BYTES));
    }
  };
  return {
    capacity: source.capacity,
    map,
    read,
    lost: () => merged([...given.values()].sort((a, b) => a.start - b.start)),
    close: () => Promise.resolve(),
  };
}

/** What is known to be lost becomes zeros, each stretch as one. */
function withoutLost(runs: RunList, note: (start: number, count: number, error: VmdkError) => void): RunList {
  const readable = new RunList(runs.start, runs.length);
  let lost = false;
  for (let index = 0; index < runs.length; index++) {
    const [start, count] = [runs.startAt(index), runs.endAt(index) - runs.startAt(index)];
    const error = runs.originAt(index)?.lost;
    if (error === undefined) readable.addPart(runs, index, start, count);
    else {
      lost = true;
      note(start, count, error);
      readable.addZero(count, runs.depthAt(index));
    }
  }
  return lost ? readable : runs;
}

/** Damage and failing media; not a mistake of ours, nor a wish to stop. */
function isLoss(error: unknown): error is VmdkError {
  return isVmdkError(error) && (error.kind === 'corrupt' || error.kind === 'io');
}

function merged(ranges: readonly LostRange[]): LostRange[] {
  const lost: LostRange[] = [];
  for (const range of ranges) {
    const last = lost.at(-1);
    const sameReason =
      last?.error.code === range.error.code && last.error.context.path === range.error.context.path;
    if (last === undefined || !sameReason || range.start > last.start + last.count) lost.push(range);
    else {
      const end = Math.max(last.start + last.count, range.start + range.count);
      lost[lost.length - 1] = { ...last, count: end - last.start };
    }
  }
  return lost;
}
