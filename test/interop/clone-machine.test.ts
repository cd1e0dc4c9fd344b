// Clones of a machine as QEMU sees them: every disk that was written opens, reads as the source did at its point, and
// is written apart from the source and from the other clones.
import { posix } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { hashesBelow } from '../support/clone-bench.ts';
import { clonedMachines, contentsOf } from '../support/machine-clones.ts';
import { buildMachine, type MachineModel, type ModelPoint } from '../support/machine-model.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { applyToModel, QemuImages } from '../support/qemu-images.ts';

const store = createNodeFileStore();

describeWithPeer(['qemu-img', 'qemu-io'], 'clones of a machine', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  let model: MachineModel;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
    model = await buildMachine(store, images.path('golden'), { sectors: 1024 });
  });
  afterEach(() => images.close());

  const inFolder = (path: string): string => path.slice(images.folder.length + 1);

  async function expectPoint(
    disks: readonly { node: string; path: string }[],
    point: ModelPoint,
  ): Promise<void> {
    expect(disks).toHaveLength(3);
    await images.expectContents(
      disks.map(({ node, path }) => ({
        name: inFolder(path),
        model: model.contentsAt(point, node as never),
      })),
    );
  }

  it('read as the snapshot, the running point and the frozen source do', async () => {
    const request = { machine: model.vmxPath, into: images.folder };
    const [patched] = await clonedMachines({ ...request, names: ['patched'], snapshot: 'patched' }, {});
    await expectPoint(patched!.disks!, 2);
    const frozen = await clonedMachines(
      { ...request, names: ['one', 'two'], freeze: true, hint: 'absolute' },
      {},
    );
    for (const { disks } of frozen) await expectPoint(disks!, 'running');
    const leaves = model.nodes.map((node) => ({
      node,
      path: model.diskAt('running', node).replace(/-000003\.vmdk$/, '-000004.vmdk'),
    }));
    await expectPoint(leaves, 'running');
  });

  it.each(['monolithicSparse', 'monolithicFlat', 'vmfs'])('are full copies of type %s', async (type) => {
    const request = { machine: model.vmxPath, into: images.folder, names: ['full'], full: true, type };
    const [full] = await clonedMachines({ ...request, snapshot: 'installed' }, {});
    await expectPoint(full!.disks!, 1);
    for (const { path } of full!.disks!) {
      const info = JSON.parse(await qemu.ok(['info', '--output', 'json', path])) as Record<string, unknown>;
      expect(info['backing-filename']).toBeUndefined();
    }
  });

  it('are written by QEMU apart from the source and from one another', async () => {
    const made = await clonedMachines(
      { machine: model.vmxPath, into: images.folder, names: ['one', 'two'], freeze: true },
      {},
    );
    const before = await hashesBelow(store, model.folder);
    const work = [{ do: 'write', at: 4096, length: 8192, fill: 3 }] as const;
    // QEMU writes its first grain into the header of an empty vmfsSparse delta, whoever made it.
    const written = made[0]!.disks!.filter(({ type }) => type !== 'vmfsSparse');
    expect(written).toHaveLength(2);
    for (const { path } of written) await images.apply(inFolder(path), work);
    expect(await hashesBelow(store, model.folder)).toEqual(before);
    await expectPoint(made[1]!.disks!, 'running');
    const contents = await contentsOf(store, made[0]!.vmx!);
    for (const [node, content] of contents) {
      const wanted = Buffer.from(model.contentsAt('running', node as never));
      if (written.some((disk) => disk.node === node)) applyToModel(wanted, work);
      expect(content.equals(wanted), node).toBe(true);
    }
    expect(posix.dirname(made[0]!.vmx!)).toBe(images.path('one'));
  });
});
