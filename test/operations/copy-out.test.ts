// A disk's bytes, handed out in order from the same memory again and again: each chunk holds until it was taken.
import fc from 'fast-check';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { readMapped } from '../../src/block/read-runs.ts';
import { RunList } from '../../src/block/run-list.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import type { Sectors } from '../../src/core/units.ts';
import { copyOut } from '../../src/operations/copy-out.ts';
import { bufferOrigin, fileBytes } from '../support/buffer-disk.ts';

/** 5 MiB: data up to 1.5 MiB, nothing up to 3.5 MiB, data to the end. */
const MIB = 1 << 20;
const SIZE = 5 * MIB;
const content = fileBytes(SIZE).fill(0, 1.5 * MIB, 3.5 * MIB);

function disk(failAt = Infinity): SectorSource {
  const runs = new RunList(0);
  runs.addData((1.5 * MIB) / 512, bufferOrigin(content), 0);
  runs.addAbsent((2 * MIB) / 512);
  runs.addData((1.5 * MIB) / 512, bufferOrigin(content), 3.5 * MIB);
  const source: SectorSource = {
    capacity: (SIZE / 512) as Sectors,
    map: (range) => Promise.resolve(runs.slice(range)),
    read: async (range, into) => {
      if ((range.start + range.count) * 512 > failAt) throw new Error('the medium fails');
      await turn();
      await readMapped(source, range, into);
    },
    close: () => Promise.resolve(),
  };
  return source;
}

it('hands out any range, however slowly it is taken', async () => {
  const place = fc.oneof(
    fc.nat(SIZE),
    fc.nat(5).map((mebibyte) => mebibyte * MIB),
  );
  await fc.assert(
    fc.asyncProperty(place, place, async (one, other) => {
      const range = { start: Math.min(one, other), end: Math.max(one, other) };
      const taken: Buffer[] = [];
      await copyOut(disk(), range, async (data) => {
        await turn();
        await turn();
        taken.push(Buffer.from(data));
      });
      expect(Buffer.concat(taken).equals(content.subarray(range.start, range.end))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

it('hands out what comes before a part that cannot be read, then fails', async () => {
  let taken = 0;
  const take = (data: Uint8Array): Promise<void> => {
    taken += data.length;
    return Promise.resolve();
  };
  await expect(copyOut(disk(4.2 * MIB), { start: 7, end: SIZE }, take)).rejects.toThrow('the medium fails');
  expect(taken).toBe(4 * MIB - 7);
});

it('is told to stop before the first chunk was read, and leaves no failure behind', async () => {
  const signal = AbortSignal.abort();
  const failed: unknown[] = [];
  const note = (error: unknown): void => void failed.push(error);
  process.on('unhandledRejection', note);
  try {
    const take = (): Promise<void> => Promise.resolve();
    await expect(copyOut(disk(0), { start: 0, end: SIZE }, take, { signal })).rejects.toThrow(/abort/i);
    await turn();
    await turn();
  } finally {
    process.off('unhandledRejection', note);
  }
  expect(failed).toEqual([]);
});

it('stops where nobody takes any more, and when it is told to', async () => {
  const gone = (): Promise<void> => Promise.reject(new Error('gone'));
  await expect(copyOut(disk(), { start: 0, end: SIZE }, gone)).rejects.toThrow('gone');
  const stopped = new AbortController();
  let chunks = 0;
  const stop = (): Promise<void> => {
    if (++chunks === 2) stopped.abort();
    return Promise.resolve();
  };
  const copying = copyOut(disk(), { start: 0, end: SIZE }, stop, { signal: stopped.signal });
  await expect(copying).rejects.toThrow(/abort/i);
  expect(chunks).toBe(2);
});

it('reads one chunk ahead where reading is quick, and up to eight where it has to be waited for', async () => {
  const size = 40 * MIB;
  let [underWay, most, pause] = [0, 0, 0];
  const runs = new RunList(0);
  runs.addData(size / 512, bufferOrigin(Buffer.alloc(0)), 0);
  const slow: SectorSource = {
    capacity: (size / 512) as Sectors,
    map: (range) => Promise.resolve(runs.slice(range)),
    read: async () => {
      most = Math.max(most, ++underWay);
      if (pause > 0) await sleep(pause);
      underWay--;
    },
    close: () => Promise.resolve(),
  };
  const take = (): Promise<void> => Promise.resolve();
  await copyOut(slow, { start: 0, end: size }, take);
  // Two, and one more for each time that the system had us wait.
  expect(most).toBeLessThan(6);
  pause = 5;
  await copyOut(slow, { start: 0, end: size }, take);
  expect([most, underWay]).toEqual([9, 0]);
  const gone = (): Promise<void> => Promise.reject(new Error('gone'));
  await expect(copyOut(slow, { start: 0, end: size }, gone)).rejects.toThrow('gone');
  // Whoever closes the disk next finds nothing under way.
  expect(underWay).toBe(0);
});
