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
  const cursors = new Uint32Array(lists.length);
  let most = 0;
  for (const list of lists) most = Math.max(most, list.length);
  const merged = new RunList(upper.start, most + upper.length);
  while (merged.end < upper.end) {
    const at = merged.end;
    let end = Infinity;
    for (let level = 0; level <= last; level++) {
      const list = lists[level]!;
      if (at >= list.end) return merged;
      let index = cursors[level]!;
      let until = list.endAt(index);
      while (until <= at) until = list.endAt(++index);
      cursors[level] = index;
      end = Math.min(end, until);
      if (level < last && list.isAbsentAt(index)) continue;
      merged.addPart(list, index, at, end - at, list.depthAt(index) + depths[level]!);
      break;
    }
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
