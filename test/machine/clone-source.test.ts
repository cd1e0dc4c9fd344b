// Disks and media of cloned machines that are not linked as a matter of course: full copies, independent disks, ISOs.
import { describe, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import type { MachineClonePlan } from '../../src/machine/machine-clone-types.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import {
  clonedMachines,
  contentsOf,
  editVmx,
  machineBench,
  textOf,
  vmxOf,
} from '../support/machine-clones.ts';

const GOLDEN = '/ds/golden/golden.vmx';

describe('full clones', () => {
  it.each([undefined, 'monolithicFlat', 'vmfs'])(
    'of type %s stand on nothing of the source',
    async (type) => {
      const { fs, model } = await machineBench();
      const before = await model.hashes();
      const request = { machine: GOLDEN, into: '/ds', names: ['web'], full: true, snapshot: 'patched', type };
      const [clone] = await clonedMachines(request, { fs });
      const contents = await contentsOf(fs, clone!.vmx!);
      for (const node of model.nodes)
        expect(contents.get(node)!.equals(model.contentsAt(2, node)), node).toBe(true);
      expect(await model.hashes()).toEqual(before);
      const machine = await openMachine(clone!.vmx!, { fs });
      expect(machine.isLinkedClone).toBe(false);
      expect(machine.disks.map(({ links }) => links.map(({ createType }) => createType))).toEqual(
        type === undefined
          ? [['monolithicSparse'], ['monolithicSparse'], ['vmfs']]
          : [[type], [type], [type]],
      );
      expect(clone!.disks!.map(({ kind }) => kind)).toEqual(['copied', 'copied', 'copied']);
    },
  );
});

describe('disks that snapshots leave out', () => {
  const independent = { 'sata0:1.mode': 'independent-persistent', 'sata0:1.fileName': 'golden_1.vmdk' };

  it('are copied unless told', async () => {
    const { fs, model } = await machineBench({ vmx: independent });
    const [clone] = await clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['web'], freeze: true },
      { fs },
    );
    expect(clone!.disks!.map(({ node, kind }) => [node, kind])).toEqual([
      ['scsi0:0', 'linked'],
      ['sata0:1', 'copied'],
      ['nvme0:0', 'linked'],
    ]);
    const contents = await contentsOf(fs, clone!.vmx!);
    expect(contents.get('sata0:1')!.equals(model.contentsAt(1, 'sata0:1'))).toBe(true);
    expect((await vmxOf(fs, clone!.vmx!)).dictionary.get('sata0:1.mode')).toBe('independent-persistent');
    expect(await textOf(fs, '/ds/web/web.vmsd')).not.toContain('web_1');
    expect((await vmxOf(fs, GOLDEN)).dictionary.get('sata0:1.fileName')).toBe('golden_1.vmdk');
  });

  it('are linked or left out when told', async () => {
    const { fs } = await machineBench({ vmx: independent });
    const request = { machine: GOLDEN, into: '/ds' };
    const [linked] = await clonedMachines(
      { ...request, names: ['a'], independent: 'link', freeze: true },
      { fs },
    );
    expect(linked!.disks![1]).toMatchObject({
      node: 'sata0:1',
      kind: 'linked',
      base: '/ds/golden/golden_1.vmdk',
    });
    const [without] = await clonedMachines({ ...request, names: ['b'], independent: 'drop' }, { fs });
    expect(without!.disks!.map(({ node }) => node)).toEqual(['scsi0:0', 'nvme0:0']);
    expect(await textOf(fs, without!.vmx!)).not.toContain('sata0:1.');
  });
});

describe('disks that the machine has no more', () => {
  it('are not named by its clones, whatever lines are left of them', async () => {
    const { fs } = await machineBench({
      vmx: {
        'scsi0:5.present': 'FALSE',
        'scsi0:5.fileName': '/vmfs/volumes/ds1/golden/old.vmdk',
        'scsi00:06.fileName': '../golden/golden.vmdk',
        'sata3:1.present': 'TRUE',
        'sata3:1.fileName': '../golden/golden_1.vmdk',
        'sata3.present': 'FALSE',
        'sata0:7.present': 'FALSE',
        'sata0:7.deviceType': 'cdrom-image',
      },
    });
    const request = { machine: GOLDEN, into: '/ds', names: ['web'], snapshot: 'patched' };
    const [clone] = await clonedMachines(request, { fs });
    const text = await textOf(fs, clone!.vmx!);
    expect(text).not.toMatch(/golden|old\.vmdk|scsi0?0:0?[56]|sata3:1/);
    expect(text).toContain('sata0:7.deviceType = "cdrom-image"');
  });
});

