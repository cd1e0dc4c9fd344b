// Which disks above a base show what changed in it: what a disk has itself hides what is below. Rule: a disk that cannot
// be read counts as one that shows everything.
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { openDisk } from '../disk/open-disk.ts';
import { diskAt, type Forest, type ForestDisk } from './forest.ts';
import type { GuardedChild, GuardOptions, GuardRange } from './guard-types.ts';

/** Every disk that stands on `base`, nearest first, with the sectors of `changed` that it shows. */
export async function affectedBy(
  forest: Forest,
  base: ForestDisk,
  changed: readonly GuardRange[],
  options: GuardOptions,
): Promise<GuardedChild[]> {
  const found: GuardedChild[] = [];
  const waiting = base.children.map((path) => ({ path, below: changed }));
  for (let at = 0; at < waiting.length; at++) {
    throwIfAborted(options);
    const { path, below } = waiting[at]!;
    const { ranges, problem } = await shownBy(path, below, options);
    const sectors = ranges.reduce((sum, { count }) => sum + count, 0);
    found.push({ path, sectors, ...(problem === undefined ? {} : { problem }) });
    for (const child of diskAt(forest, path)?.children ?? []) waiting.push({ path: child, below: ranges });
  }
  return found;
}

/** The parts of `below` that the disk says nothing about. */
async function shownBy(
  path: string,
  below: readonly GuardRange[],
  options: GuardOptions,
): Promise<{ ranges: readonly GuardRange[]; problem?: string }> {
  if (below.length === 0) return { ranges: [] };
  try {
    const disk = await openDisk(path, options);
    try {
      const ranges: GuardRange[] = [];
      for (const { start, count } of below) {
        const end = Math.min(start + count, disk.capacity);
        if (start >= end) continue;
        for await (const runs of walkRuns(disk, sectorRange(start, end - start))) {
          for (let index = 0; index < runs.length; index++) {
            if (!runs.isAbsentAt(index)) continue;
            ranges.push({ start: runs.startAt(index), count: runs.endAt(index) - runs.startAt(index) });
          }
        }
      }
      return { ranges };
    } finally {
      await disk.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { ranges: below, problem: error.message.split('\n')[0]! };
  }
}
