// What changes of snapshots refuse, and what they leave alone: linked clones, strangers, odd machines. Each refusal
// says what, where, found, expected and the way out, and nothing is changed by any.
import { posix } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Sectors } from '../../src/core/units.ts';
import type { ExtentLine } from '../../src/format/descriptor.ts';
import { printDictionary } from '../../src/format/dictionary.ts';
import { editDictionary } from '../../src/format/edit-dictionary.ts';
import { setClones } from '../../src/format/edit-vmsd.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { disksAt } from '../../src/machine/machine.ts';
import type { TreeLink } from '../../src/machine/link-tree.ts';
import { assertRemakeable } from '../../src/machine/merge-links.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { consolidateSnapshots } from '../../src/machine/consolidate-machine.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { diskPointsOf } from '../../src/machine/disk-points.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { listSnapshots } from '../../src/machine/snapshot-list.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { revertSnapshot } from '../../src/machine/snapshot-revert.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { clonedMachines } from '../support/machine-clones.ts';
import { buildMachine, hashesIn, readDisk, type MachineModel } from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';

let built: FileStore;
let store: FileStore;
let model: MachineModel;
let before: Map<string, string>;

beforeAll(async () => {
  built = createMemoryFileStore();
  await built.makeFolder('/ds');
  model = await buildMachine(built, '/ds/golden', { nodes: ['scsi0:0', 'sata0:1'], sectors: 1024 });
});
beforeEach(async () => {
  store = await memoryCopyOf(built);
  before = await hashesIn(store, '/ds/golden');
});

const VMX = '/ds/golden/golden.vmx';
const machineNow = (path = VMX) => openMachine(path, { fs: store });
const remove = (name: string, more = {}) => deleteSnapshot(VMX, name, { fs: store, ...more });

async function expectUnchanged(): Promise<void> {
  expect(await hashesIn(store, '/ds/golden')).toEqual(before);
  expect((await store.list('/ds/golden')).filter((name) => name.startsWith('.'))).toEqual([]);
}

async function edit(edits: Record<string, string | null>, path = VMX): Promise<void> {
  const { vmx } = await machineNow(path);
  await store.replace(path, printDictionary(editDictionary(vmx, edits)));
  before = await hashesIn(store, '/ds/golden');
}

async function listClones(uid: number, clones: readonly string[]): Promise<void> {
  const { vmsd, vmsdPath } = await machineNow();
  await store.replace(
    vmsdPath,
    printDictionary(setClones(vmsd!, findSnapshot(await machineNow(), String(uid)), clones)),
  );
  before = await hashesIn(store, '/ds/golden');
}

async function write(path: string, start: number, seed: number): Promise<void> {
  const chain = await openChain(path, 'update', { fs: store });
  await chain.write(start as Sectors, pattern(512 * 30, seed));
  await chain.close();
}

