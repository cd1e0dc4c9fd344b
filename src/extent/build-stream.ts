// A new streamOptimized extent, append only: also into a pipe. Grains are compressed as they come, several at a time,
// and leave in their order; the last one is filled up with zeros, since 7-Zip demands whole grains.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_ENTRIES_PER_TABLE } from '../format/sparse-layout.ts';
import {
  encodeMarkedTable,
  encodeStoredGrain,
  encodeStreamEnd,
  encodeStreamFront,
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

  /** Pieces in the order of the file; `sector` is always where the next one goes. */
  const place = (piece: Buffer, into: Buffer[]): void => {
    into.push(piece);
    sector += piece.length / SECTOR_BYTES;
    assertNumbered(sector, target.path);
  };
  const placeTable = (into: Buffer[]): void => {
    if (entries === undefined) return;
    directory[table] = sector + 1;
    place(encodeMarkedTable('grainTable', entries), into);
    entries = undefined;
  };
  const placeGrain = (start: number, stream: Buffer, into: Buffer[]): void => {
    const grain = start / grainSize;
    const wanted = Math.floor(grain / SPARSE_ENTRIES_PER_TABLE);
    if (wanted !== table) placeTable(into);
    table = wanted;
    entries ??= new Uint32Array(SPARSE_ENTRIES_PER_TABLE);
    entries[grain % SPARSE_ENTRIES_PER_TABLE] = sector;
    place(encodeStoredGrain(start, stream), into);
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
        const pieces: Buffer[] = [];
        for (const [index, stream] of (await compressed).entries()) {
          placeGrain(start + index * grainSize, stream, pieces);
        }
        await target.append(Buffer.concat(pieces));
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
        const pieces: Buffer[] = [];
        placeTable(pieces);
        const gdOffset = sector + 1;
        place(encodeMarkedTable('grainDirectory', directory), pieces);
        place(encodeStreamEnd(layout, gdOffset), pieces);
        await target.append(Buffer.concat(pieces));
      }),
  };
}

function wholeGrain(data: Uint8Array, grainBytes: number): Uint8Array {
  if (data.length === grainBytes) return data;
  const whole = new Uint8Array(grainBytes);
  whole.set(data);
  return whole;
}
