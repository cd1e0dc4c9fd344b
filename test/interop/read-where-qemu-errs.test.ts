// Disks that QEMU is known to read wrongly or to destroy. Each test shows what QEMU does, so that we notice when it
// changes, and goes by another oracle: a plain buffer, or 7-Zip.
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes } from '../../src/core/units.ts';
import { CowdHeaderStruct } from '../../src/format/cowd-header.ts';
import { SPARSE_FLAGS, SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  expectSameContent,
  MIB,
  QemuImages,
  randomWork,
  readByUs,
} from '../support/qemu-images.ts';

describeWithPeer(
  ['qemu-img', 'qemu-io', '7zz'],
  'where QEMU errs',
  ({ 'qemu-img': qemu, 'qemu-io': io, '7zz': sevenZip }) => {
    let images: QemuImages;
    beforeEach(async () => {
      images = await QemuImages.open(qemu, io);
    });
    afterEach(() => images.close());

    /** A disk of two flat extents of 1 MiB by the lines given, and what those hold. */
    async function twoExtents(lines: readonly string[]): Promise<Buffer> {
      const flat = Buffer.alloc(2 * MIB);
      applyToModel(flat, randomWork(9000, flat.length, 12, 0));
      await writeFile(images.path('mixed-f001.vmdk'), flat.subarray(0, MIB));
      await writeFile(images.path('mixed-f002.vmdk'), flat.subarray(MIB));
      const head = ['# Disk DescriptorFile', 'version=1', 'CID=12345678', 'parentCID=ffffffff'];
      const type = 'createType="twoGbMaxExtentFlat"';
      const ddb = ['# The Disk Data Base', '#DDB', '', 'ddb.adapterType = "lsilogic"', ''];
      const text = [...head, type, '', '# Extent description', ...lines, '', ...ddb].join('\n');
      await writeFile(images.path('mixed.vmdk'), text);
      return flat;
    }

    it('RDONLY extents are part of the disk (QEMU drops them); 7-Zip agrees', async () => {
      const first = 'RDONLY 2048 FLAT "mixed-f001.vmdk" 0';
      const model = await twoExtents([first, 'RW 2048 FLAT "mixed-f002.vmdk" 0']);
      expectSameContent(await images.raw('mixed.vmdk'), model.subarray(MIB), 'QEMU');
      expectSameContent(await readByUs(images.path('mixed.vmdk')), model, 'we');
      const out = images.path('extracted');
      await sevenZip.ok(['e', '-y', '-tvmdk', `-o${out}`, images.path('mixed.vmdk')]);
      const [name] = await readdir(out);
      expectSameContent(await readFile(join(out, name!)), model, '7-Zip');
    });

    it('ZERO extents keep their places (QEMU drops them and shifts the rest; 7-Zip calls them an error)', async () => {
      const flat = await twoExtents([
        'RW 1000 ZERO',
        'RW 2048 FLAT "mixed-f001.vmdk" 0',
        'RW 3000 ZERO',
        'RW 1048 FLAT "mixed-f002.vmdk" 1000',
      ]);
      const model = Buffer.concat([
        Buffer.alloc(1000 * 512),
        flat.subarray(0, MIB),
        Buffer.alloc(3000 * 512),
        flat.subarray(MIB + 1000 * 512),
      ]);
      expect(await images.raw('mixed.vmdk')).toHaveLength((2048 + 1048) * 512);
      expectSameContent(await readByUs(images.path('mixed.vmdk')), model, 'we');
    });

    it('zero grains without the flag in the header are zeros (QEMU hands out its own metadata)', async () => {
      const size = 2 * MIB;
      const model = Buffer.alloc(size);
      const work = randomWork(9100, size, 10, 0);
      const zeros = { do: 'zero', at: 0, length: MIB, fill: 0 } as const;
      await images.create('base.vmdk', { size });
      await images.apply('base.vmdk', work);
      await images.create('leaf.vmdk', { backing: 'base.vmdk', more: ['zeroed_grain=on'] });
      await images.apply('leaf.vmdk', [zeros]);
      applyToModel(model, [...work, zeros]);
      await images.expectAgreement('leaf.vmdk', model);
      await patch(images.path('leaf.vmdk'), SparseExtentHeader.byteLength, (sector) => {
        const header = SparseExtentHeader.decode(sector);
        return SparseExtentHeader.encode({ ...header, flags: header.flags & ~SPARSE_FLAGS.zeroedGrains });
      });
      expect((await images.raw('leaf.vmdk')).equals(model)).toBe(false);
      expectSameContent(await readByUs(images.path('leaf.vmdk')), model, 'we');
      const chain = await openChain(images.path('leaf.vmdk'), 'read');
      await chain.map(wholeOf(chain));
      expect(chain.leaf.findings.map(({ code }) => code)).toEqual(['GTE1-FLAG']);
      await chain.close();
    });

    it('an ESX delta that was written by us holds what was written (QEMU destroys a new one when it writes)', async () => {
      const size = 3 * MIB;
      await createDisk(images.path('base.vmdk'), bytes(size));
      await createDelta(images.path('ours.vmdk'), images.path('base.vmdk'), { type: 'vmfsSparse' });
      await createDelta(images.path('theirs.vmdk'), images.path('base.vmdk'), { type: 'vmfsSparse' });
      const work = randomWork(9200, size, 12, 3);
      await images.apply('theirs.vmdk', work);
      const header = await readFile(images.path('theirs-delta.vmdk'));
      expect(header.subarray(0, 4).toString('latin1')).not.toBe('COWD');
      await applyByUs(images.path('ours.vmdk'), work);
      const model = Buffer.alloc(size);
      applyToModel(model, work);
      expectSameContent(await readByUs(images.path('ours.vmdk')), model, 'we');
      expectSameContent(await images.raw('ours.vmdk'), model, 'QEMU, which reads it');
    });

    it('grain table entries of 1 in an ESX delta are zeros (QEMU hands out the header)', async () => {
      const size = 3 * MIB;
      const full = { do: 'write', at: 0, length: 64 * 1024, fill: 2 } as const;
      await createDisk(images.path('base.vmdk'), bytes(size));
      await applyByUs(images.path('base.vmdk'), [full]);
      await createDelta(images.path('leaf.vmdk'), images.path('base.vmdk'), { type: 'vmfsSparse' });
      await applyByUs(images.path('leaf.vmdk'), [{ ...full, length: 4096, fill: 3 }]);
      const file = images.path('leaf-delta.vmdk');
      const delta = await readFile(file);
      const { gdOffset } = CowdHeaderStruct.decode(delta);
      const tableAt = delta.readUInt32LE(gdOffset * 512) * 512;
      await patch(file, 4, () => Buffer.from([1, 0, 0, 0]), tableAt + 4 * 4);
      // Sector 1 of the file is a part of the header that nobody reads.
      await patch(file, 4, () => Buffer.from('head'), 512);
      const model = Buffer.alloc(size);
      applyToModel(model, [full, { ...full, length: 4096, fill: 3 }]);
      model.fill(0, 4 * 512, 5 * 512);
      expect((await images.raw('leaf.vmdk')).equals(model)).toBe(false);
      expectSameContent(await readByUs(images.path('leaf.vmdk')), model, 'we');
    });

    it('a chain whose base has changed is an error at open (QEMU check finds no errors in it)', async () => {
      await images.create('base.vmdk', { size: 2 * MIB });
      await images.create('leaf.vmdk', { backing: 'base.vmdk' });
      await applyByUs(images.path('base.vmdk'), [{ do: 'write', at: 0, length: 512, fill: 1 }]);
      await images.expectSound('leaf.vmdk');
      await expect(openChain(images.path('leaf.vmdk'), 'read')).rejects.toMatchObject({
        code: 'parent-cid-mismatch',
      });
    });
  },
);

/** Changes `length` bytes of a file at byte `at`. */
async function patch(path: string, length: number, change: (old: Buffer) => Buffer, at = 0): Promise<void> {
  const file = await open(path, 'r+');
  const old = Buffer.alloc(length);
  await file.read(old, 0, length, at);
  await file.write(change(old), 0, length, at);
  await file.close();
}