describe('deleting refuses', () => {
  it('where linked clones hang on the snapshot, and names them', async () => {
    await clonedMachines(
      { machine: VMX, into: '/ds/lab', count: 2, template: 'lab-{n}', snapshot: 'patched' },
      { fs: store },
    );
    before = await hashesIn(store, '/ds/golden');
    const error = remove('patched');
    await expect(error).rejects.toMatchObject({ kind: 'refused', code: 'snapshot-has-clones' });
    await expect(error).rejects.toThrow(
      /found .*lab-1\/lab-1\.vmx, .*lab-2\/lab-2\.vmx, expected no linked clone/,
    );
    // Their disks are found by scanning as well, whatever the list says.
    const scanned = remove('patched', { force: true });
    await expect(scanned).rejects.toMatchObject({ kind: 'refused', code: 'disks-in-use' });
    await expect(scanned).rejects.toThrow(/found \/ds\/lab\/lab-1\/\S+\.vmdk, \/ds\/lab\/lab-2/);
    await expect(remove('installed', { children: true })).rejects.toMatchObject({
      code: 'snapshot-has-clones',
    });
    await expectUnchanged();
  });

  it('where a listed clone cannot be looked up from here, unless told that it is gone', async () => {
    await listClones(2, ['D:\\VMs\\child\\child.vmx']);
    const error = remove('patched');
    await expect(error).rejects.toMatchObject({ kind: 'refused', code: 'snapshot-has-clones' });
    await expect(error).rejects.toThrow(
      /may hang .*\n {2}Tell where they are with --map FROM=TO; .* pass --force\./,
    );
    await expectUnchanged();
    const { notes } = await remove('patched', { force: true });
    expect(notes).toEqual(['the linked clone D:\\VMs\\child\\child.vmx is no reason to stop, by request']);
  });

  it('not where a listed clone is gone', async () => {
    await listClones(2, ['../gone/gone.vmx']);
    const { notes } = await remove('patched');
    expect(notes).toEqual(['the linked clone ../gone/gone.vmx is gone']);
  });

  it('in one line that can be read, however many hang on it', async () => {
    const many = Array.from({ length: 1000 }, (_, index) => `D:\\VMs\\lab-${index}\\lab.vmx`);
    await listClones(2, many);
    await expect(remove('patched')).rejects.toThrow(
      /found D:\\VMs\\lab-0\\lab\.vmx, .* and 992 more, expected/,
    );
    const { notes } = await remove('patched', { force: true, dryRun: true });
    expect(notes).toEqual([
      expect.stringMatching(/^the linked clones D:.* and 992 more are no reason to stop, by request$/),
    ]);
  });

  it('where a disk around stands on what would go, and changes nothing', async () => {
    await store.makeFolder('/ds/other');
    await createDelta('/ds/other/stray.vmdk', model.diskAt(3, 'sata0:1'), { fs: store });
    const error = remove('experiment');
    await expect(error).rejects.toMatchObject({ kind: 'refused', code: 'disks-in-use' });
    await expect(error).rejects.toThrow(/snapshot 3 "experiment".*found \/ds\/other\/stray\.vmdk/);
    await expectUnchanged();
    // Nothing that a merge into the disk above changes is what this one stands on.
    await store.remove('/ds/other/stray.vmdk');
    await createDelta('/ds/other/stray.vmdk', model.diskAt('running', 'sata0:1'), { fs: store });
    const contents = await readDisk(store, '/ds/other/stray.vmdk');
    await remove('experiment');
    expect((await readDisk(store, '/ds/other/stray.vmdk')).equals(contents)).toBe(true);
  });

  it('where another machine runs on a disk of the snapshot', async () => {
    await store.makeFolder('/ds/other');
    await store.replace(
      '/ds/other/other.vmx',
      Buffer.from(
        'scsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "../golden/golden-000001.vmdk"\n',
      ),
    );
    await expect(remove('patched')).rejects.toThrow(/found \/ds\/other\/other\.vmx/);
    await expectUnchanged();
  });

  it('where a disk that would change is guarded, with a copy or without', async () => {
    const base = model.diskAt(1, 'scsi0:0');
    await remove('experiment');
    await remove('patched');
    const guarded = `${base}.guard`;
    await (await store.create(guarded)).close();
    before = await hashesIn(store, '/ds/golden');
    for (const more of [{}, { inPlace: true }, { dryRun: true }])
      await expect(remove('installed', more)).rejects.toMatchObject({
        code: 'disk-guarded',
        context: { path: base },
      });
    await expectUnchanged();
  });

  it('where there is no room, and says how to do without', async () => {
    const error = deleteSnapshot(VMX, 'experiment', { fs: { ...store, freeBytes: async () => 1000 } });
    await expect(error).rejects.toMatchObject({ kind: 'refused', code: 'no-space' });
    await expect(error).rejects.toThrow(/found 1000 bytes free, expected at least \d+ bytes/);
    await expectUnchanged();
    const report = await remove('experiment', { keepDisks: true });
    expect(report).toMatchObject({ merged: [], removed: [], changed: ['/ds/golden/golden.vmsd'] });
    const machine = await machineNow();
    expect(machine.snapshots).toMatchObject({ needConsolidate: true, currentUid: 1 });
    expect(disksAt(machine)[0]!.path).toBe(model.diskAt('running', 'scsi0:0'));
    const { merged, kept } = await consolidateSnapshots(VMX, { fs: store });
    expect(merged.map(({ into }) => into)).toEqual([
      model.diskAt('running', 'scsi0:0'),
      model.diskAt('running', 'sata0:1'),
    ]);
    expect(kept).toEqual([]);
    const after = await machineNow();
    expect(after.snapshots.needConsolidate).toBe(false);
    expect(after.disks.map(({ links }) => links.length)).toEqual([2, 2]);
    const contents = await readDisk(store, disksAt(after)[1]!.path);
    expect(contents.equals(model.contentsAt('running', 'sata0:1'))).toBe(true);
    expect(await consolidateSnapshots(VMX, { fs: store })).toMatchObject({ merged: [], changed: [] });
  });

  it('where two descriptors name one file', async () => {
    const stolen = '/ds/golden/golden_1-000001.vmdk';
    await store.remove(stolen);
    await store.replace(stolen, await textNaming('golden_1-flat.vmdk'));
    await expect(remove('patched')).rejects.toMatchObject({ code: 'extent-shared' });
  });

  it('where a disk of another snapshot is missing, since nobody can tell what would break', async () => {
    await store.remove(model.diskAt(3, 'sata0:1'));
    await expect(remove('patched')).rejects.toMatchObject({ kind: 'missing' });
  });

  it('to merge into disks that cannot be written from here', () => {
    const link = {
      path: '/ds/x.vmdk',
      files: ['/ds/x.vmdk'],
      extents: [],
    } as unknown as TreeLink;
    expect(() => assertRemakeable({ ...link, createType: 'seSparse' })).toThrow(
      /found seSparse, expected a type that can be written\n {2}With --keep-disks/,
    );
    const extents = [{ line: { fileName: 'sub/x-flat.vmdk' } as ExtentLine, path: '/ds/sub/x-flat.vmdk' }];
    const nested = { ...link, createType: 'monolithicFlat', extents };
    expect(() => assertRemakeable(nested)).toThrow(/found the extent \/ds\/sub\/x-flat\.vmdk/);
  });
});

