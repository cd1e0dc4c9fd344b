// Who has which part of a file: overlaps and gaps against a plain array, in windows of any size.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { KEPT_PER_CODE } from '../../src/grain/check-findings.ts';
import { surveySpace, type Take } from '../../src/grain/check-space.ts';

const SIZE = 300;

interface Taking {
  readonly start: number;
  readonly count: number;
}

function plainAnswer(takings: readonly Taking[]): { gaps: [number, number][]; clashing: number[] } {
  const owners = Array.from<number | undefined>({ length: SIZE });
  const clashing: number[] = [];
  for (const [index, { start, count }] of takings.entries()) {
    const units = Array.from({ length: count }, (_, unit) => start + unit);
    if (units.some((unit) => owners[unit] !== undefined)) clashing.push(index);
    for (const unit of units) owners[unit] ??= index;
  }
  const gaps: [number, number][] = [];
  for (let at = 0; at < SIZE; at++) {
    if (owners[at] !== undefined) continue;
    const start = at;
    while (at + 1 < SIZE && owners[at + 1] === undefined) at++;
    gaps.push([start, at + 1 - start]);
  }
  return { gaps, clashing };
}

const taking = fc
  .record({ start: fc.nat(SIZE - 1), count: fc.integer({ min: 1, max: 70 }) })
  .map(({ start, count }) => ({ start, count: Math.min(count, SIZE - start) }));

it('finds the overlaps and gaps that a plain array finds, whatever the windows', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(taking, { maxLength: 12 }),
      fc.integer({ min: 32, max: 400 }),
      async (takings, window) => {
        const gaps: [number, number][] = [];
        const clashing = new Set<number>();
        const use = await surveySpace({
          walk: (take) => takings.forEach(({ start, count }, index) => take(0, index, start, count)),
          from: 0,
          to: SIZE,
          onGap: (start, count) => gaps.push([start, count]),
          onClash: (_, index) => clashing.add(index),
          windowUnits: window,
        });
        const expected = plainAnswer(takings);
        expect(gaps).toEqual(expected.gaps);
        expect([...clashing].sort((a, b) => a - b)).toEqual(expected.clashing);
        expect(use.end).toBe(Math.max(0, ...takings.map(({ start, count }) => start + count)));
        for (const { index, other } of use.overlaps) {
          const [one, two] = [takings[index]!, takings[other.index]!];
          expect(one.start < two.start + two.count && two.start < one.start + one.count).toBe(true);
          expect(other.index).not.toBe(index);
        }
      },
    ),
    { numRuns: 300 },
  );
});

it('keeps some overlaps and counts them all', async () => {
  const walk = (take: Take): void => {
    for (let index = 0; index < 5000; index++) take(0, index, 7, 2);
  };
  const use = await surveySpace({ walk, from: 0, to: 10 });
  expect(use.overlapCount).toBe(4999);
  expect(use.overlaps).toHaveLength(KEPT_PER_CODE);
  expect(use.overlaps[0]!.other).toEqual({ kind: 0, index: 0 });
});

it('costs memory only for what is taken', async () => {
  const before = process.memoryUsage().arrayBuffers;
  let gaps = 0;
  await surveySpace({
    walk: (take) => take(0, 0, 2 ** 32 - 128, 128),
    from: 0,
    to: 2 ** 32,
    onGap: () => gaps++,
  });
  expect(gaps).toBe(1);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
});
