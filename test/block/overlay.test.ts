// Laying lists over one another, against a naive model of one entry per sector.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { absentBounds, overlay, overlayAll } from '../../src/block/overlay.ts';
import { RunList } from '../../src/block/run-list.ts';
import { bufferOrigin, cellsOf, type Cell } from '../support/buffer-disk.ts';

const upperFile = bufferOrigin(Buffer.alloc(0), '/upper');
const lowerFile = bufferOrigin(Buffer.alloc(0), '/lower');
const packed = bufferOrigin(Buffer.alloc(0), '/packed', true);

const piece = fc.record({
  what: fc.constantFrom('absent', 'zero', 'data', 'packed'),
  count: fc.integer({ min: 1, max: 7 }),
  place: fc.nat({ max: 20 }),
});
const pieces = fc.array(piece, { maxLength: 25 });

function listOf(
  start: number,
  all: readonly { what: string; count: number; place: number }[],
  upper: boolean,
): RunList {
  const list = new RunList(start);
  for (const { what, count, place } of all) {
    if (what === 'absent') list.addAbsent(count);
    else if (what === 'zero') list.addZero(count);
    else if (what === 'data') list.addData(count, upper ? upperFile : lowerFile, place * 512);
    else list.addData(count, packed, place * 512, place * 64);
  }
  return list;
}

/** Sector by sector: what is absent above is what it is below, `deeper` links deeper. */
function naive(upper: RunList, lower: RunList, deeper: number): Cell[] {
  const below = cellsOf(lower);
  const merged: Cell[] = [];
  for (const [index, cell] of cellsOf(upper).entries()) {
    if (cell.state !== 'absent') merged.push(cell);
    else {
      const found = below[upper.start + index - lower.start];
      if (found === undefined) break;
      merged.push({ ...found, depth: found.depth + deeper });
    }
  }
  return merged;
}

describe('overlay', () => {
  it('equals the naive model, sector by sector, as far as the lower list goes', () => {
    fc.assert(
      fc.property(
        pieces,
        pieces,
        fc.nat({ max: 9 }),
        fc.integer({ min: 1, max: 3 }),
        (one, two, skip, deeper) => {
          const upper = listOf(100, [{ what: 'data', count: skip + 1, place: 0 }, ...one], true);
          // The lower list may begin later: at the first absent sector above.
          const first = absentBounds(upper)?.start ?? upper.end;
          const lower = listOf(Math.min(first, 100 + skip), two, false);
          expect(cellsOf(overlay(upper, lower, deeper))).toEqual(naive(upper, lower, deeper));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('lays any number of lists at once as the naive model lays them two at a time', () => {
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 6 }), (stack) => {
        const lists = stack.map((all, index) => listOf(100, all, index % 2 === 0));
        const depths = lists.map((_, index) => index * 2);
        let expected = cellsOf(lists[0]!);
        for (const [index, list] of lists.entries()) {
          if (index === 0) continue;
          const below = cellsOf(list);
          const end = expected.findIndex(({ state }, at) => state === 'absent' && below[at] === undefined);
          expected = expected
            .slice(0, end < 0 ? undefined : end)
            .map((cell, at) =>
              cell.state === 'absent' ? { ...below[at]!, depth: below[at]!.depth + depths[index]! } : cell,
            );
        }
        expect(cellsOf(overlayAll(lists, depths))).toEqual(expected);
      }),
      { seed: 3, numRuns: 400 },
    );
  });

  it('leaves an upper list without absent runs as it is', () => {
    const upper = listOf(
      0,
      [
        { what: 'zero', count: 4, place: 0 },
        { what: 'data', count: 4, place: 1 },
      ],
      true,
    );
    expect(cellsOf(overlay(upper, new RunList(0), 1))).toEqual(cellsOf(upper));
  });

  it('keeps zeros above data, and data above zeros', () => {
    const upper = listOf(
      0,
      [
        { what: 'zero', count: 1, place: 0 },
        { what: 'data', count: 1, place: 1 },
      ],
      true,
    );
    const lower = listOf(
      0,
      [
        { what: 'data', count: 1, place: 5 },
        { what: 'zero', count: 1, place: 0 },
      ],
      false,
    );
    expect([...overlay(upper, lower, 1)].map(({ state, depth }) => [state, depth])).toEqual([
      ['zero', 0],
      ['data', 0],
    ]);
  });
});

describe('absentBounds', () => {
  it('names the first and last absent sector, as the model does', () => {
    fc.assert(
      fc.property(pieces, (all) => {
        const list = listOf(30, all, true);
        const absent = cellsOf(list).flatMap(({ state }, index) => (state === 'absent' ? [30 + index] : []));
        const expected = absent.length === 0 ? undefined : { start: absent[0], end: absent.at(-1)! + 1 };
        expect(absentBounds(list)).toEqual(expected);
      }),
    );
  });
});
