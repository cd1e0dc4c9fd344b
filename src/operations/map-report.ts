// What is where on a disk, as few runs as can say it. Rule: cost follows runs, and a run costs numbers only, so that
// a map of millions of runs is a walk over columns.
import type { DataOrigin, RunList } from '../block/run-list.ts';
import { walkRuns } from '../block/read-runs.ts';
import type { SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';

/** One run, valid only during the call it is handed to. Sectors; `offset` in bytes of `origin`. */
export interface MappedRun {
  start: number;
  end: number;
  state: 'absent' | 'zero' | 'data';
  /** Which link answers: 0 is the leaf. On an absent run, that of the base. */
  depth: number;
  /** Only of data runs. */
  origin: DataOrigin | undefined;
  /** Of data that is not compressed; 0 else. */
  offset: number;
}

/**
 * Hands every run of `range` to `visit`, in order. Neighbours that continue one another are one run, and so are
 * compressed grains of one file. A promise that `visit` returns is awaited before the next run.
 */
export async function visitRuns(
  source: SectorSource,
  range: SectorRange,
  visit: (run: Readonly<MappedRun>) => Promise<void> | undefined,
  task: TaskOptions = {},
): Promise<void> {
  const run: MappedRun = { start: 0, end: 0, state: 'absent', depth: 0, origin: undefined, offset: 0 };
  for await (const runs of walkRuns(source, range)) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      if (continues(run, runs, index)) run.end = runs.endAt(index);
      else {
        const pause = run.end > run.start ? visit(run) : undefined;
        if (pause !== undefined) await pause;
        take(run, runs, index);
      }
    }
  }
  if (run.end > run.start) await visit(run);
}

function stateAt(runs: RunList, index: number): MappedRun['state'] {
  return runs.isDataAt(index) ? 'data' : runs.isAbsentAt(index) ? 'absent' : 'zero';
}

function continues(run: MappedRun, runs: RunList, index: number): boolean {
  if (run.end === run.start || run.depth !== runs.depthAt(index) || run.state !== stateAt(runs, index)) {
    return false;
  }
  if (run.origin === undefined) return true;
  if (run.origin !== runs.originAt(index)) return false;
  return run.origin.compressed || runs.offsetAt(index) === run.offset + (run.end - run.start) * SECTOR_BYTES;
}

function take(run: MappedRun, runs: RunList, index: number): void {
  run.start = runs.startAt(index);
  run.end = runs.endAt(index);
  run.state = stateAt(runs, index);
  run.depth = runs.depthAt(index);
  run.origin = runs.originAt(index);
  run.offset = run.origin === undefined || run.origin.compressed ? 0 : runs.offsetAt(index);
}
