// Run lists against a naive model of one entry per sector.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RunList } from '../../src/block/run-list.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { bufferOrigin, cellsOf, type Cell } from '../support/buffer-disk.ts';

const plain = bufferOrigin(Buffer.alloc(0), '/plain');
const other = bufferOrigin(Buffer.alloc(0), '/other');
const packed = bufferOrigin(Buffer.alloc(0), '/packed', true);

type Piece =
  | { readonly do: 'absent' | 'zero'; readonly count: number; readonly depth: number }
  | {
      readonly do: 'data';
      readonly count: number;
      readonly depth: number;
      readonly which: number;
      readonly place: number;
    };

const count = fc.integer({ min: 0, max: 6 });
const depth = fc.nat({ max: 2 });
const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.record({ do: fc.constantFrom('absent' as const, 'zero' as const), count, depth }),
  fc.record({
    do: fc.constant('data' as const),
    count,
    depth,
    which: fc.nat({ max: 2 }),
    place: fc.nat({ max: 8 }),
  }),
);

/** Adds pieces to a list and to its model alike. */
function build(
  start: number,
  pieces: readonly Piece[],
  list = new RunList(start, 1),
): { list: RunList; cells: Cell[] } {
  const cells: Cell[] = [];
  for (const each of pieces) {
    if (each.do !== 'data') {
      if (each.do === 'absent') list.addAbsent(each.count, each.depth);
      else list.addZero(each.count, each.depth);
      for (let at = 0; at < each.count; at++) cells.push({ state: each.do, depth: each.depth });
      continue;
    }
    const origin = [plain, other, packed][each.which]!;
    const offset = each.place * 512;
    list.addData(each.count, origin, offset, origin.compressed ? each.place * 100 : 0, each.depth);
    for (let at = 0; at < each.count; at++) {
      const { depth: deep } = each;
      if (origin.compressed)
        cells.push({ state: 'data', depth: deep, origin, offset, sector: each.place * 100 + at });
      else cells.push({ state: 'data', depth: deep, origin, offset: offset + at * 512, sector: 0 });
    }
  }
  return { list, cells };
}

const pieces = fc.array(piece, { maxLength: 40 });

describe('a run list', () => {
  it('says of every sector what was added for it', () => {
    fc.assert(
      fc.property(fc.nat({ max: 50 }), pieces, (start, all) => {
        const { list, cells } = build(start, all);
        expect(cellsOf(list)).toEqual(cells);
        expect(list.end - list.start).toBe(cells.length);
        for (let index = 0; index < list.length; index++) {
          expect(list.startAt(index)).toBe(index === 0 ? start : list.endAt(index - 1));
          expect(list.endAt(index)).toBeGreaterThan(list.startAt(index));
        }
      }),
    );
  });

  it('finds the run of every sector', () => {
    fc.assert(
      fc.property(fc.nat({ max: 50 }), pieces, (start, all) => {
        const { list } = build(start, all);
        for (let sector = start; sector < list.end; sector++) {
          const index = list.indexOf(sector);
          expect(list.startAt(index) <= sector && sector < list.endAt(index)).toBe(true);
        }
      }),
    );
  });

  it('cuts out any part as the model does', () => {
    fc.assert(
      fc.property(pieces, fc.nat({ max: 120 }), fc.nat({ max: 120 }), (all, from, length) => {
        const { list, cells } = build(10, all);
        const part = list.slice(sectorRange(10 + from, length));
        expect(cellsOf(part)).toEqual(cells.slice(from, from + length));
        expect(part.start).toBe(10 + from);
      }),
    );
  });

  it('copies itself, begins anew, and leaves its copies as they are', () => {
    fc.assert(
      fc.property(pieces, pieces, (one, two) => {
        const first = build(5, one);
        const copy = first.list.copy();
        first.list.begin(70);
        const second = build(70, two, first.list);
        expect(cellsOf(copy)).toEqual(first.cells);
        expect(cellsOf(second.list)).toEqual(second.cells);
        expect([copy.start, second.list.start]).toEqual([5, 70]);
        copy.addZero(3, 1);
        expect(cellsOf(copy)).toHaveLength(first.cells.length + 3);
      }),
    );
  });

  it('goes on with another list, up to an end, as the model does', () => {
    fc.assert(
      fc.property(pieces, pieces, fc.option(fc.nat({ max: 60 })), (one, two, most) => {
        const first = build(5, one);
        const second = build(1000, two);
        const limit = most === null ? undefined : first.list.end + most;
        first.list.addAll(second.list, limit);
        expect(cellsOf(first.list)).toEqual([...first.cells, ...second.cells.slice(0, most ?? undefined)]);
      }),
    );
  });

  it('makes one run of neighbours that continue one another, and only of those', () => {
    const list = new RunList(0);
    list.addData(2, plain, 512);
    list.addData(3, plain, 512 * 3);
    list.addZero(1);
    list.addZero(4);
    list.addAbsent(2, 1);
    list.addAbsent(2, 1);
    expect(list.length).toBe(3);
    list.addAbsent(1, 2);
    list.addData(1, plain, 0);
    list.addData(1, plain, 1024);
    list.addData(1, other, 1536);
    list.addData(1, packed, 0, 7);
    list.addData(1, packed, 0, 8);
    expect(list.length).toBe(9);
  });

  it('shows its runs to callers in sectors, with a file only where there are data', () => {
    const list = new RunList(7);
    list.addAbsent(1, 3);
    list.addData(2, packed, 4096, 10, 1);
    expect([...list]).toEqual([
      { start: 7, count: 1, state: 'absent', depth: 3 },
      { start: 8, count: 2, state: 'data', depth: 1, file: '/packed', offset: 4096, compressed: true },
    ]);
  });

  it('of a million runs takes columns, not objects: tens of bytes each', () => {
    const list = new RunList(0);
    const before = process.memoryUsage();
    for (let index = 0; index < 1e6; index++) list.addData(1, plain, index * 1024);
    const after = process.memoryUsage();
    expect(list.length).toBe(1e6);
    const grown = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed;
    expect(grown).toBeLessThan(120e6);
  });
});
