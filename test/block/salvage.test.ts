// Going on past damage: as little as possible is lost with it, and all that is lost is told.
import { expect, it } from 'vitest';
import { wholeOf, walkRuns } from '../../src/block/read-runs.ts';
import { RunList } from '../../src/block/run-list.ts';
import { salvagingSource } from '../../src/block/salvage.ts';
import type { SectorRange } from '../../src/block/sector-range.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import { VmdkError } from '../../src/core/errors.ts';
import type { Sectors } from '../../src/core/units.ts';

const CAPACITY = 4096 as Sectors;

/** All ones; maps that touch `noMap` and reads that touch `noRead` fail with `error`. */
function sourceWith(noMap: number, noRead: number, error: unknown): SectorSource {
  const source: SectorSource = {
    capacity: CAPACITY,
    map: async ({ start, count }: SectorRange) => {
      if (start <= noMap && noMap < start + count) throw error;
      const runs = new RunList(start);
      const origin = {
        path: '/x',
        compressed: false,
        read: async (into: Uint8Array, offset: number) => {
          if (offset <= noRead * 512 && noRead * 512 < offset + into.length) throw error;
          into.fill(1);
        },
      };
      runs.addData(count, origin, start * 512);
      return runs;
    },
    read: () => Promise.reject(new Error('asked by map and origin only')),
    close: () => Promise.resolve(),
  };
  return source;
}

const damage = new VmdkError('corrupt', 'grain-out-of-range', 'no such grain', { path: '/x' });

it('gives up a grain where tables are damaged and a block where reading fails', async () => {
  const salvaging = salvagingSource(sourceWith(1000, 3001, damage));
  for await (const runs of walkRuns(salvaging, wholeOf(salvaging))) expect(runs.length).toBeGreaterThan(0);
  const into = new Uint8Array(CAPACITY * 512);
  await salvaging.read(wholeOf(salvaging), into);
  expect(salvaging.lost().map(({ start, count }) => [start, count])).toEqual([
    [896, 128],
    [3000, 8],
  ]);
  const zeros = into.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0);
  expect(zeros).toBe((128 + 8) * 512);
});

it('passes on what is no damage', async () => {
  const reason = new Error('stopped');
  const salvaging = salvagingSource(sourceWith(0, 0, reason));
  await expect(salvaging.map(wholeOf(salvaging))).rejects.toBe(reason);
  await expect(salvaging.read(wholeOf(salvaging), new Uint8Array(CAPACITY * 512))).rejects.toBe(reason);
  expect(salvaging.lost()).toEqual([]);
});
