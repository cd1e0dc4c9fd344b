// A page of table entries to read, as the numbers themselves or packed into stretches. Most pages are a few stretches
// (nothing stored, or grains that follow one another in the file), and memory that is not touched is not paid for.
import { ZERO_GRAIN } from '../format/sparse-header.ts';

/** Entries that can be asked; an index counts within the page. Stretches are found by their own numbers first. */
export interface TableEntries {
  /** Bytes of memory. */
  readonly byteLength: number;
  /** The stretch that holds entry `index`. */
  stretchOf(index: number): number;
  /** Entry `index`, which lies in `stretch`. */
  entryAt(stretch: number, index: number): number;
  /**
   * First entry from `index` on that does not go on as the one before it: equal to it when that is 0 or 1, `step` more
   * for stored grains. At most `limit`.
   */
  endFrom(stretch: number, index: number, limit: number): number;
}

/** `step`: sectors of a grain, or 0 where grains never go on in one another (compressed ones). */
export function rawEntries(entries: Uint32Array, step: number): TableEntries {
  return {
    byteLength: entries.byteLength,
    stretchOf: (index) => index,
    entryAt: (_, index) => entries[index]!,
    endFrom: (_, index, limit) => stretchEnd(entries, index, limit, step),
  };
}

/** The same, packed; undefined where that would take more than half the memory. `room` is as long as `entries`. */
export function packEntries(entries: Uint32Array, step: number, room: Uint32Array): TableEntries | undefined {
  const most = Math.floor(entries.length / 4);
  let count = 0;
  for (let at = 0; at < entries.length;) {
    if (count === most) return undefined;
    room[count] = at;
    room[most + count] = entries[at]!;
    count++;
    at = stretchEnd(entries, at, entries.length, step);
  }
  return packed(room.slice(0, count), room.slice(most, most + count), step);
}

function packed(starts: Uint32Array, firsts: Uint32Array, step: number): TableEntries {
  const count = starts.length;
  return {
    byteLength: starts.byteLength + firsts.byteLength,
    stretchOf(index) {
      let low = 0;
      let high = count - 1;
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (starts[middle]! <= index) low = middle;
        else high = middle - 1;
      }
      return low;
    },
    entryAt(stretch, index) {
      const first = firsts[stretch]!;
      return first <= ZERO_GRAIN ? first : first + (index - starts[stretch]!) * step;
    },
    endFrom: (stretch, _, limit) => (stretch + 1 < count ? Math.min(limit, starts[stretch + 1]!) : limit),
  };
}

function stretchEnd(entries: Uint32Array, index: number, limit: number, step: number): number {
  const entry = entries[index]!;
  let next = index + 1;
  if (entry <= ZERO_GRAIN) {
    while (next < limit && entries[next] === entry) next++;
  } else if (step > 0) {
    while (next < limit && entries[next] === entry + (next - index) * step) next++;
  }
  return next;
}
