// Linked clones as QEMU sees them: every one opens, reads as its base does, byte for byte, and is written apart.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createDelta } from '../../src/operations/create-delta.ts';
import { NEW_DELTA_TYPES } from '../../src/operations/plan-delta.ts';
import { cloned, hashesBelow } from '../support/clone-bench.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyToModel,
  expectSameContent,
  MIB,
  QemuImages,
  randomWork,
  readByUs,
} from '../support/qemu-images.ts';

const SIZE = MIB + 512 * 7;

describeWithPeer(['qemu-img', 'qemu-io'], 'linked clones', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let start: QemuImages;
  let images: QemuImages;
  const model = Buffer.alloc(SIZE);
  beforeAll(async () => {
    start = await QemuImages.open(qemu, io, tmpdir());
    await mkdir(start.path('golden'));
    await start.create('golden/golden.vmdk', { size: SIZE });
    const work = randomWork(11, SIZE, 40);
    await start.apply('golden/golden.vmdk', work);
    applyToModel(model, work);
  });
  afterAll(() => start.close());
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io, tmpdir());
    await cp(start.folder, images.folder, { recursive: true });
  });
  afterEach(() => images.close());

  const inFolder = (path: string): string => path.slice(images.folder.length + 1);

  for (const type of NEW_DELTA_TYPES) {
    for (const hint of ['relative', 'absolute'] as const) {
      it(`of type ${type} with ${hint} hints equal their base`, async () => {
        const bases = [images.path('golden/golden.vmdk')];
        const made = await cloned({ bases, into: images.folder, count: 2, type, hint }, {});
        const lab = await cloned({ bases, into: images.path('lab'), count: 1, type, hint }, {});
        const paths = [...made, ...lab].map(({ path }) => path!);
        await images.expectContents(paths.map((path) => ({ name: inFolder(path), model })));
        for (const path of paths) expectSameContent(await readByUs(path), model, path);
      });
    }
  }

  it('open in QEMU, all 200 of them, and stay as small as planned', async () => {
    const bases = [images.path('golden/golden.vmdk')];
    const made = await cloned({ bases, into: images.path('lab'), count: 200 }, {});
    // One process opens them all. What a sector holds that only the base has, shows that QEMU has found the base.
    const sector = model.findIndex((byte) => byte !== 0) & -512;
    const input = made.map(({ path }) =>
      ['open -r -o driver=vmdk', path, '\ninfo\nread -v', sector, '16\nclose\n'].join(' '),
    );
    const printed = (await io.ok([], { input: input.join('') })).split('format name: vmdk').slice(1);
    expect(printed).toHaveLength(200);
    for (const [index, { path, cid }] of made.entries()) {
      const opened = printed[index]!;
      expect(opened).toContain(
        'cid: ' + Number.parseInt(cid!, 16) + '\n    parent cid: ' + Number.parseInt(cid!, 16),
      );
      expect(opened).toContain('virtual size: ' + SIZE);
      expect(opened).toContain('filename: ' + path);
      const read = /[\da-f]+: {2}((?:[\da-f]{2} ){16})/.exec(opened)![1]!.replaceAll(' ', '');
      expect(read).toBe(model.toString('hex', sector, sector + 16));
      expect((await stat(path!)).blocks * 512).toBeLessThanOrEqual(16 * 1024);
    }
    for (const { path } of [made[0]!, made[199]!]) {
      const info = JSON.parse(await qemu.ok(['info', '--output', 'json', path!])) as QemuInfo;
      expect(info['virtual-size']).toBe(SIZE);
      expect(info['full-backing-filename']).toContain('golden/golden.vmdk');
    }
    await images.expectEqual(inFolder(made[199]!.path!), 'golden/golden.vmdk');
  });

  it('are written by QEMU apart from each other and from the base', async () => {
    const store = createNodeFileStore();
    const before = await hashesBelow(store, images.path('golden'));
    const bases = [images.path('golden/golden.vmdk')];
    const [one, two] = await cloned({ bases, into: images.path('lab'), count: 2 }, {});
    const work = randomWork(12, SIZE, 12);
    await images.apply(inFolder(one!.path!), work);
    const changed = Buffer.from(model);
    applyToModel(changed, work);
    await images.expectAgreement(inFolder(one!.path!), changed);
    await images.expectAgreement(inFolder(two!.path!), model);
    expect(await hashesBelow(store, images.path('golden'))).toEqual(before);
    await images.expectSound(inFolder(one!.path!));
  });

  it('of clones, and of deltas whose base is flat and lies in another folder', async () => {
    await mkdir(images.path('flat'));
    await images.create('flat/disk.vmdk', { size: SIZE, subformat: 'monolithicFlat' });
    const work = randomWork(13, SIZE, 20);
    await images.apply('flat/disk.vmdk', work);
    const content = Buffer.alloc(SIZE);
    applyToModel(content, work);
    const child = images.path('golden/child.vmdk');
    await createDelta(child, images.path('flat/disk.vmdk'), { type: 'vmfsSparse' });
    const [first] = await cloned({ bases: [child], into: images.folder, names: ['first'] }, {});
    const [second] = await cloned({ bases: [first!.path!], into: images.folder, names: ['second'] }, {});
    expect([first!.type, second!.type]).toEqual(['vmfsSparse', 'vmfsSparse']);
    expect(sha256(await images.raw(inFolder(second!.path!)))).toBe(sha256(content));
    expect(sha256(await readByUs(second!.path!))).toBe(sha256(content));
  });

  it('of a machine with several disks each find their own base', async () => {
    await images.create('golden/data.vmdk', { size: MIB, subformat: 'twoGbMaxExtentSparse' });
    await images.apply('golden/data.vmdk', [{ do: 'write', at: 65536, length: 4096, fill: 3 }]);
    const bases = ['golden/golden.vmdk', 'golden/data.vmdk'].map((name) => images.path(name));
    const [clone] = await cloned({ bases, into: images.folder, names: ['web'] }, {});
    const [system, data] = clone!.disks!;
    await images.expectEqual(inFolder(system!.path), 'golden/golden.vmdk');
    await images.expectEqual(inFolder(data!.path), 'golden/data.vmdk');
    const text = await readFile(join(images.folder, 'web/web-data.vmdk'), 'latin1');
    expect(text.match(/data/g)).toHaveLength(text.match(/web-data-s|golden\/data/g)!.length);
  });
});

interface QemuInfo {
  readonly 'virtual-size': number;
  readonly 'full-backing-filename': string;
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
