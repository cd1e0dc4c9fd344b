// Folding the maps of many links: several at a time must say the same as one by one, and ask no more than it may.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlay } from '../../src/block/overlay.ts';
import { RunList } from '../../src/block/run-list.ts';
import { sectorRange, type SectorRange } from '../../src/block/sector-range.ts';
import { MAP_RUN_LIMIT } from '../../src/block/sector-source.ts';
import { MergedSource } from '../../src/chain/chain.ts';
import { VmdkError } from '../../src/core/errors.ts';
import { sectors } from '../../src/core/units.ts';

const CAPACITY = 64;

interface FakeLink {
  capacity: ReturnType<typeof sectors>;
  map(range: SectorRange): Promise<RunList>;
}

/** A link that says of each sector: 0 absent, 1 zero, 2 data. */
function linkOf(states: readonly number[], name: string): FakeLink {
  const origin = { path: name, compressed: false, read: () => Promise.resolve() };
  return {
    capacity: sectors(CAPACITY),
    map: (range) => {
      const runs = new RunList(range.start);
      for (let at: number = range.start; at < range.start + range.count; at++) {
        if (states[at] === 0) runs.addAbsent(1);
        else if (states[at] === 1) runs.addZero(1);
        else runs.addData(1, origin, at * 512);
      }
      return Promise.resolve(runs);
    },
  };
}

const damaged: FakeLink = {
  capacity: sectors(CAPACITY),
  map: () => Promise.reject(new VmdkError('corrupt', 'grain-out-of-range', 'damaged', { path: 'damaged' })),
};

const all = sectorRange(0, CAPACITY);

describe('the folded map of a chain', () => {
  it('is what laying each link under those above gives, however many there are', async () => {
    const states = fc.array(fc.constantFrom(0, 0, 0, 1, 2), { minLength: CAPACITY, maxLength: CAPACITY });
    await fc.assert(
      fc.asyncProperty(fc.array(states, { minLength: 1, maxLength: 20 }), async (chain) => {
        const links = chain.map((each, index) => linkOf(each, `link${index}`));
        let expected = await links[0]!.map(all);
        for (let depth = 1; depth < links.length; depth++) {
          expected = overlay(expected, await links[depth]!.map(all), depth);
        }
        const merged = await new MergedSource(links).map(all);
        expect([...merged]).toEqual([...expected]);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  it('does not mind damage in a link that has nothing left to answer', async () => {
    const nothing = linkOf(Array<number>(CAPACITY).fill(0), 'leaf');
    const everything = linkOf(Array<number>(CAPACITY).fill(2), 'full');
    const runs = await new MergedSource([nothing, everything, damaged]).map(all);
    expect([...runs].map(({ state, depth }) => [state, depth])).toEqual([['data', 1]]);
  });

  it('does mind damage in a link that is asked', async () => {
    const nothing = linkOf(Array<number>(CAPACITY).fill(0), 'leaf');
    await expect(new MergedSource([nothing, nothing, damaged]).map(all)).rejects.toThrow('damaged');
  });

  it('does not mind damage between the stretches that a link is asked about', async () => {
    const states = Array<number>(CAPACITY).fill(2);
    states[3] = states[60] = 0;
    const upper = linkOf(states, 'leaf');
    const base = linkOf(Array<number>(CAPACITY).fill(2), 'base');
    const asked: string[] = [];
    const spoilt: FakeLink = {
      ...base,
      map: (range) => {
        asked.push(`${range.start}+${range.count}`);
        const isHit = range.start <= 30 && range.start + range.count > 30;
        return isHit ? damaged.map(range) : base.map(range);
      },
    };
    const runs = await new MergedSource([upper, spoilt]).map(all);
    expect([...runs].filter(({ depth }) => depth === 1).map(({ start, count }) => [start, count])).toEqual([
      [3, 1],
      [60, 1],
    ]);
    expect(asked).toContain('3+1');
  });
});

describe('plans that are kept', () => {
  const GIB = 2_097_152;

  /** Runs of one sector all over, no more of them in one answer than a map may have. */
  function denseLink(
    asked: SectorRange[],
    isDamaged: (range: SectorRange) => boolean = () => false,
  ): FakeLink {
    return {
      capacity: sectors(GIB),
      map: (range) => {
        asked.push(range);
        if (isDamaged(range)) return damaged.map(range);
        const runs = new RunList(range.start, 1024);
        const end = range.start + Math.min(range.count, MAP_RUN_LIMIT);
        for (let at: number = range.start; at < end; at++) {
          if (at % 2 === 0) runs.addZero(1);
          else runs.addAbsent(1);
        }
        return Promise.resolve(runs);
      },
    };
  }

  it('are smaller where there are more runs than a map has: no read plans again what is kept', async () => {
    const asked: SectorRange[] = [];
    const merged = new MergedSource([denseLink(asked)]);
    const into = Buffer.alloc(8 * 512, 1);
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < 320; at++) await merged.read(sectorRange(((at * 7919) % 320) * 1024, 8), into);
    }
    expect(into.every((byte) => byte === 0)).toBe(true);
    // 320 × 1024 sectors are five windows of 65,536, and one try to plan all of the GiB.
    expect(asked.length).toBe(6);
  });

  it('are kept beside damage, which only its own readers meet', async () => {
    const asked: SectorRange[] = [];
    const bad = (range: SectorRange): boolean => range.start <= 100 && range.start + range.count > 100;
    const merged = new MergedSource([denseLink(asked, bad)]);
    const into = Buffer.alloc(512);
    for (let round = 0; round < 10; round++) await merged.read(sectorRange(GIB - 8 - round, 1), into);
    expect(asked.length).toBe(2);
    await merged.read(sectorRange(200, 1), into);
    await expect(merged.read(sectorRange(100, 1), into)).rejects.toThrow('damaged');
  });
});
