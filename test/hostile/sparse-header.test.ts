// Section B of the attack list: arithmetic in the header of a hosted sparse extent. Every number is judged before it
// sizes or places anything; what cannot be is an error with field, found and expected.
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
  type Fields,
} from '../support/craft.ts';
import { bounded, contentOf, expectSame, failureOf, readAll, refusal } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';

const DISK = '/vm/disk.vmdk';
const CAPACITY = 128;
const grains = { 1: marked('h', 8, 8) };
const SAMPLE = Buffer.concat([Buffer.alloc(8 * SECTOR), marked('h', 8, 8), Buffer.alloc(112 * SECTOR)]);
const fsOf = (bytes: Buffer) => storeOf({ [DISK]: bytes });
const damaged = (fields: Fields<typeof KDMV>): Buffer =>
  craftMonolithic({ capacity: CAPACITY, grains, fields }).bytes;

const MAX64 = 2n ** 64n - 1n;

describe('a header of a hosted sparse extent', () => {
  const REFUSED: [what: string, fields: Fields<typeof KDMV>, field: string][] = [
    // 1. qemu-iotests 059 and its kin.
    ['a grain of ff ff ff ff ff ff ff ff', { grainSize: MAX64 }, 'grainSize'],
    ['a grain of 0', { grainSize: 0 }, 'grainSize'],
    ['a grain of 3', { grainSize: 3 }, 'grainSize'],
    ['a grain of 7', { grainSize: 7 }, 'grainSize'],
    ['a grain of 2^22', { grainSize: 2 ** 22 }, 'grainSize'],
    ['a grain of 2^33', { grainSize: 2 ** 33 }, 'grainSize'],
    ['tables of ff ff ff ff entries', { numGTEsPerGT: 0xffffffff }, 'numGTEsPerGT'],
    ['tables of 0 entries', { numGTEsPerGT: 0 }, 'numGTEsPerGT'],
    ['tables of 506 entries', { numGTEsPerGT: 506 }, 'numGTEsPerGT'],
    ['tables of 1,024 entries', { numGTEsPerGT: 1024 }, 'numGTEsPerGT'],
    [
      'a capacity whose upper half is ff ff ff ff',
      { capacity: 0xffffffff00000080n, numGTEsPerGT: 1 },
      'capacity',
    ],
    // 2.
    ['a capacity of 2^63 bytes', { capacity: 2n ** 54n }, 'capacity'],
    ['a capacity of 2^32 grains and more', { capacity: 2 ** 36 + 8 }, 'capacity'],
    // 3.
    ['a directory at 28000000 00000000', { gdOffset: 0x2800000000000000n, flags: 1 }, 'gdOffset'],
    ['redundant tables at ff ff ff ff ff ff ff fe', { rgdOffset: MAX64 - 1n }, 'rgdOffset'],
    ['a directory at the end of what is no stream', { gdOffset: MAX64 }, 'gdOffset'],
    ['metadata past the end of the file', { overHead: 0xffffff }, 'overHead'],
    ['metadata that cannot be addressed', { overHead: MAX64 }, 'overHead'],
    // 5.
    ['a descriptor at 251658241', { descriptorOffset: 251658241 }, 'descriptorOffset, descriptorSize'],
    ['a descriptor of 2^40 sectors', { descriptorSize: 2 ** 40 }, 'descriptorOffset, descriptorSize'],
    ['a descriptor that cannot be addressed', { descriptorOffset: MAX64 }, 'descriptorOffset'],
    ['a descriptor of ff sectors', { descriptorSize: MAX64 }, 'descriptorSize'],
    // 6.
    ['spoilt line ends', { newlines: 0x0a0d0a0a }, 'newline probe'],
    ['unknown incompatible flags', { flags: 0x40003 }, 'flags'],
    ['the highest flag', { flags: 0x80000003 }, 'flags'],
    ['markers without compression', { flags: 0x20003 }, 'flags'],
    ['compression that is not declared', { compress: 1 }, 'compressAlgorithm'],
    ['declared compression that is none', { flags: 0x30003 }, 'compressAlgorithm'],
    ['compression 2', { flags: 0x30003, compress: 2 }, 'compressAlgorithm'],
    ['version 0', { version: 0 }, 'version'],
    ['version 4', { version: 4 }, 'version'],
    ['an unfinished file', { magic: 0x564d444b ^ 0x20202020 }, 'magicNumber'],
  ];

  it.each(REFUSED)('with %s is refused, naming the field', async (_, fields, field) => {
    const recording = recordStore(fsOf(damaged(fields)));
    const error = await refusal(DISK, { fs: recording.store });
    expect(error).toMatchObject({ kind: 'corrupt', context: { path: DISK, field } });
    expectAllClosed(recording);
  });

  it.each([8, 9, 60])('is refused when it is cut at byte %i', async (length) => {
    expect(await refusal(DISK, { fs: fsOf(damaged({}).subarray(0, length)) })).toMatchObject({
      kind: 'corrupt',
    });
  });

  it('of AFL (capacity, descriptor, tables and directory all absurd) is refused', async () => {
    const fields = {
      capacity: 2233785398448881665n,
      descriptorOffset: 251658241,
      numGTEsPerGT: 506,
      gdOffset: 0x2800000000000000n,
    };
    expect(await refusal(DISK, { fs: fsOf(damaged(fields)) })).toMatchObject({ code: 'bad-header' });
  });

  it('may leave its check bytes unset when it does not claim them', async () => {
    expectSame(await readAll(DISK, { fs: fsOf(damaged({ flags: 2, newlines: 0 })) }), SAMPLE);
  });

  it('may have unknown compatible flags', async () => {
    expectSame(await readAll(DISK, { fs: fsOf(damaged({ flags: 0xff0b })) }), SAMPLE);
  });

  it('of no sectors is refused, whatever its line says', async () => {
    for (const sectors of [0, CAPACITY]) {
      const { bytes } = craftMonolithic(
        { capacity: CAPACITY, fields: { capacity: 0 } },
        { extents: [`RW ${sectors} SPARSE "disk.vmdk"`] },
      );
      expect(await refusal(DISK, { fs: fsOf(bytes) })).toMatchObject({ kind: 'corrupt' });
    }
  });

  it('may have a capacity that is no whole number of grains', async () => {
    const capacity = 16_065;
    const { bytes } = craftMonolithic({ capacity, grains: { 2008: marked('h', 2008 * 8, 8) } });
    const content = await readAll(DISK, { fs: fsOf(bytes) });
    expect(content.length).toBe(capacity * SECTOR);
    expectSame(content.subarray(2008 * 8 * SECTOR), marked('h', 2008 * 8, 1));
  });
});

