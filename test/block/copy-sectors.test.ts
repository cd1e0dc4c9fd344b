// Copying only what is not zero: the copy equals the source, progress counts data, and a stop is a stop.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copySectors } from '../../src/block/copy-sectors.ts';
import { readMapped } from '../../src/block/read-runs.ts';
import { RunList } from '../../src/block/run-list.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import type { Progress } from '../../src/core/task.ts';
import type { Sectors } from '../../src/core/units.ts';
import { bufferOrigin, fileBytes } from '../support/buffer-disk.ts';

interface Part {
  readonly what: 'absent' | 'zero' | 'data' | 'blank';
  readonly count: number;
}

/** A source of these parts; `blank` are data runs that hold nothing but zeros. Maps a few runs at a time. */
function sourceOf(parts: readonly Part[]): { source: SectorSource; content: Buffer; dataBytes: number } {
  const capacity = parts.reduce((sum, { count }) => sum + count, 0);
  const content = fileBytes(capacity * 512);
  const origin = bufferOrigin(content);
  const whole = new RunList(0);
  let dataBytes = 0;
  for (const { what, count } of parts) {
    const at = whole.end * 512;
    if (what !== 'data') content.fill(0, at, at + count * 512);
    if (what === 'absent') whole.addAbsent(count);
    else if (what === 'zero') whole.addZero(count);
    else {
      whole.addData(count, origin, at);
      dataBytes += count * 512;
    }
  }
  const source: SectorSource = {
    capacity: capacity as Sectors,
    map: (range) => Promise.resolve(whole.slice(sectorRange(range.start, Math.min(range.count, 3000)))),
    read: (range, into) => readMapped(source, range, into),
    close: () => Promise.resolve(),
  };
  return { source, content, dataBytes };
}

const parts = fc.array(
  fc.record({
    what: fc.constantFrom('absent' as const, 'zero' as const, 'data' as const, 'blank' as const),
    count: fc.integer({ min: 1, max: 5000 }),
  }),
  { minLength: 1, maxLength: 8 },
);

describe('copying sectors', () => {
  it('makes an equal copy and hands over data runs only, less their zeros', async () => {
    await fc.assert(
      fc.asyncProperty(parts, async (all) => {
        const { source, content, dataBytes } = sourceOf(all);
        const copy = Buffer.alloc(content.length);
        let handed = 0;
        const written = await copySectors(source, async (data, at) => {
          await Promise.resolve();
          copy.set(data, at);
          handed += data.length;
        });
        expect(copy.equals(content)).toBe(true);
        expect(written).toBe(handed);
        expect(written).toBeLessThanOrEqual(dataBytes);
        const blank = all.every(({ what }) => what !== 'data');
        if (blank) expect(written).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('hands over the zeros in data runs when told to keep them', async () => {
    const { source, content, dataBytes } = sourceOf([
      { what: 'blank', count: 300 },
      { what: 'absent', count: 300 },
      { what: 'data', count: 300 },
    ]);
    const copy = Buffer.alloc(content.length, 0xee);
    const write = async (data: Uint8Array, at: number): Promise<void> => copy.set(data, at);
    expect(await copySectors(source, write, { keepZeros: true })).toBe(dataBytes);
    expect(copy.subarray(0, 300 * 512).equals(Buffer.alloc(300 * 512))).toBe(true);
    expect(copy[300 * 512]).toBe(0xee);
  });

  it('copies a part of the disk when given a range', async () => {
    const { source, content } = sourceOf([{ what: 'data', count: 9000 }]);
    const copy = Buffer.alloc(content.length);
    await copySectors(source, async (data, at) => copy.set(data, at), { range: sectorRange(1234, 5678) });
    const expected = Buffer.alloc(content.length);
    content.copy(expected, 1234 * 512, 1234 * 512, (1234 + 5678) * 512);
    expect(copy.equals(expected)).toBe(true);
  });

  it('tells its progress in bytes of data, up to all of them', async () => {
    const { source, dataBytes } = sourceOf([
      { what: 'data', count: 7000 },
      { what: 'absent', count: 50_000 },
      { what: 'blank', count: 2000 },
    ]);
    const seen: Progress[] = [];
    await copySectors(source, () => Promise.resolve(), { onProgress: (progress) => seen.push(progress) });
    expect(seen.length).toBeGreaterThan(3);
    expect(
      seen.every(({ total, unit, phase }) => total === dataBytes && unit === 'bytes' && phase === 'copying'),
    ).toBe(true);
    const steps = seen.map(({ done }) => done);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(seen.at(-1)!.done).toBe(dataBytes);
  });

  it('stops at the next chunk once aborted, with the reason itself', async () => {
    const { source } = sourceOf([{ what: 'data', count: 100_000 }]);
    const stopper = new AbortController();
    const reason = new Error('enough');
    let writes = 0;
    const copying = copySectors(
      source,
      async () => {
        writes++;
        stopper.abort(reason);
      },
      { signal: stopper.signal },
    );
    await expect(copying).rejects.toBe(reason);
    expect(writes).toBeLessThanOrEqual(5);
  });

  it('throws a failed write only when nothing is under way any more', async () => {
    const { source } = sourceOf([{ what: 'data', count: 100_000 }]);
    let running = 0;
    let writes = 0;
    const copying = copySectors(source, async () => {
      running++;
      const mine = ++writes;
      for (let turn = 0; turn < mine; turn++) await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (mine === 2) throw new Error('no space');
    });
    await expect(copying).rejects.toThrow('no space');
    expect(running).toBe(0);
    expect(writes).toBeLessThan(12);
  });
});
