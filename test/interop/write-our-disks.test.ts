// Disks without a parent that we made and wrote: QEMU, libvmdk and 7-Zip must find in them what we put there.
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  expectSameContent,
  MIB,
  type NamedModel,
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
    let disks: (NamedModel & { readonly options: CreateDiskOptions })[];
    /** Of three openings, so that what one leaves behind is what the next finds. */
    const works = [0, 1, 2].map((round) => randomWork(10 + round, ODD, 12));

    beforeAll(async () => {
      images = await QemuImages.open(qemu, io, tmpdir());
      const model = Buffer.alloc(ODD);
      for (const work of works) applyToModel(model, work);
      disks = TYPES.map((options, index) => ({ name: `disk${index}.vmdk`, model, options }));
      for (const { name, options } of disks) {
        await createDisk(images.path(name), bytes(ODD), options);
        for (const work of works) await applyByUs(images.path(name), work);
      }
    });
    afterAll(() => images.close());

    it('reads back equal in QEMU, maps alike and passes its check', async () => {
      for (const { name } of disks) await images.expectSound(name);
      await images.expectAgreements(disks);
    });

    it('equals, by qemu-img compare, a disk that QEMU wrote alike', async () => {
      await images.create('theirs.vmdk', { size: ODD });
      await images.applyEach(works.map((work) => ({ name: 'theirs.vmdk', work })));
      for (const { name } of disks) await images.expectEqual(name, 'theirs.vmdk');
    });

    it('has the same sectors allocated as one that QEMU wrote alike, grain for grain', async () => {
      const grains = randomWork(3, 64 * MIB, 20, 0).map((work): Work => ({
        ...work,
        at: Math.floor(work.at / 65_536) * 65_536,
        length: 65_536,
      }));
      for (const subformat of ['monolithicSparse', 'twoGbMaxExtentSparse']) {
        const [ours, theirs] = [`grains-${subformat}.vmdk`, `their-grains-${subformat}.vmdk`];
        await images.create(theirs, { size: 64 * MIB, subformat });
        await createDisk(images.path(ours), bytes(64 * MIB), { type: subformat });
        await images.apply(theirs, grains);
        await applyByUs(images.path(ours), grains);
        await images.expectEqual(ours, theirs, true);
      }
    });

    it('opens in libvmdk with its size and its number of extents', async () => {
      for (const { name, options } of disks) {
        // libvmdk refuses grains of 8 sectors: VMware's specification says that they must be larger.
        if (options.grainSize === 8) continue;
        const shown = await vmdkinfo.ok([images.path(name)]);
        const split = options.splitSectors ?? ODD / 512;
        expect(shown, name).toContain(`(${ODD} bytes)`);
        expect(shown, name).toMatch(new RegExp(`Number of extents:\\s+${Math.ceil(ODD / 512 / split)}\\s`));
      }
    });

    it('tests clean in 7-Zip and extracts equal', async () => {
      for (const { name, model } of disks) {
        expect(await sevenZip.ok(['t', '-tvmdk', images.path(name)])).toContain('Everything is Ok');
        const out = images.path(`extracted-${name}`);
        await sevenZip.ok(['e', '-y', '-tvmdk', `-o${out}`, images.path(name)]);
        const [extracted, ...others] = await readdir(out);
        expect(others).toEqual([]);
        expectSameContent(await readFile(join(out, extracted!)), model, `7-Zip, ${name}`);
      }
    });
  },
);
