// `vmdkit scan` as a user runs it, and the refusal to write to a disk that others stand on.
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import type { ScanReport } from '../../src/machine/forest-report.ts';
import {
  buildCommand,
  expectValid,
  json,
  quietly,
  temporaryFolder,
  vmdkit,
  type Outcome,
} from '../support/command.ts';
import { makeDatastore } from '../support/scan-model.ts';

let folder: string;
let remove: () => Promise<void>;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  await makeDatastore(createNodeFileStore(), join(folder, 'ds'));
});
afterEach(() => remove());

const at = (...parts: string[]): string => join(folder, 'ds', ...parts);
const scan = (...args: string[]): Promise<Outcome> => vmdkit(['scan', ...args], { cwd: folder });

describe('vmdkit scan', () => {
  it('shows the tree, the machines and a summary', async () => {
    const text = await quietly(['scan', 'ds'], { cwd: folder });
    const lines = text.replaceAll(/ +\[/g, ' [').split('\n');
    expect(lines[0]).toMatch(
      /^golden\/golden\.vmdk {2}vmfs, 1 MiB, [\d.]+ KiB on disk, 3 children, [\d.]+ KiB with all above \[golden at "ready"\]$/,
    );
    expect(lines[1]).toMatch(/^├── golden\/golden-000001\.vmdk {2}vmfsSparse, .*\[golden\]$/);
    expect(lines[3]).toMatch(/^└── web-2\/web-2\.vmdk {2}vmfsSparse, .*\[web-2\]$/);
    expect(text).toMatch(/web-1 +linked clone +1 +golden\/golden\.vmdk +web-1\/web-1\.vmx/);
    expect(text).toMatch(/golden +machine +1 +ready\*/);
    expect(lines.at(-2)).toMatch(
      /^4 disks, 3 of them deltas; 3 machines, 2 of them linked clones; [\d.]+ KiB on disk$/,
    );
  });

  it('prints one document, or a record a line, as published', async () => {
    const report = await json<ScanReport>('scan', ['scan', at()]);
    expect(report.totals).toMatchObject({ disks: 4, deltas: 3, machines: 3, 'linked-clones': 2 });
    expect(report.disks[1]).toMatchObject({ filename: at('golden/golden.vmdk'), links: 1, outside: false });
    expect(JSON.parse(await quietly(['scan', at(), '--format', 'json']))).toEqual(report);
    const records = (await quietly(['scan', at(), '--output', 'ndjson'])).trimEnd().split('\n');
    const kinds = records.map((line) => {
      const record = JSON.parse(line) as { record: string };
      expectValid('scan-record', record);
      return record.record;
    });
    expect(kinds).toEqual(['disk', 'disk', 'disk', 'disk', 'machine', 'machine', 'machine', 'totals']);
  });

  it('keeps to the published shape when everything is wrong', async () => {
    await createDelta(at('web-1/web-1-000001.vmdk'), at('web-1/web-1.vmdk'));
    await rename(at('golden/golden.vmdk'), at('golden/moved.vmdk'));
    await writeFile(at('golden/lost-flat.vmdk'), 'x');
    await writeFile(at('golden/odd.vmdk'), 'odd');
    await writeFile(
      at('web-2/web-2.vmx'),
      'displayName = "w"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "no.vmdk"\n',
    );
    await writeFile(at('golden/golden-9.vmsn'), 'x');
    const report = await json<ScanReport>('scan', ['scan', at()]);
    expect(report['broken-hints']).toHaveLength(3);
    expect(report['broken-hints'][0]!.candidates).toEqual([
      { filename: at('golden/moved.vmdk'), hint: 'moved.vmdk' },
    ]);
    expect(report.orphans.map(({ kind }) => kind).sort()).toEqual([
      'delta',
      'delta',
      'extent',
      'snapshot',
      'snapshot',
    ]);
    const { stdout, code } = await scan('ds');
    expect(code).toBe(0);
    const text = stdout.toString();
    expect(text).toContain('web-1/web-1.vmdk: "../golden/golden.vmdk"; "../golden/moved.vmdk" would mend it');
    expect(text).toContain('extent golden/lost-flat.vmdk');
    expect(text).toMatch(/warning NOT-A-VMDK: .*odd\.vmdk/);
    expect(text).toMatch(/error MACHINE-DISK: .*scsi0:0 "no\.vmdk"/);
  });

  it('tells a base that was written to under its children', async () => {
    await quietly(['write', at('golden/golden.vmdk'), '--offset', '0', '--force', '-q'], { input: 'x' });
    const report = await json<ScanReport>('scan', ['scan', at()]);
    expect(report['changed-bases']).toMatchObject([{ filename: at('golden/golden.vmdk'), candidates: [] }]);
    expect(report['changed-bases'][0]!.children).toHaveLength(3);
    expect((await scan('ds')).stdout.toString()).toContain('perhaps booted by mistake');
  });

  it('refuses what is no folder, and says what is needed', async () => {
    expect(await scan()).toMatchObject({ code: 2, stderr: expect.stringContaining('scan needs DIR') });
    const file = await scan('ds/golden/golden.vmdk');
    expect(file).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('a folder is scanned, not a file'),
    });
    expect((await scan('nowhere')).code).toBe(3);
    const both = await scan('--who-uses', 'a.vmdk', '--is-clone', 'b.vmx');
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('one at a time') });
  });
});