/** A descriptor of a delta whose extent is somebody else's file. */
async function textNaming(name: string): Promise<Buffer> {
  const chain = await openChain(model.diskAt(1, 'sata0:1'), 'read', { fs: store });
  await chain.close();
  const cid = chain.leaf.descriptor.cid!.toString(16).padStart(8, '0');
  return Buffer.from(
    `# Disk DescriptorFile\nversion=1\nCID=${cid}\nparentCID=${cid}\ncreateType="monolithicFlat"\nparentFileNameHint="golden_1.vmdk"\n\nRW 1024 FLAT "${name}" 0\n`,
  );
}

describe('a frozen disk', () => {
  it('that clones stand on stays with all below it, and the reason is told', async () => {
    const single = await buildMachine(store, '/ds/one', {
      name: 'one',
      nodes: ['sata0:1'],
      snapshots: false,
    });
    await createSnapshot(single.vmxPath, { name: 's' }, { fs: store });
    await clonedMachines(
      { machine: single.vmxPath, into: '/ds', count: 1, template: 'c', freeze: true },
      { fs: store },
    );
    const clone = disksAt(await machineNow('/ds/c/c.vmx'))[0]!.path;
    const contents = await readDisk(store, clone);
    const before = await hashesIn(store, '/ds/one');
    const deleted = await deleteSnapshot(single.vmxPath, 's', { fs: store });
    const reason = `others stand on /ds/one/one-000001.vmdk, which would go: ${clone}`;
    expect(deleted).toMatchObject({ merged: [], removed: [], kept: [{ path: '/ds/one/one.vmdk', reason }] });
    const { merged, kept } = await consolidateSnapshots(single.vmxPath, { fs: store });
    expect([merged, kept.map(({ path }) => posix.basename(path))]).toEqual([
      [],
      ['one-000001.vmdk', 'one.vmdk'],
    ]);
    const after = await hashesIn(store, '/ds/one');
    expect([...before].filter(([name, hash]) => after.get(name) !== hash).map(([name]) => name)).toEqual([
      'one.vmsd',
    ]);
    expect((await readDisk(store, clone)).equals(contents)).toBe(true);
  });

  it('is no reason to ask VMware to consolidate, which would break the clones; when they are gone, it is merged', async () => {
    const path = '/ds/one/one.vmx';
    const [vmx, fs] = [path, store];
    await buildMachine(store, '/ds/one', { name: 'one', nodes: ['sata0:1'], snapshots: false });
    const marked = async () => (await machineNow(vmx)).snapshots.needConsolidate;
    const mark = async () => {
      const { vmsd, vmsdPath } = await machineNow(vmx);
      const text = editDictionary(vmsd!, { 'snapshot.needConsolidate': 'TRUE' });
      await store.replace(vmsdPath, printDictionary(text));
    };
    await createSnapshot(vmx, { name: 's' }, { fs });
    await clonedMachines({ machine: vmx, into: '/ds', count: 1, template: 'c', freeze: true }, { fs });
    const clone = disksAt(await machineNow('/ds/c/c.vmx'))[0]!.path;
    const contents = await readDisk(store, clone);
    await createSnapshot(vmx, { name: 't' }, { fs });

    const deleted = await deleteSnapshot(vmx, 's', { fs, keepDisks: true });
    expect(deleted.notes).toEqual([
      `all disks stay as they are; VMware is not asked to consolidate the machine (snapshot.needConsolidate), since that would break what stands on them: ${clone}`,
    ]);
    expect(await marked()).toBe(false);

    // As VMware would leave it: what can be merged is, the rest is needed, and the mark goes.
    await deleteSnapshot(vmx, 't', { fs, keepDisks: true });
    await mark();
    const dry = await consolidateSnapshots(vmx, { fs, dryRun: true });
    const done = await consolidateSnapshots(vmx, { fs });
    for (const { merged, kept, notes } of [dry, done]) {
      expect(merged.map(({ from }) => from)).toEqual([['/ds/one/one-000002.vmdk']]);
      expect(kept.map(({ path, reason }) => [posix.basename(path), reason.split(':')[0]])).toEqual([
        ['one-000001.vmdk', 'others stand on it'],
        ['one.vmdk', 'others stand on /ds/one/one-000001.vmdk, which would go'],
      ]);
      expect(notes).toEqual([
        expect.stringMatching(/^what is left over stays for those who stand on it, .* again$/),
      ]);
    }
    expect(await marked()).toBe(false);
    expect((await readDisk(store, clone)).equals(contents)).toBe(true);
    expect(await consolidateSnapshots(vmx, { fs })).toMatchObject({ merged: [], changed: [], notes: [] });

    for (const name of await store.list('/ds/c')) await store.remove(`/ds/c/${name}`);
    const last = await consolidateSnapshots(vmx, { fs });
    expect([last.kept, last.notes]).toEqual([[], []]);
    expect((await machineNow(vmx)).disks[0]!.links).toHaveLength(1);
    expect((await readDisk(store, disksAt(await machineNow(vmx))[0]!.path)).equals(contents)).toBe(true);
  });
});

