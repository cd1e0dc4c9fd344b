// Random creates, deltas, writes, zeroings and reopenings on every writable type equal a plain Buffer.
import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { Sectors } from '../../src/core/units.ts';
import type { CreateDiskOptions } from '../../src/operations/create-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { ModelledChain, type Step } from '../support/chain-model.ts';

const BASES: readonly CreateDiskOptions[] = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'twoGbMaxExtentSparse', splitSectors: 640, grainSize: 16 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 1024 },
  { type: 'vmfs', thin: true },
  { type: 'vmfs' },
];

const DELTAS: readonly { type: string; grainSize: number | undefined }[] = [
  { type: 'monolithicSparse', grainSize: undefined },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'twoGbMaxExtentSparse', grainSize: undefined },
  { type: 'vmfsSparse', grainSize: undefined },
];

const at = fc.nat({ max: 5000 });
const count = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 700 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), at, count, seed: fc.nat(999) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('zero' as const), at, count }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'flush' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'reopen' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...DELTAS).map((delta): Step => ({ do: 'delta', ...delta })),
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
            const model = await ModelledChain.create(store, '/disks', sectors as Sectors, base);
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
