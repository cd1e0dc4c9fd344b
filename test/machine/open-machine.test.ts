// A whole machine as openMachine sees it: what is there, what is missing, and what is refused.
import { describe, expect, it } from 'vitest';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { assertMachineUsable, disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { buildMachine, hashesIn, readDisk, type MachineModelOptions } from '../support/machine-model.ts';

describe('openMachine', () => {
  it('finds disks, snapshots and companions of the machine, and changes nothing', async () => {
    const { store, model } = await built();
    const before = await model.hashes();
    const machine = await openMachine(model.vmxPath, { fs: store });
    expect(machine).toMatchObject({
      path: '/ds/golden/golden.vmx',
      folder: '/ds/golden',
      name: 'golden',
      nvramPath: '/ds/golden/golden.nvram',
      vmxfPath: '/ds/golden/golden.vmxf',
      vmsdPath: '/ds/golden/golden.vmsd',
      workingFolder: '/ds/golden',
      power: { state: 'off', reasons: [] },
      locks: [],
      isLinkedClone: false,
      findings: [],
    });
    const shown = machine.disks.map(
      ({ node, links }) => `${node} ${links.map(({ createType }) => createType).join()}`,
    );
    expect(shown).toEqual([
      'scsi0:0 twoGbMaxExtentSparse,twoGbMaxExtentSparse,twoGbMaxExtentSparse',
      'sata0:1 monolithicSparse,monolithicSparse,monolithicFlat',
      'nvme0:0 vmfsSparse,vmfsSparse,vmfs',
    ]);
    expect(machine.disks[0]!.links[2]).toMatchObject({ capacity: 2048 });
    expect(machine.disks[0]!.links[2]!.files).toHaveLength(3);
    expect(await hashesIn(store, '/ds/golden')).toEqual(before);
  });

  it('gives the disks of every point, which read as the model does', async () => {
    const { store, model } = await built();
    const machine = await openMachine(model.vmxPath, { fs: store });
    for (const point of [1, 2, 3, 'running'] as const) {
      const snapshot = point === 'running' ? undefined : findSnapshot(machine, String(point));
      const disks = disksAt(machine, snapshot);
      expect(disks.map(({ node }) => node)).toEqual(model.nodes);
      for (const { node, path } of disks) {
        expect(path).toBe(model.diskAt(point, node as 'scsi0:0'));
        expect((await readDisk(store, path)).equals(model.contentsAt(point, node as 'scsi0:0'))).toBe(true);
      }
      assertMachineUsable(machine, { verb: 'clone', snapshot });
    }
  });

  it('takes a machine without snapshots and with an empty .vmsd, or none', async () => {
    const { store, model } = await built({ snapshots: false });
    const { vmsd, snapshots, findings } = await openMachine(model.vmxPath, { fs: store });
    expect(vmsd?.lines).toEqual([]);
    expect({ snapshots: snapshots.snapshots, findings }).toEqual({ snapshots: [], findings: [] });
    await store.remove(model.vmsdPath);
    expect((await openMachine(model.vmxPath, { fs: store })).vmsd).toBeUndefined();
  });
});

async function built(
  options: MachineModelOptions = {},
): Promise<{ store: FileStore; model: Awaited<ReturnType<typeof buildMachine>> }> {
  const store = createMemoryFileStore();
  await store.makeFolder('/ds');
  return { store, model: await buildMachine(store, '/ds/golden', options) };
}
