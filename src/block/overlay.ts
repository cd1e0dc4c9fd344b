// The heart of a chain, as a pure function: what the disk above does not say, the disk below says.
import { RunList } from './run-list.ts';

/**
 * Lays `upper` over `lower`. Covers what both cover from `upper.start`; `lower` must cover at least every absent
 * run of `upper` within the result. Runs taken from below lie `deeper` links deeper than `lower` says.
 */
export function overlay(upper: RunList, lower: RunList, deeper: number): RunList {
  const merged = new RunList(upper.start, upper.length + lower.length);
  let below = 0;
  for (let index = 0; index < upper.length; index++) {
    if (!upper.isAbsentAt(index)) {
      merged.addPart(upper, index, merged.end, upper.endAt(index) - merged.end);
      continue;
    }
    const end = Math.min(upper.endAt(index), lower.end);
    while (below + 1 < lower.length && lower.endAt(below) <= merged.end) below++;
    while (merged.end < end) {
      const count = Math.min(lower.endAt(below), end) - merged.end;
      merged.addPart(lower, below, merged.end, count, lower.depthAt(below) + deeper);
      if (merged.end < end) below++;
    }
    if (merged.end < upper.endAt(index)) break;
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
