// The bytes of a disk, in order, to wherever they are wanted: a pipe, a terminal, a file that is no disk. Rule: as
// fast as the reader takes them, never more than one chunk ahead, and from the same memory again and again.
import { readBytes, readsAsZeros } from '../block/byte-access.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { roundDown, type Bytes } from '../core/units.ts';

const CHUNK_BYTES = 1 << 20;

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
  const room = Math.min(CHUNK_BYTES, total);
  const rooms = [allocateRoom(room), allocateRoom(room)] as const;
  const zeros = Buffer.alloc(room);
  const fill = async (start: number, into: Buffer): Promise<Uint8Array> => {
    const end = chunkEnd(start, range.end);
    if (await readsAsZeros(source, start as Bytes, end - start)) return zeros.subarray(0, end - start);
    const data = into.subarray(0, end - start);
    await readBytes(source, start as Bytes, data);
    return data;
  };
  // One chunk is read while the one before is taken; its failure is met when its turn comes.
  const begin = (start: number, turn: number): Promise<Uint8Array> | undefined => {
    if (start >= range.end) return undefined;
    const reading = fill(start, rooms[turn % 2]!);
    reading.catch(() => undefined);
    return reading;
  };
  let next = begin(range.start, 0);
  for (let at = range.start, turn = 0; next !== undefined; turn++) {
    throwIfAborted(task);
    const data: Uint8Array = await next;
    at += data.length;
    next = begin(at, turn + 1);
    await write(data);
    task.onProgress?.({ phase: 'copying', done: at - range.start, total, unit: 'bytes' });
  }
}

/** Chunks end where grains do, whatever byte the first begins with. */
function chunkEnd(start: number, end: number): number {
  return Math.min(end, roundDown(start, CHUNK_BYTES) + CHUNK_BYTES);
}
