// commit, rebase, consolidate, promote and shadow as a user runs them; and QEMU reads what they leave.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDelta } from '../../src/operations/create-delta.ts';
import { buildCommand, json, temporaryFolder, vmdkit } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let cwd: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder: cwd, remove } = await temporaryFolder());
  chain = await makeSmallChain(cwd);
  await createDelta(join(cwd, 'side.vmdk'), chain.mid);
});
afterEach(() => remove());

const run = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(args, { cwd });
  return { stdout: stdout.toString(), stderr, code };
};
const contents = async (name: string): Promise<Buffer> => (await vmdkit(['cat', name], { cwd })).stdout;

describe('commit', () => {
  it('prints the plan, does it, and says what it did', async () => {
    const side = await contents('side.vmdk');
    const plan = await run('commit', 'leaf.vmdk', '--dry-run');
    expect(plan).toMatchObject({ stderr: '', code: 0 });
    expect(plan.stdout.split('\n').slice(0, 5)).toEqual([
      'write mid.vmdk (monolithicSparse): at most 192 KiB of data',
      'write side.vmdk (monolithicSparse): at most 128 KiB of data',
      'write leaf.vmdk (monolithicSparse): no data',
      'side.vmdk stands on mid.vmdk, by the name mid.vmdk',
      'leaf.vmdk stands on mid.vmdk, by the name mid.vmdk',
    ]);
    const done = await run('commit', 'leaf.vmdk', '--remove');
    expect(done).toMatchObject({ stdout: '', code: 0 });
    expect(done.stderr).toMatch(/^leaf\.vmdk: committed: 2 disks written, 1 disk relinked, 1 file removed, /);
    expect((await contents('mid.vmdk')).equals(chain.contents)).toBe(true);
    expect((await contents('side.vmdk')).equals(side)).toBe(true);
    expect((await readdir(cwd)).filter((name) => name.endsWith('.vmdk')).sort()).toEqual([
      'base.vmdk',
      'mid.vmdk',
      'side.vmdk',
    ]);
  });

  it('has JSON for plans and for what is done', async () => {
    const plan = await json('tree', ['commit', 'leaf.vmdk', '--into', 'base.vmdk', '-n'], { cwd });
    const done = await json('tree', ['commit', 'leaf.vmdk', '--into', 'base.vmdk'], { cwd });
    expect(done).toEqual({ ...(plan as object), 'dry-run': false });
    expect((await contents('base.vmdk')).equals(chain.contents)).toBe(true);
  });
});

describe('rebase, consolidate, promote and shadow', () => {
  it('leave what the disk holds', async () => {
    const at = async (...args: string[]): Promise<unknown> => json('tree', args, { cwd });
    await at('shadow', 'leaf.vmdk', 'shadow.vmdk', '--move', 'side.vmdk', '--clone', 'new.vmdk');
    const info = await run('info', 'shadow.vmdk');
    expect(info.stdout).toMatch(/shadow of +leaf\.vmdk, CID [0-9a-f]{8}/);
    expect((await contents('new.vmdk')).equals(chain.contents)).toBe(true);
    expect(await json('info', ['info', 'shadow.vmdk'], { cwd })).toMatchObject({
      'shadow-of': { path: 'leaf.vmdk' },
    });
    await at('rebase', 'leaf.vmdk', '--backing', 'base.vmdk');
    await at('promote', 'leaf.vmdk', '--type', 'monolithicFlat');
    expect((await contents('leaf.vmdk')).equals(chain.contents)).toBe(true);
    expect(await run('rebase', 'side.vmdk', '--backing', 'none', '-q')).toEqual({
      stdout: '',
      stderr: '',
      code: 0,
    });
    await at('consolidate', 'new.vmdk');
    expect(await readdir(cwd)).not.toContain('shadow.vmdk');
    expect((await contents('new.vmdk')).equals(chain.contents)).toBe(true);
  });

  it('refuse with names and exit code 4, and ask for what is missing with 2', async () => {
    const refused = await run('consolidate', 'leaf.vmdk', '--above', 'base.vmdk');
    expect(refused).toMatchObject({ stdout: '', code: 4 });
    expect(refused.stderr).toContain('side.vmdk');
    expect(await run('rebase', 'leaf.vmdk')).toMatchObject({ stdout: '', code: 2 });
    expect(await run('rebase', 'mid.vmdk', '--backing', 'leaf.vmdk')).toMatchObject({ stdout: '', code: 4 });
    expect(await run('commit', 'base.vmdk')).toMatchObject({ stdout: '', code: 2 });
  });
});

describeWithPeer(['qemu-img'], 'beside qemu-img', ({ 'qemu-img': qemuImg }) => {
  const equal = async (name: string, copy: string): Promise<void> => {
    await qemuImg.ok(['compare', '-f', 'vmdk', '-F', 'raw', name, copy], { cwd });
  };

  it('every disk of the tree is equal after each change', async () => {
    const disks = new Map([
      ['leaf.vmdk', 'leaf.raw'],
      ['side.vmdk', 'side.raw'],
      ['base.vmdk', 'base.raw'],
    ]);
    for (const [name, copy] of disks) await qemuImg.ok(['convert', '-O', 'raw', name, copy], { cwd });
    const expectEqual = async (): Promise<void> => {
      for (const [name, copy] of disks) await equal(name, copy);
    };
    await run('commit', 'leaf.vmdk');
    await equal('mid.vmdk', 'leaf.raw');
    await expectEqual();
    await run('rebase', 'leaf.vmdk', '--backing', 'side.vmdk');
    await expectEqual();
    await run('shadow', 'side.vmdk', 'shadow.vmdk', '--move', 'leaf.vmdk', '--type', 'vmfs');
    await equal('shadow.vmdk', 'side.raw');
    await expectEqual();
    await run('promote', 'side.vmdk');
    await run('consolidate', 'leaf.vmdk');
    await expectEqual();
    for (const name of disks.keys()) {
      const text = await qemuImg.ok(['info', '--output', 'json', name], { cwd });
      expect(JSON.parse(text)).not.toHaveProperty('backing-filename');
    }
  });

  it('a commit in place leaves what the delta held', async () => {
    for (const name of ['side.vmdk', 'leaf.vmdk']) await run('promote', name);
    await qemuImg.ok(['convert', '-O', 'raw', 'mid.vmdk', 'mid.raw'], { cwd });
    expect(await run('commit', 'mid.vmdk', '--in-place', '-q')).toEqual({ stdout: '', stderr: '', code: 0 });
    await equal('base.vmdk', 'mid.raw');
    await equal('mid.vmdk', 'mid.raw');
  });
});
