// Chains whose links were made and written by us, by QEMU, or by both. Links by QEMU stand on our bases, ours on
// QEMU's; contents and maps must agree in both programs, and nothing below a leaf may change.
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, relative } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDisk } from '../../src/disk/open-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyByUs,
  applyToModel,
  expectSameContent,
  giveCid,
  MIB,
  type NamedModel,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
  readByUs,
} from '../support/qemu-images.ts';

const SIZE = 2 * MIB + 512 * 9;
const QEMU_BASES = [...QEMU_SUBFORMATS, 'streamOptimized'] as const;
const OUR_DELTAS = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'vmfsSparse' },
  { type: 'vmfsSparse', grainSize: 16 },
];

describeWithPeer(['qemu-img', 'qemu-io'], 'a mixed chain', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
  });
  afterEach(() => images.close());

  async function qemuBase(name: string, type: string, seed: number): Promise<Buffer> {
    const source = type === 'streamOptimized' ? 'source.vmdk' : name;
    await images.create(source, {
      size: SIZE,
      subformat: type === 'streamOptimized' ? 'monolithicSparse' : type,
    });
    const work = randomWork(seed, SIZE, 16);
    await images.apply(source, work);
    if (source !== name) await images.convert(source, name, type);
    const model = Buffer.alloc(SIZE);
    applyToModel(model, work);
    return model;
  }

  /** Links by turns: QEMU's hosted deltas, our hosted deltas, our ESX deltas; each written by its maker. */
  async function grow(depth: number, base: string, seed: number, perLink: number): Promise<Buffer[]> {
    const model = await qemuBase('link0.vmdk', base, seed);
    const models = [Buffer.from(model)];
    for (let link = 1; link < depth; link++) {
      const [name, below] = [`link${link}.vmdk`, `link${link - 1}.vmdk`];
      const work = randomWork(seed + link, SIZE, perLink, 3);
      if (link % 3 === 0) {
        await images.create(name, { backing: below, subformat: QEMU_SUBFORMATS[link % 2 === 0 ? 0 : 2] });
        await images.apply(name, work);
      } else {
        await createDelta(images.path(name), images.path(below), OUR_DELTAS[link % OUR_DELTAS.length]);
        await applyByUs(images.path(name), work);
      }
      applyToModel(model, work);
      models.push(Buffer.from(model));
    }
    return models;
  }

  it('of 32 links of every type agrees, and of eight over a base of every type, and takes no 33rd', async () => {
    const seed = 8300;
    const models = await grow(32, 'monolithicSparse', seed, 4);
    await images.expectAgreement('link31.vmdk', models[31]!);
    await expect(createDelta(images.path('more.vmdk'), images.path('link31.vmdk'))).rejects.toMatchObject({
      code: 'chain-too-deep',
    });

    // The same links above a base that holds the same: what stands above one may stand above another of its CID.
    const base = await openDisk(images.path('link0.vmdk'));
    await base.close();
    const files = (await readdir(images.folder)).filter((name) => /^link[1-7][.-]/.test(name));
    for (const type of QEMU_BASES) {
      await mkdir(images.path(type));
      for (const name of files) await copyFile(images.path(name), images.path(`${type}/${name}`));
      await qemuBase(`${type}/link0.vmdk`, type, seed);
      await giveCid(images.path(`${type}/link0.vmdk`), base.descriptor.cid!);
    }
    const leaves = QEMU_BASES.map((type) => ({ name: `${type}/link7.vmdk`, model: models[7]! }));
    for (const runs of await images.expectAgreements(leaves))
      expect(new Set(runs.map(({ depth }) => depth)).size).toBe(8);
  });

  it('with one ESX delta in the middle is written above it by QEMU and read alike', async () => {
    const model = await qemuBase('base.vmdk', 'monolithicFlat', 8400);
    await createDelta(images.path('esx.vmdk'), images.path('base.vmdk'), { type: 'vmfsSparse' });
    const work = randomWork(8401, SIZE, 20, 3);
    await applyByUs(images.path('esx.vmdk'), work);
    applyToModel(model, work);
    await images.create('leaf.vmdk', { backing: 'esx.vmdk' });
    const above = randomWork(8402, SIZE, 10, 3);
    await images.apply('leaf.vmdk', above);
    applyToModel(model, above);
    await images.expectAgreement('leaf.vmdk', model);
  });

  it('with an empty seSparse delta of ours reads as its parent in QEMU, which only reads that type', async () => {
    const model = await qemuBase('base.vmdk', 'monolithicSparse', 8500);
    await createDelta(images.path('se.vmdk'), images.path('base.vmdk'), { type: 'seSparse' });
    await images.expectAgreement('se.vmdk', model);
    await createDelta(images.path('leaf.vmdk'), images.path('se.vmdk'), { type: 'monolithicSparse' });
    const work = randomWork(8501, SIZE, 10, 3);
    await applyByUs(images.path('leaf.vmdk'), work);
    applyToModel(model, work);
    await images.expectAgreement('leaf.vmdk', model);
  });

  it.each(['relative', 'absolute'])(
    'with %s hints of ours into other folders is followed by QEMU',
    async (hint) => {
      const names = ['base/base.vmdk', 'clones/one.vmdk', 'clones/deep/two.vmdk', 'base/three.vmdk'];
      for (const folder of ['base', 'clones', 'clones/deep']) await mkdir(images.path(folder));
      const model = await qemuBase(names[0]!, 'twoGbMaxExtentSparse', 8600);
      const options = { allow: [images.folder] };
      const clones: NamedModel[] = [];
      for (const [index, name] of names.entries()) {
        if (index === 0) continue;
        const below = names[index - 1]!;
        const type = index === 2 ? 'vmfsSparse' : undefined;
        const made = await createDelta(images.path(name), images.path(below), { ...options, hint, type });
        expect(made.parentFileNameHint).toBe(
          hint === 'absolute' ? images.path(below) : relative(dirname(images.path(name)), images.path(below)),
        );
        const work = randomWork(8610 + index, SIZE, 8, 3);
        await applyByUs(images.path(name), work, options);
        applyToModel(model, work);
        clones.push({ name, model: Buffer.from(model) });
      }
      await images.expectAgreements(clones, options);
    },
  );

  it('whose folders hold spaces, quotes of one kind and letters of all kinds is read by QEMU alike', async () => {
    const folder = "dépôt d'images 写";
    await mkdir(images.path(folder));
    const base = `${folder}/base image.vmdk`;
    const model = await qemuBase(base, 'monolithicFlat', 8700);
    const leaf = `${folder}/日本 leaf.vmdk`;
    await createDelta(images.path(leaf), images.path(base), { type: 'vmfsSparse' });
    const work = randomWork(8701, SIZE, 8, 3);
    await applyByUs(images.path(leaf), work);
    applyToModel(model, work);
    await images.expectAgreement(leaf, model);
    expect(basename(images.path(leaf))).toBe('日本 leaf.vmdk');
  });

  it('gives each of a delta’s siblings its own contents', async () => {
    const model = await qemuBase('base.vmdk', 'monolithicSparse', 8800);
    const disks: NamedModel[] = [{ name: 'base.vmdk', model }];
    for (let index = 0; index < 4; index++) {
      const own = Buffer.from(model);
      const work = randomWork(8801 + index, SIZE, 8, 3);
      const name = `sibling${index}.vmdk`;
      if (index % 2 === 0) {
        await createDelta(images.path(name), images.path('base.vmdk'));
        await applyByUs(images.path(name), work);
      } else {
        await images.create(name, { backing: 'base.vmdk' });
        await images.apply(name, work);
      }
      applyToModel(own, work);
      disks.push({ name, model: own });
    }
    await images.expectContents(disks);
    for (const { name, model: own } of disks) expectSameContent(await readByUs(images.path(name)), own, name);
  });
});
