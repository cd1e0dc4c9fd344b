// Disks without a parent that QEMU made and wrote: we read what QEMU reads, and map them as QEMU does.
import { rename } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyToModel,
  MIB,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
  readByUs,
} from '../support/qemu-images.ts';

describeWithPeer(['qemu-img', 'qemu-io'], 'a disk by QEMU', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
  });
  afterEach(() => images.close());

  /** A written disk and what it holds. */
  async function written(name: string, seed: number, size: number, subformat: string, more: string[] = []) {
    await images.create(name, { size, subformat, more });
    const work = randomWork(seed, size, 24);
    await images.apply(name, work);
    const model = Buffer.alloc(size);
    applyToModel(model, work);
    return model;
  }

  it.each(QEMU_SUBFORMATS)('of type %s reads and maps as in QEMU', async (subformat) => {
    // The second is no multiple of a grain.
    for (const [index, size] of [4 * MIB, MIB + 512 * 3].entries()) {
      const name = `disk${index}.vmdk`;
      const model = await written(name, 100 + index, size, subformat);
      await images.expectAgreement(name, model);
      const disk = await openDisk(images.path(name));
      expect(disk.createType).toBe(subformat);
      expect(disk.findings).toEqual([]);
      await disk.close();
    }
  });

  it.each(QEMU_SUBFORMATS)(
    'of type %s reads and maps as in QEMU once it is a streamOptimized copy',
    async (subformat) => {
      const size = 2 * MIB + 512 * 5;
      const model = await written('disk.vmdk', 200, size, subformat);
      await images.convert('disk.vmdk', 'stream.vmdk', 'streamOptimized');
      await images.expectAgreement('stream.vmdk', model);
    },
  );

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse'])(
    'of type %s with zero grains reads and maps as in QEMU',
    async (subformat) => {
      const model = await written('disk.vmdk', 300, 3 * MIB, subformat, ['zeroed_grain=on']);
      // Whole grains of zeros over data, over zeros and over nothing, at the start, in the middle and at the end.
      const grain = 65_536;
      const zeros = [0, grain, MIB, 3 * MIB - grain].map(
        (at) => ({ do: 'zero', at, length: grain, fill: 0 }) as const,
      );
      await images.apply('disk.vmdk', zeros);
      applyToModel(model, zeros);
      const runs = await images.expectAgreement('disk.vmdk', model);
      const present = runs.filter((run) => run.zero && run.present);
      expect(present.length).toBeGreaterThan(1);
    },
  );

  it.each([
    'compat6=on',
    'adapter_type=lsilogic',
    'adapter_type=buslogic',
    'adapter_type=legacyESX',
    'hwversion=11',
  ])('made with %s reads and maps as in QEMU', async (option) => {
    const size = MIB;
    for (const subformat of ['monolithicSparse', 'monolithicFlat']) {
      const name = `${subformat}.vmdk`;
      const model = await written(name, 400, size, subformat, [option]);
      await images.expectAgreement(name, model);
    }
  });

  it('that was renamed reads itself, not a neighbour with its old name', async () => {
    const first = await written('disk.vmdk', 500, MIB, 'monolithicSparse');
    await rename(images.path('disk.vmdk'), images.path('renamed.vmdk'));
    const second = await written('disk.vmdk', 501, MIB, 'monolithicSparse');
    expect((await readByUs(images.path('renamed.vmdk'))).equals(first)).toBe(true);
    expect((await readByUs(images.path('disk.vmdk'))).equals(second)).toBe(true);
    expect(first.equals(second)).toBe(false);
  });

  it('of two real extents (2 GiB and a rest) reads across the seam as in QEMU', async () => {
    const seam = 2048 * MIB;
    for (const subformat of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
      await images.create('split.vmdk', { size: seam + 3 * MIB, subformat });
      await images.apply('split.vmdk', [{ do: 'write', at: seam - 40 * 512, length: 90 * 512, fill: 3 }]);
      const disk = await openDisk(images.path('split.vmdk'));
      expect(disk.extents).toHaveLength(2);
      const found = Buffer.alloc(90 * 512);
      await disk.read(sectorRange(seam / 512 - 40, 90), found);
      await disk.close();
      const model = Buffer.alloc(90 * 512);
      applyToModel(model, [{ do: 'write', at: 0, length: model.length, fill: 3 }]);
      expect(found.equals(model)).toBe(true);
    }
  });
});