describe('every change refuses', () => {
  it('snapshots that cannot be told from each other', async () => {
    const { vmsd, vmsdPath } = await machineNow();
    await store.replace(vmsdPath, printDictionary(editDictionary(vmsd!, { 'snapshot2.uid': '2' })));
    before = await hashesIn(store, '/ds/golden');
    await expect(createSnapshot(VMX, { name: 'x' }, { fs: store })).rejects.toMatchObject({
      kind: 'corrupt',
      code: 'duplicate-uid',
    });
    const frozen = model.diskAt(2, 'scsi0:0');
    await expect(renameDisk(frozen, '/ds/golden/other.vmdk', { fs: store })).rejects.toMatchObject({
      code: 'duplicate-uid',
    });
    await expectUnchanged();
    // Each has its own disks in the list, and not the other's.
    const { snapshots } = await listSnapshots(VMX, { fs: store });
    expect(snapshots.map(({ name, disks }) => [name, disks.map(({ filename }) => filename)])).toEqual([
      ['installed', ['golden.vmdk', 'golden_1.vmdk']],
      ['patched', ['golden-000001.vmdk', 'golden_1-000001.vmdk']],
      ['experiment', ['golden-000002.vmdk', 'golden_1-000002.vmdk']],
    ]);
    expect(snapshots[1]!.disks[0]).toMatchObject({
      problem: expect.stringContaining('two snapshots cannot be told from each other'),
    });
    expect(snapshots[1]!.disks[0]).not.toHaveProperty('path');
    expect(diskPointsOf(await machineNow()).map(({ name, path }) => `${name} ${path}`)).toContain(
      'patched/scsi0:0 golden-000001.vmdk',
    );
  });

  it('a machine that is suspended', async () => {
    await edit({ 'checkpoint.vmState': 'golden.vmss' });
    await expect(createSnapshot(VMX, { name: 'x' }, { fs: store })).rejects.toMatchObject({
      code: 'machine-suspended',
    });
    await expect(revertSnapshot(VMX, '1', { fs: store, force: true })).rejects.toMatchObject({
      code: 'machine-suspended',
    });
    await expect(remove('patched')).rejects.toMatchObject({ code: 'machine-suspended' });
    await expectUnchanged();
  });

  it('more links than VMware supports', async () => {
    const single = await buildMachine(store, '/ds/deep', {
      name: 'deep',
      nodes: ['sata0:1'],
      snapshots: false,
      sectors: 512,
    });
    const take = () => createSnapshot(single.vmxPath, { name: 'again' }, { fs: store, durable: false });
    for (let links = 1; links < 32; links++) await take();
    await expect(take()).rejects.toMatchObject({ kind: 'refused', code: 'chain-too-deep' });
    expect((await machineNow(single.vmxPath)).disks[0]!.links).toHaveLength(32);
  });
});

