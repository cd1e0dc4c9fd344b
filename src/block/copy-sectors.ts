// Copies contents without copying nothing: only data runs are read, and of those only stretches that are not zero
// are written. Progress counts the bytes of data, not the virtual size.
import { after, DONE, eachInTurn } from '../core/settled.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { readRuns, walkRuns, wholeOf } from './read-runs.ts';
import { Rooms } from './rooms.ts';
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
 * caller's only until the promise resolves, or until it returns when it returns nothing: the buffer is used again.
 */
export type WriteAt = (data: Uint8Array, at: number) => Promise<void> | void;

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
  const handOver = (part: RunList, data: Buffer): Promise<void> => {
    const at = part.start * SECTOR_BYTES;
    const whole = [[0, data.length]] as const;
    const stretches = options.keepZeros === true ? whole : nonZeroStretches(data);
    const handed = eachInTurn<readonly [number, number]>(stretches, ([start, end]) => {
      const writing = write(data.subarray(start, end), at + start) ?? DONE;
      return after(writing, () => {
        written += end - start;
        return DONE;
      });
    });
    return after(handed, () => {
      done += data.length;
      options.onProgress?.({ phase: 'copying', done, total, unit: 'bytes' });
      return DONE;
    });
  };
  const rooms = new Rooms(CHUNKS_IN_FLIGHT, CHUNK_SECTORS * SECTOR_BYTES);
  try {
    for await (const runs of walkRuns(source, range)) {
      for (const part of dataChunks(runs)) {
        throwIfAborted(options);
        const room = rooms.free ?? (await rooms.nextFree());
        const data = room.subarray(0, (part.end - part.start) * SECTOR_BYTES);
        rooms.use(room, () => after(readRuns(part, data), () => handOver(part, data)));
      }
    }
  } finally {
    await rooms.ended();
  }
  rooms.assertNoneFailed();
  return written;
}

/** Stretches of data runs, each at most a chunk long. */
function* dataChunks(runs: RunList): Generator<RunList> {
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
      yield runs.slice(sectorRange(at, Math.min(CHUNK_SECTORS, end - at)));
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
