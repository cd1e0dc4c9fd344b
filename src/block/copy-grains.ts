// Copies contents into something that takes whole grains in ascending order: a new disk. Reads run ahead, several at a
// time; what is handed over keeps the guest's order. Rule: zeros are not handed over, nor what a disk below has already.
import { after, allOf, DONE } from '../core/settled.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { roundDown, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { walkRuns, wholeOf } from './read-runs.ts';
import { Rooms } from './rooms.ts';
import { eachDifference } from './same-runs.ts';
import { sectorRange, type SectorRange } from './sector-range.ts';
import type { SectorSource } from './sector-source.ts';
import { eachGrainStretch } from './zero-scan.ts';

export interface GrainTaker {
  /** Sectors. */
  readonly grainSize: number;
  /**
   * Whole grains from sector `start` on, the last cut by the end of the disk. Each call is for what comes after all
   * before it, and may be made before they are done. `data` is the caller's again once the promise resolves.
   */
  write(start: number, data: Uint8Array): Promise<void>;
  /** Grains that must read as zeros although the disk below has data there. Order as for `write`. */
  hide(start: number, count: number): Promise<void>;
}

export interface CopyGrainsOptions extends TaskOptions {
  /** What the new disk will stand on: what it reads the same is left to it. */
  below?: SectorSource | undefined;
}

const CHUNK_SECTORS = (1 << 20) / SECTOR_BYTES;
const CHUNKS_IN_FLIGHT = 4;
/** Zeros up to this length are read along, so that scattered grains share a chunk. */
const GAP_WORTH_READING = (1 << 18) / SECTOR_BYTES;

/** Returns the bytes handed over. */
export async function copyGrains(
  source: SectorSource,
  taker: GrainTaker,
  options: CopyGrainsOptions = {},
): Promise<number> {
  const { below, onProgress } = options;
  const { grainSize } = taker;
  const most = Math.max(CHUNK_SECTORS, grainSize);
  const total = onProgress === undefined ? 0 : await countSectors(source, below);
  let done = 0;
  let written = 0;
  const takeOver = (range: SectorRange, data: Buffer, under: Buffer | undefined): Promise<void> => {
    const handed: Promise<void>[] = [];
    const grainBytes = grainSize * SECTOR_BYTES;
    eachStretch(data, under, grainBytes, (start, end, zero) => {
      const sector = range.start + start / SECTOR_BYTES;
      if (zero) handed.push(taker.hide(sector, (end - start) / SECTOR_BYTES));
      else handed.push(taker.write(sector, data.subarray(start, end)));
      if (!zero) written += end - start;
    });
    return after(allOf(handed), () => {
      done += data.length;
      onProgress?.({ phase: 'copying', done: Math.min(done, total), total, unit: 'bytes' });
      return DONE;
    });
  };
  /** Resolves once all that came before has begun to be handed over. */
  let turn = DONE;
  const copyChunk = (range: SectorRange, room: Buffer): Promise<void> => {
    const length = range.count * SECTOR_BYTES;
    const data = room.subarray(0, length);
    const under = below === undefined ? undefined : room.subarray(length, 2 * length);
    const reads = [source.read(range, data), ...(under === undefined ? [] : [below!.read(range, under)])];
    let handing = DONE;
    turn = after(allOf([...reads, turn]), () => {
      handing = takeOver(range, data, under);
      return DONE;
    });
    return after(turn, () => handing);
  };
  const rooms = new Rooms(CHUNKS_IN_FLIGHT, most * SECTOR_BYTES * (below === undefined ? 1 : 2));
  try {
    for await (const range of chunks(source, below, grainSize, most)) {
      throwIfAborted(options);
      const room = rooms.free ?? (await rooms.nextFree());
      rooms.use(room, () => copyChunk(range, room));
    }
  } finally {
    await rooms.ended();
  }
  rooms.assertNoneFailed();
  return written;
}

/** Stretches to be handed over, in bytes. */
function eachStretch(
  data: Buffer,
  under: Buffer | undefined,
  grainBytes: number,
  found: (start: number, end: number, zero: boolean) => void,
): void {
  if (under === undefined) {
    eachGrainStretch(data, grainBytes, (start, end, zero) => {
      if (!zero) found(start, end, false);
    });
    return;
  }
  let start = -1;
  const flush = (end: number): void => {
    if (start < 0) return;
    const from = start;
    eachGrainStretch(data.subarray(from, end), grainBytes, (a, b, zero) => found(from + a, from + b, zero));
    start = -1;
  };
  for (let at = 0; at < data.length; at += grainBytes) {
    const end = Math.min(at + grainBytes, data.length);
    if (data.compare(under, at, end, at, end) === 0) flush(at);
    else if (start < 0) start = at;
  }
  flush(data.length);
}

/** What has to be read, as ranges of whole grains of at most `most` sectors, ascending and apart. */
async function* chunks(
  source: SectorSource,
  below: SectorSource | undefined,
  grainSize: number,
  most: number,
): AsyncGenerator<SectorRange> {
  const { capacity } = source;
  let [start, end] = [0, 0];
  const longest = roundDown(most, grainSize);
  for await (const wanted of stretches(source, below)) {
    for (let index = 0; index < wanted.length; index += 2) {
      const from = Math.max(roundDown(wanted[index]!, grainSize), end);
      const to = Math.min(roundUp(wanted[index + 1]!, grainSize), capacity);
      if (to <= from) continue;
      if (from - end > GAP_WORTH_READING || from - start >= longest) {
        if (end > start) yield sectorRange(start, end - start);
        start = from;
      }
      end = to;
      for (; end - start > longest; start += longest) yield sectorRange(start, longest);
    }
  }
  if (end > start) yield sectorRange(start, end - start);
}

/** Starts and ends of what has data, or differs from what is below; a list for each map that was asked. */
async function* stretches(
  source: SectorSource,
  below: SectorSource | undefined,
): AsyncGenerator<readonly number[]> {
  for await (const runs of walkRuns(source, wholeOf(source))) {
    const wanted: number[] = [];
    if (below === undefined) {
      for (let index = 0; index < runs.length; index++) {
        if (runs.isDataAt(index)) wanted.push(runs.startAt(index), runs.endAt(index));
      }
    } else {
      for await (const under of walkRuns(below, sectorRange(runs.start, runs.end - runs.start))) {
        eachDifference(runs, under, (start, end) => wanted.push(start, end));
      }
    }
    yield wanted;
  }
}

async function countSectors(source: SectorSource, below: SectorSource | undefined): Promise<number> {
  let sectors = 0;
  for await (const wanted of stretches(source, below)) {
    for (let index = 0; index < wanted.length; index += 2) sectors += wanted[index + 1]! - wanted[index]!;
  }
  return sectors * SECTOR_BYTES;
}
