// Two maps of the same sectors laid side by side: where they must read the same, told from metadata alone. Rule: the
// same place of the same file is the same data; what is not told here may still turn out to be equal.
import { SECTOR_BYTES } from '../core/units.ts';
import type { RunList } from './run-list.ts';

/** Calls `found(start, end)`, sectors, in order, for stretches that may differ, as far as both lists go. */
export function eachDifference(a: RunList, b: RunList, found: (start: number, end: number) => void): void {
  const last = Math.min(a.end, b.end);
  let at = Math.max(a.start, b.start);
  if (at >= last) return;
  let [inA, inB] = [a.indexOf(at), b.indexOf(at)];
  let start = -1;
  while (at < last) {
    const end = Math.min(a.endAt(inA), b.endAt(inB), last);
    if (same(a, inA, b, inB, at)) {
      if (start >= 0) found(start, at);
      start = -1;
    } else if (start < 0) start = at;
    at = end;
    if (a.endAt(inA) <= at) inA++;
    if (b.endAt(inB) <= at) inB++;
  }
  if (start >= 0) found(start, last);
}

/** Whether both runs give the same for the sectors from `at` on. */
function same(a: RunList, inA: number, b: RunList, inB: number, at: number): boolean {
  const [originA, originB] = [a.originAt(inA), b.originAt(inB)];
  if (originA === undefined || originB === undefined) return originA === originB;
  if (originA.path !== originB.path || originA.compressed !== originB.compressed) return false;
  const [skipA, skipB] = [at - a.startAt(inA), at - b.startAt(inB)];
  if (originA.compressed) {
    return a.offsetAt(inA) === b.offsetAt(inB) && a.sectorAt(inA) + skipA === b.sectorAt(inB) + skipB;
  }
  return a.offsetAt(inA) + skipA * SECTOR_BYTES === b.offsetAt(inB) + skipB * SECTOR_BYTES;
}
