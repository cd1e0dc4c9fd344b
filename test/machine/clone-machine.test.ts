// Clones of a whole machine: content equal to the source at its point, the source untouched, identities of their own.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDictionary } from '../../src/format/dictionary.ts';
import { readSnapshotDatabase } from '../../src/format/vmsd.ts';
import { findSnapshot } from '../../src/machine/find-snapshot.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { planMachineClones } from '../../src/machine/plan-machine-clones.ts';
import { filesBelow } from '../support/clone-bench.ts';
import {
  bytesOf,
  clonedMachines,
  contentsOf,
  machineBench,
  textOf,
  vmxOf,
} from '../support/machine-clones.ts';
import { readDisk, type MachineModel, type ModelPoint } from '../support/machine-model.ts';
import type { FileStore } from '../../src/storage/file-store.ts';

const GOLDEN = '/ds/golden/golden.vmx';

async function expectContents(
  fs: FileStore,
  model: MachineModel,
  vmx: string,
  point: ModelPoint,
): Promise<void> {
  const contents = await contentsOf(fs, vmx);
  expect([...contents.keys()].toSorted(), vmx).toEqual([...model.nodes].toSorted());
  for (const node of model.nodes) {
    expect(contents.get(node)!.equals(model.contentsAt(point, node)), `${vmx} ${node}`).toBe(true);
  }
}

