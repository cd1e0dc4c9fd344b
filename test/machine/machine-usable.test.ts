// When a machine may be used: each refusal names its reason and the way out; what is wrong with the whole is found.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { VmdkError } from '../../src/core/errors.ts';
import { parseDictionary, printDictionary } from '../../src/format/dictionary.ts';
import { editDictionary } from '../../src/format/edit-dictionary.ts';
import { setCurrent } from '../../src/format/edit-vmsd.ts';
import { chainLimit, limitsOf } from '../../src/machine/limits.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import {
  assertMachineUsable,
  disksAt,
  type Machine,
  type MachinePurpose,
} from '../../src/machine/machine.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { buildMachine, type MachineModel, type MachineModelOptions } from '../support/machine-model.ts';

const RDM = `# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="vmfsPassthroughRawDeviceMap"
RW 2048 VMFSRDM "raw-rdmp.vmdk"
`;

interface Built {
  readonly store: FileStore;
  readonly model: MachineModel;
  readonly machine: () => Promise<Machine>;
}

async function built(options: MachineModelOptions = {}): Promise<Built> {
  const store = createMemoryFileStore();
  await store.makeFolder('/ds');
  const model = await buildMachine(store, '/ds/golden', { nodes: ['scsi0:0'], ...options });
  return { store, model, machine: () => openMachine(model.vmxPath, { fs: store }) };
}

async function refusalOf(machine: Machine, purpose: MachinePurpose = { verb: 'clone' }): Promise<VmdkError> {
  try {
    assertMachineUsable(machine, purpose);
  } catch (error) {
    return error as VmdkError;
  }
  return expect.fail('nothing was refused');
}

describe('a machine is refused', () => {
  it.each<[string, Record<string, string>, string, RegExp]>([
    ['encrypted', { 'encryption.keySafe': 'vmware:key/x' }, 'machine-encrypted', /Decrypt it/],
    ['with a TPM', { 'vtpm.present': 'TRUE' }, 'machine-has-tpm', /Remove the TPM/],
    ['suspended', { 'checkpoint.vmState': 'golden.vmss' }, 'machine-suspended', /Resume it and shut it down/],
    ['not shut down', { cleanShutdown: 'FALSE' }, 'machine-unclean', /pass --force/],
    ['with a redo log', { 'scsi0:0.redo': './golden.vmdk.REDO_a1b2c3' }, 'machine-unclean', /shut it down/],
    ['with multi-writer disks', { 'scsi0:0.sharing': 'multi-writer' }, 'shared-disk', /Detach scsi0:0/],
    ['on a shared bus', { 'scsi0.sharedBus': 'physical' }, 'shared-disk', /belongs to all machines/],
  ])('%s, with the way out', async (_, vmx, code, hint) => {
    const { machine } = await built({ vmx, snapshots: false });
    const error = await refusalOf(await machine());
    expect(error).toMatchObject({
      code,
      context: { path: '/ds/golden/golden.vmx', hint: expect.stringMatching(hint) },
    });
    expect(error.message).toContain('cannot clone');
    expect(error.context.found).toBeDefined();
  });

  it('while a lock is on its .vmx or its leaf', async () => {
    for (const locked of ['golden.vmx', 'golden-000003.vmdk']) {
      const { store, model, machine } = await built();
      await store.replace(posix.join(model.folder, `${locked}.lck`), Buffer.from('x'));
      const looked = await machine();
      expect(looked.power.state).toBe('running');
      expect(looked.locks).toMatchObject([{ kind: 'old-style-lck' }]);
      expect(await refusalOf(looked)).toMatchObject({ code: 'machine-running', kind: 'refused' });
    }
  });

  it('not for a lock on a base, which others may read', async () => {
    const { store, model, machine } = await built();
    await store.replace(posix.join(model.folder, 'golden.vmdk.lck'), Buffer.from('x'));
    const looked = await machine();
    expect(looked).toMatchObject({ power: { state: 'off' }, locks: [{ kind: 'old-style-lck' }] });
    assertMachineUsable(looked, { verb: 'clone' });
  });

  it('not when somebody began to lock it long ago, and died', async () => {
    const { store, model } = await built();
    for (const folder of ['golden.vmx.lck', 'golden.vmx.lck/D00001.lck'])
      await store.makeFolder(posix.join(model.folder, folder));
    const seen = async (now: number): Promise<string> =>
      (await openMachine(model.vmxPath, { fs: store, locks: { now } })).power.state;
    expect(await seen(Date.now())).toBe('running');
    expect(await seen(Date.now() + 9_000)).toBe('off');
  });

  it('with swap of its own, not with a neighbour’s', async () => {
    for (const [name, state] of [
      ['golden-1a2b3c4d.vswp', 'unclean'],
      ['vmx-golden-1a2b3c4d.vswp', 'unclean'],
      ['other-1a2b3c4d.vswp', 'off'],
    ] as const) {
      const { store, model, machine } = await built();
      await store.replace(posix.join(model.folder, name), Buffer.alloc(1));
      expect((await machine()).power.state, name).toBe(state);
    }
  });

  it('with a raw disk', async () => {
    const { store, model, machine } = await built({
      vmx: { 'scsi0:1.present': 'TRUE', 'scsi0:1.fileName': 'raw.vmdk' },
    });
    await store.replace(posix.join(model.folder, 'raw.vmdk'), Buffer.from(RDM));
    const error = await refusalOf(await machine());
    expect(error).toMatchObject({ code: 'raw-disk', context: { field: 'scsi0:1' } });
    expect(error.message).toContain('vmfsPassthroughRawDeviceMap in /ds/golden/raw.vmdk');
  });

  it('with a disk that is missing, by the error of the disk', async () => {
    const { store, model, machine } = await built();
    await store.remove(model.diskAt(1, 'scsi0:0'));
    const looked = await machine();
    expect(looked.disks[0]).toMatchObject({ problem: { code: 'parent-missing' } });
    expect(looked.disks[0]!.links).toHaveLength(2);
    expect(await refusalOf(looked)).toMatchObject({ code: 'parent-missing' });
    expect(looked.findings.map(({ code }) => code)).toEqual([
      'MACHINE-DISK',
      'MACHINE-SNAPSHOT-DISK',
      'MACHINE-SNAPSHOT-DISK',
      'MACHINE-SNAPSHOT-DISK',
    ]);
  });

  it('no longer when the user takes it on, or when a snapshot is meant that nobody writes to', async () => {
    const { machine } = await built({ vmx: { cleanShutdown: 'FALSE' } });
    const unclean = await machine();
    assertMachineUsable(unclean, { verb: 'clone', accept: ['unclean'] });
    const snapshot = findSnapshot(unclean, 'patched');
    assertMachineUsable(unclean, { verb: 'clone', snapshot });
    expect(await refusalOf(unclean, { verb: 'revert', snapshot, changes: true })).toMatchObject({
      code: 'machine-unclean',
    });
    const suspended = await (await built({ vmx: { 'checkpoint.vmState': 'x.vmss' } })).machine();
    assertMachineUsable(suspended, { verb: 'clone', accept: ['suspended'] });
  });
});

