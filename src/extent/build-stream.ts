// A new streamOptimized extent, append only: also into a pipe. Grains are compressed as they come, several at a time,
// and leave in their order; the last one is filled up with zeros, since 7-Zip demands whole grains.
import { allocateRoom } from '../core/room.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_ENTRIES_PER_TABLE } from '../format/sparse-layout.ts';
import {
  encodeMarkedTable,
  encodeStreamEnd,
  encodeStreamFront,
  putStoredGrain,
  storedGrainSectors,
  type StreamLayout,
} from '../format/stream-layout.ts';
import { createDeflater } from '../worker/deflate.ts';
import { assertNumbered, type ExtentBuilder } from './extent-builder.ts';

/** Puts bytes behind all before; resolves when they may be used again. */
export type Append = (data: Uint8Array) => Promise<void>;

export interface StreamTarget {
  readonly path: string;
  readonly append: Append;
}

/** `level` 1 to 9, as zlib counts. */
export function buildStream(
  target: StreamTarget,
  layout: StreamLayout,
  descriptor: Uint8Array,
  level: number,
): ExtentBuilder {
  const { grainSize } = layout;
  const deflateWhole = createDeflater(level);
  const grainBytes = grainSize * SECTOR_BYTES;
  const directory = new Uint32Array((layout.directorySectors * SECTOR_BYTES) / 4);
  let entries: Uint32Array | undefined;
  let table = -1;
  let sector = 0;
  let tail: Promise<void> | undefined;

  /** What is gathered for the next append, in the order of the file; `sector` is always where the next piece goes. */
  let room = Buffer.alloc(0);
  let used = 0;
  const makeRoom = (bytes: number): void => {
    if (used + bytes <= room.length) return;
    const larger = allocateRoom(used + bytes);
    larger.set(room.subarray(0, used));
    room = larger;
  };
  const passed = (end: number): void => {
    sector += (end - used) / SECTOR_BYTES;
    used = end;
    assertNumbered(sector, target.path);
  };
  const place = (piece: Buffer): void => {
    makeRoom(piece.length);
    room.set(piece, used);
    passed(used + piece.length);
  };
  const placeTable = (): void => {
    if (entries === undefined) return;
    directory[table] = sector + 1;
    place(encodeMarkedTable('grainTable', entries));
    entries = undefined;
  };
  const placeGrain = (start: number, stream: Buffer): void => {
    const grain = start / grainSize;
    const wanted = Math.floor(grain / SPARSE_ENTRIES_PER_TABLE);
    if (wanted !== table) placeTable();
    table = wanted;
    entries ??= new Uint32Array(SPARSE_ENTRIES_PER_TABLE);
    entries[grain % SPARSE_ENTRIES_PER_TABLE] = sector;
    makeRoom(storedGrainSectors(stream.length) * SECTOR_BYTES);
    passed(putStoredGrain(room, used, start, stream));
  };
  const appendPlaced = (): Promise<void> => {
    const gathered = room.subarray(0, used);
    used = 0;
    return target.append(gathered);
  };
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const before = tail ?? target.append(encodeStreamFront(layout, descriptor));
    if (tail === undefined) sector = layout.overHead;
    const done = before.then(work);
    tail = done;
    // Whoever waits for it hears of a failure; what comes after fails by it.
    done.catch(() => {});
    return done;
  };
  return {
    grainSize,
    async write(start, data) {
      const streams = Array.from({ length: ceilDiv(data.length, grainBytes) }, (_, index) => {
        const grain = data.subarray(index * grainBytes, (index + 1) * grainBytes);
        return deflateWhole(wholeGrain(grain, grainBytes));
      });
      const compressed = Promise.all(streams);
      const written = inTurn(async () => {
        const done = await compressed;
        // Once for all that comes, rather than grain by grain.
        makeRoom(done.reduce((bytes, { length }) => bytes + storedGrainSectors(length) * SECTOR_BYTES, 0));
        for (const [index, stream] of done.entries()) placeGrain(start + index * grainSize, stream);
        await appendPlaced();
      });
      // The data is in use until all is compressed, whatever happens before.
      await Promise.allSettled(streams);
      await written;
    },
    hide() {
      return Promise.reject(new RangeError('a streamOptimized disk has no parent'));
    },
    finish: () =>
      inTurn(async () => {
        placeTable();
        const gdOffset = sector + 1;
        place(encodeMarkedTable('grainDirectory', directory));
        place(encodeStreamEnd(layout, gdOffset));
        await appendPlaced();
      }),
  };
}

function wholeGrain(data: Uint8Array, grainBytes: number): Uint8Array {
  if (data.length === grainBytes) return data;
  const whole = new Uint8Array(grainBytes);
  whole.set(data);
  return whole;
}