describe('linked clones of a machine', () => {
  it.each([
    ['installed', 1],
    ['uid:2', 2],
    ['experiment', 3],
  ] as const)(
    'from the snapshot %s read as it does, and leave the source as it was',
    async (snapshot, point) => {
      const { fs, model } = await machineBench();
      const before = await model.hashes();
      const made = await clonedMachines({ machine: GOLDEN, into: '/ds', snapshot, count: 2 }, { fs });
      expect(made).toHaveLength(2);
      for (const { vmx } of made) await expectContents(fs, model, vmx!, point);
      const after = await model.hashes();
      before.delete('golden.vmsd');
      expect(after.delete('golden.vmsd')).toBe(true);
      expect(after).toEqual(before);
    },
  );

  it('from the running point read as it does, and change no byte of the source', async () => {
    const { fs, model } = await machineBench();
    const before = await model.hashes();
    const plans: unknown[] = [];
    const [clone] = await clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['web'] },
      { fs, onPlan: (plan) => plans.push(plan.warnings.map(({ code }) => code)) },
    );
    await expectContents(fs, model, clone!.vmx!, 'running');
    expect(await model.hashes()).toEqual(before);
    expect(plans).toEqual([['source-not-frozen', 'static-address']]);
    expect((await filesBelow(fs, '/ds/web')).map((path) => posix.basename(path))).toEqual([
      'web-s001.vmdk',
      'web.nvram',
      'web.vmdk',
      'web.vmsd',
      'web.vmx',
      'web.vmxf',
      'web_1.vmdk',
      'web_2-delta.vmdk',
      'web_2.vmdk',
    ]);
    expect([...clone!.files!].toSorted()).toEqual(await filesBelow(fs, '/ds/web'));
  });

  it('are told apart from their source, and name nothing of it', async () => {
    const { fs } = await machineBench({
      vmx: {
        'scsi0:0.ctkEnabled': 'TRUE',
        ctkEnabled: 'TRUE',
        'scsi0:0.redo': '',
        'vm.genid': '123',
        'vmci0.id': '-5',
        workingDir: '.',
        'serial0.present': 'TRUE',
        'serial0.fileType': 'file',
        'serial0.fileName': '/ds/golden/console.log',
        'hostCPUID.0': 'aa',
        'RemoteDisplay.vnc.enabled': 'TRUE',
      },
    });
    const [clone] = await clonedMachines({ machine: GOLDEN, into: '/ds', names: ['web'] }, { fs });
    const text = await textOf(fs, clone!.vmx!);
    expect(text).not.toMatch(
      /golden|vc\.uuid|genid|vmci0|swap|hostlog|ctkEnabled|CPUID|workingDir|redo|27 c4 8b/i,
    );
    expect(text).toMatch(/^memsize = "1024"$/m);
    expect(text).toMatch(/^RemoteDisplay\.vnc\.enabled = "TRUE"$/m);
    const { config, dictionary } = await vmxOf(fs, clone!.vmx!);
    expect(config).toMatchObject({
      displayName: 'web',
      nvram: 'web.nvram',
      extendedConfigFile: 'web.vmxf',
      uuidBios: clone!.uuid,
      uuidLocation: clone!.uuid,
    });
    expect(dictionary.get('uuid.action')).toBe('keep');
    expect(dictionary.get('checkpoint.vmState')).toBe('');
    expect(dictionary.get('serial0.fileName')).toBe('console.log');
    const mac = `00:0c:29:${clone!.uuid!.slice(-8).replaceAll(' ', ':')}`;
    expect(config.ethernets).toMatchObject([
      { index: 0, addressType: 'generated', generatedAddress: mac },
      { index: 1, addressType: 'generated', generatedAddress: clone!.macs![1]!.address },
    ]);
    expect(await bytesOf(fs, '/ds/web/web.nvram')).toEqual(await bytesOf(fs, '/ds/golden/golden.nvram'));
    expect(await textOf(fs, '/ds/web/web.vmxf')).toContain('>web.vmx<');
  });

  it('say in their own database whom they come from, and which disks end there', async () => {
    const { fs } = await machineBench();
    await clonedMachines({ machine: GOLDEN, into: '/ds', names: ['web'] }, { fs });
    expect(await textOf(fs, '/ds/web/web.vmsd')).toBe(
      [
        '.encoding = "UTF-8"',
        'cloneOf0 = "../golden/golden.vmx"',
        'numCloneOf = "1"',
        'sentinel0 = "web.vmdk"',
        'sentinel1 = "web_1.vmdk"',
        'sentinel2 = "web_2.vmdk"',
        'numSentinels = "3"',
        '',
      ].join('\n'),
    );
    expect((await openMachine('/ds/web/web.vmx', { fs })).isLinkedClone).toBe(true);
  });

  it('are noted at the snapshot that they hang on, after those before', async () => {
    const { fs } = await machineBench();
    const request = { machine: GOLDEN, into: '/ds', snapshot: 'patched' };
    await clonedMachines({ ...request, names: ['a', 'b'] }, { fs });
    await clonedMachines({ ...request, names: ['c'], hint: 'absolute' }, { fs });
    const database = readSnapshotDatabase(parseDictionary(await bytesOf(fs, '/ds/golden/golden.vmsd'), 'x'));
    expect(database.snapshots.map(({ clones }) => clones)).toEqual([
      [],
      ['../a/a.vmx', '../b/b.vmx', '/ds/c/c.vmx'],
      [],
    ]);
    expect(database.problems).toEqual([]);
    expect(await textOf(fs, '/ds/c/c.vmsd')).toContain('cloneOf0 = "/ds/golden/golden.vmx"');
  });

  it('name their source as the host does, when told where it has the datastore', async () => {
    const { fs, model } = await machineBench({ nodes: ['sata0:1'], vmx: { 'ide1:0.fileName': 'tools.iso' } });
    const pathMap = [{ from: '/vmfs/volumes/ds1', to: '/ds' }];
    const request = {
      machine: GOLDEN,
      into: '/ds',
      names: ['web'],
      snapshot: 'patched',
      hint: 'absolute',
    } as const;
    const [clone] = await clonedMachines(request, { fs, pathMap });
    expect(clone!.disks![0]!.hint).toBe('/vmfs/volumes/ds1/golden/golden-000001.vmdk');
    expect(await textOf(fs, '/ds/web/web.vmsd')).toContain('"/vmfs/volumes/ds1/golden/golden.vmx"');
    expect(await textOf(fs, clone!.vmx!)).toContain('"/vmfs/volumes/ds1/golden/tools.iso"');
    expect(await textOf(fs, '/ds/golden/golden.vmsd')).toContain('clone0 = "/vmfs/volumes/ds1/web/web.vmx"');
    const machine = await openMachine(clone!.vmx!, { fs, pathMap, allow: ['/ds'] });
    expect(machine.disks[0]!.links.map(({ path }) => path)).toEqual([
      '/ds/web/web.vmdk',
      model.diskAt(2, 'sata0:1'),
      model.diskAt(1, 'sata0:1'),
    ]);
  });

  it('of clones are made like others', async () => {
    const { fs, model } = await machineBench();
    await clonedMachines({ machine: GOLDEN, into: '/ds', names: ['one'], freeze: true }, { fs });
    const [two] = await clonedMachines({ machine: '/ds/one/one.vmx', into: '/ds', names: ['two'] }, { fs });
    await expectContents(fs, model, two!.vmx!, 'running');
  });

  it('may be a thousand in one run, all unlike', async () => {
    const { fs, model } = await machineBench();
    const before = await model.hashes();
    const request = { machine: GOLDEN, into: '/ds', snapshot: 'patched', template: 'lab-{0001..1000}' };
    const made = await clonedMachines(request, { fs, durable: false });
    expect(made.filter(({ status }) => status === 'created')).toHaveLength(1000);
    expect(new Set(made.map(({ uuid }) => uuid)).size).toBe(1000);
    expect(new Set(made.flatMap(({ macs }) => macs!.map(({ address }) => address))).size).toBe(2000);
    for (const index of [0, 499, 999]) await expectContents(fs, model, made[index]!.vmx!, 2);
    const after = await model.hashes();
    for (const [name, hash] of before) if (name !== 'golden.vmsd') expect(after.get(name), name).toBe(hash);
    expect((await fs.list('/ds')).filter((name) => name.startsWith('.'))).toEqual([]);
    const machine = await openMachine(GOLDEN, { fs });
    expect(findSnapshot(machine, 'patched').clones).toHaveLength(1000);
  });

  it('take what a list of names gives them', async () => {
    const { fs } = await machineBench();
    const names = [
      {
        name: 'db',
        uuid: '564d0000-0000-0000-0000-00000000cafe',
        'display-name': 'Datenbank "1"',
        ip: '10.0.0.1',
      },
      { name: 'web', mac1: '00:50:56:3f:00:01', annotation: 'two\nlines', mac0: '02:00:00:00:00:01' },
    ];
    const made = await clonedMachines({ machine: GOLDEN, into: '/ds', names }, { fs });
    expect(made.map(({ input }) => input)).toEqual(names);
    const db = await vmxOf(fs, '/ds/db/db.vmx');
    expect(db.config).toMatchObject({
      displayName: 'Datenbank "1"',
      ethernets: [{ generatedAddress: '00:0c:29:00:ca:fe' }, {}],
    });
    const web = await vmxOf(fs, '/ds/web/web.vmx');
    expect(web.config.annotation).toBe('two\nlines');
    expect(web.config.ethernets).toMatchObject([
      { addressType: 'static', address: '02:00:00:00:00:01' },
      { addressType: 'static', address: '00:50:56:3f:00:01' },
    ]);
    expect(web.dictionary.get('ethernet0.checkMACAddress')).toBe('FALSE');
    expect(web.dictionary.get('ethernet1.checkMACAddress')).toBeUndefined();
    const twice = { name: 'x', mac: '00:50:56:11:22:33' };
    await expect(clonedMachines({ machine: GOLDEN, into: '/ds', names: [twice] }, { fs })).rejects.toThrow(
      /00:50:56:11:22:33 is given twice/,
    );
  });
});

