// The script that registers clones, run by a real shell with stand-ins for vim-cmd and govc.
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostPathOf } from '../../src/machine/host-path.ts';
import { registerScript } from '../../src/machine/register-script.ts';

const MACHINES = [
  { name: 'web 1', vmx: '/mnt/ds1/lab/web 1/web 1.vmx' },
  { name: `it's $(touch hacked) "2"`, vmx: `/mnt/ds1/lab/it's/it's.vmx` },
];

describe('a script that registers clones', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmdkit-register-'));
    for (const tool of ['vim-cmd', 'govc']) {
      const text = `#!/bin/sh\nfor word in ${tool} "$@"; do printf '[%s]' "$word"; done >> "$LOG"; echo >> "$LOG"\n`;
      await writeFile(join(folder, tool), text);
      await chmod(join(folder, tool), 0o755);
    }
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function ran(script: string, env: Record<string, string>) {
    const path = join(folder, 'register.sh');
    await writeFile(path, script);
    const log = join(folder, 'log');
    await writeFile(log, '');
    const PATH = `${folder}:/usr/bin:/bin`;
    const code = await new Promise<unknown>((resolve) => {
      execFile('sh', [path], { cwd: folder, env: { PATH, LOG: log, ...env } }, (error) =>
        resolve(error?.code ?? 0),
      );
    });
    return { code, calls: (await readFile(log, 'utf8')).split('\n').slice(0, -1) };
  }

  it('gives vim-cmd the place on the host, and names as nothing but names', async () => {
    const script = registerScript(MACHINES, '/mnt/ds1/lab');
    expect(await ran(script, { DATASTORE: 'ds 1', FOLDER: 'lab/' })).toEqual({
      code: 0,
      calls: [
        '[vim-cmd][solo/registervm][/vmfs/volumes/ds 1/lab/web 1/web 1.vmx][web 1]',
        `[vim-cmd][solo/registervm][/vmfs/volumes/ds 1/lab/it's/it's.vmx][it's $(touch hacked) "2"]`,
      ],
    });
    await expect(readFile(join(folder, 'hacked'))).rejects.toThrow(/ENOENT/);
  });

  it('gives govc the datastore and the path on it', async () => {
    const hostPaths = [
      { from: '[*]', to: '/mnt/*' },
      { from: '/vmfs/volumes/5f3a-1', to: '/mnt/ds1' },
    ];
    const script = registerScript(MACHINES.slice(0, 1), '/mnt/ds1/lab', hostPaths);
    expect(await ran(script, { TOOL: 'govc' })).toEqual({
      code: 0,
      calls: ['[govc][vm.register][-name=web 1][-ds=5f3a-1][lab/web 1/web 1.vmx]'],
    });
    expect((await ran(script, {})).calls).toEqual([
      '[vim-cmd][solo/registervm][/vmfs/volumes/5f3a-1/lab/web 1/web 1.vmx][web 1]',
    ]);
  });

  it('asks for the datastore when nobody has said it, and goes on after a failure', async () => {
    const script = registerScript(MACHINES, '/mnt/ds1/lab');
    expect(await ran(script, {})).toEqual({ code: 2, calls: [] });
    await writeFile(join(folder, 'vim-cmd'), '#!/bin/sh\necho tried >> "$LOG"; exit 1\n');
    expect(await ran(script, { DATASTORE: 'ds1' })).toEqual({ code: 1, calls: ['tried', 'tried'] });
  });
});

describe('a path on the host', () => {
  it.each([
    ['/mnt/ds1/lab/a.vmx', '/vmfs/volumes/ds1/lab/a.vmx'],
    ['/mnt/ds2/lab/a.vmx', undefined],
    ['/srv/all/ds7/a.vmx', undefined],
    ['/home/a.vmx', undefined],
  ])('of %s is %s', (path, wanted) => {
    const mappings = [
      { from: '[*]', to: '/mnt/*' },
      { from: '/vmfs/volumes/ds1', to: '/mnt/ds1' },
      // As --root gives them: it may be one datastore, or hold all of them.
      { from: '/vmfs/volumes', to: '/srv/all' },
      { from: '/vmfs/volumes/*', to: '/srv/all' },
    ];
    expect(hostPathOf(path, mappings)).toBe(wanted);
  });
});
