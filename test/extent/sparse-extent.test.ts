// Hosted sparse extents ("KDMV"), every lawful form read, every damaged table answered by its copy or by an error:
// never by zeros, never by bytes of another place.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import {
  craftMonolithic,
  craftSparse,
  KDMV,
  marked,
  poke,
  pokeEntry,
  SECTOR,
  storeOf,
  text,
  type Crafted,
} from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';

const DISK = '/vm/disk.vmdk';
const zeros = (sectors: number): Buffer => Buffer.alloc(sectors * SECTOR);

/** 64 sectors, grains of 8; 1 and 3 are stored. */
const sample = (more: Partial<Parameters<typeof craftMonolithic>[0]> = {}): Crafted =>
  craftMonolithic({ capacity: 64, grains: { 1: marked('a', 8, 8), 3: marked('a', 24, 8) }, ...more });
const SAMPLE = Buffer.concat([zeros(8), marked('a', 8, 8), zeros(8), marked('a', 24, 8), zeros(32)]);

const open = (bytes: Buffer) => openDisk(DISK, { fs: storeOf({ [DISK]: bytes }) });
const read = (bytes: Buffer) => readAll(DISK, { fs: storeOf({ [DISK]: bytes }) });

describe('a hosted sparse extent', () => {
  it.each([1, 2, 3])('of version %i reads its grains, and zeros where it has none', async (version) => {
    expectSame(await read(sample({ fields: { version } }).bytes), SAMPLE);
  });

  it.each([1, 2, 8, 64, 128, 1024])(
    'of grains of %i sectors reads every sector in its place',
    async (grainSize) => {
      const capacity = grainSize * 5 + (grainSize > 1 ? 1 : 0);
      const last = Math.ceil(capacity / grainSize) - 1;
      const { bytes } = craftMonolithic({
        capacity,
        grainSize,
        grains: {
          [last]: marked('z', last * grainSize, grainSize),
          2: marked('g', 2 * grainSize, grainSize),
        },
      });
      const expected = zeros(capacity);
      expected.set(marked('g', 2 * grainSize, grainSize), 2 * grainSize * SECTOR);
      expected.set(marked('z', last * grainSize, capacity - last * grainSize), last * grainSize * SECTOR);
      expectSame(await read(bytes), expected);
    },
  );

  it('of grains of 2^21 sectors reads without a gibibyte of memory', async () => {
    const grainSize = 2 ** 21;
    // Built by hand: overHead and the grain may stand at any sector, so the file stays small but for its hole.
    const { bytes, gd, rgd } = craftMonolithic({ capacity: 3 * grainSize, grainSize: 1024 });
    poke(bytes, KDMV, { grainSize });
    const store = storeOf({ [DISK]: bytes.subarray(0, 2048 * SECTOR) });
    const file = await store.open(DISK, 'update');
    const place = 4096;
    for (const directory of [gd, rgd]) {
      const table = Buffer.alloc(4);
      table.writeUInt32LE(place);
      await file.write(table, (directory + 1) * SECTOR + 4);
    }
    await file.write(marked('huge', grainSize, 2), place * SECTOR);
    await file.resize((place + grainSize) * SECTOR);
    await file.close();
    await bounded(async () => {
      const disk = await openDisk(DISK, { fs: store });
      const content = Buffer.alloc(4 * SECTOR, 0xee);
      await disk.read(sectorRange(grainSize - 2, 4), content);
      expectSame(content, Buffer.concat([zeros(2), marked('huge', grainSize, 2)]));
      await disk.close();
    });
  });

  it.each([1, 2, 128, 512])('with %i entries a table finds each grain', async (entriesPerTable) => {
    const grains = Object.fromEntries(
      [0, 1, 2, 129, 513, 700].map((grain) => [grain, marked('t', grain * 8, 8)]),
    );
    const { bytes } = craftMonolithic({ capacity: 800 * 8, entriesPerTable, grains });
    const content = await read(bytes);
    for (let grain = 0; grain < 800; grain++) {
      const found = content.subarray(grain * 8 * SECTOR, (grain + 1) * 8 * SECTOR);
      expect(found.equals(grains[grain] ?? zeros(8)), `grain ${grain}`).toBe(true);
    }
  });

  it('reads zero grains as zeros, never as the parent, with the flag and, with a warning, without it', async () => {
    const parent = craftMonolithic({ capacity: 32, grains: { 0: marked('p', 0, 8), 1: marked('p', 8, 8) } });
    for (const flags of [7, 3]) {
      const child = craftMonolithic(
        { capacity: 32, zeros: [1], fields: { flags } },
        { parentCid: '12345678', hint: 'p.vmdk' },
        'disk.vmdk',
      );
      const fs = storeOf({ [DISK]: child.bytes, '/vm/p.vmdk': parent.bytes });
      const codes: string[] = [];
      const content = await readAll(DISK, { fs, onFinding: ({ code }) => codes.push(code) });
      expectSame(content, Buffer.concat([marked('p', 0, 8), zeros(24)]), `flags ${flags}`);
      expect(codes).toEqual(flags === 7 ? [] : ['GTE1-FLAG']);
    }
  });

  it('reads a directory entry of 1 as zeros where zero grains are declared, and as damage elsewhere', async () => {
    const declared = craftMonolithic({ capacity: 64, redundant: false, fields: { flags: 5, version: 2 } });
    pokeEntry(declared.bytes, declared.gd, 0, 1);
    expectSame(await read(declared.bytes), zeros(64));
    const silent = sample({ redundant: false });
    pokeEntry(silent.bytes, silent.gd, 0, 1);
    expect(await failureOf(read(silent.bytes))).toMatchObject({ code: 'grain-table-damaged' });
  });

  it('reads what is in tables beside one that is damaged', async () => {
    const capacity = 3 * 16 * 8;
    const grains = Object.fromEntries([3, 20, 40].map((grain) => [grain, marked('g', grain * 8, 8)]));
    const { bytes, gd, rgd } = craftMonolithic({ capacity, entriesPerTable: 16, grains });
    for (const directory of [gd, rgd]) pokeEntry(bytes, directory, 1, 0x7fffffff);
    const chain = await openChain(DISK, 'read', { fs: storeOf({ [DISK]: bytes }) });
    for (const grain of [3, 40]) {
      const content = Buffer.alloc(8 * SECTOR);
      await chain.read(sectorRange(grain * 8, 8), content);
      expectSame(content, marked('g', grain * 8, 8));
    }
    const lost = chain.read(sectorRange(20 * 8, 8), Buffer.alloc(8 * SECTOR));
    expect(await failureOf(lost)).toMatchObject({ code: 'grain-table-damaged' });
    await chain.close();
  });

  it('ignores what stands in the tables behind its last grain', async () => {
    const { bytes, tables, redundantTables, gd } = sample();
    for (const table of [...tables, ...redundantTables]) pokeEntry(bytes, table, 8, 0xfffffff0);
    pokeEntry(bytes, gd, 1, 0xfffffff0);
    expectSame(await read(bytes), SAMPLE);
  });

  it('that was not closed cleanly is read, with a warning', async () => {
    const disk = await open(sample({ fields: { unclean: 1 } }).bytes);
    expectSame(await contentOf(disk), SAMPLE);
    expect(disk.findings).toMatchObject([{ code: 'UNCLEAN', severity: 'warning', path: DISK }]);
    await disk.close();
  });

  it('may be larger than its line by less than a grain, and no other size', async () => {
    const line = (sectors: number) =>
      text({ createType: 'custom', extents: [`RW ${sectors} SPARSE "s001.vmdk"`] });
    const extent = craftSparse({ capacity: 64, grains: { 7: marked('a', 56, 8) } }).bytes;
    const at = (sectors: number) =>
      readAll(DISK, { fs: storeOf({ [DISK]: line(sectors), '/vm/s001.vmdk': extent }) });
    expectSame(await at(57), Buffer.concat([zeros(56), marked('a', 56, 1)]));
    for (const sectors of [56, 65, 1]) {
      expect(await failureOf(at(sectors))).toMatchObject({
        code: 'capacity-mismatch',
        context: { path: '/vm/s001.vmdk', found: '64 sectors in the header' },
      });
    }
  });
});