describe('scan --who-uses', () => {
  it('names machines and disks, with the folders around the disk by itself', async () => {
    const text = await quietly(['scan', '--who-uses', 'ds/golden/golden.vmdk'], { cwd: folder });
    expect(text).toBe(
      [
        'machine golden  ds/golden/golden.vmx',
        'machine web-1  ds/web-1/web-1.vmx',
        'machine web-2  ds/web-2/web-2.vmx',
        'disk ds/golden/golden-000001.vmdk',
        'disk ds/web-1/web-1.vmdk',
        'disk ds/web-2/web-2.vmdk',
        '',
      ].join('\n'),
    );
    const answer = await json<{ disks: unknown[] }>('who-uses', [
      'scan',
      '--who-uses',
      at('golden/golden.vmdk'),
    ]);
    expect(answer.disks).toHaveLength(3);
  });

  it('asks for the disk when an extent, a machine or anything else is named', async () => {
    for (const [name, found, hint] of [
      [
        'ds/golden/golden-flat.vmdk',
        'an extent',
        `Ask for the disk that it is part of: ${at('golden/golden.vmdk')}`,
      ],
      ['ds/web-1/web-1.vmx', 'a machine', `Ask for a disk of the machine: ${at('web-1/web-1.vmdk')}`],
      ['ds/golden/golden.vmsd', 'no descriptor that can be read', ''],
    ] as const) {
      const { stdout, stderr, code } = await scan('--who-uses', name);
      expect({ stdout: stdout.toString(), code }).toEqual({ stdout: '', code: 3 });
      expect(stderr).toContain(`this is none: found ${found}, expected the descriptor of a disk\n`);
      expect(stderr).toContain(hint);
    }
  });

  it('says so when nobody does', async () => {
    await createDelta(at('web-1/new.vmdk'), at('web-1/web-1.vmdk'));
    const { stdout, stderr, code } = await scan('--who-uses', 'ds/web-1/new.vmdk');
    expect({ stdout: stdout.toString(), code }).toEqual({ stdout: '', code: 0 });
    expect(stderr).toBe('nothing found here uses ds/web-1/new.vmdk\n');
  });
});

describe('scan --is-clone', () => {
  it('answers by its exit code and says why', async () => {
    const yes = await scan('--is-clone', 'ds/web-1/web-1.vmx');
    expect(yes.stdout.toString()).toBe(
      `yes, a linked clone:\n  its snapshot database says: a clone of "../golden/golden.vmx"\n  it stands on ${at('golden/golden.vmdk')}\n`,
    );
    expect(yes.code).toBe(0);
    const no = await scan('--is-clone', 'ds/golden/golden.vmx');
    expect(no).toMatchObject({ code: 1, stderr: '' });
    expect(no.stdout.toString()).toBe('no: all its disks are its own\n');
    await json('is-clone', ['scan', '--is-clone', at('web-2/web-2.vmx')]);
    expect((await scan('--is-clone', 'ds/golden/golden.vmdk')).code).toBe(2);
  });
});