describe('a frozen source', () => {
  it('goes on in deltas of its own, and only its .vmx changes', async () => {
    const { fs, model } = await machineBench();
    const before = await model.hashes();
    const [clone] = await clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['web'], freeze: true },
      { fs },
    );
    const after = await model.hashes();
    for (const [name, hash] of before) {
      if (name !== 'golden.vmx') expect(after.get(name), name).toBe(hash);
    }
    const added = [...after.keys()].filter((name) => !before.has(name));
    expect(added).toEqual([
      'golden-000004-s001.vmdk',
      'golden-000004.vmdk',
      'golden_1-000004.vmdk',
      'golden_2-000004-delta.vmdk',
      'golden_2-000004.vmdk',
    ]);
    await expectContents(fs, model, GOLDEN, 'running');
    await expectContents(fs, model, clone!.vmx!, 'running');
    const { config } = await vmxOf(fs, GOLDEN);
    expect(config.devices.filter(({ kind }) => kind === 'disk').map(({ fileName }) => fileName)).toEqual([
      'golden-000004.vmdk',
      'golden_1-000004.vmdk',
      'golden_2-000004.vmdk',
    ]);
    const disk = await readDisk(fs, '/ds/web/web.vmdk');
    expect(disk.equals(model.contentsAt('running', 'scsi0:0'))).toBe(true);
  });

  it('can be frozen again for the next clones', async () => {
    const { fs, model } = await machineBench({ snapshots: false });
    const plans: (readonly string[])[] = [];
    for (const name of ['a', 'b']) {
      const request = { machine: GOLDEN, into: '/ds', names: [name], freeze: true };
      await clonedMachines(request, {
        fs,
        onPlan: ({ freeze }) => plans.push(freeze!.map(({ path }) => path)),
      });
    }
    expect(plans).toEqual([
      ['/ds/golden/golden-000001.vmdk', '/ds/golden/golden_1-000001.vmdk', '/ds/golden/golden_2-000001.vmdk'],
      ['/ds/golden/golden-000002.vmdk', '/ds/golden/golden_1-000002.vmdk', '/ds/golden/golden_2-000002.vmdk'],
    ]);
    for (const vmx of [GOLDEN, '/ds/a/a.vmx', '/ds/b/b.vmx']) await expectContents(fs, model, vmx, 'running');
  });
});

