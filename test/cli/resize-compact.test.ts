// resize, compact and rename as a user runs them, and QEMU reads what they leave.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Sectors } from '../../src/core/units.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { makeSmallChain } from '../support/small-chain.ts';

const MIB = 1 << 20;
let cwd: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => ({ folder: cwd, remove } = await temporaryFolder()));
afterEach(() => remove());

const run = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(args, { cwd });
  return { stdout: stdout.toString(), stderr, code };
};

async function makeDisk(name: string, type: string): Promise<void> {
  await createDisk(join(cwd, name), bytes(8 * MIB), { type });
  const chain = await openChain(join(cwd, name), 'update');
  await chain.write(2048 as Sectors, Buffer.alloc(256 << 10, 7));
  await chain.write(8192 as Sectors, Buffer.alloc(256 << 10, 0));
  await chain.close();
}

describe('resize', () => {
  it('makes a disk larger, and smaller when its end is zeros', async () => {
    await makeDisk('a.vmdk', 'monolithicSparse');
    const before = await readFile(join(cwd, 'a.vmdk'));
    expect(await run('resize', 'a.vmdk', '16M', '-n')).toEqual({
      stdout: 'a.vmdk: 8 MiB (8,388,608 bytes), would be 16 MiB (16,777,216 bytes)\n',
      stderr: '',
      code: 0,
    });
    expect(await run('resize', 'a.vmdk', '1M', '--shrink', '-n')).toMatchObject({ stdout: '', code: 4 });
    expect((await readFile(join(cwd, 'a.vmdk'))).equals(before)).toBe(true);
    expect(await run('resize', 'a.vmdk', '16M')).toEqual({
      stdout: '',
      stderr: 'a.vmdk: 8 MiB (8,388,608 bytes) before, 16 MiB (16,777,216 bytes) now\n',
      code: 0,
    });
    const shrunk = await json('resize', ['resize', 'a.vmdk', '2M', '--shrink'], { cwd });
    expect(shrunk).toMatchObject({ before: 16 * MIB, after: 2 * MIB });
    const used = await run('resize', 'a.vmdk', '1056k', '--shrink');
    expect(used).toMatchObject({ stdout: '', code: 4 });
    expect(used.stderr).toContain('what would be cut off is in use (sector 2112 of the disk)');
    expect(await run('resize', 'a.vmdk', '1056k')).toMatchObject({ code: 4 });
    expect(await run('resize', 'a.vmdk', '1056k', '--shrink', '--force', '-q')).toEqual({
      stdout: '',
      stderr: '',
      code: 0,
    });
    expect(await run('resize', 'a.vmdk', '100')).toMatchObject({ code: 2 });
  });

  it('refuses deltas, and disks that others stand on, by their names', async () => {
    await makeSmallChain(cwd);
    const delta = await run('resize', 'leaf.vmdk', '16M');
    expect(delta).toMatchObject({ stdout: '', code: 4 });
    expect(delta.stderr).toContain('a delta must be as large as its parent');
    const base = await run('resize', 'base.vmdk', '16M');
    expect(base).toMatchObject({ stdout: '', code: 4 });
    expect(base.stderr).toContain('mid.vmdk');
  });

  it('resizes a chain as a whole', async () => {
    const { contents } = await makeSmallChain(cwd);
    const plan = await json<{ disks: object[] }>('resize', ['resize', 'leaf.vmdk', '16M', '--tree', '-n'], {
      cwd,
    });
    expect(plan).toMatchObject({ 'dry-run': true, after: 16 * MIB });
    expect(plan.disks).toHaveLength(3);
    const done = await json<{ before: number; disks: { filename: string }[] }>(
      'resize',
      ['resize', 'leaf.vmdk', '16M', '--tree'],
      { cwd },
    );
    expect(done.disks.map(({ filename }) => filename.split('/').at(-1))).toEqual([
      'base.vmdk',
      'mid.vmdk',
      'leaf.vmdk',
    ]);
    const { stdout } = await vmdkit(['cat', 'leaf.vmdk'], { cwd });
    expect(stdout.length).toBe(16 * MIB);
    expect(stdout.subarray(0, contents.length).equals(contents)).toBe(true);
    const back = await run('resize', 'base.vmdk', `${done.before}`, '--tree', '--shrink');
    expect(back).toMatchObject({ stdout: '', code: 0 });
    expect((await vmdkit(['cat', 'leaf.vmdk'], { cwd })).stdout.equals(contents)).toBe(true);
    expect(await run('resize', 'leaf.vmdk', '16M', '--scan', '.')).toMatchObject({ code: 2 });
  });
});

describe('compact', () => {
  it('gives back what zeros took', async () => {
    await makeDisk('a.vmdk', 'monolithicSparse');
    const { size } = await stat(join(cwd, 'a.vmdk'));
    const before = await readFile(join(cwd, 'a.vmdk'));
    const told = await run('compact', 'a.vmdk', '-n');
    expect(told).toMatchObject({ stderr: '', code: 0 });
    expect(told.stdout).toMatch(/^a\.vmdk: .* occupied, about .* then; 256 KiB of data would be dropped\n$/);
    const plan = await json('compact', ['compact', 'a.vmdk', '--dry-run'], { cwd });
    expect(plan).toMatchObject({ 'dry-run': true, dropped: 256 << 10 });
    expect((await readFile(join(cwd, 'a.vmdk'))).equals(before)).toBe(true);
    const done = await run('compact', 'a.vmdk');
    expect(done).toMatchObject({ stdout: '', code: 0 });
    expect(done.stderr).toMatch(/^a\.vmdk: .* occupied before, .* now; 256 KiB of data dropped\n$/);
    expect((await stat(join(cwd, 'a.vmdk'))).size).toBe(size - (256 << 10));
    expect(await json('compact', ['compact', 'a.vmdk'], { cwd })).toMatchObject({ dropped: 0 });
  });

  it('leaves what every disk of a chain holds', async () => {
    const chain = await makeSmallChain(cwd);
    for (const name of ['base.vmdk', 'mid.vmdk', 'leaf.vmdk'])
      await quietly(['compact', name, '-q'], { cwd });
    const { stdout } = await vmdkit(['cat', chain.leaf]);
    expect(stdout.equals(chain.contents)).toBe(true);
  });
});

