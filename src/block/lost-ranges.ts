// The stretches of a disk that are known to be lost, from its map alone.
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { VmdkError } from '../core/errors.ts';
import { walkRuns, wholeOf } from './read-runs.ts';
import type { SectorSource } from './sector-source.ts';

/** Sectors. */
export interface KnownLoss {
  readonly start: number;
  readonly count: number;
  readonly error: VmdkError;
}

/** Ranges are told one by one, neighbours with one reason as one. */
export async function* lostRanges(source: SectorSource, task: TaskOptions = {}): AsyncGenerator<KnownLoss> {
  let last: KnownLoss | undefined;
  for await (const runs of walkRuns(source, wholeOf(source))) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      const error = runs.originAt(index)?.lost;
      if (error === undefined) continue;
      const start = runs.startAt(index);
      const count = runs.endAt(index) - start;
      if (last !== undefined && last.error === error && last.start + last.count === start) {
        last = { ...last, count: last.count + count };
        continue;
      }
      if (last !== undefined) yield last;
      last = { start, count, error };
    }
  }
  if (last !== undefined) yield last;
}
