// Reads compressed grains: marker, length, zlib stream, all checked, never inflated past one grain. The last few
// inflated grains are kept, so that small reads within one do not inflate it again.
import type { DataOrigin } from '../block/run-list.ts';
import { VmdkError, type ErrorContext } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { SparseHeader } from '../format/sparse-header.ts';
import { GRAIN_MARKER_BYTES, GrainMarker } from '../format/stream-marker.ts';
import type { ExtentMemory } from '../grain/extent-memory.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { inflateWithin } from '../worker/inflate.ts';

/** What a grain that cannot be compressed takes more than its own length, marker included, and a little. */
const SPARE_BYTES = 2 * SECTOR_BYTES;

export function compressedOrigin(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
  memory: ExtentMemory,
): DataOrigin {
  const grainBytes = header.grainSize * SECTOR_BYTES;
  // By the grain's place on the disk: two entries that name one stored grain are both checked, and one is refused.
  const kept = memory.keptGrains();
  const inflated = async <T>(offset: number, lba: number, take: (grain: Buffer) => T): Promise<T> => {
    const room = memory.scratch.take((grainBytes + SPARE_BYTES) / 4);
    try {
      const bytes = Buffer.from(room.buffer, room.byteOffset, room.byteLength);
      return await inflateGrain(file, header, fileBytes, offset, lba, bytes, take);
    } finally {
      memory.scratch.giveBack(room);
    }
  };
  const grainAt = (offset: number, lba: number): Promise<Buffer> => {
    const grain = lba / header.grainSize;
    const known = kept.get(grain);
    if (known !== undefined) return known;
    const loading = inflated(offset, lba, (bytes) => Buffer.from(bytes));
    kept.set(grain, loading, grainBytes);
    loading.catch(() => kept.delete(grain));
    return loading;
  };
  return {
    path: file.path,
    compressed: true,
    async read(into, offset, sector) {
      const skip = sector % header.grainSize;
      const from = skip * SECTOR_BYTES;
      const fill = (grain: Buffer): VmdkError | undefined => {
        if (from + into.length > grain.length) return tooLittle(grain.length);
        into.set(grain.subarray(from, from + into.length));
        return undefined;
      };
      const tooLittle = (length: number): VmdkError => {
        const [found, expected] = [`${length} bytes`, `at least ${from + into.length} bytes`];
        const context = { path: file.path, offset, sector: sector - skip, found, expected };
        return damaged('the grain inflates to too little', context);
      };
      // A grain that is wanted whole is hardly wanted again.
      const isWhole = into.length === grainBytes;
      const failure = isWhole
        ? await inflated(offset, sector, fill)
        : fill(await grainAt(offset, sector - skip));
      if (failure !== undefined) throw failure;
    },
  };
}

/**
 * One whole grain, read through `room`, which holds what is stored of nearly every grain. A short last grain (as QEMU and
 * open-vmdk write it) is lawful; its caller knows what it needs.
 */
async function inflateGrain<T>(
  file: RandomAccessFile,
  header: SparseHeader,
  fileBytes: number,
  offset: number,
  lba: number,
  room: Buffer,
  take: (grain: Buffer) => T,
): Promise<T> {
  const grainBytes = header.grainSize * SECTOR_BYTES;
  const place = { path: file.path, offset, sector: lba };
  // One read takes header and grain: a compressed grain is seldom larger than the grain.
  const guess = room.subarray(0, Math.min(fileBytes - offset, grainBytes));
  if (guess.length < GRAIN_MARKER_BYTES) throw damaged('the grain lies past the end of the file', place);
  await file.readExactly(guess, offset);
  const marker = GrainMarker.decode(guess);
  if (marker.lba !== BigInt(lba)) {
    throw damaged('the grain belongs to another place', {
      ...place,
      found: `sector ${marker.lba}`,
      expected: `${lba}`,
    });
  }
  if (marker.size < 1 || marker.size > 2 * grainBytes) {
    throw damaged('the grain has an impossible length', {
      ...place,
      field: 'grain marker size',
      found: marker.size,
      expected: `1 to ${2 * grainBytes} bytes`,
    });
  }
  const end = GRAIN_MARKER_BYTES + marker.size;
  if (offset + end > fileBytes) {
    const expected = `at most ${fileBytes - offset - GRAIN_MARKER_BYTES} bytes (end of file)`;
    throw damaged('the grain is cut short by the end of the file', {
      ...place,
      found: marker.size,
      expected,
    });
  }
  let stored = room.subarray(GRAIN_MARKER_BYTES, end);
  if (end > room.length) {
    stored = allocateRoom(marker.size);
    await file.readExactly(stored, offset + GRAIN_MARKER_BYTES);
  } else if (end > guess.length) {
    await file.readExactly(room.subarray(guess.length, end), offset + guess.length);
  }
  try {
    return await inflateWithin(stored, grainBytes, take);
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    const expected = `a zlib stream of at most ${grainBytes} bytes`;
    throw damaged('the grain cannot be inflated', { ...place, found, expected }, cause);
  }
}

function damaged(what: string, context: ErrorContext, cause?: unknown): VmdkError {
  return new VmdkError('corrupt', 'grain-damaged', what, context, cause);
}