describe('tables that cannot be', () => {
  it('are refused as a directory inside the header or past the end, when there is no copy', async () => {
    for (const gdOffset of [0, 0xffffff]) {
      const { bytes } = craftMonolithic({
        capacity: CAPACITY,
        grains,
        redundant: false,
        fields: { gdOffset },
      });
      expect(await refusal(DISK, { fs: fsOf(bytes) }), String(gdOffset)).toMatchObject({
        code: 'grain-directory-damaged',
        context: { path: DISK, field: 'grain directory' },
      });
    }
  });

  it('are the same table twice: each entry is read as it stands', async () => {
    const { bytes, gd, tables } = craftMonolithic({
      capacity: 128,
      entriesPerTable: 8,
      redundant: false,
      grains,
    });
    pokeEntry(bytes, gd, 1, tables[0]!);
    const content = await readAll(DISK, { fs: fsOf(bytes) });
    expectSame(content, Buffer.concat([SAMPLE.subarray(0, 64 * SECTOR), SAMPLE.subarray(0, 64 * SECTOR)]));
  });

  it('are one directory for both copies: there is nothing to fall back on', async () => {
    const { bytes, gd } = craftMonolithic({ capacity: CAPACITY, grains });
    poke(bytes, KDMV, { rgdOffset: gd });
    expectSame(await readAll(DISK, { fs: fsOf(bytes) }), SAMPLE);
    pokeEntry(bytes, gd, 0, 0x7fffffff);
    expect(await refusal(DISK, { fs: fsOf(bytes) })).toMatchObject({ kind: 'corrupt' });
  });

  it('point at header, descriptor or directory as a grain: an error, whatever overHead says', async () => {
    for (const overHead of [0, 1, 2]) {
      const built = craftMonolithic({ capacity: CAPACITY, grains, redundant: false, fields: { overHead } });
      for (const entry of [2, 20, built.gd, built.gd - 7]) {
        const bytes = Buffer.from(built.bytes);
        pokeEntry(bytes, built.tables[0]!, 1, entry);
        expect(await refusal(DISK, { fs: fsOf(bytes) }), `sector ${entry}`).toMatchObject({
          code: 'grain-out-of-range',
          context: { path: DISK, found: `sector ${entry}` },
        });
      }
    }
  });

  it('end in a grain that the file cuts short: an error, not the bytes of another', async () => {
    for (const cut of [1, SECTOR, 7 * SECTOR]) {
      const { bytes } = craftMonolithic({ capacity: CAPACITY, redundant: false, grains });
      const error = await refusal(DISK, { fs: fsOf(bytes.subarray(0, bytes.length - cut)) });
      expect(error).toMatchObject({ code: 'grain-out-of-range', context: { path: DISK } });
    }
    // Lawful where the disk ends within the grain and the file holds all of that.
    const { bytes } = craftMonolithic({ capacity: 13, redundant: false, grains });
    const content = await readAll(DISK, { fs: fsOf(bytes.subarray(0, bytes.length - 3 * SECTOR)) });
    expectSame(content, Buffer.concat([Buffer.alloc(8 * SECTOR), marked('h', 8, 5)]));
  });

  it('spoil only what they place: other sectors near by are still read', async () => {
    const { bytes, tables, redundantTables } = craftMonolithic({ capacity: CAPACITY, grains });
    for (const table of [...tables, ...redundantTables]) pokeEntry(bytes, table, 5, 0x7fffffff);
    const chain = await openChain(DISK, 'read', { fs: fsOf(bytes) });
    expectSame(await contentOf(chain, 16), SAMPLE.subarray(0, 16 * SECTOR));
    const sector = Buffer.alloc(SECTOR);
    expect(await failureOf(chain.read(sectorRange(40, 1), sector))).toMatchObject({
      code: 'grain-out-of-range',
    });
    await chain.read(sectorRange(48, 1), sector);
    expectSame(sector, Buffer.alloc(SECTOR));
    await chain.close();
  });

  it('belong to an image cut to a fraction of itself: refused at the door, not read as zeros', async () => {
    const { bytes, gd } = craftSparse({ capacity: 2 ** 21, grainSize: 128 });
    const line = text({ extents: [`RW ${2 ** 21} SPARSE "s001.vmdk"`] });
    for (const end of [gd * SECTOR, gd * SECTOR + 100, bytes.length - 1]) {
      const fs = storeOf({ [DISK]: line, '/vm/s001.vmdk': bytes.subarray(0, end) });
      expect(await refusal(DISK, { fs })).toMatchObject({
        code: 'file-truncated',
        context: { path: '/vm/s001.vmdk' },
      });
    }
  });
});

