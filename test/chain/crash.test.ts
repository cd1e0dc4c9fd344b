// The plug is pulled at every write and every sync of a workload, in a store that forgets, reorders and tears what was
// not synced: the next opening finds old or new data in every sector, never other, and no file below has changed.
import { describe, expect, it } from 'vitest';
import { readMapped, wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createDelta, type CreateDeltaOptions } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { hashFile, pattern } from '../support/chain-model.ts';
import { createCrashStore, isPowerCut, type CrashStore } from '../support/crash-store.ts';

const CAPACITY = 700 as Sectors;
const STATES_PER_CRASH = 6;

interface Case {
  readonly title: string;
  readonly base: CreateDiskOptions;
  readonly delta?: CreateDeltaOptions;
}

const CASES: readonly Case[] = [
  { title: 'a sparse disk', base: { type: 'monolithicSparse', grainSize: 8 } },
  { title: 'a flat disk', base: { type: 'monolithicFlat' } },
  { title: 'a split sparse disk', base: { type: 'twoGbMaxExtentSparse', grainSize: 16, splitSectors: 320 } },
  {
    title: 'a sparse delta',
    base: { type: 'monolithicFlat' },
    delta: { type: 'monolithicSparse', grainSize: 8 },
  },
  { title: 'a COWD delta', base: { type: 'monolithicFlat' }, delta: { type: 'vmfsSparse' } },
];

type Work =
  | { readonly do: 'write'; readonly at: number; readonly count: number; readonly seed: number }
  | { readonly do: 'zero'; readonly at: number; readonly count: number }
  | { readonly do: 'flush' }
  | { readonly do: 'reopen' };

const WORKLOAD: readonly Work[] = [
  { do: 'write', at: 3, count: 9, seed: 1 },
  { do: 'write', at: 400, count: 20, seed: 2 },
  { do: 'flush' },
  { do: 'write', at: 5, count: 30, seed: 3 },
  { do: 'zero', at: 96, count: 64 },
  { do: 'write', at: 310, count: 25, seed: 4 },
  { do: 'flush' },
  { do: 'write', at: 410, count: 4, seed: 5 },
  { do: 'reopen' },
  { do: 'write', at: 0, count: 2, seed: 6 },
  { do: 'zero', at: 0, count: 40 },
  { do: 'write', at: 690, count: 10, seed: 7 },
];

/** What each sector may hold: what was last made durable, and everything written since. */
class Possible {
  /** How often all was made durable. */
  flushes = 0;
  #durable: Buffer[];
  #since: Buffer[][];

  constructor(content: Buffer) {
    this.#durable = sectorsOf(content);
    this.#since = this.#durable.map(() => []);
  }

  noteWrite(at: number, data: Buffer): void {
    for (const [index, sector] of sectorsOf(data).entries()) this.#since[at + index]!.push(sector);
  }

  noteDurable(): void {
    this.flushes++;
    this.#durable = this.#durable.map((old, sector) => this.#since[sector]!.at(-1) ?? old);
    this.#since = this.#since.map(() => []);
  }

