// ESX deltas (COWD, vmfsSparse): read in place, grain by grain, and every header or table that cannot be is an error that
// says which field.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import {
  type COWD,
  craftCowd,
  marked,
  pokeEntry,
  SECTOR,
  storeOf,
  text,
  type CowdSpec,
} from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';

const DISK = '/vm/d.vmdk';
const DELTA = '/vm/d-delta.vmdk';
const CAPACITY = 5000;
/** Sectors 1, 3 and 4 in the first table, 4097 in the second: used in another order than they are numbered. */
const grains = {
  4: marked('c', 4, 1),
  3: marked('c', 3, 1),
  1: marked('c', 1, 1),
  4097: marked('c', 4097, 1),
};

const filesOf = (bytes: Buffer, capacity = CAPACITY) => ({
  [DISK]: text({ createType: 'vmfsSparse', extents: [`RW ${capacity} VMFSSPARSE "d-delta.vmdk"`] }),
  [DELTA]: bytes,
});
const read = (bytes: Buffer, capacity = CAPACITY) => readAll(DISK, { fs: storeOf(filesOf(bytes, capacity)) });
const failure = (bytes: Buffer, capacity = CAPACITY) => bounded(() => failureOf(read(bytes, capacity)));
const crafted = (more: Partial<CowdSpec> = {}) => craftCowd({ capacity: CAPACITY, grains, ...more });

function contentWith(numbers: readonly number[]): Buffer {
  const content = Buffer.alloc(CAPACITY * SECTOR);
  for (const number of numbers) content.set(marked('c', number, 1), number * SECTOR);
  return content;
}
const SAMPLE = contentWith([1, 3, 4, 4097]);

