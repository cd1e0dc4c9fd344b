// Random creates, deltas, writes, zeroings and reopenings on every writable type equal a plain Buffer.
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.js';
import { ModelledChain } from '../support/chain-model.js';
const BASES = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'twoGbMaxExtentSparse', splitSectors: 640, grainSize: 16 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 1024 },
  { type: 'vmfs', thin: true },
  { type: 'vmfs' },
];
const DELTAS = [
  { type: 'monolithicSparse', grainSize: undefined },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'twoGbMaxExtentSparse', grainSize: undefined },
  { type: 'vmfsSparse', grainSize: undefined },
];
const at = fc.nat({ max: 5000 });
const count = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 700 }));
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write'), at, count, seed: fc.nat(999) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('zero'), at, count }) },
  { weight: 1, arbitrary: fc.constant({ do: 'flush' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...DELTAS).map((delta) => ({ do: 'delta', ...delta })),
  },
);
describe('a chain under random work', () => {
  for (const base of BASES) {
    it(`equals a plain buffer over ${JSON.stringify(base)}`, async () => {
      const capacity = fc.integer({ min: 1, max: 3000 });
      await fc.assert(
        fc.asyncProperty(
          capacity,
          fc.array(step, { minLength: 1, maxLength: 30 }),
          async (sectors, steps) => {
            const store = createMemoryFileStore();
            await store.makeFolder('/disks');
            const model = await ModelledChain.create(store, '/disks', sectors, base);
            for (const each of steps) await model.apply(each);
            await model.verify();
            await model.apply({ do: 'reopen' });
            await model.verify();
            await model.chain.close();
          },
        ),
        { numRuns: 60 },
      );
    });
  }
});
