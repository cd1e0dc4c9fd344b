// `vmdkit clone GOLDEN.vmx` as a user runs it: what it prints where, its exit codes, its JSON, its refusals.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import {
  buildCommand,
  expectValid,
  json,
  temporaryFolder,
  vmdkit,
  type Outcome,
} from '../support/command.ts';
import { buildMachine, hashesIn, type MachineModelOptions } from '../support/machine-model.ts';

const store = createNodeFileStore();
let folder: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterEach(() => remove());

const golden = (options: MachineModelOptions = {}) =>
  buildMachine(store, join(folder, 'golden'), { sectors: 1024, ...options });
const clone = (...args: string[]): Promise<Outcome> =>
  vmdkit(['clone', 'golden/golden.vmx', '--into', '.', ...args], { cwd: folder });
const lines = (text: Buffer | string): Record<string, unknown>[] =>
  String(text)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('vmdkit clone of a machine', () => {
  it('prints the plan and makes nothing with --dry-run', async () => {
    await golden();
    const { stdout, stderr, code } = await clone(
      '--name',
      'lab-{01..20}',
      '--snapshot',
      'patched',
      '--dry-run',
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^vmdkit: warning: .*ethernet1 of the source has a static address.*\("mac1"\)\n$/);
    expect(String(stdout).split('\n')).toEqual([
      expect.stringMatching(/^CLONE +UUID +ETHERNET0 +ETHERNET1 +NEEDS$/),
      ...Array.from({ length: 9 }, () =>
        expect.stringMatching(/^lab-0\d\/lab-0\d\.vmx +564d.* 00:0c:29:.* \d+ KiB$/),
      ),
      '… 9 more, all with -v',
      expect.stringMatching(/^lab-19/),
      expect.stringMatching(/^lab-20/),
      expect.stringMatching(/^UUIDs and generated addresses are drawn anew .* save the plan with$/),
      expect.stringMatching(/^--output ndjson > PLAN, .* - < PLAN in place of their names\.$/),
      '',
      expect.stringMatching(/^DISK +CLONES GET +OF +WHICH IS$/),
      expect.stringMatching(
        /^scsi0:0 +delta, twoGbMaxExtentSparse +\.\.\/golden\/golden-000001\.vmdk +512 KiB, .* 2 links$/,
      ),
      expect.stringMatching(/^sata0:1 +delta, monolithicSparse +\.\.\/golden\/golden_1-000001\.vmdk/),
      expect.stringMatching(/^nvme0:0 +delta, vmfsSparse +\.\.\/golden\/golden_2-000001\.vmdk/),
      '',
      'source: golden/golden.vmx, at its snapshot 2 "patched"',
      expect.stringMatching(/^20 machines: 180 files, .* needed$/),
      expect.stringMatching(/^saved: .* against copies of what the disks occupy, .* of full size$/),
      expect.stringMatching(/^limit hosts-per-base \(depends\): on VMFS, 8 hosts may use one base/),
      expect.stringMatching(/^ {2}why: the read-only lock/),
      expect.stringMatching(/^ {2}way out: hosts of 5\.1 or newer/),
      '',
    ]);
    expect(await readdir(folder)).toEqual(['golden']);
  });

  it('says in one line what was made, and how to register it', async () => {
    await golden();
    const { stdout, stderr, code } = await clone(
      '--count',
      '2',
      '--freeze',
      '--register-script',
      'register.sh',
    );
    expect([String(stdout), code]).toEqual(['', 0]);
    expect(stderr.split('\n').slice(1)).toEqual([
      expect.stringMatching(
        /^2 machines in .*: 18 files, .* KiB; .* saved against full copies; the source goes on in 3 new deltas$/,
      ),
      'to register them: sh register.sh',
      '',
    ]);
    expect((await readdir(folder)).toSorted()).toEqual([
      'golden',
      'golden-clone-01',
      'golden-clone-02',
      'register.sh',
    ]);
    expect(await readFile(join(folder, 'register.sh'), 'utf8')).toMatch(
      /^#!\/bin\/sh\n[^]*\nregister 'golden-clone-01' 'golden-clone-01\/golden-clone-01\.vmx'\nregister 'golden-clone-02'/,
    );
    const again = await clone('--start', '3', '--register-script', 'register.sh');
    expect([again.code, again.stderr]).toEqual([
      4,
      expect.stringMatching(/register script exists[^]*--force/),
    ]);
    expect(await readdir(folder)).not.toContain('golden-clone-03');
  });

  it('prints JSON of the published shapes', async () => {
    await golden();
    const quiet = ['clone', 'golden/golden.vmx', '--into', '.', '-q'];
    await json('machine-clone-plan', [...quiet, '--count', '2', '--freeze', '-n'], { cwd: folder });
    await json('machine-clone-plan', [...quiet, '--snapshot', 'patched', '--full', '-n'], { cwd: folder });
    const made = await json<{ clones: object[] }>(
      'machine-clones',
      [...quiet, '--name', 'a', '--freeze', '--register-script', 'r.sh'],
      { cwd: folder },
    );
    expect(made.clones).toMatchObject([{ name: 'a', status: 'created', macs: [{ card: 'ethernet0' }, {}] }]);
    const each = await clone('--name', 'b', '--full', '-q', '--output', 'ndjson');
    for (const line of lines(each.stdout)) expectValid('machine-clone', line);
    const planned = await clone('--name', 'c', '-q', '--output', 'ndjson', '-n');
    expect(lines(planned.stdout)).toMatchObject([{ name: 'c', status: 'planned' }]);
    for (const line of lines(planned.stdout)) expectValid('machine-clone', line);
  });

  it('takes a table from stdin, and a plan as well', async () => {
    await golden();
    const args = ['clone', 'golden/golden.vmx', '-', '--into', '.', '-q', '--output', 'ndjson'];
    const input = 'name;mac1;owner\nweb;00:50:56:00:00:01;Jane\ndb;;Joe\n';
    const planned = await vmdkit([...args, '-n'], { cwd: folder, input });
    expect(planned.code).toBe(0);
    const made = await vmdkit(args, { cwd: folder, input: planned.stdout });
    expect([made.stderr, made.code]).toEqual(['', 0]);
    const [before, after] = [lines(planned.stdout), lines(made.stdout)];
    expect(after.map(({ uuid, macs }) => ({ uuid, macs }))).toEqual(
      before.map(({ uuid, macs }) => ({ uuid, macs })),
    );
    expect(before).toMatchObject([{ input: { owner: 'Jane' } }, { input: { owner: 'Joe' } }]);
  });

  it('goes on without the clones that cannot be made when told to', async () => {
    await golden();
    await writeFile(join(folder, 'lab-2'), 'in the way');
    const refused = await clone('--name', 'lab-{1..3}', '--snapshot', 'patched');
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/lab-2: there is something of this name/),
    ]);
    expect((await readdir(folder)).toSorted()).toEqual(['golden', 'lab-2']);
    const going = await clone('--name', 'lab-{1..3}', '--snapshot', 'patched', '--keep-going');
    expect(going.code).toBe(4);
    expect(going.stderr).toMatch(/warning: .*lab-2.*\n.*2 machines in .*; 1 failed\n$/);
    expect((await readdir(folder)).toSorted()).toEqual(['golden', 'lab-1', 'lab-2', 'lab-3']);
    expect(await readFile(join(folder, 'golden/golden.vmsd'), 'utf8')).toMatch(/numClones = "2"/);
  });
});

