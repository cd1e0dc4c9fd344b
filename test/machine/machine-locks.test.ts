// A machine whose files change is locked meanwhile: what is locked, that it is given back, and that a run that was
// killed leaves no lock in the way of the next.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cloneMachine } from '../../src/machine/clone-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { findLocks } from '../../src/storage/lock-state.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { createNodeLockHost } from '../../src/storage/node-lock-host.ts';
import { buildMachine, type MachineModel } from '../support/machine-model.ts';

let root: string;
let model: MachineModel;
const disk = createNodeFileStore();
/** The lock folders that stand when the point of no return is passed. */
let held: string[];
const store: FileStore = {
  ...disk,
  rename: async (from, to) => {
    if (to.endsWith('.ready')) held = await locks();
    await disk.rename(from, to);
  },
};
const locks = async (): Promise<string[]> =>
  (await readdir(model.folder)).filter((name) => name.endsWith('.lck')).sort();

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'vmdkit-lock-machine-'));
  held = [];
  model = await buildMachine(disk, join(root, 'golden'), { nodes: ['scsi0:0', 'sata0:1'], snapshots: false });
});
afterEach(() => rm(root, { recursive: true, force: true }));

it('a snapshot locks the .vmx, and descriptor and extents of the disks that are written to', async () => {
  await createSnapshot(model.vmxPath, { name: 'one' }, { fs: store });
  expect(held).toContain('golden.vmx.lck');
  expect(held.filter((name) => name.endsWith('.vmdk.lck')).length).toBeGreaterThanOrEqual(4);
  expect(await locks()).toEqual([]);
});

it('a clone locks the source while it is frozen', async () => {
  const request = { machine: model.vmxPath, into: join(root, 'clones'), count: 2, freeze: true };
  for await (const { status } of cloneMachine(request, { fs: store })) expect(status).toBe('created');
  expect(held).toContain('golden.vmx.lck');
  expect(await locks()).toEqual([]);
});

it('a full clone, which leaves the source alone, locks nothing', async () => {
  const request = { machine: model.vmxPath, into: join(root, 'clones'), full: true };
  for await (const { status } of cloneMachine(request, { fs: store })) expect(status).toBe('created');
  expect(held).toEqual([]);
});

it('a lock of a vmdkit that was killed is cleared when its work is settled, and only that', async () => {
  const { id } = createNodeLockHost();
  const ours = `${model.vmxPath}.lck`;
  const theirs = `${model.vmsdPath}.lck`;
  for (const folder of [ours, theirs, join(ours, 'D00007.lck')]) await mkdir(folder);
  // No process has this number.
  const text = (machine: string): string => `${machine} 4194305-1(vmdkit) 1 X [ lc=1`.padEnd(512, '\0');
  await writeFile(join(ours, 'E00007.lck'), text(id!));
  await writeFile(join(theirs, 'M00008.lck'), text('uuid=other'));
  await settleChangeSets(disk, model.folder);
  expect(await locks()).toEqual([`${model.name}.vmsd.lck`]);
  expect(await findLocks(disk, model.vmxPath)).toEqual([]);
});
