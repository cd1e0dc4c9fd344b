// Runs as few as can say it: neighbours that continue one another are one, also across the answers of `map`.
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { RunList, type DataOrigin } from '../../src/block/run-list.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import type { Sectors } from '../../src/core/units.ts';
import { visitRuns } from '../../src/operations/map-report.ts';

const origin = (path: string, compressed = false): DataOrigin => ({
  path,
  compressed,
  read: () => Promise.reject(new Error('a map reads nothing')),
});
const plain = origin('plain');
const packed = origin('packed', true);

/** A source that answers `map` with one list at a time. */
function source(lists: readonly ((list: RunList) => void)[]): SectorSource {
  const made: RunList[] = [];
  for (const fill of lists) {
    const list = new RunList(made.at(-1)?.end ?? 0);
    fill(list);
    made.push(list);
  }
  return {
    capacity: made.at(-1)!.end as Sectors,
    map: (range) => Promise.resolve(made.find((list) => list.start === range.start)!),
    read: () => Promise.reject(new Error('a map reads nothing')),
    close: () => Promise.resolve(),
  };
}

async function runsOf(from: SectorSource, signal?: AbortSignal): Promise<unknown[]> {
  const seen: unknown[] = [];
  await visitRuns(
    from,
    wholeOf(from),
    (run) => {
      seen.push([run.start, run.end, run.state, run.depth, run.origin?.path, run.offset]);
      return undefined;
    },
    { signal },
  );
  return seen;
}

it('joins runs across lists when state, link and place continue', async () => {
  const lists = [
    (list: RunList) => {
      list.addAbsent(10, 1);
      list.addData(8, plain, 4096);
    },
    (list: RunList) => {
      list.addData(8, plain, 4096 + 8 * 512);
      list.addData(8, plain, 65_536);
      list.addZero(4, 0);
    },
    (list: RunList) => {
      list.addZero(4, 0);
      list.addZero(4, 1);
    },
  ];
  expect(await runsOf(source(lists))).toEqual([
    [0, 10, 'absent', 1, undefined, 0],
    [10, 26, 'data', 0, 'plain', 4096],
    [26, 34, 'data', 0, 'plain', 65_536],
    [34, 42, 'zero', 0, undefined, 0],
    [42, 46, 'zero', 1, undefined, 0],
  ]);
});

it('joins compressed grains of one file, which have no offset to continue', async () => {
  const grains = (list: RunList): void => {
    list.addData(128, packed, 70_000, 0);
    list.addData(128, packed, 90_000, 128);
    list.addData(128, origin('other', true), 512, 256);
  };
  expect(await runsOf(source([grains]))).toEqual([
    [0, 256, 'data', 0, 'packed', 0],
    [256, 384, 'data', 0, 'other', 0],
  ]);
});

it('waits for whoever takes the runs, and stops when it is told to', async () => {
  const lists = Array.from({ length: 3 }, (_, index) => (list: RunList) => list.addZero(4, index));
  const from = source(lists);
  let underWay = 0;
  let most = 0;
  await visitRuns(from, wholeOf(from), async () => {
    most = Math.max(most, ++underWay);
    await setImmediate();
    underWay--;
  });
  expect([most, underWay]).toEqual([1, 0]);
  await expect(runsOf(from, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});
