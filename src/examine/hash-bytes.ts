// One pass over bytes that say where they hold nothing: reads run ahead, digests and pieces follow in order. Rule: holes
// are hashed as so many zeros and never read.
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { FileStore, RandomAccessFile } from '../storage/file-store.ts';
import { inOrder } from '../operations/in-order.ts';
import { createDigester, ROOM_BYTES, type Algorithm, type DigestSet, type Room } from './digests.ts';
import type { PieceDigester } from './piece-digests.ts';

const READS_IN_FLIGHT = 6;

/** Bytes in order; `zero` ones need not be read. */
export interface ByteStretch {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
}

export interface HashedSource {
  readonly bytes: number;
  stretches(): AsyncIterable<ByteStretch>;
  /** Fills `into` from byte `start`, within one stretch that is not zero. */
  read(into: Uint8Array, start: number): Promise<void>;
}

export interface HashedBytes {
  readonly digests: DigestSet;
  /** Bytes that were hashed. */
  readonly bytes: number;
  /** Of these, bytes that were read. */
  readonly read: number;
}

export interface HashBytesOptions extends TaskOptions {
  readonly pieces?: PieceDigester | undefined;
}

export async function hashBytes(
  source: HashedSource,
  algorithms: readonly Algorithm[],
  options: HashBytesOptions = {},
): Promise<HashedBytes> {
  const { pieces, onProgress } = options;
  const digester = createDigester(algorithms, source.bytes);
  let [bytes, read] = [0, 0];
  const fetch = async (chunk: ByteStretch): Promise<{ chunk: ByteStretch; room?: Room }> => {
    if (chunk.zero) return { chunk };
    const room = await digester.room();
    await source.read(room.bytes.subarray(0, chunk.length), chunk.start);
    return { chunk, room };
  };
  try {
    for await (const { chunk, room } of inOrder(chunksOf(source), fetch, READS_IN_FLIGHT)) {
      throwIfAborted(options);
      const { length } = chunk;
      if (room === undefined) {
        await pieces?.zeros(length);
        digester.zeros(length);
      } else {
        await pieces?.update(room.bytes.subarray(0, length));
        digester.take(room, length);
        read += length;
      }
      bytes += length;
      onProgress?.({ phase: 'hashing', done: bytes, total: source.bytes, unit: 'bytes' });
    }
    await pieces?.end();
    return { digests: await digester.digests(), bytes, read };
  } finally {
    await digester.close();
  }
}

/** Data in rooms, zeros in steps that a signal may come between. */
async function* chunksOf(source: HashedSource): AsyncGenerator<ByteStretch> {
  for await (const { start, length, zero } of source.stretches()) {
    const most = zero ? 256 * ROOM_BYTES : ROOM_BYTES;
    for (let at = 0; at < length; at += most) {
      yield { start: start + at, length: Math.min(most, length - at), zero };
    }
  }
}

/** All that a disk reads as. */
export function wholeDisk(source: SectorSource): HashedSource {
  return {
    bytes: source.capacity * SECTOR_BYTES,
    stretches: () => joined(diskStretches(source)),
    read: (into, start) => source.read(sectorRange(start / SECTOR_BYTES, into.length / SECTOR_BYTES), into),
  };
}

/** The sectors that a link itself has as data, in the guest's order; nothing stands for the others. */
export function ownData(link: SectorSource, bytes: number): HashedSource {
  const whole = wholeDisk(link);
  return {
    bytes,
    async *stretches() {
      for await (const stretch of whole.stretches()) if (!stretch.zero) yield stretch;
    },
    read: (into, start) => whole.read(into, start),
  };
}

/** The bytes of a file. The caller closes it. */
export async function wholeFile(file: RandomAccessFile): Promise<HashedSource> {
  const bytes = await file.size();
  return {
    bytes,
    stretches: () => joined(fileStretches(file, bytes)),
    read: (into, start) => file.readExactly(into, start),
  };
}

/** Opens, hashes and closes a file. */
export async function hashFile(
  store: FileStore,
  path: string,
  algorithms: readonly Algorithm[],
  task: TaskOptions = {},
): Promise<HashedBytes> {
  const file = await store.open(path, 'read');
  try {
    return await hashBytes(await wholeFile(file), algorithms, task);
  } finally {
    await file.close();
  }
}

async function* diskStretches(source: SectorSource): AsyncGenerator<ByteStretch> {
  for await (const runs of walkRuns(source, wholeOf(source))) {
    for (let index = 0; index < runs.length; index++) {
      const [from, to] = [runs.startAt(index), runs.endAt(index)];
      yield {
        start: from * SECTOR_BYTES,
        length: (to - from) * SECTOR_BYTES,
        zero: !runs.isDataAt(index),
      };
    }
  }
}

async function* fileStretches(file: RandomAccessFile, bytes: number): AsyncGenerator<ByteStretch> {
  for (let at = 0; at < bytes;) {
    const found = (await file.stretches?.(at, bytes - at)) ?? [{ start: at, length: bytes - at, data: true }];
    for (const { start, length, data } of found) {
      yield { start, length, zero: !data };
      at = start + length;
    }
  }
}

/** Neighbours of one kind as one. */
async function* joined(stretches: AsyncIterable<ByteStretch>): AsyncGenerator<ByteStretch> {
  let last: ByteStretch | undefined;
  for await (const next of stretches) {
    if (last !== undefined && last.zero === next.zero && last.start + last.length === next.start) {
      last = { ...last, length: last.length + next.length };
      continue;
    }
    if (last !== undefined) yield last;
    last = next;
  }
  if (last !== undefined) yield last;
}