describe('an ESX delta', () => {
  it('is read sector by sector, whatever order its grains were written in', async () => {
    expectSame(await read(crafted().bytes), SAMPLE);
  });

  it.each([2, 8, 2048])(
    'of grains of %i sectors is read, also when its size is not a whole number of them',
    async (grainSize) => {
      const capacity = 3 * grainSize - 1;
      const { bytes } = craftCowd({
        capacity,
        grainSize,
        grains: { 2: marked('c', 2 * grainSize, grainSize) },
      });
      const expected = Buffer.alloc(capacity * SECTOR);
      expected.set(marked('c', 2 * grainSize, grainSize - 1), 2 * grainSize * SECTOR);
      expectSame(await read(bytes, capacity), expected);
    },
  );

  it('reads entries of 1 as zeros, never as its header, and says so', async () => {
    const disk = await openDisk(DISK, { fs: storeOf(filesOf(crafted({ zeros: [0, 2, 4096] }).bytes)) });
    expectSame(await contentOf(disk), SAMPLE);
    expect(disk.findings.map(({ code, severity }) => `${severity} ${code}`)).toEqual(['warning GTE1-FLAG']);
    await disk.close();
  });

  it('is found by its magic behind a line of another type', async () => {
    const { [DELTA]: bytes } = filesOf(crafted().bytes);
    for (const type of ['SPARSE', 'SESPARSE', 'VMFSSPARSE']) {
      const fs = storeOf({
        [DISK]: text({ extents: [`RW ${CAPACITY} ${type} "d-delta.vmdk"`] }),
        [DELTA]: bytes!,
      });
      expectSame(await readAll(DISK, { fs }), SAMPLE);
    }
  });

  it('that was not closed cleanly is read, with a warning', async () => {
    const disk = await openDisk(DISK, { fs: storeOf(filesOf(crafted({ fields: { unclean: 1 } }).bytes)) });
    expect(disk.findings).toMatchObject([{ code: 'UNCLEAN', path: DELTA }]);
    await disk.close();
  });

  it('names the field of its header that cannot be', async () => {
    const fields: [keyof typeof COWD, number, string][] = [
      ['version', 2, 'version'],
      ['version', 0, 'version'],
      ['flags', 7, 'flags'],
      ['capacity', 0, 'numSectors'],
      ['grainSize', 0, 'grainSize'],
      ['grainSize', 3, 'grainSize'],
      ['grainSize', 4096, 'grainSize'],
      ['grainSize', 0x80000000, 'grainSize'],
      ['gdOffset', 0, 'gdOffset'],
      ['gdOffset', 3, 'gdOffset'],
      ['gdOffset', 0xffffffff, 'gdOffset'],
      ['numGDEntries', 0, 'numGDEntries'],
      ['numGDEntries', 1, 'numGDEntries'],
      ['capacity', CAPACITY + 1, 'capacity'],
      ['capacity', CAPACITY - 1, 'capacity'],
    ];
    for (const [field, value, named] of fields) {
      const error = await failure(crafted({ fields: { [field]: value } }).bytes);
      expect(error.context, `${field} ${value}`).toMatchObject({ path: DELTA, field: named });
    }
  });

  it('reads no more directory than its size asks for, whatever number it gives', async () => {
    expectSame(await read(crafted({ fields: { numGDEntries: 0xffffffff } }).bytes), SAMPLE);
  });

  it('of the largest size takes little memory', async () => {
    const capacity = 2 ** 32 - 1;
    const { bytes } = craftCowd({ capacity, grains: { 0: marked('c', 0, 1) } });
    await bounded(async () => {
      const disk = await openDisk(DISK, { fs: storeOf(filesOf(bytes, capacity)) });
      expectSame(await contentOf(disk, 2), Buffer.concat([marked('c', 0, 1), Buffer.alloc(SECTOR)]));
      await disk.close();
    });
  });

  it('has its tables and grains within the file and behind its directory, or is damaged', async () => {
    for (const place of [1, 4, 0x7fffffff]) {
      const { bytes, gd } = crafted();
      pokeEntry(bytes, gd, 0, place);
      expect(await failure(bytes), `table at ${place}`).toMatchObject({
        code: 'grain-table-damaged',
        context: { path: DELTA, offset: gd * SECTOR, found: `sector ${place}` },
      });
    }
    for (const place of [2, 4, 0x7fffffff]) {
      const { bytes, tables } = crafted();
      pokeEntry(bytes, tables[0]!, 3, place);
      expect(await failure(bytes), `grain at ${place}`).toMatchObject({
        code: 'grain-out-of-range',
        context: { path: DELTA, offset: tables[0]! * SECTOR + 12, found: `sector ${place}` },
      });
    }
  });

  it('that was cut short is an error at what is missing, never zeros', async () => {
    const { bytes, tables } = crafted();
    expect(await failure(bytes.subarray(0, -1))).toMatchObject({ code: 'grain-out-of-range' });
    expect(await failure(bytes.subarray(0, (tables[1]! + 3) * SECTOR))).toMatchObject({
      code: 'grain-table-damaged',
    });
    expect(await failure(bytes.subarray(0, 4 * SECTOR))).toMatchObject({ code: 'grain-directory-damaged' });
    expect(await failure(bytes.subarray(0, 1000))).toMatchObject({
      kind: 'corrupt',
      context: { path: DELTA },
    });
  });

  it('may hold anything where its dead fields are, a file name of strangers without end included', async () => {
    const { bytes } = crafted();
    bytes.fill('/etc/passwd', 32, 1648, 'latin1');
    expectSame(await read(bytes), SAMPLE);
  });

  it('with a freeSector past the end of the file is read, and written at the end of the file', async () => {
    for (const freeSector of [0, 0xfffffff0, 0xffffffff]) {
      const { bytes } = crafted({ fields: { freeSector } });
      expectSame(await read(bytes), SAMPLE);
      const fs = storeOf(filesOf(bytes));
      const chain = await openChain(DISK, 'update', { fs });
      await chain.write(7 as never, marked('c', 7, 1));
      await chain.close();
      expect((await fs.resolve(DELTA)).size, `freeSector ${freeSector}`).toBeLessThan(
        bytes.length + (1 << 20),
      );
      expectSame(await readAll(DISK, { fs }), contentWith([1, 3, 4, 7, 4097]));
    }
  });

  it('of Workstation 2 and 3 is told apart by its directory', async () => {
    const { bytes } = craftCowd({ capacity: 600_000, fields: { numGDEntries: 64 } });
    expect(await failure(bytes, 600_000)).toMatchObject({ kind: 'unsupported', code: 'legacy-vmdk3' });
  });
});
