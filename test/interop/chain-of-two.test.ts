// One delta over one base, the one made by us and the other by QEMU: every type of delta over every type of base.
import { cp } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from 'vitest';
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

  async function qemuBase(within: QemuImages, type: string): Promise<Buffer> {
    const source = type === 'streamOptimized' ? 'source.vmdk' : 'base.vmdk';
    await within.create(source, {
      size: SIZE,
      subformat: type === 'streamOptimized' ? 'monolithicSparse' : type,
    });
    const work = randomWork(8000, SIZE, 16);
    await within.apply(source, work);
    if (source !== 'base.vmdk') await within.convert(source, 'base.vmdk', type);
    const model = Buffer.alloc(SIZE);
    applyToModel(model, work);
    return model;
  }

  describe.each(QEMU_BASES)('of our deltas over a %s base by QEMU', (base) => {
    let start: QemuImages;
    let content: Buffer;
    beforeAll(async () => {
      start = await QemuImages.open(qemu, io);
      content = await qemuBase(start, base);
    });
    afterAll(() => start.close());

    // QEMU destroys ESX deltas when it writes to them (peers of ours do not write them at all): here it only reads.
    it.each(OUR_DELTAS)('reads back equal in QEMU, written by us: %o', async (delta) => {
      const model = Buffer.from(content);
      await cp(start.folder, images.folder, { recursive: true });
      await createDelta(images.path('leaf.vmdk'), images.path('base.vmdk'), delta);
      for (let round = 0; round < 2; round++) {
        const work = randomWork(8010 + round, SIZE, 14, 3);
        await applyByUs(images.path('leaf.vmdk'), work);
        applyToModel(model, work);
      }
      await images.expectSound('leaf.vmdk');
      await images.expectAgreement('leaf.vmdk', model);
    });
  });

  describe.each(OUR_BASES)('of a delta by QEMU over a base by us: %o', (base) => {
    it('reads back equal in both, written by QEMU and by us in turns', async () => {
      await createDisk(images.path('base.vmdk'), bytes(SIZE), base);
      const model = Buffer.alloc(SIZE);
      const below = randomWork(8100, SIZE, 16);
      await applyByUs(images.path('base.vmdk'), below);
      applyToModel(model, below);
      await images.create('leaf.vmdk', { backing: 'base.vmdk', more: ['zeroed_grain=on'] });
      for (let round = 0; round < 4; round++) {
        const work = randomWork(8110 + round, SIZE, 8, 3);
        if (round % 2 === 0) await images.apply('leaf.vmdk', work);
        else await applyByUs(images.path('leaf.vmdk'), work);
        applyToModel(model, work);
      }
      await images.expectSound('leaf.vmdk');
      await images.expectAgreement('leaf.vmdk', model);
    });
  });
});
