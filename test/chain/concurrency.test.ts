// Many reads, writes, zeroings and flushes at once on one writable chain, over a store that answers late and out of
// order. The rule: a sector holds, whole, a value that some order of the operations could have left there.
import { describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { WritableChain } from '../../src/chain/writable-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { createDelta, type CreateDeltaOptions } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import type { FileStore, WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { seededNumbers } from '../support/qemu-images.ts';

const CAPACITY = 5000;
/** What the base holds in sector n: n + BASE. Operations write their own number, zeroings write 0. */
const BASE = 1_000_000;

type Next = (below: number) => number;

async function pause(next: Next): Promise<void> {
  for (let turns = next(4); turns > 0; turns--) {
    if (next(2) === 0) await Promise.resolve();
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The same store, but each read, write and sync of an open file takes effect only after a while. */
function lateStore(store: FileStore, next: Next): FileStore {
  const late = (file: WritableFile): WritableFile => ({
    ...file,
    async readExactly(into, at) {
      await pause(next);
      await file.readExactly(into, at);
      await pause(next);
    },
    async write(data, at) {
      await pause(next);
      await file.write(data, at);
      await pause(next);
    },
    async sync() {
      await pause(next);
      await file.sync();
    },
  });
  return {
    ...store,
    // In memory a file opened for reading is the same object without its writing half.
    open: async (path: string, mode: 'read' | 'update') =>
      late(await store.open(path, mode as 'update')) as never,
  };
}

function sectorsOf(values: readonly number[]): Buffer {
  const words = new Uint32Array((values.length * SECTOR_BYTES) / 4);
  for (const [index, value] of values.entries())
    words.fill(value, (index * SECTOR_BYTES) / 4, ((index + 1) * SECTOR_BYTES) / 4);
  return Buffer.from(words.buffer);
}

/** The value of each sector; fails when a sector is not one value throughout. */
function valuesOf(data: Buffer, first: number): number[] {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length / 4);
  const perSector = SECTOR_BYTES / 4;
  return Array.from({ length: data.length / SECTOR_BYTES }, (_, index) => {
    const sector = words.subarray(index * perSector, (index + 1) * perSector);
    const value = sector[0]!;
    if (!sector.every((word) => word === value)) expect.fail(`sector ${first + index} is torn`);
    return value;
  });
}

async function readValues(chain: WritableChain, start: number, count: number): Promise<number[]> {
  const data = Buffer.alloc(count * SECTOR_BYTES, 0xee);
  await chain.read(sectorRange(start, count), data);
  return valuesOf(data, start);
}

interface Done {
  readonly start: number;
  readonly end: number;
  readonly value: number;
  readonly begun: number;
  ended: number;
}

/** Remembers when each change began and ended, and judges what is read. */
class History {
  readonly #changes: Done[] = [];
  #clock = 0;

  tick(): number {
    return ++this.#clock;
  }

  begin(start: number, count: number, value: number): Done {
    const change = { start, end: start + count, value, begun: this.tick(), ended: Infinity };
    this.#changes.push(change);
    return change;
  }

  /** Fails unless a read that began and ended then may have found `value` in `sector`. */
  judge(sector: number, value: number, begun: number, ended: number): void {
    const covering = this.#changes.filter(
      (each) => each.start <= sector && sector < each.end && each.begun < ended,
    );
    const before = covering.filter((each) => each.ended < begun);
    const possible = covering
      .filter((each) => !before.some((later) => later.begun > each.ended))
      .map((each) => each.value);
    if (before.length === 0) possible.push(sector + BASE);
    if (!possible.includes(value))
      expect.fail(`sector ${sector} holds ${value}, possible are ${possible.join(', ')}`);
  }
}

const LEAVES: readonly CreateDeltaOptions[] = [
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicSparse', grainSize: 128 },
  { type: 'twoGbMaxExtentSparse', grainSize: 16, splitSectors: 1024 },
  { type: 'vmfsSparse' },
  { type: 'vmfsSparse', grainSize: 32 },
];

const SOLE: readonly CreateDiskOptions[] = [
  { type: 'monolithicSparse' },
  { type: 'twoGbMaxExtentFlat', splitSectors: 1001 },
  { type: 'vmfs', thin: true },
];

async function fullBase(store: FileStore, path: string, options: CreateDiskOptions): Promise<void> {
  await createDisk(path, bytes(CAPACITY * SECTOR_BYTES), { ...options, fs: store });
  const chain = await openChain(path, 'update', { fs: store });
  const all = Array.from({ length: CAPACITY }, (_, sector) => sector + BASE);
  await chain.write(0 as Sectors, sectorsOf(all));
  await chain.close();
}

async function chainAbove(store: FileStore, leaf: CreateDeltaOptions, next: Next): Promise<WritableChain> {
  await store.makeFolder('/disks');
  await fullBase(store, '/disks/base.vmdk', { type: 'monolithicSparse', grainSize: 32 });
  await createDelta('/disks/leaf.vmdk', '/disks/base.vmdk', { ...leaf, fs: store });
  return openChain('/disks/leaf.vmdk', 'update', { fs: lateStore(store, next) });
}

/** `lanes` at once, each `rounds` operations one after the other; everything read on the way is judged. */
async function work(chain: WritableChain, next: Next, lanes: number, rounds: number): Promise<History> {
  const history = new History();
  let value = 1;
  const place = (most: number): [number, number] => {
    // A few hot places, so that operations meet in one grain.
    const start = next(3) === 0 ? next(CAPACITY) : next(300);
    return [start, Math.min(1 + next(most), CAPACITY - start)];
  };
  const lane = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const kind = next(10);
      if (kind < 5) {
        const [start, count] = place(next(3) === 0 ? 300 : 6);
        const change = history.begin(start, count, value++);
        await chain.write(start as Sectors, sectorsOf(Array.from({ length: count }, () => change.value)));
        change.ended = history.tick();
      } else if (kind < 6) {
        const [start, count] = place(400);
        const change = history.begin(start, count, 0);
        await chain.zero(sectorRange(start, count));
        change.ended = history.tick();
      } else if (kind < 9) {
        const [start, count] = place(200);
        const begun = history.tick();
        const values = await readValues(chain, start, count);
        const ended = history.tick();
        for (const [index, found] of values.entries()) history.judge(start + index, found, begun, ended);
      } else {
        await chain.flush();
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return history;
}

async function verify(store: FileStore, path: string, chain: WritableChain, history: History): Promise<void> {
  const before = await readValues(chain, 0, CAPACITY);
  const now = history.tick();
  for (const [sector, value] of before.entries()) history.judge(sector, value, now, now + 1);
  await chain.close();
  const again = await openChain(path, 'update', { fs: store });
  expect(again.findings).toEqual([]);
  expect(again.leaf.findings).toEqual([]);
  expect(await readValues(again, 0, CAPACITY)).toEqual(before);
  await again.close();
}

describe('operations at once on one chain', () => {
  describe.each(LEAVES)('whose leaf is %o', (leaf) => {
    it.each([1, 2, 3])('leave each sector with one of the values written to it (seed %i)', async (seed) => {
      const store = createMemoryFileStore();
      const next = seededNumbers(seed);
      const chain = await chainAbove(store, leaf, next);
      const history = await work(chain, next, 24, 12);
      await verify(store, '/disks/leaf.vmdk', chain, history);
    });

    it('that write different sectors of one grain lose nothing, of themselves or of what lies below', async () => {
      const store = createMemoryFileStore();
      const next = seededNumbers(7);
      const chain = await chainAbove(store, leaf, next);
      // Every third sector, in no order, each by a writer of its own.
      const written = Array.from({ length: 200 }, (_, index) => ({ index, rank: next(1e6) }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ index }) => index * 3);
      await Promise.all(written.map((sector) => chain.write(sector as Sectors, sectorsOf([sector + 1]))));
      const expected = Array.from({ length: 620 }, (_, sector) =>
        sector % 3 === 0 && sector < 600 ? sector + 1 : sector + BASE,
      );
      expect(await readValues(chain, 0, 620)).toEqual(expected);
      await chain.close();
      const again = await openChain('/disks/leaf.vmdk', 'update', { fs: store });
      expect(await readValues(again, 0, 620)).toEqual(expected);
      await again.close();
    });
  });

  describe.each(SOLE)('on a disk without a parent, %o', (disk) => {
    it.each([4, 5])('leave each sector with one of the values written to it (seed %i)', async (seed) => {
      const store = createMemoryFileStore();
      const next = seededNumbers(seed);
      await store.makeFolder('/disks');
      await fullBase(store, '/disks/sole.vmdk', disk);
      const chain = await openChain('/disks/sole.vmdk', 'update', { fs: lateStore(store, next) });
      const history = await work(chain, next, 24, 12);
      await verify(store, '/disks/sole.vmdk', chain, history);
    });
  });

  it('that fail in the middle release their grains: a write after a failed one succeeds', async () => {
    const store = createMemoryFileStore();
    const next = seededNumbers(9);
    let failing = false;
    await store.makeFolder('/disks');
    await fullBase(store, '/disks/base.vmdk', { type: 'monolithicSparse' });
    await createDelta('/disks/leaf.vmdk', '/disks/base.vmdk', { type: 'monolithicSparse', fs: store });
    const broken: FileStore = {
      ...store,
      open: async (path: string, mode: 'read' | 'update') => {
        const file = await lateStore(store, next).open(path, mode as 'update');
        const write = (data: Uint8Array, at: number): Promise<void> =>
          failing ? Promise.reject(new Error('no space')) : file.write(data, at);
        return { ...file, write } as never;
      },
    };
    const chain = await openChain('/disks/leaf.vmdk', 'update', { fs: broken });
    await chain.write(0 as Sectors, sectorsOf([1]));
    failing = true;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => chain.write((1000 + index) as Sectors, sectorsOf([2]))),
    );
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
    expect(await readValues(chain, 1000, 10)).toEqual(
      Array.from({ length: 10 }, (_, index) => 1000 + index + BASE),
    );
    failing = false;
    await chain.write(1003 as Sectors, sectorsOf([3]));
    expect(await readValues(chain, 1002, 3)).toEqual([1002 + BASE, 3, 1004 + BASE]);
    await chain.close();
  });
});
