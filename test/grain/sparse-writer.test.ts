// What the writer of hosted sparse grains leaves in the file: both copies of the tables equal, grains where readers
// want them, and, after an unclean end, copies that follow their primaries.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { Sectors } from '../../src/core/units.ts';
import { openWritableSparseExtent } from '../../src/extent/writable-sparse-extent.ts';
import { decodeTable } from '../../src/format/tables.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { craftSparse, KDMV, marked, poke, pokeEntry } from '../support/craft.ts';

const PATH = '/extent.vmdk';
const ignore = (): void => undefined;

async function contentOf(store: ReturnType<typeof createMemoryFileStore>): Promise<Buffer> {
  const file = await store.open(PATH, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.readExactly(bytes, 0);
  await file.close();
  return bytes;
}

function entriesAt(bytes: Buffer, table: number): number[] {
  return [...decodeTable(bytes.subarray(table * 512, (table + 4) * 512))];
}

describe('the writer of hosted sparse grains', () => {
  it('keeps both copies of every table equal, each grain in its own place, on a multiple of the grain', async () => {
    const work = fc.array(
      fc.record({
        zero: fc.boolean(),
        grain: fc.nat({ max: 1199 }),
        count: fc.integer({ min: 1, max: 30 }),
        flush: fc.boolean(),
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 8, 16), work, async (grainSize, steps) => {
        const capacity = 1200 * grainSize;
        const disk = craftSparse({ capacity, grainSize, grains: { 3: marked('old', 0, grainSize) } });
        const store = createMemoryFileStore({ [PATH]: disk.bytes });
        const extent = await openWritableSparseExtent(await store.open(PATH, 'update'), capacity, ignore);
        await extent.begin();
        for (const { zero, grain, count, flush } of steps) {
          const range = sectorRange(grain * grainSize, Math.min(count, 1200 - grain) * grainSize);
          if (zero) await extent.zero(range, true);
          else await extent.write(range.start, marked(`g${grain}`, 0, range.count));
          if (flush) await extent.flush();
        }
        await extent.close();
        const bytes = await contentOf(store);
        const used = new Set<number>();
        for (const [index, table] of disk.tables.entries()) {
          const entries = entriesAt(bytes, table);
          expect(entriesAt(bytes, disk.redundantTables[index]!)).toEqual(entries);
          for (const entry of entries.filter((each) => each > 1)) {
            expect(used.has(entry)).toBe(false);
            used.add(entry);
            expect(entry % grainSize).toBe(0);
            expect((entry + grainSize) * 512).toBeLessThanOrEqual(bytes.length);
          }
        }
        expect(bytes[72]).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('makes the copies follow the primary tables before it writes to a disk that was not closed cleanly', async () => {
    const grains = { 1: marked('one', 0, 8), 2: marked('two', 0, 8) };
    const disk = craftSparse({ capacity: 8 * 600, grains });
    // Power failed between the two copies: one grain is only in the primary table, another only gone there.
    pokeEntry(disk.bytes, disk.redundantTables[0]!, 1, 0);
    pokeEntry(disk.bytes, disk.redundantTables[0]!, 9, disk.grains.get(2)!);
    poke(disk.bytes, KDMV, { unclean: 1 });
    const store = createMemoryFileStore({ [PATH]: disk.bytes });
    const extent = await openWritableSparseExtent(await store.open(PATH, 'update'), undefined, ignore);
    await extent.begin();
    await extent.write(40 as Sectors, marked('new', 0, 8));
    await extent.close();
    const bytes = await contentOf(store);
    expect(entriesAt(bytes, disk.redundantTables[0]!)).toEqual(entriesAt(bytes, disk.tables[0]!));
    const [one, two] = [disk.grains.get(1)!, disk.grains.get(2)!];
    expect(entriesAt(bytes, disk.tables[0]!).slice(0, 6)).toEqual([
      0,
      one,
      two,
      0,
      0,
      disk.bytes.length / 512,
    ]);
    expect(bytes[72]).toBe(0);
  });

  it('takes new grains only whole: making one whole is the chain’s work', async () => {
    const disk = craftSparse({ capacity: 8 * 600 + 3 });
    const store = createMemoryFileStore({ [PATH]: disk.bytes });
    const extent = await openWritableSparseExtent(await store.open(PATH, 'update'), undefined, ignore);
    await extent.begin();
    await expect(extent.write(1 as Sectors, marked('x', 0, 8))).rejects.toThrow(RangeError);
    await expect(extent.write(0 as Sectors, marked('x', 0, 9))).rejects.toThrow(RangeError);
    // The last grain is cut by the end of the disk, and stored whole.
    await extent.write((8 * 600) as Sectors, marked('end', 0, 3));
    await extent.close();
    expect((await contentOf(store)).length % (8 * 512)).toBe(0);
  });
});
