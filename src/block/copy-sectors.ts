// Copies contents without copying nothing: only data runs are read, and of those only stretches that are not zero
// are written. Progress counts the bytes of data, not the virtual size.
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { readRuns, walkRuns, wholeOf } from './read-runs.ts';
import type { RunList } from './run-list.ts';
import { sectorRange, type SectorRange } from './sector-range.ts';
import type { SectorSource } from './sector-source.ts';
import { nonZeroStretches } from './zero-scan.ts';

const CHUNK_SECTORS = (1 << 20) / SECTOR_BYTES;
const CHUNKS_IN_FLIGHT = 4;

export interface CopyOptions extends TaskOptions {
  /** What to copy; everything unless given. */
  range?: SectorRange | undefined;
  /** Hand over zeros inside data runs too; a new, empty target does not need them. Default false. */
  keepZeros?: boolean | undefined;
}

/**
 * Takes bytes of the contents; `at` is the byte position on the disk. May be called out of order. `data` is the
 * caller's only until the promise resolves: the buffer is used again.
 */
export type WriteAt = (data: Uint8Array, at: number) => Promise<void>;

/** Calls `write` for everything in `source` that is not zero. Returns the bytes handed over. */
export async function copySectors(
  source: SectorSource,
  write: WriteAt,
  options: CopyOptions = {},
): Promise<number> {
  const range = options.range ?? wholeOf(source);
  const total = options.onProgress === undefined ? 0 : await countData(source, range);
  let done = 0;
  let written = 0;
  const copyChunk = async (part: RunList, room: Buffer): Promise<void> => {
    const data = room.subarray(0, (part.end - part.start) * SECTOR_BYTES);
    await readRuns(part, data);
    const stretches = options.keepZeros === true ? [[0, data.length] as const] : nonZeroStretches(data);
    for (const [start, end] of stretches) {
      await write(data.subarray(start, end), part.start * SECTOR_BYTES + start);
      written += end - start;
    }
    done += data.length;
    options.onProgress?.({ phase: 'copying', done, total, unit: 'bytes' });
  };
  await inLanes(dataChunks(source, range, options), copyChunk);
  return written;
}

/** Stretches of data runs, each at most a chunk long. */
async function* dataChunks(
  source: SectorSource,
  range: SectorRange,
  task: TaskOptions,
): AsyncGenerator<RunList> {
  for await (const runs of walkRuns(source, range)) {
    let index = 0;
    while (index < runs.length) {
      if (!runs.isDataAt(index)) {
        index++;
        continue;
      }
      const start = runs.startAt(index);
      let end = runs.endAt(index);
      for (index++; index < runs.length && runs.isDataAt(index); index++) end = runs.endAt(index);
      for (let at = start; at < end; at += CHUNK_SECTORS) {
        throwIfAborted(task);
        yield runs.slice(sectorRange(at, Math.min(CHUNK_SECTORS, end - at)));
      }
    }
  }
}

async function countData(source: SectorSource, range: SectorRange): Promise<number> {
  let sectors = 0;
  for await (const runs of walkRuns(source, range)) {
    for (let index = 0; index < runs.length; index++) {
      if (runs.isDataAt(index)) sectors += runs.endAt(index) - runs.startAt(index);
    }
  }
  return sectors * SECTOR_BYTES;
}

/** Runs `work` over what comes, a few at a time; the first failure is thrown once all that was begun has ended. */
async function inLanes<T>(
  items: AsyncGenerator<T>,
  work: (item: T, room: Buffer) => Promise<void>,
): Promise<void> {
  let failed = false;
  const lane = async (): Promise<void> => {
    // One buffer a lane: fresh memory for every chunk costs as much as reading into it.
    const room = allocateRoom(CHUNK_SECTORS * SECTOR_BYTES);
    while (!failed) {
      const next = await items.next();
      if (next.done === true) return;
      try {
        await work(next.value, room);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: CHUNKS_IN_FLIGHT }, lane));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