describe('a base that others stand on', () => {
  it('is not written to: exit code 4, and who stands on it', async () => {
    const before = await readFile(at('golden/golden-flat.vmdk'));
    const { stderr, code, stdout } = await vmdkit(['write', 'ds/golden/golden.vmdk', '--offset', '0'], {
      cwd: folder,
      input: 'x',
    });
    expect({ code, stdout: stdout.length }).toEqual({ code: 4, stdout: 0 });
    expect(stderr).toBe(
      `vmdkit: ${at('golden/golden.vmdk')}: writing to this disk would break the disks that stand on it: found 3 disks: ${at('golden/golden-000001.vmdk')}, ${at('web-1/web-1.vmdk')}, ${at('web-2/web-2.vmdk')}, expected no disk that stands on it\n  Make a delta of it and work there (vmdkit create NEW --backing DISK), or pass --force to go ahead.\n`,
    );
    expect((await readFile(at('golden/golden-flat.vmdk'))).equals(before)).toBe(true);
    const asJson = await vmdkit(['write', at('golden/golden.vmdk'), '--offset', '0', '--json'], {
      input: 'x',
    });
    expectValid('error', JSON.parse(asJson.stderr));
    expect(JSON.parse(asJson.stderr)).toMatchObject({
      error: { code: 'base-has-children', kind: 'refused' },
    });
  });

  it('is written to with --force, and a leaf without', async () => {
    const forced = await vmdkit(['write', 'ds/golden/golden.vmdk', '--offset', '0', '--force'], {
      cwd: folder,
      input: 'x',
    });
    expect(forced.code).toBe(0);
    expect(forced.stderr).toContain('3 disks stand on it, and break by this');
    expect(
      (await vmdkit(['write', at('web-1/web-1.vmdk'), '--offset', '0', '--accept-mismatch'], { input: 'x' }))
        .code,
    ).toBe(0);
  });

  it('has a register of its clones, wherever they are; the base itself stays as it is', async () => {
    const base = at('golden/golden.vmdk');
    const before = await createNodeFileStore().resolve(base);
    await mkdir(join(folder, 'far'));
    await quietly(['clone', base, '--into', join(folder, 'far/first'), '--no-register', '-q']);
    await quietly([
      'create',
      at('web-2/no.vmdk'),
      '--backing',
      at('web-2/web-2.vmdk'),
      '--no-register',
      '-q',
    ]);
    expect(await readdir(at('golden'))).not.toContain('.vmdkit-sharers.json');
    expect(await readdir(at('web-2'))).not.toContain('.vmdkit-sharers.json');
    await quietly(['clone', base, '--into', join(folder, 'far/deep'), '--count', '2', '-q']);
    expect(await createNodeFileStore().resolve(base)).toEqual(before);
    const register = JSON.parse(await readFile(at('golden/.vmdkit-sharers.json'), 'utf8')) as unknown;
    expect(register).toMatchObject({
      schema: 'vmdkit-sharers/v1',
      disks: {
        'golden.vmdk': [
          join(folder, 'far/deep/golden-clone-01.vmdk'),
          join(folder, 'far/deep/golden-clone-02.vmdk'),
        ],
      },
    });
    const { stderr } = await vmdkit(['write', base, '--offset', '0', '--allow', folder], { input: 'x' });
    expect(stderr).toContain('6 disks');
    expect(stderr).toContain('far/deep/golden-clone-01.vmdk');
    await quietly(['scan', folder, '--rebuild-register', '-q']);
    expect(await readFile(at('golden/.vmdkit-sharers.json'), 'utf8')).toContain('../web-1/web-1.vmdk');
  });
});
