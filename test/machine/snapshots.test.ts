// Snapshots of a whole machine: every remaining point reads as before, nothing else changes, and the texts say so.
import { posix } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Sectors } from '../../src/core/units.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { listSnapshots } from '../../src/machine/snapshot-list.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { renameSnapshot } from '../../src/machine/snapshot-rename.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import {
  buildMachine,
  hashesIn,
  readDisk,
  type MachineModel,
  type ModelPoint,
} from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';

let store: FileStore;
let model: MachineModel;
let before: Map<string, string>;

let built: FileStore;

beforeAll(async () => {
  built = createMemoryFileStore();
  model = await buildMachine(built, '/golden');
});
beforeEach(async () => {
  store = await memoryCopyOf(built);
  before = await hashesIn(store, '/golden');
});

const options = () => ({ fs: store, nowMicros: 1_790_000_000_000_000n });
const machineNow = () => openMachine(model.vmxPath, { fs: store });

/** Every named point reads as the model says. */
async function expectPoints(points: readonly (1 | 2 | 3)[]): Promise<void> {
  const machine = await machineNow();
  expect(machine.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  expect(machine.snapshots.snapshots.map(({ uid }) => uid).slice(0, points.length)).toEqual(points);
  for (const point of points)
    await expectDisks(disksAt(machine, findSnapshot(machine, `uid:${point}`)), point);
}

async function expectDisks(disks: { node: string; path: string }[], point: ModelPoint): Promise<void> {
  expect(disks.map(({ node }) => node).sort()).toEqual([...model.nodes].sort());
  for (const { node, path } of disks) {
    const same = (await readDisk(store, path)).equals(model.contentsAt(point, node as never));
    expect({ point, node, same }).toEqual({ point, node, same: true });
  }
}

const running = async () => disksAt(await machineNow());

async function changedFiles(): Promise<string[]> {
  const now = await hashesIn(store, '/golden');
  return [...before].filter(([name, hash]) => now.get(name) !== hash).map(([name]) => name);
}

async function newFiles(): Promise<string[]> {
  return [...(await hashesIn(store, '/golden')).keys()].filter((name) => !before.has(name));
}

async function write(path: string, start: number, seed: number): Promise<void> {
  const chain = await openChain(path, 'update', { fs: store });
  await chain.write(start as Sectors, pattern(512 * 40, seed));
  await chain.close();
}

describe('a new snapshot', () => {
  it('puts every disk on a delta of the next free number and changes no other file than the two texts', async () => {
    const report = await createSnapshot(model.vmxPath, { name: 'now', description: 'as it is' }, options());
    expect(report).toMatchObject({
      action: 'create',
      'dry-run': false,
      snapshots: [{ uid: 4, name: 'now' }],
      disks: [
        { node: 'scsi0:0', from: '/golden/golden-000003.vmdk', to: '/golden/golden-000004.vmdk' },
        { node: 'sata0:1', from: '/golden/golden_1-000003.vmdk', to: '/golden/golden_1-000004.vmdk' },
        { node: 'nvme0:0', from: '/golden/golden_2-000003.vmdk', to: '/golden/golden_2-000004.vmdk' },
      ],
      removed: [],
    });
    expect(await changedFiles()).toEqual(['golden.vmsd', 'golden.vmx']);
    expect(await newFiles()).toEqual(report.created.map((path) => posix.basename(path)).sort());
    const machine = await machineNow();
    expect(machine.findings).toEqual([]);
    expect(machine.disks.map(({ links }) => links[0]!.createType)).toEqual([
      'twoGbMaxExtentSparse',
      'monolithicSparse',
      'vmfsSparse',
    ]);
    await expectPoints([1, 2, 3]);
    await expectDisks(await running(), 'running');
    await expectDisks(disksAt(machine, findSnapshot(machine, 'now')), 'running');
    const { snapshots } = await listSnapshots(model.vmxPath, options());
    expect(snapshots.at(-1)).toMatchObject({
      uid: 4,
      parent: 3,
      name: 'now',
      description: 'as it is',
      created: '2026-09-21T14:13:20.000Z',
      memory: false,
      current: true,
    });
  });

  it('locks the machine and what it runs on while it works, and leaves no lock', async () => {
    const during: Promise<string[]>[] = [];
    const onProgress = (): void => void during.push(store.list('/golden'));
    await createSnapshot(model.vmxPath, { name: 'now' }, { ...options(), onProgress });
    const locks = (await during[0]!).filter((name) => name.endsWith('.lck'));
    expect(locks).toEqual(expect.arrayContaining(['golden.vmx.lck', 'golden-000003.vmdk.lck']));
    expect(locks).not.toContain('golden.vmdk.lck');
    expect((await newFiles()).filter((name) => name.endsWith('.lck'))).toEqual([]);
    expect((await store.list('/golden')).filter((name) => /^\.|\.lck$/.test(name))).toEqual([]);
  });

  it('fills the gaps in the numbers of each disk', async () => {
    await deleteSnapshot(model.vmxPath, 'patched', options());
    const { disks } = await createSnapshot(model.vmxPath, { name: 'now' }, options());
    expect(disks.map(({ to }) => posix.basename(to))).toEqual([
      'golden-000001.vmdk',
      'golden_1-000001.vmdk',
      'golden_2-000001.vmdk',
    ]);
    await expectDisks(await running(), 'running');
  });
});

describe('deleting', () => {
  it('a snapshot of a branch that nothing runs from removes its links alone', async () => {
    const report = await deleteSnapshot(model.vmxPath, 'patched', options());
    expect(report.merged).toEqual([]);
    expect(await newFiles()).toEqual([]);
    const removed = report.removed.map((path) => posix.basename(path));
    expect(await changedFiles()).toEqual(['golden.vmsd', ...removed].sort());
    await expectPoints([1, 3]);
    await expectDisks(await running(), 'running');
  });

  it('a snapshot that only the running point stands on merges into that', async () => {
    const report = await deleteSnapshot(model.vmxPath, 'experiment', options());
    expect(
      report.merged.map(({ into, from }) => [into, ...from].map((path) => posix.basename(path))),
    ).toEqual([
      ['golden-000003.vmdk', 'golden-000002.vmdk'],
      ['golden_1-000003.vmdk', 'golden_1-000002.vmdk'],
      ['golden_2-000003.vmdk', 'golden_2-000002.vmdk'],
    ]);
    expect(await newFiles()).toEqual([]);
    await expectPoints([1, 2]);
    await expectDisks(await running(), 'running');
    const machine = await machineNow();
    expect(machine.snapshots.currentUid).toBe(1);
    expect(machine.disks.map(({ links }) => links.length)).toEqual([2, 2, 2]);
    expect(
      (await changedFiles()).filter((name) => /^golden(?:_\d)?(?:-000001.*)?(?:-flat)?\.vmdk$/.test(name)),
    ).toEqual([]);
  });

  it('a snapshot that two stand on keeps its disks', async () => {
    const report = await deleteSnapshot(model.vmxPath, 'installed', options());
    expect(report.kept.map(({ path, reason }) => `${posix.basename(path)}: ${reason}`)).toEqual([
      'golden.vmdk: more than one disk stands on it',
      'golden_1.vmdk: more than one disk stands on it',
      'golden_2.vmdk: more than one disk stands on it',
    ]);
    expect(await changedFiles()).toEqual(['golden.vmsd']);
    await expectPoints([2, 3]);
    await expectDisks(await running(), 'running');
  });

  it('all of them, one by one, ends with the bases that the machine began with', async () => {
    for (const name of ['patched', 'installed', 'experiment'])
      await deleteSnapshot(model.vmxPath, name, options());
    const machine = await machineNow();
    expect(machine.disks.map(({ path }) => posix.basename(path!))).toEqual([
      'golden.vmdk',
      'golden_1.vmdk',
      'golden_2.vmdk',
    ]);
    expect(machine.snapshots).toMatchObject({ snapshots: [], lastUid: 3 });
    await expectDisks(await running(), 'running');
    const names = [...(await hashesIn(store, '/golden')).keys()].filter((name) => name.endsWith('.vmdk'));
    expect(names.filter((name) => name.includes('00000'))).toEqual([]);
  });

  it('a snapshot with its children deletes the whole branch', async () => {
    const { snapshots } = await deleteSnapshot(model.vmxPath, 'installed', { ...options(), children: true });
    expect(snapshots.map(({ uid }) => uid)).toEqual([1, 2, 3]);
    await expectDisks(await running(), 'running');
    const machine = await machineNow();
    expect(machine.disks.map(({ links }) => links.length)).toEqual([1, 1, 1]);
  });
});

describe('a change that is stopped', () => {
  it('leaves everything as it was', async () => {
    const controller = new AbortController();
    const stop = new Error('enough');
    const onProgress = (): void => controller.abort(stop);
    const work = { ...options(), signal: controller.signal, onProgress };
    await expect(deleteSnapshot(model.vmxPath, 'experiment', work)).rejects.toBe(stop);
    expect(await changedFiles()).toEqual([]);
    expect((await store.list('/golden')).sort()).toEqual([...before.keys()].sort());
  });
});

describe('merging into bases where they stand', () => {
  it('writes what the deltas hold into the very files, and needs no copy of them', async () => {
    const flat = '/golden/golden_1-flat.vmdk';
    const { identity } = await store.resolve(flat);
    const work = { ...options(), fs: { ...store, freeBytes: async () => 900_000 }, children: true };
    await expect(deleteSnapshot(model.vmxPath, 'installed', work)).rejects.toMatchObject({
      code: 'no-space',
    });
    const plan = await deleteSnapshot(model.vmxPath, 'installed', { ...work, inPlace: true, dryRun: true });
    expect(await changedFiles()).toEqual([]);
    const report = await deleteSnapshot(model.vmxPath, 'installed', { ...work, inPlace: true });
    expect(report.merged).toEqual(plan.merged);
    expect(report).toMatchObject({ action: 'delete', snapshots: [{ uid: 1 }, { uid: 2 }, { uid: 3 }] });
    expect((await store.resolve(flat)).identity).toBe(identity);
    await expectDisks(await running(), 'running');
    const machine = await machineNow();
    expect(machine.findings).toEqual([]);
    expect(machine.snapshots).toMatchObject({ snapshots: [], needConsolidate: false });
    expect(machine.disks.map(({ links }) => links.length)).toEqual([1, 1, 1]);
  });
});

describe('reverting', () => {
  it('refuses to give up what the machine wrote, unless told to', async () => {
    await expect(revertSnapshot(model.vmxPath, 'patched', options())).rejects.toMatchObject({
      kind: 'refused',
      code: 'running-state-lost',
    });
    expect(await changedFiles()).toEqual([]);
    const report = await revertSnapshot(model.vmxPath, 'patched', { ...options(), force: true });
    expect(
      report.removed.map((path) => posix.basename(path)).filter((name) => !name.includes('000003')),
    ).toEqual([]);
    await expectPoints([1, 2, 3]);
    await expectDisks(await running(), 2);
    expect((await machineNow()).snapshots.currentUid).toBe(2);
    expect((await changedFiles()).filter((name) => !name.includes('000003'))).toEqual([
      'golden.vmsd',
      'golden.vmx',
    ]);
  });

  it('loses nothing right after a snapshot', async () => {
    await createSnapshot(model.vmxPath, { name: 'kept' }, options());
    await revertSnapshot(model.vmxPath, 'installed', options());
    await expectPoints([1, 2, 3]);
    await expectDisks(await running(), 1);
  });
});

describe('renaming', () => {
  it('changes the name and nothing else', async () => {
    await renameSnapshot(model.vmxPath, { snapshot: 'patched', name: 'Größe "x"' }, options());
    expect(await changedFiles()).toEqual(['golden.vmsd']);
    expect(findSnapshot(await machineNow(), 'Größe "x"').uid).toBe(2);
  });
});

describe('a fresh snapshot', () => {
  it('is deleted again without touching the disk below it', async () => {
    const single = await buildMachine(store, '/single', { name: 'single', snapshots: false });
    const hashes = await single.hashes();
    await createSnapshot(single.vmxPath, { name: 'now' }, options());
    await deleteSnapshot(single.vmxPath, 'now', options());
    const now = await single.hashes();
    for (const [name, hash] of hashes)
      if (name.endsWith('.vmdk')) expect([name, now.get(name)]).toEqual([name, hash]);
    expect([...now.keys()]).toEqual([...hashes.keys()]);
    await write('/single/single.vmdk', 5, 3);
  });
});
