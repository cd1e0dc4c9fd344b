// `vmdkit relink` as a user runs it: the plan, the deed and the refusals, and its JSON against the schemas.
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { linkText, makeDatastore } from '../support/scan-model.ts';

let root: string;
let remove: () => Promise<void>;
let cwd: string;
let runs = 0;

beforeAll(async () => {
  buildCommand();
  ({ folder: root, remove } = await temporaryFolder());
  await makeDatastore(createNodeFileStore(), join(root, 'model'));
  await mkdir(join(root, 'model/archive'));
  await rename(join(root, 'model/golden'), join(root, 'model/archive/golden'));
});
beforeEach(async () => {
  cwd = join(root, `run${runs++}`);
  await cp(join(root, 'model'), cwd, { recursive: true });
});
afterAll(() => remove());

const relink = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(['relink', ...args], { cwd });
  return { stdout: stdout.toString(), stderr, code };
};

describe('vmdkit relink', () => {
  it('prints the plan on stdout, then does it and says so on stderr', async () => {
    expect(await relink('.', '--dry-run')).toEqual({
      stdout: [
        'web-1/web-1.vmdk: ../golden/golden.vmdk → ../archive/golden/golden.vmdk',
        'web-2/web-2.vmdk: ../golden/golden.vmdk → ../archive/golden/golden.vmdk',
        'web-1/web-1.vmsd: cloneOf0 ../golden/golden.vmx → ../archive/golden/golden.vmx',
        'web-2/web-2.vmsd: cloneOf0 ../golden/golden.vmx → ../archive/golden/golden.vmx',
        '',
      ].join('\n'),
      stderr: '',
      code: 0,
    });
    expect(await relink('.')).toEqual({
      stdout: '',
      stderr: 'relinked 2 disks and 2 paths of snapshot databases; 1 disk stays as before\n',
      code: 0,
    });
    await quietly(['chain', 'web-1/web-1.vmdk'], { cwd });
    expect(await readFile(join(cwd, 'web-2/web-2.vmdk'), 'latin1')).toContain(
      '../archive/golden/golden.vmdk',
    );
  });

  it('takes a map of folders as they are named here, and absolute hints when asked', async () => {
    const report = await json<{ disks: { to: string; found: string }[] }>(
      'relink',
      ['relink', 'web-1', '--map', 'golden=archive/golden', '--hint', 'absolute'],
      { cwd },
    );
    expect(report.disks).toMatchObject([{ to: join(cwd, 'archive/golden/golden.vmdk'), found: 'map' }]);
  });

  it('prints a line of JSON for each disk', async () => {
    const text = await quietly(['relink', '.', '-n', '--output', 'ndjson'], { cwd });
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines) expectValid('relinked', JSON.parse(line));
  });

  it('changes nothing and exits with 4 when one disk does not fit', async () => {
    await writeFile(join(cwd, 'lone.vmdk'), linkText('000000aa', '00000bad', 'gone.vmdk'));
    const refused = await relink('.');
    expect(refused).toMatchObject({ stdout: '', code: 4 });
    expect(refused.stderr).toMatch(
      /^vmdkit: .*: not all of the deltas here can be relinked: found 1 of 3 that fit nowhere/,
    );
    expect(refused.stderr).toMatch(/relink the others alone with --keep-going\. Nothing was changed\.\n$/);
    expect(await readFile(join(cwd, 'web-2/web-2.vmdk'), 'latin1')).toContain('"../golden/golden.vmdk"');
    const partly = await relink('.', '--keep-going');
    expect(partly).toMatchObject({ stdout: '', code: 4 });
    expect(partly.stderr).toMatch(/^vmdkit: warning: lone\.vmdk: no disk that was found is its parent/m);
    expect(partly.stderr).toMatch(/^relinked 2 disks .*; 1 disk could not be$/m);
  });

  it.each([
    [['web-1/web-1.vmdk'], 'relink looks in folders: web-1/web-1.vmdk is none'],
    [['.', '--base', 'web-1/web-1.vmx'], 'is no disk that others could stand on'],
    [['.', '--hint', 'short'], '--hint'],
    [['.', '--accept-mismatch'], '--accept-mismatch is not for relinking'],
  ])('tells of bad usage: %j', async (args, message) => {
    const { stdout, stderr, code } = await relink(...args);
    expect({ stdout, code }).toEqual({ stdout: '', code: 2 });
    expect(stderr).toContain(message);
  });
});
