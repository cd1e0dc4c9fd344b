// `vmdkit guard` as a user runs it, and the base that it and the register keep from being written.
import { chmod, cp, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, expectValid, json, temporaryFolder, vmdkit } from '../support/command.ts';
import { makeDatastore, writeInto } from '../support/scan-model.ts';

let root: string;
let remove: () => Promise<void>;
let cwd: string;
let runs = 0;
const BASE = 'golden/golden.vmdk';

beforeAll(async () => {
  buildCommand();
  ({ folder: root, remove } = await temporaryFolder());
  await makeDatastore(createNodeFileStore(), join(root, 'model'));
});
beforeEach(async () => {
  cwd = join(root, `run${runs++}`);
  await cp(join(root, 'model'), cwd, { recursive: true });
});
afterAll(() => remove());

const run = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(args, { cwd });
  return { stdout: stdout.toString(), stderr, code };
};
const guard = (...args: string[]) => run('guard', BASE, ...args);
const mode = async (name: string) => (await stat(join(cwd, name))).mode & 0o777;
/** Writes the same bytes again, and then others when `start` is given to `write`. */
const boot = async (): Promise<void> => {
  for (const name of [BASE, 'golden/golden-flat.vmdk']) await chmod(join(cwd, name), 0o644);
  await writeInto(createNodeFileStore(), join(cwd, BASE));
};

describe('vmdkit guard', () => {
  it('guards a base, and says how it stands', async () => {
    expect(await guard('--set')).toEqual({
      stdout: '',
      stderr: 'golden/golden.vmdk: recorded in golden/golden.vmdk.guard, and read-only\n',
      code: 0,
    });
    expect(await mode(BASE)).toBe(0o444);
    expect(await mode('golden/golden-flat.vmdk')).toBe(0o444);
    const checked = await guard();
    expect(checked).toMatchObject({ stderr: '', code: 0 });
    expect(checked.stdout).toMatch(
      /^golden\/golden\.vmdk: as recorded on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, CID [0-9a-f]{8}, read-only\n$/,
    );
    expectValid('guard', JSON.parse((await guard('--json')).stdout));
    expect(await guard('--release')).toEqual({
      stdout: '',
      stderr:
        'golden/golden.vmdk: no longer guarded\nvmdkit: warning: 3 disks still stand on it, and would break by a write\n',
      code: 0,
    });
    expect(await mode(BASE)).toBe(0o644);
  });

  it('finds a base that was booted, with exit code 1, and puts its CID back', async () => {
    await guard('--set');
    await boot();
    const found = await guard();
    expect(found.code).toBe(1);
    expect(found.stdout).toMatch(
      /: contents as recorded on .*; CID [0-9a-f]{8} then, [0-9a-f]{8} now: --restore-cid/,
    );
    expect((await run('chain', 'web-1/web-1.vmdk')).code).toBe(3);
    const restored = await json<{ cid: string; 'recorded-cid': string }>(
      'guard',
      ['guard', BASE, '--restore-cid'],
      { cwd },
    );
    expect(restored.cid).toBe(restored['recorded-cid']);
    expect((await run('chain', 'web-1/web-1.vmdk')).code).toBe(0);
  });

  it('tells where the contents changed and who shows it, and refuses to put the CID back', async () => {
    await guard('--set');
    await boot();
    const args = ['write', BASE, '--offset', '64k', '--zero', '512', '--force', '--locked', 'ignore'];
    await run(...args.slice(0, 4), join(cwd, 'web-1/web-1.vmx'), ...args.slice(6));
    const found = await guard();
    expect(found.code).toBe(1);
    expect(found.stdout).toMatch(/^golden\/golden\.vmdk: changed since .*\n {2}sectors 128 to 255\n/);
    expect(found.stdout).toContain('  web-1/web-1.vmdk shows 128 sectors of it\n');
    const refused = await guard('--restore-cid');
    expect(refused).toMatchObject({ stdout: '', code: 4 });
    expect(refused.stderr).toMatch(
      /^vmdkit: .*: the contents of the base changed: its old CID would be a lie: found changes in sectors 128\+128, shown by/,
    );
  });

  it.each([
    [[], 3, 'this disk is not guarded: no fingerprint of it was recorded'],
    [['--set', '--check'], 2, 'guard: --set and --check do not go together'],
  ])('tells what is wrong: %j', async (args, code, message) => {
    const outcome = await guard(...args);
    expect(outcome).toMatchObject({ stdout: '', code });
    expect(outcome.stderr).toContain(message);
  });
});

describe('a base that others stand on', () => {
  it.each([
    ['convert', ['convert', 'lone.vmdk', 'golden/golden-flat.vmdk', '--force', '-O', 'raw']],
    ['cat', ['cat', 'lone.vmdk', '-o', BASE, '--force']],
    ['write', ['write', BASE, '--offset', '0', '--zero', '512']],
  ])('is refused to %s with exit code 4, guarded or not, and they are named', async (_, args) => {
    await run('create', 'lone.vmdk', '1M');
    const before = await stat(join(cwd, 'golden/golden-flat.vmdk'));
    for (const guarded of [false, true]) {
      if (guarded) await guard('--set');
      const { stdout, stderr, code } = await run(...args);
      expect({ stdout, code }).toEqual({ stdout: '', code: 4 });
      expect(stderr).toMatch(/would break the disks that stand on it: found 3 disks: .*web-1\.vmdk/);
    }
    expect((await stat(join(cwd, 'golden/golden-flat.vmdk'))).mtimeMs).toBe(before.mtimeMs);
  });

  it('is refused to be written while it is guarded, although nobody stands on it', async () => {
    await run('create', 'lone.vmdk', '1M');
    await run('guard', 'lone.vmdk', '--set');
    const refused = await run('write', 'lone.vmdk', '--offset', '0', '--zero', '512');
    expect(refused).toMatchObject({ stdout: '', code: 4 });
    expect(refused.stderr).toMatch(/the disk is guarded against being written: found .*lone\.vmdk\.guard,/);
    for (const change of [['compact'], ['compact', '-n'], ['resize', '2M'], ['rename', 'other.vmdk']]) {
      const [verb = '', ...rest] = change;
      const { code, stderr } = await run(verb, 'lone.vmdk', ...rest);
      expect({ code, told: stderr.includes('the disk is guarded') }).toEqual({ code: 4, told: true });
    }
    await run('guard', 'lone.vmdk', '--release');
    expect((await run('write', 'lone.vmdk', '--offset', '0', '--zero', '512')).code).toBe(0);
  });
});
