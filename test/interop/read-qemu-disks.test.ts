// Disks without a parent that QEMU made and wrote: we read what QEMU reads, and map them as QEMU does.
import { rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyToModel,
  MIB,
  type NamedModel,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
  readByUs,
  type Work,
} from '../support/qemu-images.ts';

describeWithPeer(['qemu-img', 'qemu-io'], 'a disk by QEMU', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io, tmpdir());
  });
  afterEach(() => images.close());

  interface Wanted {
    readonly name: string;
    readonly size: number;
    readonly subformat: string;
    readonly more?: string[];
    readonly work: readonly Work[];
  }

  /** Disks made each by itself and written in one process, and what they hold. */
  async function written(wanted: readonly Wanted[]): Promise<NamedModel[]> {
    for (const { name, ...options } of wanted) await images.create(name, options);
    await images.applyEach(wanted);
    return wanted.map(({ name, size, work }) => {
      const model = Buffer.alloc(size);
      applyToModel(model, work);
      return { name, model };
    });
  }

  it.each(QEMU_SUBFORMATS)(
    'of type %s, and a streamOptimized copy of it, reads and maps as in QEMU',
    async (subformat) => {
      // The second is no multiple of a grain.
      const disks = await written(
        [4 * MIB, 2 * MIB + 512 * 5].map((size, index) => ({
          name: `disk${index}.vmdk`,
          size,
          subformat,
          work: randomWork(100 + index, size, 24),
        })),
      );
      await images.convert(disks[1]!.name, 'stream.vmdk', 'streamOptimized');
      await images.expectAgreements([...disks, { ...disks[1]!, name: 'stream.vmdk' }]);
      for (const { name } of disks) {
        const disk = await openDisk(images.path(name));
        expect(disk.createType).toBe(subformat);
        expect(disk.findings).toEqual([]);
        await disk.close();
      }
    },
  );

  it('with zero grains, in one file or in several, reads and maps as in QEMU', async () => {
    const size = 3 * MIB;
    const disks = await written(
      ['monolithicSparse', 'twoGbMaxExtentSparse'].map((subformat) => ({
        name: `${subformat}.vmdk`,
        size,
        subformat,
        more: ['zeroed_grain=on'],
        work: randomWork(300, size, 24),
      })),
    );
    // Whole grains of zeros over data, over zeros and over nothing, at the start, in the middle and at the end.
    const grain = 65_536;
    const zeros = [0, grain, MIB, size - grain].map(
      (at) => ({ do: 'zero', at, length: grain, fill: 0 }) as const,
    );
    await images.applyEach(disks.map(({ name }) => ({ name, work: zeros })));
    for (const { model } of disks) applyToModel(model, zeros);
    for (const runs of await images.expectAgreements(disks)) {
      expect(runs.filter((run) => run.zero && run.present).length).toBeGreaterThan(1);
    }
  });

  it.each(['monolithicSparse', 'monolithicFlat'])(
    'of type %s reads and maps as in QEMU with every option of its',
    async (subformat) => {
      const options = ['compat6=on', 'hwversion=11'].concat(
        ['lsilogic', 'buslogic', 'legacyESX'].map((adapter) => `adapter_type=${adapter}`),
      );
      const disks = await written(
        options.map((option) => ({
          name: `${option}.vmdk`,
          size: MIB,
          subformat,
          more: [option],
          work: randomWork(400, MIB, 24),
        })),
      );
      await images.expectAgreements(disks);
    },
  );

  it('that was renamed reads itself, not a neighbour with its old name', async () => {
    const disk = { name: 'disk.vmdk', size: MIB, subformat: 'monolithicSparse' };
    const [first] = await written([{ ...disk, work: randomWork(500, MIB, 24) }]);
    await rename(images.path('disk.vmdk'), images.path('renamed.vmdk'));
    const [second] = await written([{ ...disk, work: randomWork(501, MIB, 24) }]);
    expect((await readByUs(images.path('renamed.vmdk'))).equals(first!.model)).toBe(true);
    expect((await readByUs(images.path('disk.vmdk'))).equals(second!.model)).toBe(true);
    expect(first!.model.equals(second!.model)).toBe(false);
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
