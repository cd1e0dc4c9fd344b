// One hash of all that a disk or a file holds, whatever its size: SHA-256 over the blocks of 64 KiB that are not all zero,
// each with its number before it (64 bits, little-endian). Rule: cost follows data; what is known to be zeros is never
// read, and where it is known makes no difference to the hash.
import { createHash } from 'node:crypto';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { isZero } from '../block/zero-scan.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { encodeBlockNumber } from '../format/patch.ts';
import { inOrder } from './in-order.ts';

const BLOCK_BYTES = 64 << 10;
/** Blocks that are read together. */
const CHUNK_BLOCKS = 16;
const CHUNKS_IN_FLIGHT = 4;

/** Blocks, `end` exclusive. */
interface Chunk {
  readonly start: number;
  readonly end: number;
}

/** Bytes, and which of them may be anything but zeros. */
export interface SparseBytes {
  readonly bytes: number;
  /** In order; all else is zeros. */
  data(): AsyncIterable<{ readonly start: number; readonly length: number }>;
  /** Fills `into` from byte `start`. */
  read(into: Uint8Array, start: number): Promise<void>;
}

/** 32 bytes. Two disks that read the same have the same, also when one is longer by zeros. */
export function hashContents(source: SectorSource, task: TaskOptions = {}): Promise<Buffer> {
  return hashSparse(
    {
      bytes: source.capacity * SECTOR_BYTES,
      data: () => dataOf(source, task),
      read: (into, start) => source.read(sectorRange(start / SECTOR_BYTES, into.length / SECTOR_BYTES), into),
    },
    task,
  );
}

/** The same of any bytes; those behind the end count as zeros. */
export async function hashSparse(source: SparseBytes, task: TaskOptions = {}): Promise<Buffer> {
  const hash = createHash('sha256');
  const roomBytes = BLOCK_BYTES * Math.min(CHUNK_BLOCKS, ceilDiv(source.bytes, BLOCK_BYTES));
  // Memory that was read into before costs no page faults: with fresh rooms those take longer than the reads.
  const free: Buffer[] = [];
  let done = 0;
  const read = async ({ start, end }: Chunk): Promise<{ start: number; room: Buffer; data: Buffer }> => {
    const room = free.pop() ?? allocateRoom(roomBytes);
    const data = room.subarray(0, (end - start) * BLOCK_BYTES);
    const length = Math.min(source.bytes, end * BLOCK_BYTES) - start * BLOCK_BYTES;
    await source.read(data.subarray(0, length), start * BLOCK_BYTES);
    data.fill(0, length);
    return { start, room, data };
  };
  for await (const { start, room, data } of inOrder(chunksOf(source), read, CHUNKS_IN_FLIGHT)) {
    throwIfAborted(task);
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      const block = data.subarray(at, at + BLOCK_BYTES);
      if (isZero(block)) continue;
      hash.update(encodeBlockNumber(start + at / BLOCK_BYTES)).update(block);
    }
    free.push(room);
    done += data.length;
    task.onProgress?.({ phase: 'hashing', done, total: done, unit: 'bytes' });
  }
  return hash.digest();
}

async function* dataOf(
  source: SectorSource,
  task: TaskOptions,
): AsyncGenerator<{ start: number; length: number }> {
  for await (const runs of walkRuns(source, wholeOf(source))) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      if (!runs.isDataAt(index)) continue;
      const [from, to] = [runs.startAt(index), runs.endAt(index)];
      yield { start: from * SECTOR_BYTES, length: (to - from) * SECTOR_BYTES };
    }
  }
}

/** The blocks that hold data, each once. */
async function* chunksOf(source: SparseBytes): AsyncGenerator<Chunk> {
  let start = 0;
  let end = 0;
  for await (const run of source.data()) {
    const first = Math.max(end, Math.floor(run.start / BLOCK_BYTES));
    const last = ceilDiv(run.start + run.length, BLOCK_BYTES);
    if (first >= last) continue;
    if (first > end) {
      if (end > start) yield { start, end };
      start = first;
    }
    for (end = last; end - start > CHUNK_BLOCKS; start += CHUNK_BLOCKS) {
      yield { start, end: start + CHUNK_BLOCKS };
    }
  }
  if (end > start) yield { start, end };
}