describe('a snapshot is found', () => {
  it('by its name or its uid, and told apart from others', async () => {
    const { store, model, machine } = await built();
    const first = await machine();
    expect(findSnapshot(first, 'experiment').uid).toBe(3);
    expect(findSnapshot(first, '2').displayName).toBe('patched');
    expect(findSnapshot(first, 'uid:2').displayName).toBe('patched');
    const missing = { code: 'snapshot-missing', kind: 'missing' };
    expect(() => findSnapshot(first, 'Patched')).toThrow(expect.objectContaining(missing));
    expect(() => findSnapshot(first, 'x')).toThrow(/uid:1 "installed", uid:2 "patched", uid:3 "experiment"/);
    const renamed = editDictionary(first.vmsd!, {
      'snapshot0.displayName': 'patched',
      'snapshot2.displayName': '2',
    });
    await store.replace(model.vmsdPath, printDictionary(renamed));
    const second = await machine();
    expect(() => findSnapshot(second, 'patched')).toThrow(/uid:1 "patched", uid:2 "patched"/);
    // One is called 2, another has the uid 2.
    expect(() => findSnapshot(second, '2')).toThrow(
      expect.objectContaining({ code: 'snapshot-ambiguous', kind: 'usage' }),
    );
    expect(findSnapshot(second, 'uid:2').uid).toBe(2);
  });
});