  expectHolds(found: Buffer): void {
    for (const [sector, content] of sectorsOf(found).entries()) {
      const allowed = [this.#durable[sector]!, ...this.#since[sector]!];
      if (allowed.some((each) => each.equals(content))) continue;
      const words = allowed.map((each) => each[0]).join(' or ');
      expect.fail(`sector ${sector} holds ${content[0]}: neither old nor new (${words})`);
    }
  }
}

for (const { title, base, delta } of CASES) {
  describe(`power is cut while writing ${title}`, () => {
    const leaf = delta === undefined ? '/vm/base.vmdk' : '/vm/delta.vmdk';

    const prepare = async (): Promise<{ store: CrashStore; content: Buffer; below: Map<string, string> }> => {
      const store = await createCrashStore();
      await store.makeFolder('/vm');
      await createDisk('/vm/base.vmdk', bytes(CAPACITY * SECTOR_BYTES), { ...base, fs: store });
      const content = pattern(CAPACITY * SECTOR_BYTES, 77);
      const chain = await openChain('/vm/base.vmdk', 'update', { fs: store });
      await chain.write(0 as Sectors, content);
      await chain.close();
      if (delta !== undefined) await createDelta(leaf, '/vm/base.vmdk', { ...delta, fs: store });
      store.settle();
      return { store, content, below: await filesBelow(store, leaf) };
    };

    it('leaves old or new data in every sector, and leaks at most', { timeout: 240_000 }, async () => {
      const whole = await prepare();
      await carryOut(whole.store, leaf, new Possible(whole.content));
      const operations = whole.store.log.length;
      expect(operations).toBeGreaterThan(20);
      // Until the next flush more and more may be held: what was right stays so.
      const seen = new Map<number, Set<string>>();
      for (let cut = 0; cut < operations; cut++) {
        const { store, content, below } = await prepare();
        const possible = new Possible(content);
        store.crashAt(cut);
        await expect(carryOut(store, leaf, possible)).rejects.toSatisfy(isPowerCut);
        const known = seen.get(possible.flushes) ?? new Set();
        seen.set(possible.flushes, known);
        for await (const survivor of store.afterCrash(cut, STATES_PER_CRASH, known)) {
          await expectSound(survivor, leaf, possible, below);
        }
      }
    });
  });
}

async function carryOut(store: FileStore, leaf: string, possible: Possible): Promise<void> {
  let chain = await openChain(leaf, 'update', { fs: store });
  for (const work of WORKLOAD) {
    if (work.do === 'write') {
      const data = pattern(work.count * SECTOR_BYTES, work.seed);
      possible.noteWrite(work.at, data);
      await chain.write(work.at as Sectors, data);
    } else if (work.do === 'zero') {
      possible.noteWrite(work.at, Buffer.alloc(work.count * SECTOR_BYTES));
      await chain.zero({ start: work.at as Sectors, count: work.count as Sectors });
    } else if (work.do === 'flush') {
      await chain.flush();
      possible.noteDurable();
    } else {
      await chain.close();
      possible.noteDurable();
      chain = await openChain(leaf, 'update', { fs: store });
    }
  }
  await chain.close();
  possible.noteDurable();
}

/** Reads right, checks clean, and can be written again, which settles what the crash left. */
async function expectSound(
  store: FileStore,
  leaf: string,
  possible: Possible,
  below: Map<string, string>,
): Promise<void> {
  possible.expectHolds(await contentOf(store, leaf));
  expect(await filesBelow(store, leaf)).toEqual(below);
  const report = await checkDisk(leaf, { fs: store, chain: true });
  expect(report.problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  const before = await contentOf(store, leaf);
  const chain = await openChain(leaf, 'update', { fs: store });
  const data = pattern(3 * SECTOR_BYTES, 99);
  await chain.write(200 as Sectors, data);
  await chain.close();
  before.set(data, 200 * SECTOR_BYTES);
  expect((await contentOf(store, leaf)).equals(before)).toBe(true);
  const settled = await checkDisk(leaf, { fs: store, chain: true });
  const unsettled = settled.problems.filter(({ code }) => code !== 'LEAK' && code !== 'TAIL');
  expect(unsettled.filter(({ severity }) => severity !== 'info')).toEqual([]);
}

async function contentOf(store: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs: store });
  try {
    const content = Buffer.alloc(chain.capacity * SECTOR_BYTES);
    await readMapped(chain, wholeOf(chain), content);
    return content;
  } finally {
    await chain.close();
  }
}

async function filesBelow(store: FileStore, leaf: string): Promise<Map<string, string>> {
  const chain = await openChain(leaf, 'read', { fs: store });
  const files = chain.links
    .slice(1)
    .flatMap((link) => [link.path, ...link.extents.flatMap(({ extent }) => extent.path ?? [])]);
  await chain.close();
  const hashes = new Map<string, string>();
  for (const path of files) hashes.set(path, await hashFile(store, path));
  return hashes;
}

function sectorsOf(data: Buffer): Buffer[] {
  return Array.from({ length: data.length / SECTOR_BYTES }, (_, index) =>
    data.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES),
  );
}
