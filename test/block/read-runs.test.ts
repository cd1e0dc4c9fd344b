// Carrying out plans: the right bytes, in few reads, whatever the order of the runs.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMapped, readRuns, walkRuns, wholeOf } from '../../src/block/read-runs.ts';
import { RunList, type DataOrigin } from '../../src/block/run-list.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import type { Sectors } from '../../src/core/units.ts';
import { bufferOrigin, fileBytes } from '../support/buffer-disk.ts';

const FILE_SECTORS = 6000;
const one = fileBytes(FILE_SECTORS * 512, 1);
const two = fileBytes(FILE_SECTORS * 512, 2);

/** A read of the whole list, into a buffer full of rubbish. */
async function readAll(list: RunList): Promise<Buffer> {
  const into = Buffer.alloc((list.end - list.start) * 512, 0xee);
  await readRuns(list, into);
  return into;
}

describe('reading by runs', () => {
  const piece = fc.record({
    what: fc.constantFrom('absent', 'zero', 'one', 'one', 'two'),
    count: fc.integer({ min: 1, max: 40 }),
    place: fc.nat({ max: FILE_SECTORS - 40 }),
    /** Most data lie right behind, or a little behind, the data before. */
    near: fc.option(fc.nat({ max: 12 })),
  });

  it('fills in every sector, whatever the order of the runs in their files', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 60 }), async (pieces) => {
        const origins = { one: bufferOrigin(one, '/one'), two: bufferOrigin(two, '/two') };
        const list = new RunList(33);
        const expected: Buffer[] = [];
        let last = 0;
        for (const { what, count, place, near } of pieces) {
          if (what === 'absent' || what === 'zero') {
            if (what === 'absent') list.addAbsent(count);
            else list.addZero(count);
            expected.push(Buffer.alloc(count * 512));
            continue;
          }
          const sector = near === null || last + near + count > FILE_SECTORS ? place : last + near;
          last = sector + count;
          list.addData(count, what === 'one' ? origins.one : origins.two, sector * 512);
          expected.push((what === 'one' ? one : two).subarray(sector * 512, (sector + count) * 512));
        }
        expect((await readAll(list)).equals(Buffer.concat(expected))).toBe(true);
        for (const { reads } of [origins.one, origins.two]) {
          for (const { length } of reads) expect(length).toBeLessThanOrEqual(1 << 20);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('makes one read of a thousand sectors that the guest has in another order than the file', async () => {
    const origin = bufferOrigin(one);
    const list = new RunList(0);
    const order = Array.from({ length: 1000 }, (_, index) => (index * 7) % 1000);
    for (const sector of order) list.addData(1, origin, sector * 512);
    const expected = Buffer.concat(order.map((sector) => one.subarray(sector * 512, (sector + 1) * 512)));
    expect((await readAll(list)).equals(expected)).toBe(true);
    expect(origin.reads).toEqual([{ offset: 0, length: 512_000, sector: 0 }]);
  });

  it('reads small gaps along, and leaves large ones out', async () => {
    const origin = bufferOrigin(one);
    const list = new RunList(0);
    for (let index = 0; index < 10; index++) list.addData(1, origin, index * 9 * 512);
    for (let index = 0; index < 10; index++) list.addData(1, origin, (1000 + index * 10) * 512);
    await readAll(list);
    expect(origin.reads).toHaveLength(1 + 10);
  });

  it('reads sectors that two runs share twice rather than wrongly', async () => {
    const origin = bufferOrigin(one);
    const list = new RunList(0);
    for (let index = 0; index < 12; index++) list.addData(4, origin, index * 2 * 512);
    const expected = Array.from({ length: 12 }, (_, index) =>
      one.subarray(index * 1024, index * 1024 + 2048),
    );
    expect((await readAll(list)).equals(Buffer.concat(expected))).toBe(true);
  });

  it('asks a compressed origin for each grain by itself, and tells it the sector', async () => {
    const origin = bufferOrigin(one, '/packed', true);
    const list = new RunList(0);
    for (let index = 0; index < 20; index++) list.addData(2, origin, index * 1024, 500 + index * 2);
    await readAll(list);
    expect(origin.reads.map(({ sector }) => sector)).toEqual(
      Array.from({ length: 20 }, (_, index) => 500 + index * 2),
    );
  });

  it('keeps at most eight reads in flight', async () => {
    let now = 0;
    let most = 0;
    const origin: DataOrigin = {
      path: '/slow',
      compressed: true,
      async read() {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
      },
    };
    const list = new RunList(0);
    for (let index = 0; index < 100; index++) list.addData(1, origin, index * 512, index);
    await readAll(list);
    expect(most).toBe(8);
  });

  it('throws the first failure only when no read writes into the buffer any more', async () => {
    let running = 0;
    const origin: DataOrigin = {
      path: '/broken',
      compressed: true,
      async read(_into, _offset, sector) {
        running++;
        for (let turn = 0; turn < 1 + (sector % 5); turn++)
          await new Promise((resolve) => setImmediate(resolve));
        running--;
        if (sector === 3) throw new Error('bad sector');
      },
    };
    const list = new RunList(0);
    for (let index = 0; index < 50; index++) list.addData(1, origin, index * 512, index);
    await expect(readAll(list)).rejects.toThrow('bad sector');
    expect(running).toBe(0);
  });
});

describe('a source that maps only a prefix', () => {
  const origin = bufferOrigin(one);
  const source: SectorSource = {
    capacity: 1000 as Sectors,
    async map(range) {
      const runs = new RunList(range.start);
      runs.addData(Math.min(7, range.count), origin, range.start * 512);
      return runs;
    },
    read: (range, into) => readMapped(source, range, into),
    close: () => Promise.resolve(),
  };

  it('is read whole', async () => {
    const into = Buffer.alloc(900 * 512);
    await readMapped(source, sectorRange(50, 900), into);
    expect(into.equals(one.subarray(50 * 512, 950 * 512))).toBe(true);
  });

  it('is walked whole, list by list', async () => {
    const starts: number[] = [];
    for await (const runs of walkRuns(source, wholeOf(source))) starts.push(runs.start);
    expect(starts).toEqual(Array.from({ length: Math.ceil(1000 / 7) }, (_, index) => index * 7));
  });

  it('refuses a buffer of another size than the range', async () => {
    await expect(readMapped(source, sectorRange(0, 2), Buffer.alloc(512))).rejects.toThrow(RangeError);
  });
});
