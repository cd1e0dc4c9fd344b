// Disks that QEMU made, written by us and by QEMU in turns: neither may trip over what the other left, and children
// made by either must understand the content ids that both roll.
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  giveCid,
  MIB,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
} from '../support/qemu-images.ts';

const SIZE = MIB + 512 * 3;

describeWithPeer(['qemu-img', 'qemu-io'], 'a disk that QEMU made', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
  });
  afterEach(() => images.close());

  async function cidOf(name: string): Promise<number> {
    const chain = await openChain(images.path(name), 'read');
    await chain.close();
    return chain.leaf.descriptor.cid!;
  }

  /** Rounds of work by us and by QEMU in turns, on disks that hold the same; what they then hold. */
  async function writtenInTurns(names: string[], before: Buffer, seed: number, zeros?: number) {
    const model = Buffer.from(before);
    const cids = names.map(() => new Set<number>());
    const noteCids = async (): Promise<void> => {
      for (const [index, name] of names.entries()) cids[index]!.add(await cidOf(name));
    };
    await noteCids();
    for (let round = 0; round < 4; round++) {
      const work = randomWork(seed + round, SIZE, 8, zeros);
      if (round % 2 === 1) await images.applyEach(names.map((name) => ({ name, work })));
      else for (const name of names) await applyByUs(images.path(name), work);
      applyToModel(model, work);
      await noteCids();
    }
    // Every opening that wrote left another content id.
    expect(cids.map(({ size }) => size)).toEqual(names.map(() => 5));
    for (const name of names) await images.expectSound(name);
    await images.expectAgreements(names.map((name) => ({ name, model })));
  }

  it.each(QEMU_SUBFORMATS)(
    'of type %s, with any option, is written by us and by QEMU in turns',
    async (subformat) => {
      const names = ['plain.vmdk', 'compat6.vmdk', 'lsilogic.vmdk'];
      for (const [index, more] of [[], ['compat6=on'], ['adapter_type=lsilogic']].entries())
        await images.create(names[index]!, { size: SIZE, subformat, more });
      await writtenInTurns(names, Buffer.alloc(SIZE), 7000);
    },
  );

  it('with zero grains, in one file or in several, is written by us and by QEMU in turns', async () => {
    const model = Buffer.alloc(SIZE);
    await images.create('base.vmdk', { size: SIZE });
    const full = randomWork(7100, SIZE, 30, 0);
    await images.apply('base.vmdk', full);
    applyToModel(model, full);
    const names = ['monolithicSparse', 'twoGbMaxExtentSparse'];
    for (const subformat of names)
      await images.create(subformat, { backing: 'base.vmdk', subformat, more: ['zeroed_grain=on'] });
    await writtenInTurns(names, model, 7110, 6);
  });

  it('has children by either that follow each new content id', async () => {
    await images.create('disk.vmdk', { size: SIZE });
    const model = Buffer.alloc(SIZE);
    for (let round = 0; round < 4; round++) {
      const work = randomWork(7200 + round, SIZE, 6);
      if (round % 2 === 0) await applyByUs(images.path('disk.vmdk'), work);
      else await images.apply('disk.vmdk', work);
      applyToModel(model, work);
      await images.create(`theirs${round}.vmdk`, { backing: 'disk.vmdk' });
      await createDelta(images.path(`ours${round}.vmdk`), images.path('disk.vmdk'));
      const names = [`theirs${round}.vmdk`, `ours${round}.vmdk`];
      await images.expectAgreements(names.map((name) => ({ name, model })));
    }
    // The children of the rounds before are told from the one that fits, by us and (in its way) by QEMU.
    for (const name of ['theirs2.vmdk', 'ours2.vmdk']) {
      await expect(openChain(images.path(name), 'read')).rejects.toMatchObject({
        code: 'parent-cid-mismatch',
      });
      await expect(images.raw(name)).rejects.toThrow('Invalid argument');
    }
  });

  it.each(QEMU_SUBFORMATS)(
    'of type %s with a CID without leading zeros takes our writes and keeps its children',
    async (subformat) => {
      await images.create('disk.vmdk', { size: SIZE, subformat });
      await giveCid(images.path('disk.vmdk'), 0x00afba0c);
      expect(await cidOf('disk.vmdk')).toBe(0xafba0c);
      await images.create('before.vmdk', { backing: 'disk.vmdk' });
      await images.expectAgreement('before.vmdk', Buffer.alloc(SIZE));
      const model = Buffer.alloc(SIZE);
      for (let round = 0; round < 3; round++) {
        const work = randomWork(7300 + round, SIZE, 6);
        await applyByUs(images.path('disk.vmdk'), work);
        applyToModel(model, work);
        // The first left another CID in the place of the short one; the others find what it left.
        if (round === 1) continue;
        await images.expectSound('disk.vmdk');
        if (round === 0) await images.expectAgreement('disk.vmdk', model);
      }
      await images.create('theirs.vmdk', { backing: 'disk.vmdk' });
      await createDelta(images.path('ours.vmdk'), images.path('disk.vmdk'));
      const names = ['disk.vmdk', 'theirs.vmdk', 'ours.vmdk'];
      await images.expectAgreements(names.map((name) => ({ name, model })));
    },
  );

  it.each(['monolithicFlat', 'twoGbMaxExtentSparse'])(
    'of type %s whose descriptor is padded with zeros to 512 bytes takes our writes',
    async (subformat) => {
      await images.create('disk.vmdk', { size: SIZE, subformat });
      const model = Buffer.alloc(SIZE);
      const first = randomWork(7400, SIZE, 4);
      await images.apply('disk.vmdk', first);
      applyToModel(model, first);
      // qemu-io pads a short descriptor by itself when it stores the new content id; a longer one stays as it is.
      const text = await readFile(images.path('disk.vmdk'));
      const end = text.indexOf(0) < 0 ? text.length : text.indexOf(0);
      await writeFile(
        images.path('disk.vmdk'),
        Buffer.concat([text.subarray(0, end)], Math.ceil((end + 1) / 512) * 512),
      );
      expect((await readFile(images.path('disk.vmdk'))).length % 512).toBe(0);
      for (let round = 0; round < 4; round++) {
        const work = randomWork(7410 + round, SIZE, 6);
        if (round % 2 === 0) await applyByUs(images.path('disk.vmdk'), work);
        else await images.apply('disk.vmdk', work);
        applyToModel(model, work);
      }
      await images.create('theirs.vmdk', { backing: 'disk.vmdk' });
      await images.expectAgreements(['disk.vmdk', 'theirs.vmdk'].map((name) => ({ name, model })));
    },
  );

  it('as a streamOptimized copy is refused for writing, and not a byte of it changes', async () => {
    await images.create('source.vmdk', { size: SIZE });
    await images.apply('source.vmdk', randomWork(7500, SIZE, 8));
    const stream = await images.convert('source.vmdk', 'stream.vmdk', 'streamOptimized');
    const before = await readFile(stream);
    await expect(openChain(stream, 'update')).rejects.toMatchObject({
      kind: 'refused',
      code: 'read-only-format',
    });
    expect((await readFile(stream)).equals(before)).toBe(true);
  });
});