describe('the whole is judged', () => {
  it('when the running disks do not stand on the current snapshot', async () => {
    const { store, model, machine } = await built();
    const { vmsd } = await machine();
    await store.replace(model.vmsdPath, printDictionary(setCurrent(vmsd!, 2)));
    const { findings } = await machine();
    expect(findings).toMatchObject([{ code: 'MACHINE-CURRENT', severity: 'error', path: model.vmsdPath }]);
    expect(findings[0]!.message).toContain('golden-000003.vmdk, which does not stand on golden-000001.vmdk');
  });

  it('when the machine would write into what a snapshot has frozen', async () => {
    const { store, model, machine } = await built();
    const { vmx } = await machine();
    await store.replace(
      model.vmxPath,
      printDictionary(editDictionary(vmx, { 'scsi0:0.fileName': 'golden.vmdk' })),
    );
    const { findings } = await machine();
    expect(findings.map(({ code }) => code)).toEqual(['MACHINE-CURRENT', 'MACHINE-FROZEN']);
    expect(findings[1]!.message).toContain('destroys the snapshot');
  });

  it('when two places have the same disk', async () => {
    const twice = { 'sata0:1.present': 'TRUE', 'sata0:1.fileName': './golden.vmdk' };
    const { machine } = await built({ snapshots: false, vmx: twice });
    const { findings } = await machine();
    expect(findings).toMatchObject([{ code: 'MACHINE-DISK-TWICE', severity: 'error' }]);
    expect(findings[0]!.message).toContain('sata0:1 and scsi0:0');
  });

  it('when VMware has noted leftovers, and when the texts are odd', async () => {
    const { store, model, machine } = await built({ vmx: { 'snapshot.x': 'y' } });
    const { vmsd } = await machine();
    await store.replace(
      model.vmsdPath,
      printDictionary(editDictionary(vmsd!, { 'snapshot.needConsolidate': 'TRUE' })),
    );
    const text = Buffer.concat([printDictionary((await machine()).vmx), Buffer.from('memsize = "1"\n')]);
    await store.replace(model.vmxPath, text);
    expect((await machine()).findings.map(({ code }) => code)).toEqual([
      'DICT-DUPLICATE',
      'MACHINE-CONSOLIDATE',
    ]);
  });

  it('and a snapshot disk that does not say its place gets that of the disk above it', async () => {
    const { store, model, machine } = await built({ nodes: ['scsi0:0', 'sata0:1'] });
    const text = printDictionary((await machine()).vmsd!)
      .toString()
      .replaceAll(/^.*\.node = .*\n/gm, '');
    await store.replace(model.vmsdPath, Buffer.from(text));
    const looked = await machine();
    // On the second stands nothing that runs, but its base tells.
    for (const uid of ['1', '2', '3']) {
      const nodes = disksAt(looked, findSnapshot(looked, uid)).map(({ node }) => node);
      expect(nodes).toEqual(['scsi0:0', 'sata0:1']);
    }
    expect(parseDictionary(Buffer.from(text), 'x').problems).toEqual([]);
  });
});

describe('the limits', () => {
  it.each([
    [1, 'fits'],
    [29, 'fits'],
    [30, 'near'],
    [32, 'near'],
    [33, 'exceeded'],
    [255, 'exceeded'],
  ])('of a chain of %d links: %s', (links, state) => {
    expect(chainLimit(links)).toMatchObject({ found: links, most: 32, state });
  });

  it.each([
    [{ shared: false }, ['fits', 'fits', 'fits']],
    [{ shared: true, clones: 3, elsewhere: undefined }, ['depends', 'fits', 'depends']],
    [{ shared: true, clones: 3 }, ['depends', 'fits', 'fits']],
    [{ shared: true, clones: 9 }, ['depends', 'depends', 'fits']],
    [{ shared: true, clones: 9, hardwareVersion: 7 }, ['depends', 'depends', 'fits']],
    [{ shared: true, clones: 9, hardwareVersion: 8 }, ['depends', 'fits', 'fits']],
    [{ shared: true, clones: 9, hosted: true }, ['fits', 'fits', 'fits']],
    [{ shared: true, elsewhere: true, hardwareVersion: 19 }, ['depends', 'fits', 'depends']],
  ])('of sharing a base: %o', (facts, states) => {
    expect(
      limitsOf({ links: 2, elsewhere: false, ...facts })
        .slice(1)
        .map(({ state }) => state),
    ).toEqual(states);
  });

  it('of hosts are 8 for machines that old releases run, else 32', () => {
    const most = (hardwareVersion?: number): number | undefined =>
      limitsOf({ links: 2, shared: true, hardwareVersion })[1]!.most;
    expect([most(undefined), most(8), most(9), most(21)]).toEqual([8, 8, 32, 32]);
  });
});
