// Disks without a parent that we made and wrote: QEMU, libvmdk and 7-Zip must find in them what we put there.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  expectSameContent,
  MIB,
  QemuImages,
  randomWork,
  type Work,
} from '../support/qemu-images.ts';

const TYPES: readonly CreateDiskOptions[] = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 1667 },
  { type: 'vmfs', thin: true },
  { type: 'vmfs' },
];
/** No multiple of a grain. */
const ODD = 2 * MIB + 512 * 5;

describeWithPeer(
  ['qemu-img', 'qemu-io', 'vmdkinfo', '7zz'],
  'a disk that we made and wrote',
  ({ 'qemu-img': qemu, 'qemu-io': io, vmdkinfo, '7zz': sevenZip }) => {
    let images: QemuImages;
    beforeEach(async () => {
      images = await QemuImages.open(qemu, io);
    });
    afterEach(() => images.close());

    async function written(
      name: string,
      options: CreateDiskOptions,
      seed: number,
      size = ODD,
    ): Promise<Buffer> {
      await createDisk(images.path(name), bytes(size), options);
      const model = Buffer.alloc(size);
      // Three openings, so that what one leaves behind is what the next finds.
      for (let round = 0; round < 3; round++) {
        const work = randomWork(seed * 10 + round, size, 12);
        await applyByUs(images.path(name), work);
        applyToModel(model, work);
      }
      return model;
    }

    it.each(TYPES)('reads back equal in QEMU, maps alike and passes its check: %o', async (options) => {
      const model = await written('disk.vmdk', options, 1);
      await images.expectSound('disk.vmdk');
      await images.expectAgreement('disk.vmdk', model);
    });

    it.each(TYPES)('equals, by qemu-img compare, a disk that QEMU wrote alike: %o', async (options) => {
      await written('ours.vmdk', options, 2);
      await images.create('theirs.vmdk', { size: ODD });
      for (let round = 0; round < 3; round++)
        await images.apply('theirs.vmdk', randomWork(20 + round, ODD, 12));
      await images.expectEqual('ours.vmdk', 'theirs.vmdk');
    });

    it('has the same sectors allocated as one that QEMU wrote alike, grain for grain', async () => {
      const grains = randomWork(3, 64 * MIB, 20, 0).map((work): Work => ({
        ...work,
        at: Math.floor(work.at / 65_536) * 65_536,
        length: 65_536,
      }));
      for (const subformat of ['monolithicSparse', 'twoGbMaxExtentSparse']) {
        const [ours, theirs] = [`ours-${subformat}.vmdk`, `theirs-${subformat}.vmdk`];
        await images.create(theirs, { size: 64 * MIB, subformat });
        await createDisk(images.path(ours), bytes(64 * MIB), { type: subformat });
        await images.apply(theirs, grains);
        await applyByUs(images.path(ours), grains);
        await images.expectEqual(ours, theirs, true);
      }
    });

    // libvmdk refuses grains of 8 sectors: VMware's specification says that they must be larger.
    it.each(TYPES.filter(({ grainSize }) => grainSize !== 8))(
      'opens in libvmdk with its size and its number of extents: %o',
      async (options) => {
        await written('disk.vmdk', options, 4);
        const shown = await vmdkinfo.ok([images.path('disk.vmdk')]);
        const split = options.splitSectors ?? ODD / 512;
        expect(shown).toContain(`(${ODD} bytes)`);
        expect(shown).toMatch(new RegExp(`Number of extents:\\s+${Math.ceil(ODD / 512 / split)}\\s`));
      },
    );

    it.each(TYPES)('tests clean in 7-Zip and extracts equal: %o', async (options) => {
      const model = await written('disk.vmdk', options, 5);
      const image = images.path('disk.vmdk');
      expect(await sevenZip.ok(['t', '-tvmdk', image])).toContain('Everything is Ok');
      const out = images.path('extracted');
      await sevenZip.ok(['e', '-y', '-tvmdk', `-o${out}`, image]);
      const [name, ...others] = await readdir(out);
      expect(others).toEqual([]);
      expectSameContent(await readFile(join(out, name!)), model, '7-Zip');
    });
  },
);
