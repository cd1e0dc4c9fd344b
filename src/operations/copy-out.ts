// The bytes of a disk, in order, to wherever they are wanted: a pipe, a terminal, a file that is no disk. Rule: as
// fast as the reader takes them, a few chunks ahead where the disk is slow, and from the same memory again and again.
import { readBytes, readsAsZeros } from '../block/byte-access.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { roundDown, type Bytes } from '../core/units.ts';

const CHUNK_BYTES = 1 << 20;
/** Chunks that are read while one is taken: one from a page cache, so many from a disk that makes us wait. */
const MOST_AHEAD = 8;
/** A chunk that had to be waited for longer has too few begun behind it; milliseconds. */
const SLOW = 1;
/** Chunks in a row that did not have to be waited for: the disk is not slow any more. */
const QUICK_AGAIN = 32;

export interface ByteRange {
  /** First byte. */
  readonly start: number;
  /** Byte after the last. */
  readonly end: number;
}

/** Hands the bytes of `range` to `write`, chunk by chunk; waits for each, whose memory is used again after that. */
export async function copyOut(
  source: SectorSource,
  range: ByteRange,
  write: (data: Uint8Array) => Promise<void>,
  task: TaskOptions = {},
): Promise<void> {
  const total = range.end - range.start;
  const size = Math.min(CHUNK_BYTES, total);
  const zeros = Buffer.alloc(size);
  const rooms: Buffer[] = [];
  const begun: { readonly reading: Promise<Uint8Array>; readonly room: Buffer }[] = [];
  const fill = async (start: number, end: number, into: Buffer): Promise<Uint8Array> => {
    if (await readsAsZeros(source, start as Bytes, end - start)) return zeros.subarray(0, end - start);
    const data = into.subarray(0, end - start);
    await readBytes(source, start as Bytes, data);
    return data;
  };
  let next = range.start;
  let ahead = 1;
  let quick = 0;
  try {
    for (let at = range.start; at < range.end;) {
      for (; next < range.end && begun.length <= ahead; next = chunkEnd(next, range.end)) {
        const room = rooms.pop() ?? allocateRoom(size);
        const reading = fill(next, chunkEnd(next, range.end), room);
        // Its failure is met when its turn comes.
        reading.catch(() => undefined);
        begun.push({ reading, room });
      }
      throwIfAborted(task);
      const { reading, room } = begun[0]!;
      const began = performance.now();
      const data = await reading;
      quick = performance.now() - began > SLOW ? 0 : quick + 1;
      if (quick === 0) ahead = Math.min(MOST_AHEAD, ahead + 1);
      else if (quick > QUICK_AGAIN) ahead = 1;
      begun.shift();
      at += data.length;
      await write(data);
      rooms.push(room);
      task.onProgress?.({ phase: 'copying', done: at - range.start, total, unit: 'bytes' });
    }
  } finally {
    await Promise.allSettled(begun.map(({ reading }) => reading));
  }
}

/** Chunks end where grains do, whatever byte the first begins with. */
function chunkEnd(start: number, end: number): number {
  return Math.min(end, roundDown(start, CHUNK_BYTES) + CHUNK_BYTES);
}
