// Disks that QEMU made, written by us and by QEMU in turns: neither may trip over what the other left, and children
// made by either must understand the content ids that both roll.
import { open, readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
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

  describe.each(QEMU_SUBFORMATS)('of type %s', (subformat) => {
    it.each([[[]], [['compat6=on']], [['adapter_type=lsilogic']]])(
      'is written by us and by QEMU in turns (%o)',
      async (more) => {
        await images.create('disk.vmdk', { size: SIZE, subformat, more });
        const model = Buffer.alloc(SIZE);
        const cids = new Set([await cidOf('disk.vmdk')]);
        for (let round = 0; round < 4; round++) {
          const work = randomWork(7000 + round, SIZE, 8);
          if (round % 2 === 0) await applyByUs(images.path('disk.vmdk'), work);
          else await images.apply('disk.vmdk', work);
          applyToModel(model, work);
          cids.add(await cidOf('disk.vmdk'));
        }
        // Every opening that wrote left another content id.
        expect(cids.size).toBe(5);
        await images.expectSound('disk.vmdk');
        await images.expectAgreement('disk.vmdk', model);
      },
    );
  });

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse'])(
    'with zero grains, of type %s, is written by us and by QEMU in turns',
    async (subformat) => {
      const model = Buffer.alloc(SIZE);
      await images.create('base.vmdk', { size: SIZE });
      const full = randomWork(7100, SIZE, 30, 0);
      await images.apply('base.vmdk', full);
      applyToModel(model, full);
      await images.create('disk.vmdk', { backing: 'base.vmdk', subformat, more: ['zeroed_grain=on'] });
      for (let round = 0; round < 4; round++) {
        const work = randomWork(7110 + round, SIZE, 8, 6);
        if (round % 2 === 0) await applyByUs(images.path('disk.vmdk'), work);
        else await images.apply('disk.vmdk', work);
        applyToModel(model, work);
      }
      await images.expectSound('disk.vmdk');
      await images.expectAgreement('disk.vmdk', model);
    },
  );

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
      await images.expectAgreement(`theirs${round}.vmdk`, model);
      await images.expectAgreement(`ours${round}.vmdk`, model);
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
      await shortenCid(images.path('disk.vmdk'));
      expect(await cidOf('disk.vmdk')).toBe(0xafba0c);
      await images.create('before.vmdk', { backing: 'disk.vmdk' });
      await images.expectAgreement('before.vmdk', Buffer.alloc(SIZE));
      const model = Buffer.alloc(SIZE);
      for (let round = 0; round < 3; round++) {
        const work = randomWork(7300 + round, SIZE, 6);
        await applyByUs(images.path('disk.vmdk'), work);
        applyToModel(model, work);
        await images.expectSound('disk.vmdk');
        await images.expectAgreement('disk.vmdk', model);
      }
      await images.create('theirs.vmdk', { backing: 'disk.vmdk' });
      await createDelta(images.path('ours.vmdk'), images.path('disk.vmdk'));
      await images.expectAgreement('theirs.vmdk', model);
      await images.expectAgreement('ours.vmdk', model);
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
      await images.expectAgreement('disk.vmdk', model);
      await images.create('theirs.vmdk', { backing: 'disk.vmdk' });
      await images.expectAgreement('theirs.vmdk', model);
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

/** Gives the disk the CID 00afba0c, written as QEMU writes such a one: afba0c. */
async function shortenCid(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const head = Buffer.alloc(Math.min((await file.stat()).size, 16_384));
  await file.read(head, 0, head.length, 0);
  const text = head.toString('latin1');
  const at = text.search(/^CID=[0-9a-f]+$/m);
  const start = text.lastIndexOf('# Disk DescriptorFile', at);
  const ends = text.indexOf('\0', at);
  const end = ends < 0 ? text.length : ends;
  const old = text.slice(start, end);
  const edited = old.replace(/^CID=[0-9a-f]+$/m, 'CID=afba0c');
  // An embedded text is followed by zeros; a text file simply ends earlier.
  await file.write(Buffer.concat([Buffer.from(edited, 'latin1')], end - start), 0, end - start, start);
  if (start === 0) await file.truncate(edited.length);
  await file.close();
}
