// A damaged directory entry, which a reader may never follow, must not lead a writer over something else: such disks
// are refused before a byte is changed. Entries without a table get one.
import { describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Sectors } from '../../src/core/units.ts';
import {
  COWD,
  craftCowd,
  craftMonolithic,
  marked,
  poke,
  pokeEntry,
  storeOf,
  text,
  type Crafted,
} from '../support/craft.ts';
import { hashFile } from '../support/chain-model.ts';

const DISK = '/disks/disk.vmdk';
/** Two tables at grains of 4 KiB. */
const CAPACITY = 8 * 600;

function sample(zeros: readonly number[] = []): Crafted {
  const grains = { 1: marked('one', 0, 8), 2: marked('two', 0, 8), 530: marked('far', 0, 8) };
  return craftMonolithic({ capacity: CAPACITY, grains, zeros });
}

describe('a hosted sparse disk whose directories are damaged', () => {
  const damages: readonly [string, (disk: Crafted) => void][] = [
    ['a redundant entry names a grain', ({ bytes, rgd, grains }) => pokeEntry(bytes, rgd, 1, grains.get(2)!)],
    [
      'a redundant entry names the last sector of a grain',
      ({ bytes, rgd, grains }) => pokeEntry(bytes, rgd, 0, grains.get(2)! - 1),
    ],
    [
      'a redundant entry names the primary table',
      ({ bytes, rgd, tables }) => pokeEntry(bytes, rgd, 0, tables[0]!),
    ],
    [
      'a redundant entry names the other table',
      ({ bytes, rgd, redundantTables }) => pokeEntry(bytes, rgd, 0, redundantTables[1]!),
    ],
    [
      'a redundant entry names the middle of a table',
      ({ bytes, rgd, tables }) => pokeEntry(bytes, rgd, 1, tables[1]! + 2),
    ],
    ['a redundant entry names the descriptor', ({ bytes, rgd }) => pokeEntry(bytes, rgd, 0, 5)],
    ['a redundant entry names the directory', ({ bytes, rgd, gd }) => pokeEntry(bytes, rgd, 0, gd)],
    [
      'a redundant entry lies past the end of the file',
      ({ bytes, rgd }) => pokeEntry(bytes, rgd, 0, bytes.length / 512 - 1),
    ],
    ['two primary entries name one table', ({ bytes, gd, tables }) => pokeEntry(bytes, gd, 1, tables[0]!)],
    ['a primary entry names the descriptor', ({ bytes, gd }) => pokeEntry(bytes, gd, 1, 3)],
  ];

  it.each(damages)('is refused for writing when %s, and stays as it is', async (_what, damage) => {
    const disk = sample();
    damage(disk);
    const fs = storeOf({ [DISK]: disk.bytes });
    const before = await hashFile(fs, DISK);
    const failed = openChain(DISK, 'update', { fs }).then(async (chain) => {
      await chain.write(8 as Sectors, marked('new', 0, 8));
      await chain.write((8 * 540) as Sectors, marked('new', 0, 8));
      await chain.close();
    });
    await expect(failed).rejects.toMatchObject({ kind: 'refused', code: 'needs-repair' });
    expect(await hashFile(fs, DISK)).toBe(before);
  });

  it('is refused when its redundant directory cannot be used at all: both must stay equal', async () => {
    const { bytes, rgd } = sample();
    for (let entry = 0; entry < 128; entry++) pokeEntry(bytes, rgd, entry, 0xfffffff0);
    await expect(openChain(DISK, 'update', { fs: storeOf({ [DISK]: bytes }) })).rejects.toMatchObject({
      code: 'needs-repair',
    });
  });
});

describe('a hosted sparse disk without some of its tables', () => {
  async function writeAndRead(disk: Crafted): Promise<Buffer> {
    const fs = storeOf({ [DISK]: disk.bytes });
    // Twice, since what the first writer added must not stop the second.
    for (const [at, tag] of [
      [8 * 540, 'new'],
      [8 * 541, 'newer'],
    ] as const) {
      const chain = await openChain(DISK, 'update', { fs });
      await chain.write(at as Sectors, marked(tag, 0, 8));
      await chain.close();
    }
    const chain = await openChain(DISK, 'read', { fs });
    const content = Buffer.alloc(CAPACITY * 512);
    await chain.read(wholeOf(chain), content);
    expect(chain.leaf.findings).toEqual([]);
    await chain.close();
    return content;
  }

  it('gets a table at the end of the file, and its copy, on the first write', async () => {
    const disk = sample();
    pokeEntry(disk.bytes, disk.gd, 1, 0);
    pokeEntry(disk.bytes, disk.rgd, 1, 0);
    const expected = Buffer.alloc(CAPACITY * 512);
    expected.set(marked('one', 0, 8), 8 * 512);
    expected.set(marked('two', 0, 8), 16 * 512);
    expected.set(marked('new', 0, 8), 8 * 540 * 512);
    expected.set(marked('newer', 0, 8), 8 * 541 * 512);
    expect((await writeAndRead(disk)).equals(expected)).toBe(true);
  });

  it('gets one also where the entry of 1 says that the whole table is zeros, and keeps those zeros', async () => {
    const disk = sample([5]);
    pokeEntry(disk.bytes, disk.gd, 1, 1);
    pokeEntry(disk.bytes, disk.rgd, 1, 1);
    const expected = Buffer.alloc(CAPACITY * 512);
    expected.set(marked('one', 0, 8), 8 * 512);
    expected.set(marked('two', 0, 8), 16 * 512);
    expected.set(marked('new', 0, 8), 8 * 540 * 512);
    expected.set(marked('newer', 0, 8), 8 * 541 * 512);
    expect((await writeAndRead(disk)).equals(expected)).toBe(true);
  });
});

describe('an ESX delta whose directory is damaged', () => {
  it.each(['another table', 'the middle of a table', 'the directory'])(
    'is refused for writing when an entry names %s',
    async (what) => {
      const capacity = 3 * 4096;
      const extent = craftCowd({ capacity, grains: { 1: marked('one', 0, 1), 5000: marked('far', 0, 1) } });
      const wrong = {
        'another table': extent.tables[0]!,
        'the middle of a table': extent.tables[0]! + 16,
        'the directory': 4,
      }[what]!;
      pokeEntry(extent.bytes, extent.gd, 1, wrong);
      poke(extent.bytes, COWD, { freeSector: extent.bytes.length / 512 });
      const descriptor = text({
        createType: 'vmfsSparse',
        extents: [`RW ${capacity} VMFSSPARSE "disk-delta.vmdk"`],
      });
      const fs = storeOf({ [DISK]: descriptor, '/disks/disk-delta.vmdk': extent.bytes });
      const before = await hashFile(fs, '/disks/disk-delta.vmdk');
      await expect(openChain(DISK, 'update', { fs })).rejects.toMatchObject({
        kind: 'refused',
        code: 'needs-repair',
      });
      expect(await hashFile(fs, '/disks/disk-delta.vmdk')).toBe(before);
    },
  );
});