describe('a disk', () => {
  it('that is independent is in no snapshot', async () => {
    await edit({ 'sata0:1.mode': 'independent-persistent' });
    const { disks, notes } = await createSnapshot(VMX, { name: 'x' }, { fs: store });
    expect(disks.map(({ node }) => node)).toEqual(['scsi0:0']);
    expect(notes).toEqual(['sata0:1 is independent: no snapshot includes it']);
    const machine = await machineNow();
    expect(machine.snapshotDisks.get(4)!.map(({ node }) => node)).toEqual(['scsi0:0']);
  });

  it('that was taken off since comes back when reverting, if it still has a place', async () => {
    await edit({ 'sata0:1.present': 'FALSE', 'sata0:1.fileName': null });
    await revertSnapshot(VMX, 'patched', { fs: store, force: true });
    const machine = await machineNow();
    for (const { node, path } of disksAt(machine)) {
      expect((await readDisk(store, path)).equals(model.contentsAt(2, node as 'sata0:1'))).toBe(true);
    }
    expect(machine.disks).toHaveLength(2);
    // What it ran on is nobody's now, yet no one said that it may go.
    expect(await store.exists(model.diskAt('running', 'sata0:1'))).toBe(true);
  });

  it('without its controller is refused', async () => {
    await edit({ 'sata0.present': 'FALSE' });
    await expect(revertSnapshot(VMX, 'patched', { fs: store, force: true })).rejects.toThrow(
      /has no place in the machine \(sata0:1\): found no controller sata0, .*\n {2}Add the controller/,
    );
    await expectUnchanged();
  });
});

describe('a linked clone', () => {
  it('keeps its first disk under its name, and never touches the base', async () => {
    await clonedMachines(
      { machine: VMX, into: '/ds', count: 1, template: 'lab', snapshot: 'patched' },
      { fs: store },
    );
    before = await hashesIn(store, '/ds/golden');
    const vmx = '/ds/lab/lab.vmx';
    const first = disksAt(await machineNow(vmx)).map(({ path }) => path);
    await write(first[0]!, 5, 71);
    await createSnapshot(vmx, { name: 'one' }, { fs: store });
    await write(disksAt(await machineNow(vmx))[0]!.path, 20, 72);
    await createSnapshot(vmx, { name: 'two' }, { fs: store });
    await write(disksAt(await machineNow(vmx))[0]!.path, 30, 73);
    const two = findSnapshot(await machineNow(vmx), 'two');
    const contents = {
      two: await readDisk(store, disksAt(await machineNow(vmx), two)[0]!.path),
      running: await readDisk(store, disksAt(await machineNow(vmx))[0]!.path),
    };
    const { merged } = await deleteSnapshot(vmx, 'one', { fs: store });
    expect(merged.map(({ into }) => into)).toEqual(first);
    const machine = await machineNow(vmx);
    expect(machine.findings).toEqual([]);
    expect(
      (await readDisk(store, disksAt(machine, findSnapshot(machine, 'two'))[0]!.path)).equals(contents.two),
    ).toBe(true);
    expect((await readDisk(store, disksAt(machine)[0]!.path)).equals(contents.running)).toBe(true);
    await deleteSnapshot(vmx, 'two', { fs: store });
    const end = await machineNow(vmx);
    expect(disksAt(end).map(({ path }) => path)).toEqual(first);
    expect(end.isLinkedClone).toBe(true);
    expect((await readDisk(store, first[0]!)).equals(contents.running)).toBe(true);
    expect((await store.list('/ds/lab')).filter((name) => /-\d{6}/.test(name))).toEqual([]);
    await expectUnchanged();
    expect(posix.dirname(end.disks[0]!.links[1]!.path)).toBe('/ds/golden');
  });
});
