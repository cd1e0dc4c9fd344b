// Machines with snapshots as QEMU sees them: after every change each remaining point opens and reads as it did.
import { createHash } from 'node:crypto';
import { cp, mkdir } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import {
  buildMachine,
  type MachineModel,
  type ModelNode,
  type ModelPoint,
} from '../support/machine-model.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { QemuImages } from '../support/qemu-images.ts';

describeWithPeer(['qemu-img', 'qemu-io'], 'snapshots of a machine', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  let images: QemuImages;
  let model: MachineModel;
  beforeEach(async () => {
    images = await QemuImages.open(qemu, io);
    await mkdir(images.path('ds'));
    model = await buildMachine(createNodeFileStore(), images.path('ds/golden'), {});
  });
  afterEach(() => images.close());

  const inFolder = (path: string): string => path.slice(images.folder.length + 1);
  const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

  /** Points by name, and which point of the model each must read as. */
  async function expectPoints(points: Readonly<Record<string, ModelPoint>>): Promise<void> {
    const machine = await openMachine(model.vmxPath);
    await images.expectContents(
      Object.entries(points).flatMap(([name, point]) =>
        disksAt(machine, name === 'running' ? undefined : findSnapshot(machine, name)).map(
          ({ node, path }) => ({
            name: inFolder(path),
            model: model.contentsAt(point, node as ModelNode),
          }),
        ),
      ),
    );
  }

  it('read as they should after a merge into the disk above', async () => {
    await deleteSnapshot(model.vmxPath, 'experiment');
    await expectPoints({ installed: 1, patched: 2, running: 'running' });
  });

  it.each([false, true])('read as they should after a merge into bases, in place %s', async (inPlace) => {
    await deleteSnapshot(model.vmxPath, 'installed', { children: true, inPlace });
    await expectPoints({ running: 'running' });
    const machine = await openMachine(model.vmxPath);
    for (const { path } of disksAt(machine)) {
      const text = await qemu.ok(['info', '--output', 'json', path]);
      expect(JSON.parse(text)).not.toHaveProperty('backing-filename');
    }
  });

  it('read as they should after one was taken and another reverted to', async () => {
    await createSnapshot(model.vmxPath, { name: 'now' });
    await revertSnapshot(model.vmxPath, 'patched');
    await expectPoints({ installed: 1, patched: 2, experiment: 3, now: 'running', running: 2 });
  });

  it('are written by QEMU and merged again', async () => {
    const leaf = model.diskAt('running', 'sata0:1');
    await images.apply(inFolder(leaf), [{ do: 'write', at: 131072, length: 8192, fill: 7 }]);
    const contents = sha256(await images.raw(inFolder(leaf)));
    await cp(images.path('ds'), images.path('copy'), { recursive: true });
    await deleteSnapshot(images.path('copy/golden/golden.vmx'), 'experiment');
    expect(sha256(await images.raw(inFolder(leaf).replace('ds/', 'copy/')))).toBe(contents);
    await deleteSnapshot(images.path('copy/golden/golden.vmx'), 'installed', { children: true });
    expect(sha256(await images.raw('copy/golden/golden_1.vmdk'))).toBe(contents);
  });
});
