// One hash of all that a disk holds, whatever its type and size: SHA-256 over the blocks of 64 KiB that are not all zero,
// each with its number before it (64 bits, little-endian). Rule: cost follows data; zeros are never read.
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
const BLOCK_SECTORS = BLOCK_BYTES / SECTOR_BYTES;
/** Blocks that are read together. */
const CHUNK_BLOCKS = 16;
const CHUNKS_IN_FLIGHT = 4;

/** Blocks, `end` exclusive. */
interface Chunk {
  readonly start: number;
  readonly end: number;
}

/** 32 bytes. Two disks that read the same have the same, also when one is longer by zeros. */
export async function hashContents(source: SectorSource, task: TaskOptions = {}): Promise<Buffer> {
  const hash = createHash('sha256');
  let done = 0;
  const read = async ({ start, end }: Chunk): Promise<{ start: number; data: Buffer }> => {
    const data = allocateRoom((end - start) * BLOCK_BYTES);
    const sectors = Math.min(source.capacity, end * BLOCK_SECTORS) - start * BLOCK_SECTORS;
    await source.read(sectorRange(start * BLOCK_SECTORS, sectors), data.subarray(0, sectors * SECTOR_BYTES));
    data.fill(0, sectors * SECTOR_BYTES);
    return { start, data };
  };
  for await (const { start, data } of inOrder(chunksOf(source, task), read, CHUNKS_IN_FLIGHT)) {
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      const block = data.subarray(at, at + BLOCK_BYTES);
      if (isZero(block)) continue;
      hash.update(encodeBlockNumber(start + at / BLOCK_BYTES)).update(block);
    }
    done += data.length;
    task.onProgress?.({ phase: 'hashing', done, total: done, unit: 'bytes' });
  }
  return hash.digest();
}

/** The blocks that hold data, each once. */
async function* chunksOf(source: SectorSource, task: TaskOptions): AsyncGenerator<Chunk> {
  let start = 0;
  let end = 0;
  for await (const runs of walkRuns(source, wholeOf(source))) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      if (!runs.isDataAt(index)) continue;
      const first = Math.max(end, Math.floor(runs.startAt(index) / BLOCK_SECTORS));
      const last = ceilDiv(runs.endAt(index), BLOCK_SECTORS);
      if (first >= last) continue;
      if (first > end) {
        if (end > start) yield { start, end };
        start = first;
      }
      for (end = last; end - start > CHUNK_BLOCKS; start += CHUNK_BLOCKS) {
        yield { start, end: start + CHUNK_BLOCKS };
      }
    }
  }
  if (end > start) yield { start, end };
}