describe('a machine that may not be cloned', () => {
  it('is refused with its reason and the way out, and nothing is made', async () => {
    const model = await golden({ vmx: { 'checkpoint.vmState': 'golden.vmss' } });
    const before = await model.hashes();
    const { stdout, stderr, code } = await clone('--name', 'x');
    expect([code, String(stdout)]).toEqual([4, '']);
    expect(stderr).toMatch(
      /^vmdkit: .*golden\.vmx: cannot clone a suspended machine: found .*\n  Resume it .*\n$/,
    );
    expect(await readdir(folder)).toEqual(['golden']);
    expect(await hashesIn(store, model.folder)).toEqual(before);
  });

  it.each<[string[], RegExp, number]>([
    [['--snapshot', 'none'], /no such snapshot: found uid:1 "installed", uid:2 "patched"/, 3],
    [['--full', '--linked'], /choose one/, 2],
    [['--layout', 'files'], /a folder of its own/, 2],
    [['golden/golden.vmdk'], /one at a time/, 2],
  ])('with %j is refused', async (args, why, exitCode) => {
    await golden({ nodes: ['scsi0:0'] });
    const { stderr, code } = await clone(...args);
    expect([code, stderr]).toEqual([exitCode, expect.stringMatching(why)]);
    expect(await readdir(folder)).toEqual(['golden']);
  });
});
