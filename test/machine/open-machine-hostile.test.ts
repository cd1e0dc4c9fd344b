// A .vmx is anybody's text: what it may lead to, what is refused, and that a refusal is data until somebody needs it.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assertMachineUsable, disksAt, type Machine } from '../../src/machine/machine.ts';
import { openMachine, type OpenMachineOptions } from '../../src/machine/open-machine.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildMachine, type MachineModel } from '../support/machine-model.ts';

const ONE = { nodes: ['scsi0:0'], snapshots: false } as const;
const open = (path: string, fs: FileStore, options: OpenMachineOptions = {}): Promise<Machine> =>
  openMachine(path, { fs, ...options });

/** /ds/golden/golden.vmx with its only disk named `fileName`; beside it on the store what `files` says. */
async function naming(fileName: string, files: Readonly<Record<string, string>> = {}): Promise<FileStore> {
  const initial = Object.entries(files).map(([path, text]) => [path, Buffer.from(text)] as const);
  const store = createMemoryFileStore(Object.fromEntries(initial));
  if (!(await store.exists('/ds'))) await store.makeFolder('/ds');
  await buildMachine(store, '/ds/golden', { ...ONE, vmx: { 'scsi0:0.fileName': fileName } });
  return store;
}

describe('the disks that a .vmx names', () => {
  it.each(['/etc/shadow', '../../etc/shadow', '/ds/golden/../../etc/shadow', 'sub/../../../etc/shadow'])(
    'are not opened outside: %s',
    async (fileName) => {
      const { store, opened } = recorded(await naming(fileName, { '/etc/shadow': 'root:x' }));
      const machine = await open('/ds/golden/golden.vmx', store);
      expect(machine.disks[0]).toMatchObject({
        fileName,
        links: [],
        problem: { code: 'outside-allowed-folders', kind: 'refused' },
      });
      expect(machine.disks[0]).not.toHaveProperty('path');
      expect(opened.filter((path) => path.startsWith('/etc'))).toEqual([]);
      const refusal = expect.objectContaining({
        code: 'outside-allowed-folders',
        message: expect.stringMatching(/golden\.vmx: the disk .*shadow" of the machine may not be opened/),
      });
      expect(() => assertMachineUsable(machine, { verb: 'clone' })).toThrow(refusal);
      expect(() => disksAt(machine)).toThrow(refusal);
      expect(machine.findings).toMatchObject([{ code: 'MACHINE-DISK', severity: 'error' }]);
    },
  );

  it.each(['nbd://host/x', 'json:{"driver":"file"}', '\\\\.\\PhysicalDrive0', 'vsan://0123/4567'])(
    'are never addresses: %s',
    async (fileName) => {
      const machine = await open('/ds/golden/golden.vmx', await naming(fileName));
      expect(machine.disks[0]).toMatchObject({ links: [] });
      expect(machine.disks[0]!.problem).toBeDefined();
    },
  );

  it('have no NUL in their names', async () => {
    const machine = await open('/ds/golden/golden.vmx', await naming('a\0.vmdk'));
    expect(machine.disks[0]!.problem).toMatchObject({ kind: 'refused', code: 'nul-in-name' });
  });

  it.each([
    ['/vmfs/volumes/5f3a-1/golden/golden.vmdk', true],
    ['[ds1] golden/golden.vmdk', true],
    ['D:\\VMs\\golden\\golden.vmdk', true],
    ['.\\golden.vmdk', false],
    ['golden.vmdk', false],
    ['/ds/golden/golden.vmdk', false],
  ])('are found on a copied datastore: %s', async (fileName, guessed) => {
    const machine = await open('/ds/golden/golden.vmx', await naming(fileName));
    expect(machine.disks[0]).toMatchObject({ path: '/ds/golden/golden.vmdk', fileName });
    expect(machine.disks[0]!.guessed).toBe(guessed ? true : undefined);
    expect(machine.findings.map(({ code }) => code)).toEqual(guessed ? ['MACHINE-DISK-GUESSED'] : []);
  });

  it.each([
    ['/vmfs/volumes/5f3a-1/golden/golden.vmdk', '/vmfs/volumes/*', '/mnt/*'],
    ['/vmfs/volumes/5f3a-1/golden/golden.vmdk', '/vmfs/volumes/5f3a-1', '/mnt/5f3a-1'],
    ['[5f3a-1] golden/golden.vmdk', '[*]', '/mnt/*'],
  ])('are found by a path map before all else: %s by %s=%s', async (fileName, from, to) => {
    const store = await naming(fileName);
    await store.makeFolder('/mnt');
    await store.makeFolder('/mnt/5f3a-1');
    const there = await buildMachine(store, '/mnt/5f3a-1/golden', ONE);
    const machine = await open('/ds/golden/golden.vmx', store, { pathMap: [{ from, to }], allow: ['/mnt'] });
    expect(machine.disks[0]).toMatchObject({ path: there.diskAt('running', 'scsi0:0') });
    expect(machine).toMatchObject({ findings: [], isLinkedClone: false });
  });

  it('are told with every place that was tried', async () => {
    const machine = await open('/ds/golden/golden.vmx', await naming('[ds9] else/none.vmdk'));
    expect(machine.disks[0]!.problem).toMatchObject({
      code: 'disk-missing',
      kind: 'missing',
      context: {
        path: '/ds/golden/golden.vmx',
        candidates: [
          { path: '/ds/golden/[ds9] else/none.vmdk', outcome: 'no such file' },
          { path: '/ds/golden/else/none.vmdk', outcome: 'no such file' },
          { path: '/ds/golden/none.vmdk', outcome: 'no such file' },
          { path: '/ds/else/none.vmdk', outcome: 'no such file' },
        ],
        hint: expect.stringContaining('--map'),
      },
    });
  });

  it('that are no disks at all are told', async () => {
    const machine = await open(
      '/ds/golden/golden.vmx',
      await naming('notes.txt', { '/ds/golden/notes.txt': 'hello' }),
    );
    expect(machine.disks[0]).toMatchObject({
      path: '/ds/golden/notes.txt',
      links: [],
      problem: { code: 'not-a-vmdk' },
    });
  });

  it('stay within --confine', async () => {
    const store = await naming('/ds/golden/golden.vmdk');
    await store.makeFolder('/ds/golden/jail');
    await expect(open('/ds/golden/golden.vmx', store, { confine: '/ds/golden/jail' })).rejects.toThrow(
      /confine/,
    );
  });
});

describe('a machine on a real file system', () => {
  let folder: string;
  let model: MachineModel;
  const store = createNodeFileStore();
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmdkit-machine-'));
    await mkdir(join(folder, 'ds'));
    model = await buildMachine(store, join(folder, 'ds/golden'), ONE);
  });
  afterEach(() => rm(folder, { recursive: true }));

  const lines = (text: string): Promise<void> => writeFile(model.vmxPath, text, { flag: 'a' });

  it('is not led outside by symbolic links, nor to devices and folders', async () => {
    await writeFile(join(folder, 'secret.vmdk'), 'secret');
    await symlink(join(folder, 'secret.vmdk'), join(model.folder, 'link.vmdk'));
    await symlink('/dev/zero', join(model.folder, 'zero.vmdk'));
    await mkdir(join(model.folder, 'folder.vmdk'));
    for (const [unit, name] of [
      [1, 'link.vmdk'],
      [2, 'zero.vmdk'],
      [3, 'folder.vmdk'],
    ] as const) {
      await lines(`scsi0:${unit}.present = "TRUE"\nscsi0:${unit}.fileName = "${name}"\n`);
    }
    const machine = await open(model.vmxPath, store);
    expect(machine.disks.map(({ problem }) => problem?.code)).toEqual([
      undefined,
      'outside-allowed-folders',
      'outside-allowed-folders',
      'not-a-regular-file',
    ]);
  });

  it('takes nvram, .vmxf and .vmsd from its own folder only', async () => {
    await writeFile(join(folder, 'ds/other.nvram'), 'x');
    await lines('nvram = "../other.nvram"\nextendedConfigFile = "/etc/hostname"\n');
    const machine = await open(model.vmxPath, store);
    expect(machine.nvramPath).toBeUndefined();
    expect(machine.vmxfPath).toBeUndefined();
    await rm(model.vmsdPath);
    await symlink('/etc/hostname', model.vmsdPath);
    await expect(open(model.vmxPath, store)).rejects.toMatchObject({ code: 'outside-allowed-folders' });
  });

  it('is refused as a device, a FIFO-like thing or a folder', async () => {
    await expect(open('/dev/null', store)).rejects.toMatchObject({ code: 'not-a-file' });
    await expect(open(model.folder, store)).rejects.toMatchObject({ code: 'not-a-file' });
  });

  it('is in use also when the lock lies beside the link that was named', async () => {
    const link = join(folder, 'link.vmx');
    await symlink(model.vmxPath, link);
    expect(await open(link, store)).toMatchObject({ path: model.vmxPath, power: { state: 'off' } });
    await writeFile(`${link}.lck`, '');
    expect((await open(link, store)).power.state).toBe('running');
    await rm(`${link}.lck`);
    await writeFile(`${model.vmxPath}.lck`, '');
    expect((await open(link, store)).power.state).toBe('running');
  });

  it('honours a workingDir that is here, and ignores one that leads away', async () => {
    await mkdir(join(folder, 'ds/snapshots'));
    for (const [named, expected] of [
      ['.', model.folder],
      ['../snapshots', join(folder, 'ds/snapshots')],
      [join(folder, 'ds/snapshots'), join(folder, 'ds/snapshots')],
      ['/etc', model.folder],
      ['../../..', model.folder],
      ['/vmfs/volumes/ds7/none', model.folder],
      ['[ds7] snapshots', join(folder, 'ds/snapshots')],
    ] as const) {
      await writeFile(
        model.vmxPath,
        `scsi0:0.present = "TRUE"\nscsi0:0.fileName = "golden.vmdk"\nworkingDir = "${named}"\n`,
      );
      expect((await open(model.vmxPath, store)).workingFolder, named).toBe(expected);
    }
  });

  it('looks for relative names in the workingDir too', async () => {
    const elsewhere = await buildMachine(store, join(folder, 'ds/snapshots'), { ...ONE, name: 'delta' });
    await writeFile(
      model.vmxPath,
      'workingDir = "../snapshots"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "delta.vmdk"\n',
    );
    const machine = await open(model.vmxPath, store);
    expect(machine.disks[0]).toMatchObject({ path: elsewhere.diskAt('running', 'scsi0:0') });
    expect(machine).toMatchObject({ findings: [], isLinkedClone: false });
  });
});

function recorded(inner: FileStore): { store: FileStore; opened: string[] } {
  const opened: string[] = [];
  const open = (path: string, mode: 'read' & 'update'): unknown => {
    opened.push(path);
    return inner.open(path, mode);
  };
  const resolve = (path: string): Promise<unknown> => {
    opened.push(path);
    return inner.resolve(path);
  };
  return { store: { ...inner, open, resolve } as FileStore, opened };
}
