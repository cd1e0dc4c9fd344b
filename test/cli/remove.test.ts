// `vmdkit remove` as a user runs it: the preview, the deed and the refusals, and its JSON against the schema.
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, json, temporaryFolder, vmdkit } from '../support/command.ts';
import { makeDatastore, vmxText } from '../support/scan-model.ts';

let root: string;
let remove: () => Promise<void>;
let cwd: string;
let runs = 0;

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
  const { stdout, stderr, code } = await vmdkit(['remove', ...args], { cwd });
  return { stdout: stdout.toString(), stderr, code };
};

describe('vmdkit remove', () => {
  it('previews on stdout, then removes and says so on stderr', async () => {
    await writeFile(join(cwd, 'web-1/notes.txt'), 'mine');
    const plan = await run('web-1/web-1.vmx', '--dry-run');
    expect({ stderr: plan.stderr, code: plan.code }).toEqual({ stderr: '', code: 0 });
    expect(plan.stdout.split('\n').slice(0, -2)).toEqual([
      'remove web-1/web-1-delta.vmdk',
      'remove web-1/web-1.vmdk',
      'remove web-1/web-1.vmsd',
      'remove web-1/web-1.vmx',
      'keep golden/golden.vmdk: the clone only reads it',
      'keep web-1/notes.txt: it is not known to belong to it',
    ]);
    expect(await readdir(join(cwd, 'web-1'))).toHaveLength(5);
    const done = await run('web-1/web-1.vmx');
    expect({ stdout: done.stdout, code: done.code }).toEqual({ stdout: '', code: 0 });
    expect(done.stderr).toMatch(/^removed 1 machine with 1 disk: 4 files, .* freed\n/);
    expect(done.stderr).toContain('keep web-1/notes.txt: it is not known to belong to it\n');
    expect(await readdir(join(cwd, 'web-1'))).toEqual(['notes.txt']);
  });

  it('tells as JSON what the schema knows, and takes the folder with the clone', async () => {
    const report = await json('remove', ['remove', 'web-1/', 'web-2/web-2.vmx'], { cwd });
    expect(report).toMatchObject({
      'dry-run': false,
      machines: [join(cwd, 'web-1/web-1.vmx'), join(cwd, 'web-2/web-2.vmx')],
      folders: [join(cwd, 'web-1'), join(cwd, 'web-2')],
    });
    expect((await readdir(cwd)).sort()).toEqual(['golden']);
  });

  it('refuses with exit code 4 what others stand on, names them, and --force changes nothing', async () => {
    for (const args of [['golden/golden.vmx'], ['golden/golden.vmdk', '--force']]) {
      const { stdout, stderr, code } = await run(...args);
      expect({ stdout, code }).toEqual({ stdout: '', code: 4 });
      expect(stderr).toMatch(
        /others need what would be removed: found .*web-1\/web-1\.vmdk needs .*golden\.vmdk/,
      );
      expect(stderr).toMatch(
        /\n {2}Remove those first, or name them too; or copy them out with vmdkit convert\.\n$/,
      );
    }
    expect(await readdir(join(cwd, 'golden'))).toHaveLength(6);
  });

  it('leaves a disk that is guarded, unless --force is given: its fingerprint then goes, too', async () => {
    await vmdkit(['create', 'base.vmdk', '1M', '-q'], { cwd });
    await vmdkit(['create', 'lone.vmdk', '--backing', 'base.vmdk', '-q'], { cwd });
    await vmdkit(['guard', 'lone.vmdk', '--set'], { cwd });
    for (const more of [[], ['--dry-run']])
      expect(await run('lone.vmdk', ...more)).toMatchObject({
        stdout: '',
        code: 4,
        stderr: expect.stringContaining('the disk is guarded'),
      });
    expect((await run('lone.vmdk', '--force')).code).toBe(0);
    expect(await readdir(cwd)).not.toContain('lone.vmdk.guard');
  });

  it('never follows a link, and takes nothing that a hostile .vmx names elsewhere', async () => {
    await mkdir(join(cwd, 'evil'));
    await symlink('../golden/golden.vmdk', join(cwd, 'evil/disk.vmdk'));
    await symlink('../golden', join(cwd, 'evil/folder'));
    const disks = {
      'scsi0:0': 'disk.vmdk',
      'scsi0:1': '../golden/golden.vmdk',
      'scsi0:2': 'folder/golden.vmdk',
    };
    await writeFile(join(cwd, 'evil/evil.vmx'), vmxText('evil', disks, 'nvram = "folder/golden.vmx"\n'));
    const before = await readFile(join(cwd, 'golden/golden.vmdk'));
    expect((await run('evil/evil.vmx')).code).toBe(0);
    expect((await readdir(join(cwd, 'evil'))).sort()).toEqual(['disk.vmdk', 'folder']);
    expect(await readdir(join(cwd, 'golden'))).toHaveLength(6);
    expect((await readFile(join(cwd, 'golden/golden.vmdk'))).equals(before)).toBe(true);
  });

  it.each([
    [['golden'], 4, 'others need'],
    [['.'], 2, '. is a folder with no machine in it'],
    [['web-1/web-1.vmsd'], 3, 'this is no disk and no machine'],
    [['gone/gone.vmx'], 3, 'no such file'],
    [['web-1', '--accept-mismatch'], 2, '--accept-mismatch is not for removing'],
  ])('tells what is wrong: %j', async (args, code, message) => {
    const outcome = await run(...args);
    expect(outcome).toMatchObject({ stdout: '', code });
    expect(outcome.stderr).toContain(message);
  });
});
