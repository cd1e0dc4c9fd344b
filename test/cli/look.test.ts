// dump, hexdump, diff --by and report as commands, on the demo's base disk and deltas above it.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Bytes } from '../../src/core/units.ts';
import type { ReportFacts } from '../../src/examine/report-facts.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import {
  buildCommand,
  expectValid,
  json,
  makeDemoBase,
  quietly,
  temporaryFolder,
  vmdkit,
} from '../support/command.ts';

/** Where HOSTNAME.TXT starts: fixtures/README.md. */
const HOSTNAME_AT = 2337 * 512;

let folder: string;
let remove: () => Promise<void>;
let demoBase: string;
let base: string;
let delta: string;
let evidence: string;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  evidence = join(folder, 'evidence');
  await mkdir(evidence);
  [base, delta] = [join(evidence, 'base.vmdk'), join(evidence, 'delta <b>"&.vmdk'.replace('"', "'"))];
  demoBase = makeDemoBase(folder);
  await copyFile(demoBase, base);
  await createDelta(delta, base);
  const chain = await openChain(delta, 'update');
  await writeBytes(chain, HOSTNAME_AT as Bytes, Buffer.from('changed-name\r\n'));
  await writeBytes(chain, (40 << 20) as Bytes, Buffer.alloc(1024, 5));
  await chain.close();
});
afterAll(() => remove());

describe('diff --by', () => {
  it('file names the file that differs, and what differs in none', async () => {
    const changed = await json<{ files: object[] }>('diff-by-file', ['diff', base, delta, '--by', 'file']);
    expect(changed).toMatchObject({
      files: [{ change: 'changed', partition: 1, path: '/HOSTNAME.TXT', 'differing-sectors': 512 }],
      'differing-sectors': 1536,
      'in-no-file': 1024,
      problems: [],
    });
    const text = await quietly(['diff', base, delta, '--by', 'file']);
    expect(text).toMatch(/changed +1 +14 +14 +2009-05-22 12:00:00 +\/HOSTNAME.TXT/);
    expect(text).toMatch(
      /1 file: 0 added, 0 removed, 1 changed, .*; 1.5 KiB of sectors differ, 1 KiB of them in no file/,
    );
    expect(await quietly(['diff', base, base, '--by', 'file'])).toMatch(/^no file differs; 0 B/);
  });

  it('file answers for a machine at two of its snapshots', async () => {
    const home = join(folder, 'machine');
    await mkdir(home);
    const disk = join(home, 'm.vmdk');
    await copyFile(demoBase, disk);
    const vmx = join(home, 'm.vmx');
    const lines = ['.encoding = "UTF-8"', 'displayName = "m"', 'virtualHW.version = "10"'];
    lines.push('scsi0.present = "TRUE"', 'scsi0:0.present = "TRUE"', 'scsi0:0.fileName = "m.vmdk"', '');
    await writeFile(vmx, lines.join('\n'));
    await createSnapshot(vmx, { name: 'one' });
    const chain = await openChain(join(home, 'm-000001.vmdk'), 'update');
    await writeBytes(chain, HOSTNAME_AT as Bytes, Buffer.from('after-snap-1'));
    await chain.close();
    await createSnapshot(vmx, { name: 'two' });
    const later = await openChain(join(home, 'm-000002.vmdk'), 'update');
    await writeBytes(later, (40 << 20) as Bytes, Buffer.alloc(512, 9));
    await later.close();
    const between = ['diff', vmx, '--at', 'one', '--at', 'two', '--by', 'file'];
    const changed = await json<{ files: object[] }>('diff-by-file', between);
    expect(changed.files).toMatchObject([{ change: 'changed', partition: 1, path: '/HOSTNAME.TXT' }]);
    const since = ['diff', vmx, '--at', 'two', '--by', 'file'];
    const nothing = await json<{ files: object[] }>('diff-by-file', since);
    expect(nothing).toMatchObject({
      disk: 'scsi0:0',
      files: [],
      'differing-sectors': 512,
      'in-no-file': 512,
    });
    const then = await quietly(['cat', vmx, '--at', 'one', '--file', '/HOSTNAME.TXT']);
    expect(then).toBe('golden-image\r\n');
  });

  it('partition sums up what differs in each', async () => {
    const { groups } = await json<{ groups: object[] }>('diff-by-partition', [
      'diff',
      base,
      delta,
      '--by',
      'partition',
    ]);
    expect(groups).toMatchObject([
      { partition: 1, ranges: 2, 'differing-sectors': 1536, 'zeros-in-b': 0 },
      { partition: null, ranges: 0 },
    ]);
    expect((await vmdkit(['diff', base, delta, '--by', 'file', '-o', 'x.patch'])).code).toBe(2);
  });
});

