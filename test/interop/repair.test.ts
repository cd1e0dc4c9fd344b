// Disks that QEMU made and that were damaged are mended: `qemu-img check` finds nothing more, and the guest sees what it
// saw before. Taken back, they are what they were.
import { copyFile, open, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SECTOR_BYTES } from '../../src/core/units.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { applyRepair, undoRepair } from '../../src/operations/apply-repair.ts';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { MIB, QemuImages, randomWork } from '../support/qemu-images.ts';

const SIZE = 40 * MIB;
type Header = ReturnType<typeof SparseExtentHeader.decode>;

describeWithPeer(['qemu-img', 'qemu-io'], 'repairs beside QEMU', (peers) => {
  let images: QemuImages;
  beforeAll(async () => {
    images = await QemuImages.open(peers['qemu-img'], peers['qemu-io']);
  });
  afterAll(() => images.close());

  it.each<[string, (header: Header) => number]>([
    ['the grain directory', ({ gdOffset }) => Number(gdOffset) * SECTOR_BYTES],
    ['the redundant grain directory', ({ rgdOffset }) => Number(rgdOffset) * SECTOR_BYTES],
    ['a grain table', ({ gdOffset }) => (Number(gdOffset) + 1) * SECTOR_BYTES],
    ['a redundant grain table', ({ rgdOffset }) => (Number(rgdOffset) + 1) * SECTOR_BYTES],
  ])('%s that was overwritten is made again from its copy', async (what, placeOf) => {
    const name = `${what.replaceAll(' ', '-')}.vmdk`;
    const path = await images.create(name, { size: SIZE });
    await images.apply(name, randomWork(11, SIZE, 40, 0));
    const sound = `${path}.sound`;
    await copyFile(path, sound);
    const header = SparseExtentHeader.decode((await readFile(path)).subarray(0, 512));
    const file = await open(path, 'r+');
    // Two entries: as many as the directory of so small a disk has.
    await file.write(Buffer.alloc(8, 0xee), 0, 8, placeOf(header));
    await file.close();
    const damaged = await readFile(path);

    const plan = await planRepair(path);
    expect(plan).toMatchObject({ 'verdict-before': 'damaged', 'verdict-after': 'sound' });
    const { undoRecord } = await applyRepair(path, plan);
    await peers['qemu-img'].ok(['check', path]);
    await peers['qemu-img'].ok(['compare', path, sound]);
    expect((await readFile(path)).equals(await readFile(sound))).toBe(true);

    await undoRepair(path, undoRecord!);
    expect((await readFile(path)).equals(damaged)).toBe(true);
  });
});