describe('the memory of tables', () => {
  it('is not taken by what a small file claims', async () => {
    for (const fields of [
      { capacity: 2 ** 35, grainSize: 8, numGTEsPerGT: 1 },
      { capacity: 2 ** 32 - 8, grainSize: 1, numGTEsPerGT: 512 },
      { capacity: 2 ** 40, grainSize: 2048, numGTEsPerGT: 2 },
    ]) {
      const { bytes } = craftMonolithic(
        { capacity: CAPACITY, fields },
        { extents: [`RW ${fields.capacity} SPARSE "disk.vmdk"`] },
      );
      expect(await refusal(DISK, { fs: fsOf(bytes) })).toMatchObject({ code: 'grain-directory-damaged' });
    }
  });

  it('has a bound for one extent, also when the file is there to match (as a hole)', async () => {
    const capacity = 2 ** 24;
    const { bytes } = craftMonolithic(
      { capacity: 8, redundant: false, fields: { capacity, grainSize: 1, numGTEsPerGT: 1 } },
      { extents: [`RW ${capacity} SPARSE "disk.vmdk"`] },
    );
    const fs = fsOf(bytes);
    const file = await fs.open(DISK, 'update');
    await file.resize(2 ** 30);
    await file.close();
    expect(await bounded(() => failureOf(openDisk(DISK, { fs })))).toMatchObject({
      code: 'grain-directory-damaged',
      context: { found: '16777216 tables', expected: 'at most 4194304' },
    });
  });

  it('has a bound for all extents of a disk together', async () => {
    // One file of 16 MiB directory, named a thousand times.
    const capacity = 2 ** 22;
    const { bytes } = craftSparse({ capacity: 8, grainSize: 1, redundant: false });
    poke(bytes, KDMV, { capacity, numGTEsPerGT: 1 });
    const extents = Array.from({ length: 1000 }, () => `RW ${capacity} SPARSE "s.vmdk"`);
    const fs = storeOf({ [DISK]: text({ extents }), '/vm/s.vmdk': bytes });
    const file = await fs.open('/vm/s.vmdk', 'update');
    await file.resize(2 ** 26);
    await file.close();
    const recording = recordStore(fs);
    expect(await bounded(() => failureOf(openDisk(DISK, { fs: recording.store })))).toMatchObject({
      code: 'tables-too-large',
      context: { path: '/vm/s.vmdk' },
    });
    expectAllClosed(recording);
  });

  it('has a bound for all links of a chain together', async () => {
    const capacity = 2 ** 22;
    const files: Record<string, Buffer | string> = {};
    for (let link = 0; link < 60; link++) {
      const { bytes } = craftMonolithic(
        { capacity: 8, grainSize: 1, redundant: false, fields: { capacity, numGTEsPerGT: 1 } },
        {
          extents: [`RW ${capacity} SPARSE "x"`],
          ...(link === 59 ? {} : { parentCid: '12345678', hint: `${link + 1}.vmdk` }),
        },
      );
      files[`/vm/${link}.vmdk`] = bytes;
    }
    const fs = storeOf(files);
    for (const path of Object.keys(files)) {
      const file = await fs.open(path, 'update');
      await file.resize(2 ** 25);
      await file.close();
    }
    const recording = recordStore(fs);
    const error = await bounded(() => failureOf(openChain('/vm/0.vmdk', 'read', { fs: recording.store })));
    expect(error).toMatchObject({ code: 'tables-too-large' });
    expectAllClosed(recording);
  });
});

