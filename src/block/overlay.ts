// The heart of a chain, as a pure function: what the disk above does not say, the disk below says.
import { RunList } from './run-list.ts';

/**
 * Lays `upper` over `lower`. Covers what both cover from `upper.start`; `lower` must cover at least every absent
 * run of `upper` within the result. Runs taken from below lie `deeper` links deeper than `lower` says.
 */
export function overlay(upper: RunList, lower: RunList, deeper: number): RunList {
  return overlayAll([upper, lower], [0, deeper]);
}

/**
 * Lays lists over one another in one pass, the uppermost first; `depths` is how many links deeper each lies than it says.
 * Ends where a list ends that is asked, because all above it are absent there.
 */
export function overlayAll(lists: readonly RunList[], depths: readonly number[]): RunList {
  const upper = lists[0]!;
  const last = lists.length - 1;
  let most = 0;
  for (const list of lists) most = Math.max(most, list.length);
  const merged = new RunList(upper.start, most + upper.length);
  // What is asked again and again, of every list for every run, stands in columns of its own, beside no calls.
  const cursors = new Uint32Array(lists.length);
  const ends = new Float64Array(lists.length).fill(-1);
  const absent = new Uint8Array(lists.length);
  let at = merged.end;
  while (at < upper.end) {
    let end = Infinity;
    let level = 0;
    for (; level <= last; level++) {
      if (ends[level]! <= at) {
        const list = lists[level]!;
        if (at >= list.end) return merged;
        let index = cursors[level]!;
        while (list.endAt(index) <= at) index++;
        cursors[level] = index;
        ends[level] = list.endAt(index);
        absent[level] = list.isAbsentAt(index) ? 1 : 0;
      }
      if (ends[level]! < end) end = ends[level]!;
      if (absent[level] === 0) break;
    }
    level = Math.min(level, last);
    const [list, index] = [lists[level]!, cursors[level]!];
    merged.addPart(list, index, at, end - at, list.depthAt(index) + depths[level]!);
    at = end;
  }
  return merged;
}

/** First and last absent sector of a list, or undefined when it has none: what is left to ask below. */
export function absentBounds(list: RunList): { start: number; end: number } | undefined {
  let first = 0;
  while (first < list.length && !list.isAbsentAt(first)) first++;
  if (first === list.length) return undefined;
  let last = list.length - 1;
  while (!list.isAbsentAt(last)) last--;
  return { start: list.startAt(first), end: list.endAt(last) };
}