describe('a plan', () => {
  it('tells files, identities, bytes and limits, and makes nothing', async () => {
    const { fs } = await machineBench();
    const before = await filesBelow(fs, '/ds');
    const request = { machine: GOLDEN, into: '/ds/lab', count: 20, freeze: true };
    const plan = await planMachineClones(request, { fs });
    expect(await filesBelow(fs, '/ds')).toEqual(before);
    expect(plan).toMatchObject({
      source: GOLDEN,
      point: { kind: 'running-point' },
      kind: 'linked',
      totals: { clones: 20, files: 20 * 9 + 5, 'thick-copies': 20 * 3 * 512 * 1024 },
      limits: [
        { code: 'chain-links', found: 4, state: 'fits' },
        { code: 'hosts-per-base', most: 32, state: 'depends' },
        // Its hardware is too new for vSphere 4.
        { code: 'linked-group', found: 20, state: 'fits' },
        { code: 'base-elsewhere' },
      ],
    });
    expect(plan.clones[19]).toMatchObject({
      name: 'golden-clone-20',
      vmx: '/ds/lab/golden-clone-20/golden-clone-20.vmx',
    });
    const { totals } = plan;
    expect(totals['saved-against-thick']).toBe(totals['thick-copies'] - totals['bytes-needed']);
  });

  it('can be carried out as it is, once', async () => {
    const { fs, model } = await machineBench();
    const request = {
      machine: GOLDEN,
      into: '/ds',
      names: ['a', { name: 'b', mac1: '00:50:56:00:00:07' }],
      freeze: true,
    };
    const plan = await planMachineClones(request, { fs });
    const made = await clonedMachines(plan, { fs });
    expect(made.map(({ uuid, macs }) => [uuid, macs])).toEqual(
      plan.clones.map(({ uuid, macs }) => [uuid, macs]),
    );
    await expectContents(fs, model, '/ds/b/b.vmx', 'running');
    await expect(clonedMachines({ ...plan, clones: plan.clones.slice(0, 0) }, { fs })).rejects.toThrow();
    const later = await planMachineClones({ ...request, names: ['c'] }, { fs });
    await clonedMachines({ ...request, names: ['d'] }, { fs });
    await expect(clonedMachines(later, { fs })).rejects.toThrow(/plan no longer fits/);
  });
});
