// One delta over one base, the one made by us and the other by QEMU: every type of delta over every type of base.
import { afterEach, beforeEach, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  MIB,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
} from '../support/qemu-images.ts';

const SIZE = MIB + 512 * 9;
const QEMU_BASES = [...QEMU_SUBFORMATS, 'streamOptimized'] as const;
const OUR_BASES = [
  { type: 'monolithicSparse', grainSize: 16 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 833 },
  { type: 'vmfs', thin: true },
];
const OUR_DELTAS = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'vmfsSparse' },
  { type: 'vmfsSparse', grainSize: 16 },
];

describeWithPeer(['qemu-img', 'qemu-io'], 'a chain of two', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
  });
  afterEach(() => images.close());

  async function qemuBase(type: string): Promise<Buffer> {
    const source = type === 'streamOptimized' ? 'source.vmdk' : 'base.vmdk';
    await images.create(source, {
      size: SIZE,
      subformat: type === 'streamOptimized' ? 'monolithicSparse' : type,
    });
    const work = randomWork(8000, SIZE, 16);
    await images.apply(source, work);
    if (source !== 'base.vmdk') await images.convert(source, 'base.vmdk', type);
    const model = Buffer.alloc(SIZE);
    applyToModel(model, work);
    return model;
  }

  // QEMU destroys ESX deltas when it writes to them (peers of ours do not write them at all): here it only reads.
  it.each(QEMU_BASES)(
    'of a delta of ours, of any type, over a %s base by QEMU reads back equal',
    async (base) => {
      const model = await qemuBase(base);
      const leaves = OUR_DELTAS.map((_, index) => ({ name: `leaf${index}.vmdk`, model }));
      for (const [index, delta] of OUR_DELTAS.entries())
        await createDelta(images.path(leaves[index]!.name), images.path('base.vmdk'), delta);
      for (let round = 0; round < 2; round++) {
        const work = randomWork(8010 + round, SIZE, 14, 3);
        for (const { name } of leaves) await applyByUs(images.path(name), work);
        applyToModel(model, work);
      }
      for (const { name } of leaves) await images.expectSound(name);
      await images.expectAgreements(leaves);
    },
  );

  it('of a delta by QEMU over a base of ours, of any type, reads back equal, written by both in turns', async () => {
    const model = Buffer.alloc(SIZE);
    const below = randomWork(8100, SIZE, 16);
    applyToModel(model, below);
    const leaves = OUR_BASES.map((_, index) => ({ name: `leaf${index}.vmdk`, model }));
    for (const [index, options] of OUR_BASES.entries()) {
      const base = `base${index}.vmdk`;
      await createDisk(images.path(base), bytes(SIZE), options);
      await applyByUs(images.path(base), below);
      await images.create(leaves[index]!.name, { backing: base, more: ['zeroed_grain=on'] });
    }
    for (let round = 0; round < 4; round++) {
      const work = randomWork(8110 + round, SIZE, 8, 3);
      if (round % 2 === 0) await images.applyEach(leaves.map(({ name }) => ({ name, work })));
      else for (const { name } of leaves) await applyByUs(images.path(name), work);
      applyToModel(model, work);
    }
    for (const { name } of leaves) await images.expectSound(name);
    await images.expectAgreements(leaves);
  });
});
