// `vmdkit snapshot` as a user runs it: what it prints where, its exit codes, and its JSON against the schemas.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { buildMachine } from '../support/machine-model.ts';

let root: string;
let remove: () => Promise<void>;
let cwd: string;
let runs = 0;

beforeAll(async () => {
  buildCommand();
  ({ folder: root, remove } = await temporaryFolder());
  await mkdir(join(root, 'model'));
  const eol = '\r\n';
  await buildMachine(createNodeFileStore(), join(root, 'model/golden'), {
    nodes: ['scsi0:0', 'sata0:1'],
    eol,
  });
});
beforeEach(async () => {
  cwd = join(root, `run${runs++}`);
  await cp(join(root, 'model'), cwd, { recursive: true });
});
afterAll(() => remove());

const VM = 'golden/golden.vmx';
const snapshot = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(['snapshot', VM, ...args], { cwd });
  return { stdout: stdout.toString(), stderr, code };
};
const files = () => readdir(join(cwd, 'golden'));

describe('vmdkit snapshot', () => {
  it('lists the tree with times in UTC, and more with -v', async () => {
    expect(await snapshot('list')).toEqual({
      stdout: [
        'SNAPSHOT             UID  CREATED',
        'installed              1  2026-03-01 12:00:00 UTC  2 disks',
        '├ patched              2  2026-03-02 12:00:00 UTC  2 disks',
        '└ experiment ← here    3  2026-03-03 12:00:00 UTC  2 disks',
        '',
      ].join('\n'),
      stderr: '',
      code: 0,
    });
    const { stdout } = await snapshot('list', '-v');
    expect(stdout).toContain('2 patched\n  with "quotes" | and more\n  scsi0:0 golden-000001.vmdk\n');
  });

  it('lists as JSON that the schema knows', async () => {
    const listing = await json<{ current: number }>('snapshots', ['snapshot', VM, 'list'], { cwd });
    expect(listing).toMatchObject({ current: 3, snapshots: [{ uid: 1 }, { uid: 2, parent: 1 }, { uid: 3 }] });
    const lines = await quietly(['snapshot', VM, 'list', '--output', 'ndjson'], { cwd });
    expect(lines.trimEnd().split('\n')).toHaveLength(3);
  });

  it('takes one, says so on stderr, and keeps the line ends of Windows', async () => {
    const made = await snapshot('create', 'before the upgrade', '--description', 'two lines');
    expect(made).toEqual({
      stdout: '',
      stderr: 'golden/golden.vmx: took snapshot 4 "before the upgrade": 2 disks\n',
      code: 0,
    });
    const vmsd = await readFile(join(cwd, 'golden/golden.vmsd'), 'latin1');
    expect(vmsd).toContain(
      'snapshot3.displayName = "before the upgrade"\r\nsnapshot3.description = "two lines"\r\n',
    );
    expect(vmsd).toContain('snapshot.current = "4"\r\n');
    const vmx = await readFile(join(cwd, 'golden/golden.vmx'), 'latin1');
    expect(vmx).toContain('scsi0:0.fileName = "golden-000004.vmdk"\r\n');
    expect(await files()).toContain('golden-000004-s001.vmdk');
  });

  it('prints the plan of each change on stdout and changes nothing with --dry-run', async () => {
    const before = await files();
    const plan = await snapshot('delete', 'experiment', '--dry-run');
    expect({ stderr: plan.stderr, code: plan.code }).toEqual({ stderr: '', code: 0 });
    expect(plan.stdout).toMatch(
      /^merge golden\/golden-000002\.vmdk into golden\/golden-000003\.vmdk: .* to copy$/m,
    );
    expect(plan.stdout).toMatch(/^remove golden\/golden-000002-s001\.vmdk$/m);
    expect(plan.stdout).toMatch(/^change golden\/golden\.vmsd$/m);
    const report = await json('snapshot', ['snapshot', VM, 'revert', '1', '-n', '--force'], { cwd });
    expect(report).toMatchObject({ 'dry-run': true, snapshots: [{ uid: 1, name: 'installed' }] });
    expect(await files()).toEqual(before);
  });

  it('deletes, merges and tells what it came to', async () => {
    const { stdout, stderr, code } = await snapshot('delete', 'uid:3');
    expect({ stdout, code }).toEqual({ stdout: '', code: 0 });
    expect(stderr).toMatch(
      /^golden\/golden\.vmx: deleted snapshot 3 "experiment": 2 disks merged, 3 files removed, .* freed\n$/,
    );
    const { stdout: left, code: again } = await vmdkit(
      ['snapshot', VM, 'delete', '1', '--children', '--json'],
      { cwd },
    );
    expect(again).toBe(0);
    expectValid('snapshot', JSON.parse(left.toString()));
    expect((await files()).filter((name) => name.endsWith('.vmdk'))).toEqual([
      'golden-s001.vmdk',
      'golden-s002.vmdk',
      'golden.vmdk',
      'golden_1-flat.vmdk',
      'golden_1.vmdk',
    ]);
    expect(await snapshot('list')).toMatchObject({ stdout: 'golden/golden.vmx has no snapshots\n' });
  });

  it('says which disks stay, and why', async () => {
    expect(await snapshot('delete', 'installed')).toEqual({
      stdout: '',
      stderr: [
        'kept golden/golden.vmdk: more than one disk stands on it',
        'kept golden/golden_1.vmdk: more than one disk stands on it',
        'golden/golden.vmx: deleted snapshot 1 "installed": 0 disks merged, 0 files removed, 0 B freed',
        '',
      ].join('\n'),
      code: 0,
    });
    const { stdout } = await snapshot('delete', 'patched', '--in-place', '-n');
    expect(stdout).toMatch(/^merge golden\/golden-000002\.vmdk into golden\/golden\.vmdk: .* to copy$/m);
  });

  it('consolidates what was left', async () => {
    const kept = await snapshot('delete', 'experiment', '--keep-disks');
    expect(kept).toMatchObject({ stdout: '', code: 0 });
    expect(kept.stderr).toContain('all disks stay as they are: the machine needs to be consolidated\n');
    expect((await snapshot('list')).stdout).toContain(
      '\ndeltas are left over from a snapshot that was deleted\n',
    );
    const { stderr, code } = await snapshot('consolidate');
    expect(code).toBe(0);
    expect(stderr).toMatch(/golden\/golden\.vmx: consolidated: 2 disks merged, 3 files removed, .*\n$/);
    expect(await snapshot('consolidate')).toMatchObject({
      stderr: 'golden/golden.vmx: nothing was left to do\n',
    });
  });

  it('refuses to revert over what was written, and says how to', async () => {
    const before = await files();
    const { stdout, stderr, code } = await snapshot('revert', 'patched');
    expect({ stdout, code }).toEqual({ stdout: '', code: 4 });
    expect(stderr).toMatch(
      /reverting gives up what the machine wrote since: found \d+ bytes in .*golden-000003\.vmdk/,
    );
    expect(stderr).toMatch(/Take a snapshot first to keep it, or pass --force to give it up\.\n$/);
    expect(await files()).toEqual(before);
    expect(await snapshot('revert', 'patched', '--force')).toMatchObject({
      stdout: '',
      stderr: 'golden/golden.vmx: runs from snapshot 2 "patched" again: 2 disks, 3 files removed\n',
      code: 0,
    });
  });

  it('refuses to delete what a linked clone hangs on, and names it', async () => {
    await mkdir(join(cwd, 'clone'));
    await quietly(['create', 'clone/clone.vmdk', '--backing', 'golden/golden-000001.vmdk', '-q'], { cwd });
    const scanned = await snapshot('delete', 'patched');
    expect(scanned).toMatchObject({ stdout: '', code: 4 });
    expect(scanned.stderr).toMatch(
      /other disks stand on what this snapshot leaves .*: found .*clone\/clone\.vmdk,/,
    );
    await writeFile(join(cwd, 'clone/clone.vmx'), 'displayName = "clone"\n');
    const vmsd = join(cwd, 'golden/golden.vmsd');
    await writeFile(vmsd, `${await readFile(vmsd, 'utf8')}snapshot1.clone0 = "../clone/clone.vmx"\r\n`);
    const listed = await snapshot('delete', 'patched');
    expect(listed.code).toBe(4);
    expect(listed.stderr).toMatch(
      /linked clones hang on this snapshot \(snapshot 2 "patched"\): found \.\.\/clone\/clone\.vmx, expected no linked clone\n {2}Delete those clones first/,
    );
  });

  it('takes no disk for a machine, whose snapshots stand in a file of the same name', async () => {
    const before = await files();
    for (const words of [
      ['list'],
      ['create', 'x'],
      ['delete', 'patched'],
      ['revert', 'patched', '--force'],
    ]) {
      const { stdout, stderr, code } = await vmdkit(['snapshot', 'golden/golden.vmdk', ...words], { cwd });
      expect({ stdout: stdout.toString(), stderr, code }).toEqual({
        stdout: '',
        stderr: 'vmdkit: golden/golden.vmdk is no machine\n  Name its .vmx.\n',
        code: 2,
      });
    }
    expect(await files()).toEqual(before);
  });

  it('refuses a machine that runs, with exit code 4', async () => {
    await mkdir(join(cwd, 'golden/golden.vmx.lck'));
    await writeFile(join(cwd, 'golden/golden.vmx.lck/M12345.lck'), Buffer.alloc(512, 0x20));
    const { stderr, code } = await snapshot('create', 'now');
    expect(code).toBe(4);
    expect(stderr).toMatch(/cannot snapshot a machine/);
  });

  it.each([
    [['creat', 'x'], 'snapshot: there is no action "creat"\n  Did you mean create?'],
    [['create'], 'snapshot create needs the NAME of the new snapshot'],
    [['list', 'x'], 'snapshot list: "x" is one word too many'],
    [['create', 'x', '--children'], '--children does not go with snapshot create'],
    [['rename', '1'], 'rename needs a new name, or a description'],
    [['create', ' '], 'a snapshot needs a name'],
    [['delete', ''], 'snapshot delete needs the NAME or UID of a snapshot, not an empty word'],
  ])('tells of bad usage: %j', async (args, message) => {
    const { stdout, stderr, code } = await snapshot(...args);
    expect({ stdout, code }).toEqual({ stdout: '', code: 2 });
    expect(stderr).toContain(message);
  });

  it('lists what there is when a snapshot is not there', async () => {
    const { stderr, code } = await snapshot('rename', 'Patched', 'x');
    expect(code).toBe(3);
    expect(stderr).toContain(
      'found uid:1 "installed", uid:2 "patched", uid:3 "experiment", expected "Patched"',
    );
  });

  it('chooses none of two that have one name, whoever asks, and says how to tell them apart', async () => {
    expect(await snapshot('rename', 'experiment', 'patched')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(
        'another snapshot is called "patched" too: from now on name both by uid',
      ),
    });
    const vmsd = () => readFile(join(cwd, 'golden/golden.vmsd'), 'utf8');
    const [before, names] = [await vmsd(), await files()];
    for (const args of [
      ['snapshot', VM, 'revert', 'patched', '--force'],
      ['snapshot', VM, 'delete', 'patched', '--children'],
      ['snapshot', VM, 'rename', 'patched', 'other'],
      ['clone', VM, '--into', '.', '--snapshot', 'patched'],
      ['info', VM, '--at', 'patched'],
      ['cat', VM, '--at', 'patched', '--disk', 'scsi0:0'],
      ['hash', 'golden/golden.vmdk', '--at', 'patched'],
      ['timeline', VM, '--at', 'patched'],
      ['diff', VM, '--at', 'installed', '--at', 'patched'],
    ]) {
      const { stdout, stderr, code } = await vmdkit(args, { cwd });
      expect({ stdout: stdout.toString(), code, stderr }, args.join(' ')).toEqual({
        stdout: '',
        code: 2,
        stderr: [
          `vmdkit: ${join(cwd, 'golden/golden.vmsd')}: more than one snapshot is meant by "patched": found uid:2 "patched", uid:3 "patched", expected one snapshot`,
          '  uid:2 "patched" of 2026-03-02T12:00:00.000Z, below uid:1 "installed", with none below it',
          '  uid:3 "patched" of 2026-03-03T12:00:00.000Z, below uid:1 "installed", with none below it, the one that the machine goes on from',
          '  Name the one that is meant by its uid, as in uid:2.',
          '',
        ].join('\n'),
      });
    }
    expect([await vmsd(), await files()]).toEqual([before, names]);
    expect((await snapshot('delete', 'uid:2')).code).toBe(0);
    expect(await vmsd()).toContain('snapshot1.uid = "3"\r\nsnapshot1.parent = "1"\r\n');
  });
});
