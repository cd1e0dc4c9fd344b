// A cache bounded by cost, against a naive model.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LruCache } from '../../src/core/lru-cache.ts';

const LIMIT = 10;
const key = fc.nat({ max: 6 });
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, cost: fc.nat({ max: 14 }) }),
  fc.record({ do: fc.constantFrom('get' as const, 'delete' as const), key }),
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), key }) },
);

describe('a least-recently-used cache', () => {
  it('holds what the model holds, whatever is done', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = new LruCache<number, number>(LIMIT);
        /** Oldest use first. */
        let model: { key: number; value: number; cost: number }[] = [];
        for (const [index, each] of steps.entries()) {
          const known = model.find((entry) => entry.key === each.key);
          const others = model.filter((entry) => entry.key !== each.key);
          if (each.do === 'set') {
            cache.set(each.key, index, each.cost);
            model = [...others, { key: each.key, value: index, cost: each.cost }];
            while (model.length > 1 && model.reduce((sum, { cost }) => sum + cost, 0) > LIMIT) model.shift();
          } else if (each.do === 'get') {
            expect(cache.get(each.key)).toBe(known?.value);
            if (known !== undefined) model = [...others, known];
          } else if (each.do === 'delete') {
            cache.delete(each.key);
            model = others;
          } else {
            cache.clear();
            model = [];
          }
        }
        const held = new Map(model.map((entry) => [entry.key, entry.value]));
        for (let each = 0; each <= 6; each++) expect(cache.get(each)).toBe(held.get(each));
      }),
      { numRuns: 500 },
    );
  });

  it('keeps one entry dearer than its limit, alone', () => {
    const cache = new LruCache<string, number>(5);
    cache.set('small', 1, 2);
    cache.set('huge', 2, 100);
    expect([cache.get('small'), cache.get('huge')]).toEqual([undefined, 2]);
    cache.set('next', 3, 1);
    expect([cache.get('huge'), cache.get('next')]).toEqual([undefined, 3]);
  });
});
