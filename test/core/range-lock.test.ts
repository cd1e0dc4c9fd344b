// One holder at a time per range: never two over one number, never a wait for what does not touch, never a deadlock.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeLock } from '../../src/core/range-lock.ts';

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('a range lock', () => {
  it('never lets two holders touch, and lets everybody in at last', async () => {
    const request = fc.record({
      start: fc.nat({ max: 30 }),
      length: fc.integer({ min: 1, max: 12 }),
      turns: fc.nat({ max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 25 }), async (requests) => {
        const lock = new RangeLock();
        const held = new Uint8Array(64);
        let served = 0;
        await Promise.all(
          requests.map(({ start, length, turns }) =>
            lock.run(start, start + length, async () => {
              for (let at = start; at < start + length; at++) expect(held[at]!++).toBe(0);
              for (let left = turns; left > 0; left--) await turn();
              for (let at = start; at < start + length; at++) held[at]!--;
              served++;
            }),
          ),
        );
        expect(served).toBe(requests.length);
      }),
      { numRuns: 60 },
    );
  });

  it('does not make ranges wait that only meet at their ends', async () => {
    const lock = new RangeLock();
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await turn();
      inside--;
    };
    await Promise.all([lock.run(0, 10, work), lock.run(10, 20, work), lock.run(20, 30, work)]);
    expect(most).toBe(3);
  });

  it('gives back what the work gives', async () => {
    expect(await new RangeLock().run(0, 1, () => Promise.resolve('done'))).toBe('done');
  });

  it('is released when the work fails, at once or later', async () => {
    const lock = new RangeLock();
    const later = lock.run(0, 5, async () => {
      await turn();
      throw new Error('later');
    });
    const next = lock.run(4, 6, () => Promise.resolve('in'));
    await expect(later).rejects.toThrow('later');
    expect(await next).toBe('in');
    const atOnce = lock.run(0, 5, () => {
      throw new Error('at once');
    });
    await expect(atOnce).rejects.toThrow('at once');
    expect(await lock.run(0, 5, () => Promise.resolve('in again'))).toBe('in again');
  });
});
