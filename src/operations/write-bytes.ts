// Writes into the leaf of a chain: bytes from a stream, or zeros. Rule: nothing is written before it is certain that
// all of it has a place, as far as that can be known, and everything is durable when it returns.
import { writeBytes } from '../block/byte-access.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { WritableChain } from '../chain/writable-chain.ts';
import { usageError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { roundDown, roundUp, SECTOR_BYTES, type Bytes } from '../core/units.ts';

const CHUNK_BYTES = 1 << 20;

/**
 * Writes everything `data` yields from byte `at` on; any alignment. Returns the bytes written. `length`, when it is
 * known, is proved to fit before the first byte is written.
 * @throws VmdkError `usage` when the data reaches past the end of the disk: unless `length` was given, what fits is
 * written by then.
 */
export async function writeStream(
  chain: WritableChain,
  at: number,
  data: AsyncIterable<Uint8Array>,
  task: TaskOptions & { length?: number | undefined } = {},
): Promise<number> {
  const { length, onProgress } = task;
  const size = chain.capacity * SECTOR_BYTES;
  assertInside(at, length ?? 0, size);
  let written = 0;
  for await (const piece of gathered(data, at)) {
    throwIfAborted(task);
    assertInside(at + written, piece.length, size);
    await writeBytes(chain, (at + written) as Bytes, piece);
    written += piece.length;
    onProgress?.({ phase: 'writing', done: written, total: length ?? written, unit: 'bytes' });
  }
  await chain.flush(task);
  return written;
}

/** Makes `length` bytes from byte `at` on read as zeros; any alignment. */
export async function zeroBytes(
  chain: WritableChain,
  at: number,
  length: number,
  task: TaskOptions = {},
): Promise<void> {
  assertInside(at, length, chain.capacity * SECTOR_BYTES);
  throwIfAborted(task);
  const from = roundUp(at, SECTOR_BYTES);
  const to = roundDown(at + length, SECTOR_BYTES);
  if (from >= to) await writeBytes(chain, at as Bytes, Buffer.alloc(length));
  else {
    await writeBytes(chain, at as Bytes, Buffer.alloc(from - at));
    await chain.zero(sectorRange(from / SECTOR_BYTES, (to - from) / SECTOR_BYTES));
    await writeBytes(chain, to as Bytes, Buffer.alloc(at + length - to));
  }
  await chain.flush(task);
}

/** The bytes of an open file, for `writeStream`. */
export async function* chunksOf(file: RandomAccessFile): AsyncGenerator<Uint8Array> {
  const size = await file.size();
  for (let at = 0; at < size; at += CHUNK_BYTES) {
    const chunk = allocateRoom(Math.min(CHUNK_BYTES, size - at));
    await file.readExactly(chunk, at);
    yield chunk;
  }
}

/** Pieces of up to a chunk that end on a sector, so that no sector is written twice. */
async function* gathered(data: AsyncIterable<Uint8Array>, at: number): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  let position = at;
  for await (const piece of data) {
    pieces.push(piece);
    length += piece.length;
    if (length < CHUNK_BYTES) continue;
    const whole = Buffer.concat(pieces);
    const usable = roundDown(position + length, SECTOR_BYTES) - position;
    yield whole.subarray(0, usable);
    position += usable;
    pieces = [whole.subarray(usable)];
    length -= usable;
  }
  if (length > 0) yield Buffer.concat(pieces);
}

function assertInside(at: number, length: number, size: number): void {
  if (at + length <= size) return;
  const what = at > size ? `byte ${at} is` : `bytes ${at} to ${at + length} reach`;
  throw usageError(`${what} past the end of the disk`, `It has ${size} bytes.`);
}
