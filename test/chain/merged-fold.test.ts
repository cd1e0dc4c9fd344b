// Folding the maps of many links: several at a time must say the same as one by one, and ask no more than it may.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlay } from '../../src/block/overlay.ts';
import { RunList } from '../../src/block/run-list.ts';
import { sectorRange, type SectorRange } from '../../src/block/sector-range.ts';
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
});
