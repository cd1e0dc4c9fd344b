// Chains that QEMU made, of every depth and over every type of base: contents, and which link answers each sector.
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import {
  applyToModel,
  expectSameContent,
  giveCid,
  MIB,
  type NamedModel,
  QEMU_SUBFORMATS,
  QemuImages,
  randomWork,
  readByUs,
  type Work,
} from '../support/qemu-images.ts';

const BASES = [...QEMU_SUBFORMATS, 'streamOptimized'] as const;
/** What QEMU can put above another disk. */
const OVERLAYS = ['monolithicSparse', 'twoGbMaxExtentSparse'] as const;

describeWithPeer(['qemu-img', 'qemu-io'], 'a chain by QEMU', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
  });
  afterEach(() => images.close());

  /** Makes and writes a base of any type that QEMU has. */
  async function makeBase(name: string, type: string, size: number, work: readonly Work[]): Promise<void> {
    const stream = type === 'streamOptimized';
    const first = stream ? 'source.vmdk' : name;
    await images.create(first, { size, subformat: stream ? 'monolithicSparse' : type });
    await images.apply(first, work);
    if (stream) await images.convert(first, name, type);
  }

  /** Makes `depth` links named link0 (the base) upwards; each is written before the next is made. What each reads as. */
  async function chainOf(depth: number, size: number, base: string, seed: number): Promise<Buffer[]> {
    const model = Buffer.alloc(size);
    const models: Buffer[] = [];
    const work = randomWork(seed, size, 16);
    await makeBase('link0.vmdk', base, size, work);
    applyToModel(model, work);
    models.push(Buffer.from(model));
    for (let link = 1; link < depth; link++) {
      const zeroed = link % 3 === 0 ? ['zeroed_grain=on'] : [];
      const backing = `link${link - 1}.vmdk`;
      await images.create(`link${link}.vmdk`, { backing, subformat: OVERLAYS[link % 2]!, more: zeroed });
      const above = randomWork(seed + link, size, 4, 3);
      await images.apply(`link${link}.vmdk`, above);
      applyToModel(model, above);
      models.push(Buffer.from(model));
    }
    return models;
  }

  it('of 32 links, and of some fewer, reads and maps as in QEMU, over a base of every type', async () => {
    const [size, seed] = [2 * MIB + 512 * 7, 3000];
    const models = await chainOf(32, size, 'twoGbMaxExtentFlat', seed);
    const links = [1, 6, 11, 16, 21, 26, 31];
    await images.expectAgreements(links.map((link) => ({ name: `link${link}.vmdk`, model: models[link]! })));
    const chain = await openChain(images.path('link31.vmdk'), 'read');
    expect(chain.links).toHaveLength(32);
    expect(chain.findings).toEqual([]);
    const { cid } = chain.links.at(-1)!.descriptor;
    await chain.close();

    // The same links above a base that holds the same: what stands above one may stand above another of its CID.
    const files = (await readdir(images.folder)).filter((name) => /^link[1-7][.-]/.test(name));
    for (const type of BASES) {
      await mkdir(images.path(type));
      for (const name of files) await copyFile(images.path(name), images.path(`${type}/${name}`));
      await makeBase(`${type}/link0.vmdk`, type, size, randomWork(seed, size, 16));
      await giveCid(images.path(`${type}/link0.vmdk`), cid!);
    }
    const maps = await images.expectAgreements(
      BASES.flatMap((type) =>
        [1, 7].map((link) => ({ name: `${type}/link${link}.vmdk`, model: models[link]! })),
      ),
    );
    for (const [index, runs] of maps.entries())
      expect(new Set(runs.map(({ depth }) => depth)).size).toBe(index % 2 === 0 ? 2 : 8);
  });

  it('over a base with zero grains shows zeros, not what lies below them', async () => {
    const size = 4 * MIB;
    const grains = { do: 'zero', at: 1 * MIB, length: MIB, fill: 0 } as const;
    const full = { do: 'write', at: MIB - 2048, length: 90 * 1024, fill: 5 } as const;
    const model = Buffer.alloc(size);
    await images.create('base.vmdk', { size, subformat: 'monolithicSparse', more: ['zeroed_grain=on'] });
    await images.apply('base.vmdk', [full]);
    applyToModel(model, [full]);
    await images.create('middle.vmdk', { backing: 'base.vmdk', more: ['zeroed_grain=on'] });
    await images.apply('middle.vmdk', [grains]);
    applyToModel(model, [grains]);
    await images.create('leaf.vmdk', { backing: 'middle.vmdk' });
    await images.expectAgreement('leaf.vmdk', model);
  });

  it('with its links in other folders reads by relative and by absolute hints', async () => {
    const size = 2 * MIB;
    for (const folder of ['base', 'deltas', 'deltas/deep']) await mkdir(images.path(folder));
    const model = Buffer.alloc(size);
    const hints = [
      { name: 'base/base.vmdk' },
      { name: 'deltas/one.vmdk', backing: '../base/base.vmdk' },
      { name: 'deltas/deep/two.vmdk', backing: '../one.vmdk' },
      { name: 'base/three.vmdk', backing: images.path('deltas/deep/two.vmdk') },
      { name: 'deltas/four.vmdk', backing: images.path('base/three.vmdk') },
    ];
    const disks: NamedModel[] = [];
    for (const [index, { name, backing }] of hints.entries()) {
      await images.create(name, backing === undefined ? { size } : { backing });
      const work = randomWork(4000 + index, size, 10);
      await images.apply(name, work);
      applyToModel(model, work);
      disks.push({ name, model: Buffer.from(model) });
    }
    await images.expectAgreements(disks, { allow: [images.folder] });
  });

  it('whose base was written after its child was made is refused by name where QEMU only fails to read', async () => {
    await chainOf(2, MIB, 'monolithicSparse', 5000);
    await images.apply('link0.vmdk', [{ do: 'write', at: 0, length: 512, fill: 1 }]);
    await expect(images.raw('link1.vmdk')).rejects.toThrow('Invalid argument');
    await expect(openChain(images.path('link1.vmdk'), 'read')).rejects.toMatchObject({
      code: 'parent-cid-mismatch',
      message: expect.stringContaining('link0.vmdk') as string,
    });
  });

  it('over a base of another size is refused unless accepted, and then has zeros past the end as in QEMU', async () => {
    const small = 3 * MIB;
    await images.create('base.vmdk', { size: small });
    const work = randomWork(6000, small, 8, 0);
    await images.apply('base.vmdk', work);
    await images.create('leaf.vmdk', { backing: 'base.vmdk', size: 5 * MIB });
    await expect(openChain(images.path('leaf.vmdk'), 'read')).rejects.toMatchObject({
      code: 'chain-capacity-mismatch',
    });
    const model = Buffer.alloc(5 * MIB);
    applyToModel(model, work);
    expectSameContent(await images.raw('leaf.vmdk'), model, 'QEMU');
    const ours = await readByUs(images.path('leaf.vmdk'), { acceptMismatch: true });
    expectSameContent(ours, model, 'we');
  });
});