describe('media', () => {
  const vmx = {
    'floppy0.present': 'TRUE',
    'floppy0.fileName': 'boot.flp',
    'ide1:0.fileName': 'tools.iso',
    'ide1:1.present': 'TRUE',
    'ide1:1.deviceType': 'cdrom-raw',
    'ide1:1.fileName': 'auto detect',
  };

  it('are kept by their place', async () => {
    const { fs } = await machineBench({ vmx });
    const [one] = await clonedMachines({ machine: GOLDEN, into: '/ds', names: ['a'] }, { fs });
    const { dictionary } = await vmxOf(fs, one!.vmx!);
    expect(dictionary.get('ide1:0.fileName')).toBe('../golden/tools.iso');
    expect(dictionary.get('floppy0.fileName')).toBe('../golden/boot.flp');
    expect(dictionary.get('ide1:1.fileName')).toBe('auto detect');
    const [two] = await clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['b'], hint: 'absolute' },
      { fs },
    );
    expect((await vmxOf(fs, two!.vmx!)).dictionary.get('ide1:0.fileName')).toBe('/ds/golden/tools.iso');
  });

  it('are taken out when told', async () => {
    const { fs } = await machineBench({ vmx });
    const [one] = await clonedMachines({ machine: GOLDEN, into: '/ds', names: ['a'], media: 'drop' }, { fs });
    const { dictionary } = await vmxOf(fs, one!.vmx!);
    expect(dictionary.get('ide1:0.deviceType')).toBe('cdrom-raw');
    expect(dictionary.get('ide1:0.startConnected')).toBe('FALSE');
    expect(dictionary.get('floppy0.present')).toBe('FALSE');
    expect(await textOf(fs, one!.vmx!)).not.toMatch(/\.iso|golden/);
  });
});

describe('disks that came or went since the snapshot', () => {
  it('are left out, or come back', async () => {
    const { fs, model } = await machineBench();
    // The NVMe disk has gone; a new SCSI disk has come.
    await editVmx(fs, GOLDEN, {
      'nvme0:0.present': null,
      'nvme0:0.fileName': null,
      'nvme0.present': null,
      'scsi0:1.present': 'TRUE',
      'scsi0:1.fileName': 'new.vmdk',
    });
    await createDisk('/ds/golden/new.vmdk', bytes(1 << 20), { fs });
    const codes: string[] = [];
    const onPlan = ({ warnings }: MachineClonePlan): void =>
      void codes.push(...warnings.map(({ code }) => code));
    const request = { machine: GOLDEN, into: '/ds', names: ['web'], snapshot: 'patched' };
    const [clone] = await clonedMachines(request, { fs, onPlan });
    expect(codes).toContain('disk-left-out');
    expect(clone!.disks!.map(({ node }) => node)).toEqual(['scsi0:0', 'sata0:1', 'nvme0:0']);
    const contents = await contentsOf(fs, clone!.vmx!);
    for (const node of model.nodes)
      expect(contents.get(node)!.equals(model.contentsAt(2, node)), node).toBe(true);
    expect(await textOf(fs, clone!.vmx!)).not.toContain('new.vmdk');
  });
});

describe('a source that keeps its deltas elsewhere', () => {
  it('is frozen there when it says so', async () => {
    const { fs, model } = await machineBench({
      nodes: ['sata0:1'],
      vmx: { workingDir: '/ds/work', 'snapshot.redoNotWithParent': 'TRUE' },
    });
    await fs.makeFolder('/ds/work');
    const [clone] = await clonedMachines(
      { machine: GOLDEN, into: '/ds', names: ['web'], freeze: true },
      { fs },
    );
    expect(await fs.list('/ds/work')).toEqual(['golden-000004.vmdk']);
    const { dictionary } = await vmxOf(fs, GOLDEN);
    expect(dictionary.get('sata0:1.fileName')).toBe('/ds/work/golden-000004.vmdk');
    expect(await textOf(fs, clone!.vmx!)).not.toMatch(/work|redoNotWithParent/);
    const machine = await openMachine(GOLDEN, { fs });
    expect(machine.disks[0]!.links[0]!.path).toBe('/ds/work/golden-000004.vmdk');
    const contents = await contentsOf(fs, clone!.vmx!);
    expect(contents.get('sata0:1')!.equals(model.contentsAt('running', 'sata0:1'))).toBe(true);
  });
});

describe('a source of Windows', () => {
  it('has clones whose files end their lines as its own do', async () => {
    const { fs } = await machineBench({ nodes: ['sata0:1'], eol: '\r\n', encoding: 'windows-1252' });
    const request = { machine: GOLDEN, into: '/ds/golden', names: ['Büro'], snapshot: 'patched' };
    const [clone] = await clonedMachines(request, { fs });
    for (const path of [clone!.vmx!, '/ds/golden/Büro/Büro.vmsd', '/ds/golden/golden.vmsd']) {
      const text = await textOf(fs, path);
      expect(text.split('\r\n').join('').includes('\n'), path).toBe(false);
    }
    const database = (await openMachine(GOLDEN, { fs })).snapshots;
    expect(database.snapshots[1]!.clones).toEqual(['Büro/Büro.vmx']);
    expect((await vmxOf(fs, clone!.vmx!)).config.displayName).toBe('Büro');
  });
});