describe('the redundant tables of a hosted sparse extent', () => {
  const said = async (bytes: Buffer): Promise<string[]> => {
    const disk = await open(bytes);
    const content = await contentOf(disk);
    expectSame(content, SAMPLE);
    const codes = disk.findings.map(({ code, severity, path }) => `${severity} ${code} ${path}`);
    await disk.close();
    return codes;
  };

  it('stand in for a directory that is not where the header says', async () => {
    expect(await said(sample({ fields: { gdOffset: 0xffffff } }).bytes)).toEqual([
      `warning GD-RANGE ${DISK}`,
    ]);
    expect(await said(sample({ fields: { gdOffset: 0 } }).bytes)).toEqual([`warning GD-RANGE ${DISK}`]);
  });

  it('stand in for a directory whose entries lie past the end of the file', async () => {
    const { bytes, gd } = sample();
    pokeEntry(bytes, gd, 0, 0x7fffffff);
    expect(await said(bytes)).toEqual([`warning GD-RANGE ${DISK}`]);
  });

  it('stand in for a directory that was wiped: zeros there are damage, since the copy has tables', async () => {
    const { bytes, gd } = sample();
    pokeEntry(bytes, gd, 0, 0);
    expect(await said(bytes)).toEqual([`warning GD-RANGE ${DISK}`]);
  });

  it('stand in for table entries past the end of the file, and before its grains', async () => {
    for (const entry of [0x7fffffff, 2]) {
      const { bytes, tables } = sample();
      pokeEntry(bytes, tables[0]!, 3, entry);
      expect(await said(bytes)).toEqual([`warning GTE-RANGE ${DISK}`]);
    }
  });

  it('are not asked where the primary ones can be right: those count when both differ', async () => {
    const { bytes, redundantTables, grains } = sample();
    pokeEntry(bytes, redundantTables[0]!, 3, grains.get(1)!);
    expect(await said(bytes)).toEqual([]);
  });

  it('may be damaged themselves: then the primary ones are read and nothing is lost', async () => {
    expect(await said(sample({ fields: { rgdOffset: 0xffffff } }).bytes)).toEqual([]);
  });

  it('cannot help when they are damaged too: an error, never zeros', async () => {
    const both = sample({ fields: { gdOffset: 0xffffff, rgdOffset: 0xffffff } }).bytes;
    expect(await failureOf(read(both))).toMatchObject({ code: 'grain-directory-damaged' });
    const { bytes, tables, redundantTables } = sample();
    for (const table of [...tables, ...redundantTables]) pokeEntry(bytes, table, 3, 0x7fffffff);
    expect(await failureOf(read(bytes))).toMatchObject({
      code: 'grain-out-of-range',
      context: { path: DISK, offset: tables[0]! * SECTOR + 12, found: 'sector 2147483647' },
    });
  });
});

describe('an open disk', () => {
  it('tells which file and byte answers each run', async () => {
    const { bytes, grains } = sample();
    const chain = await openChain(DISK, 'read', { fs: storeOf({ [DISK]: bytes }) });
    expect(Array.from(await chain.map(sectorRange(0, 64)))).toMatchObject([
      { start: 0, count: 8, state: 'absent' },
      { start: 8, count: 8, state: 'data', file: DISK, offset: grains.get(1)! * SECTOR },
      { start: 16, count: 8, state: 'absent' },
      { start: 24, count: 8, state: 'data', file: DISK, offset: grains.get(3)! * SECTOR },
      { start: 32, count: 32, state: 'absent' },
    ]);
    await chain.close();
  });
});