describe('an embedded descriptor', () => {
  it('is read when it fills its area to the brim, without a NUL', async () => {
    const built = craftMonolithic({ capacity: CAPACITY, grains });
    built.bytes.fill('#', built.bytes.indexOf(0, SECTOR), 21 * SECTOR);
    expectSame(await readAll(DISK, { fs: fsOf(built.bytes) }), SAMPLE);
  });

  it('that lies over the grain directory is what its bytes are: no descriptor past its text, and no hang', async () => {
    const built = craftMonolithic({ capacity: CAPACITY, grains });
    poke(built.bytes, KDMV, { descriptorSize: 24 });
    expectSame(await readAll(DISK, { fs: fsOf(built.bytes) }), SAMPLE);
    poke(built.bytes, KDMV, { descriptorOffset: built.gd, descriptorSize: 1 });
    expect(await refusal(DISK, { fs: fsOf(built.bytes) })).toMatchObject({ code: 'not-a-vmdk' });
  });

  it('that was blanked is said to be lost', async () => {
    const built = craftMonolithic({ capacity: CAPACITY, grains });
    built.bytes.fill(0, SECTOR, 21 * SECTOR);
    expect(await refusal(DISK, { fs: fsOf(built.bytes) })).toMatchObject({ code: 'bare-extent' });
  });

  it('full to the brim is edited in place when the new text fits, and the directory behind it stays', async () => {
    const built = craftMonolithic({ capacity: CAPACITY, grains }, { cid: '1' });
    built.bytes.fill('#', built.bytes.indexOf(0, SECTOR), 21 * SECTOR);
    const fs = fsOf(built.bytes);
    const chain = await openChain(DISK, 'update', { fs });
    await chain.write(0 as never, marked('new', 0, 8));
    await chain.close();
    const expected = Buffer.from(SAMPLE);
    expected.set(marked('new', 0, 8));
    expectSame(await readAll(DISK, { fs }), expected);
  });

  it('full to the brim refuses the write when the new text does not fit: nothing is cut off, nothing overwritten', async () => {
    // An empty longContentID grows by 32 digits with the first write.
    const built = craftMonolithic({ capacity: CAPACITY, grains }, { ddb: ['ddb.longContentID = ""'] });
    const end = built.bytes.indexOf(0, SECTOR);
    built.bytes.fill('#', end, 21 * SECTOR - 10);
    built.bytes.write('\nddb.x="1"', 21 * SECTOR - 10, 'latin1');
    const fs = fsOf(built.bytes);
    const chain = await openChain(DISK, 'update', { fs });
    expect(await failureOf(chain.write(0 as never, marked('new', 0, 8)))).toMatchObject({
      kind: 'refused',
      code: 'descriptor-too-full',
      context: { path: DISK },
    });
    await chain.close();
    const file = await fs.open(DISK, 'read');
    const front = Buffer.alloc(22 * SECTOR);
    await file.readExactly(front, 0);
    expectSame(front, built.bytes.subarray(0, 22 * SECTOR));
    expectSame(await readAll(DISK, { fs }), SAMPLE);
  });
});