describe('rename', () => {
  it('renames a disk with its extents, and what stands on it follows', async () => {
    const chain = await makeSmallChain(cwd);
    expect(await run('rename', 'mid.vmdk', 'middle.vmdk')).toEqual({
      stdout: '',
      stderr: 'mid.vmdk: now middle.vmdk, 1 file renamed; 1 disk relinked\n',
      code: 0,
    });
    const { stdout } = await vmdkit(['cat', chain.leaf]);
    expect(stdout.equals(chain.contents)).toBe(true);
    const done = await json<{ files: unknown[] }>('rename', ['rename', 'base.vmdk', 'b.vmdk'], { cwd });
    expect(done.files).toHaveLength(1);
    expect((await vmdkit(['cat', chain.leaf])).stdout.equals(chain.contents)).toBe(true);
    expect(await run('rename', 'b.vmdk', 'leaf.vmdk')).toMatchObject({ stdout: '', code: 4 });
    expect(await run('rename', 'b.vmdk', 'b.img')).toMatchObject({ stdout: '', code: 2 });
  });

  it('says where a disk is that an interrupted run moved out, and finishes when it is asked for again', async () => {
    const chain = await makeSmallChain(cwd);
    const store = createNodeFileStore();
    const target = join(cwd, 'middle.vmdk');
    const rename = (from: string, to: string): Promise<void> =>
      to === target ? Promise.reject(new Error('stopped')) : store.rename(from, to);
    await expect(renameDisk(chain.mid, target, { fs: { ...store, rename } })).rejects.toThrow('stopped');
    const told =
      /^vmdkit: warning: what is missing may be in .*\/\.vmdkit-change-[^/]*\.moved, of a rename run that was interrupted: it will be finished by the next command that changes files here, as by the same one again\nvmdkit: /;
    for (const args of [
      ['info', 'mid.vmdk'],
      ['cat', 'leaf.vmdk'],
    ]) {
      const { stderr, code } = await run(...args);
      expect(code).toBe(3);
      expect(stderr).toMatch(told);
    }
    const { stderr } = await run('info', 'mid.vmdk', '--json');
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'file-missing' } });
    const before = await readdir(cwd);
    expect(await run('rename', 'mid.vmdk', 'middle.vmdk', '--dry-run')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('a rename run that was interrupted will be finished first'),
    });
    expect(await readdir(cwd)).toEqual(before);
    expect(await run('rename', 'mid.vmdk', 'middle.vmdk')).toEqual({
      stdout: '',
      stderr:
        'vmdkit: warning: a rename run that was interrupted was finished first\nmid.vmdk: now middle.vmdk, 0 files renamed\n',
      code: 0,
    });
    expect((await vmdkit(['cat', chain.leaf])).stdout.equals(chain.contents)).toBe(true);
  });

  it('takes the lines of a machine along, and tells them beforehand', async () => {
    await makeSmallChain(cwd);
    const vmx = 'scsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "leaf.vmdk"\n';
    await writeFile(join(cwd, 'vm.vmx'), vmx);
    const told = await run('rename', 'leaf.vmdk', 'run.vmdk', '--dry-run');
    expect(told).toMatchObject({ stderr: '', code: 0 });
    expect(told.stdout).toMatch(
      /^leaf\.vmdk: would be run\.vmdk, 1 file renamed; 1 line of machines\n {2}.*vm\.vmx: scsi0:0\.fileName = "run\.vmdk", was "leaf\.vmdk"\n$/,
    );
    expect(await readFile(join(cwd, 'vm.vmx'), 'utf8')).toBe(vmx);
    const done = await json<object>('rename', ['rename', 'leaf.vmdk', 'run.vmdk'], { cwd });
    expect(done).toMatchObject({
      'dry-run': false,
      references: [{ name: 'scsi0:0.fileName', to: 'run.vmdk' }],
    });
    expect(await readFile(join(cwd, 'vm.vmx'), 'utf8')).toBe(vmx.replace('leaf', 'run'));
    expect(await run('info', 'vm.vmx')).toMatchObject({ code: 0 });
  });
});

describeWithPeer(['qemu-img'], 'beside qemu-img', ({ 'qemu-img': qemuImg }) => {
  it.each(['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'vmfs'])(
    'a resized and compacted %s disk is sound',
    async (type) => {
      await makeDisk('a.vmdk', type);
      await makeDisk('b.vmdk', type);
      await quietly(['resize', 'a.vmdk', '3G', '-q'], { cwd });
      await quietly(['compact', 'a.vmdk', '-q'], { cwd });
      const info = JSON.parse(await qemuImg.ok(['info', '--output=json', 'a.vmdk'], { cwd })) as {
        'virtual-size': number;
      };
      expect(info['virtual-size']).toBe(3 * 2 ** 30);
      await qemuImg.ok(['compare', 'a.vmdk', 'b.vmdk'], { cwd });
    },
  );
});
