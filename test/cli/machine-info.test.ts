// `vmdkit info VM.vmx`: a whole machine, sound or broken, for people and for programs.
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MachineReport } from '../../src/machine/describe-machine.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { buildMachine, type MachineModel } from '../support/machine-model.ts';

let folder: string;
let remove: () => Promise<void>;
let model: MachineModel;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  model = await buildMachine(createNodeFileStore(), join(folder, 'golden'), {
    nodes: ['scsi0:0', 'nvme0:0'],
  });
});
afterEach(() => remove());

const infoOf = (...args: string[]): Promise<MachineReport> =>
  json('machine', ['info', model.vmxPath, ...args]);

describe('info of a machine', () => {
  it('is JSON by its schema: disks, chains, snapshots, limits', async () => {
    const before = await model.hashes();
    const report = await infoOf();
    expect(report).toMatchObject({
      schema: 'vmdkit-machine/v1',
      name: 'golden',
      power: { state: 'off' },
      'current-snapshot': 3,
      'linked-clone': { is: false },
      locks: [],
      findings: [],
    });
    expect(report.disks.map(({ node, chain }) => [node, chain.length])).toEqual([
      ['scsi0:0', 3],
      ['nvme0:0', 3],
    ]);
    expect(report.disks[0]).toMatchObject({
      'virtual-size': 1 << 20,
      'controller-type': 'pvscsi',
      mode: 'persistent',
    });
    expect(
      report.snapshots.map(({ uid, parent, created, current }) => [uid, parent, created, current]),
    ).toEqual([
      [1, undefined, '2026-03-01T12:00:00.000Z', false],
      [2, 1, '2026-03-02T12:00:00.000Z', false],
      [3, 1, '2026-03-03T12:00:00.000Z', true],
    ]);
    expect(report.limits.map(({ code, state }) => `${code} ${state}`)).toEqual([
      'chain-links fits',
      'hosts-per-base fits',
      'linked-group fits',
      'base-elsewhere fits',
    ]);
    const lines = (await quietly(['info', model.vmxPath, '--output', 'ndjson'])).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([report]);
    expect(await model.hashes()).toEqual(before);
  });

  it('is a page for people, with the snapshots as a tree', async () => {
    const text = await quietly(['info', 'golden/golden.vmx'], { cwd: folder });
    expect(text).toMatch(/^golden\/golden\.vmx: golden\n {2}power +off\n/);
    expect(text).toMatch(
      /^ {4}scsi0:0 +pvscsi +persistent +1 MiB +\d+(\.\d+)? KiB +3 +golden-000003\.vmdk$/m,
    );
    expect(text).toContain(
      'scsi0:0: golden-000003.vmdk (twoGbMaxExtentSparse) on golden-000002.vmdk (twoGbMaxExtentSparse) on golden.vmdk (twoGbMaxExtentSparse)',
    );
    expect(text).toContain(
      `  3 snapshots
    1  installed  2026-03-01 12:00:00 UTC
    ├─ 2  patched  2026-03-02 12:00:00 UTC
    │     "with "quotes" | and more"
    └─ 3  experiment  2026-03-03 12:00:00 UTC  <- the machine is here
`,
    );
    expect(text).not.toMatch(/ $/m);
    expect(text).not.toContain('limit');
    const verbose = await quietly(['info', model.vmxPath, '-v']);
    for (const words of [
      '8 hosts',
      'before vsphere 5.1',
      '32 since',
      'no limit',
      'groups of 8',
      '30',
      '255',
      'vmotion',
    ])
      expect(verbose.toLowerCase()).toContain(words);
    expect(verbose.match(/^ {4}(why|way out): /gm)).toHaveLength(8);
  });

  it('counts clones that are too many to list, and lists all with -v', async () => {
    const clones = Array.from(
      { length: 1000 },
      (_, index) => `snapshot1.clone${index} = "../c${index}/c.vmx"\n`,
    );
    await appendFile(join(folder, 'golden/golden.vmsd'), clones.join(''));
    const text = await quietly(['info', model.vmxPath]);
    expect(text.match(/linked clone: /g)).toHaveLength(9);
    expect(text).toContain('│     and 991 more linked clones, all with -v\n');
    expect((await quietly(['info', model.vmxPath, '-v'])).match(/linked clone: /g)).toHaveLength(1000);
  });

  it('describes a machine whose disks are gone, and says where they were looked for', async () => {
    await rm(join(folder, 'golden/golden.vmdk'));
    await rm(model.diskAt('running', 'nvme0:0'));
    const report = await infoOf();
    expect(report.disks[0]).toMatchObject({ problem: { code: 'parent-missing' } });
    expect(report.disks[0]!.chain).toHaveLength(2);
    expect(report.disks[1]).toMatchObject({ chain: [], problem: { code: 'disk-missing' } });
    expect(report.findings.map(({ code }) => code)).toContain('MACHINE-DISK');
    const text = await quietly(['info', model.vmxPath]);
    expect(text).toMatch(/scsi0:0 cannot be read: the parent of this delta cannot be found/);
    expect(text).toMatch(
      /nvme0:0 cannot be read: the disk "golden_1-000003\.vmdk" of the machine is not there/,
    );
    expect(text).toMatch(/tried .*golden_1-000003\.vmdk: no such file\n.*--root DIR/);
  });

  it('finds disks on other datastores by --root, and never takes a namesake for them', async () => {
    const line = 'sata0:0.present = "TRUE"\nsata0:0.fileName = "[ds2] golden/golden-000003.vmdk"\n';
    await writeFile(model.vmxPath, line, { flag: 'a' });
    const lost = await infoOf();
    expect(lost.disks[1]).toMatchObject({ node: 'sata0:0', problem: { code: 'disk-missing' } });
    expect(lost.disks[0]).not.toHaveProperty('problem');
    const other = join(folder, 'mnt/ds2');
    await mkdir(other, { recursive: true });
    const second = await buildMachine(createNodeFileStore(), join(other, 'golden'), { nodes: ['scsi0:0'] });
    const found = await infoOf('--root', join(folder, 'mnt'));
    expect(found.disks[1]).toMatchObject({ filename: second.diskAt('running', 'scsi0:0') });
    expect(found.disks[1]).not.toHaveProperty('guessed');
    expect(found['linked-clone'].is).toBe(false);
  });

  it('tells a linked clone, whose it is, and the limits that come with it', async () => {
    await mkdir(join(folder, 'base'));
    for (const name of [
      'golden.vmdk',
      'golden-s001.vmdk',
      'golden-s002.vmdk',
      'golden_1.vmdk',
      'golden_1-flat.vmdk',
    ])
      await rename(join(folder, 'golden', name), join(folder, 'base', name));
    const report = await infoOf('--root', join(folder, 'base'), '--allow', join(folder, 'base'));
    expect(report['linked-clone']).toMatchObject({
      is: true,
      bases: [join(folder, 'base/golden.vmdk'), join(folder, 'base/golden_1.vmdk')],
    });
    expect(report.disks[0]!.chain.map(({ outside }) => outside)).toEqual([false, false, true]);
    expect(report.limits.find(({ code }) => code === 'hosts-per-base')).toMatchObject({
      state: 'depends',
      most: 32,
    });
    await writeFile(model.vmsdPath, 'cloneOf0 = "../origin/origin.vmx"\nsentinel0 = "golden-000003.vmdk"\n');
    const text = await quietly(['info', model.vmxPath, '--allow', join(folder, 'base')]);
    expect(text).toContain('a linked clone of ../origin/origin.vmx\n');
    expect(text).toMatch(/stands on \.\.\/base\/golden\.vmdk/);
    expect(text).toMatch(/leaves what is below golden-000003\.vmdk/);
    expect(text).toMatch(/limit hosts-per-base \(depends\): .*\n {4}why: .*\n {4}way out: /);
  });

  it('shows a lock and what it means', async () => {
    await writeFile(`${model.vmxPath}.lck`, '');
    expect(await infoOf()).toMatchObject({ power: { state: 'running' }, locks: [{ kind: 'old-style-lck' }] });
    expect(await quietly(['info', model.vmxPath])).toMatch(/power +running\n.*a lock at .*golden\.vmx\.lck/);
  });

  it('shows nothing that a terminal would obey', async () => {
    await writeFile(model.vmxPath, 'annotation = "a|1B[31mb|0Ac"\nguestOS = "x|07"\n', { flag: 'a' });
    const text = await quietly(['info', model.vmxPath]);
    expect(text).toContain('a\\x1b[31mb\\x0ac');
    // eslint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  it('refuses --chain with exit code 2, and what is no machine with 3', async () => {
    expect(await vmdkit(['info', model.vmxPath, '--chain'])).toMatchObject({ code: 2 });
    const path = join(folder, 'x.vmx');
    await writeFile(path, Buffer.alloc(512));
    const { code, stderr } = await vmdkit(['info', path]);
    expect({ code, stderr }).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('no text of "name = value" lines'),
    });
    expect(await vmdkit(['info', join(folder, 'none.vmx')])).toMatchObject({ code: 3 });
  });
});