describe('dump and hexdump', () => {
  it('print structures, as text and JSON', async () => {
    const dump = await json<{ pieces: { kind: string }[] }>('dump', ['dump', base]);
    expect(dump.pieces.map(({ kind }) => kind)).toEqual(['struct', 'text']);
    await json('dump', ['dump', base, 'gt']);
    const text = await quietly(['dump', base, 'header']);
    expect(text).toContain('  0x0000000c  capacity            131072 (0x20000)\n');
    expect((await vmdkit(['dump', base, 'heads'])).code).toBe(2);
  });

  it.each(['.\\', './', '/'])('find extents that the descriptor names by a path: %s', async (way) => {
    const spelled = join(evidence, 'spelled.vmdk');
    const line = `RW 131072 SPARSE "${way === '/' ? `${evidence}/` : way}base.vmdk"`;
    await writeFile(spelled, `# Disk DescriptorFile\nversion=1\n\n${line}\n`);
    const { pieces } = await json<{ pieces: { filename: string }[] }>('dump', ['dump', spelled, 'header']);
    expect(pieces.map(({ filename }) => filename)).toEqual([base]);
    await rm(spelled);
  });

  it('say so where no structure begins', async () => {
    const { stdout, stderr, code } = await vmdkit(['dump', process.execPath]);
    expect({ stdout: stdout.toString(), code }).toEqual({ stdout: '', code: 3 });
    expect(stderr).toContain('no structure of a disk begins in this file: found neither a descriptor nor');
  });

  it('print what a link holds, a file, and the file of an extent', async () => {
    const at = String(HOSTNAME_AT);
    expect(await quietly(['hexdump', delta, '--start', at, '--length', '14'])).toBe(
      '00124200  63 68 61 6e 67 65 64 2d  6e 61 6d 65 0d 0a        |changed-name..|\n0012420e\n',
    );
    expect(await quietly(['hexdump', delta, '--link', '1', '--start', at, '--length', '4'])).toMatch(
      /\|gold\|/,
    );
    expect(await quietly(['hexdump', delta, '--file', '/HOSTNAME.TXT'])).toMatch(
      /^00000000 .*\|changed-name\.\.\|\n0000000e\n$/,
    );
    expect(await quietly(['hexdump', delta, '--raw', '--length', '4'])).toMatch(/4b 44 4d 56 .*\|KDMV\|/);
    expect((await vmdkit(['hexdump', delta, '--link', '2'])).code).toBe(2);
  });
});

describe('report', () => {
  it('is one page without a script, whose policy allows its own style alone', async () => {
    const names = await readdir(evidence);
    const before = await stat(delta);
    const page = join(folder, 'report.html');
    const args = ['report', delta, '-o', page, '--title', '</title><script>alert(1)</script>', '--json'];
    const facts = await json<ReportFacts>('report', [...args, '-q']);
    const html = await readFile(page, 'utf8');
    expect(html).not.toMatch(
      /<script|<\/title><\/|javascript:|http:\/\/(?!www\.w3\.org\/2000\/svg)|https:|style="| on\w+=/i,
    );
    expect(html).not.toContain('delta <b>');
    expect(html).toContain('delta &lt;b&gt;&#39;&amp;.vmdk');
    const style = /<style>([^]*?)<\/style>/.exec(html)![1]!;
    const hash = createHash('sha256').update(style).digest('base64');
    expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${hash}';`);
    // What it says is what others say.
    const merged = await vmdkit(['cat', delta]);
    const sha256 = createHash('sha256').update(merged.stdout).digest('hex');
    expect(facts.disks[0]!.hashes!['sha256']).toBe(sha256);
    expect(html).toContain(sha256);
    for (const file of facts.files) {
      const content = await readFile(file.filename);
      expect(file.sha256).toBe(createHash('sha256').update(content).digest('hex'));
    }
    const allocation = facts.disks[0]!.allocation!;
    const sum = allocation.links.reduce((total, { data, zero }) => total + data + zero, allocation.absent);
    expect(sum).toBe(64 << 20);
    // Nothing changed beside the evidence, nor in it.
    expect(await readdir(evidence)).toEqual(names);
    expect((await stat(delta)).mtimeMs).toBe(before.mtimeMs);
    expect((await vmdkit(['report', delta, '-o', page])).code).toBe(4);
    expect((await vmdkit(['report', delta, '-o', join(evidence, 'r.html')])).code).toBe(4);
    expect((await vmdkit(['report', delta])).code).toBe(2);
  });

  it('describes a machine with its snapshots, and a chain that is broken', async () => {
    const home = join(folder, 'vm');
    await mkdir(home);
    await copyFile(demoBase, join(home, 'vm.vmdk'));
    await writeFile(
      join(home, 'vm.vmx'),
      [
        '.encoding = "UTF-8"',
        'displayName = "A & B"',
        'scsi0.present = "TRUE"',
        'scsi0:0.present = "TRUE"',
        'scsi0:0.fileName = "vm.vmdk"',
        'scsi0:1.present = "TRUE"',
        'scsi0:1.fileName = "gone.vmdk"',
        '',
      ].join('\n'),
    );
    const facts = await json<ReportFacts>('report', ['report', join(home, 'vm.vmx'), '--hashes', 'none']);
    expect(facts.machine).toMatchObject({ name: 'A & B', snapshots: [] });
    expect(facts.disks.map(({ name, verdict }) => [name, verdict])).toEqual([['scsi0:0', 'sound']]);
    expect(facts.machine!.findings.map(({ code }) => code)).toContain('MACHINE-DISK');
    const broken = join(home, 'broken.vmdk');
    await createDelta(broken, join(home, 'vm.vmdk'));
    const text = (await readFile(broken))
      .toString('latin1')
      .replace('parentFileNameHint="vm.vmdk"', 'parentFileNameHint="no.vmdk"')
      .replace(/parentCID=\w{8}/, 'parentCID=deadbeef');
    await writeFile(broken, Buffer.from(text, 'latin1'));
    const { stdout } = await vmdkit(['report', broken, '--json', '-o', join(folder, 'broken.html')]);
    const lost = JSON.parse(stdout.toString()) as ReportFacts;
    expectValid('report', lost);
    expect(lost.disks[0]).toMatchObject({ failure: { code: expect.stringMatching(/parent/) as string } });
    expect(await readFile(join(folder, 'broken.html'), 'utf8')).toContain(
      'the parent (CID deadbeef) was not found',
    );
  });
});
