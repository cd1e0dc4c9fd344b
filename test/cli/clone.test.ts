// `vmdkit clone` as a user runs it: what it prints where, its exit codes, names from stdin, and stopping it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseNames } from '../../src/cli/name-lines.ts';
import { makeBase } from '../support/clone-bench.ts';
import { buildCommand, COMMAND, vmdkit, type RunOptions } from '../support/command.ts';

let folder: string;

beforeAll(buildCommand);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-cli-clone-'));
  await mkdir(join(folder, 'golden'));
  await makeBase(undefined, join(folder, 'golden/golden.vmdk'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
}

async function run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { stdout, stderr, code } = await vmdkit(args, { cwd: folder, ...options });
  return { stdout: stdout.toString(), stderr, code };
}

/** The run is in the middle of its work: some clones are made, none is in its place. */
async function whenSomeAreMade(lab: string): Promise<void> {
  for (;;) {
    const [journal] = await readdir(lab).catch(() => []);
    const made = journal === undefined ? [] : await readdir(join(lab, journal, 'made')).catch(() => []);
    if (made.length > 20) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

const clone = (...args: string[]): Promise<Outcome> => run(['clone', 'golden/golden.vmdk', ...args]);
const clonesFrom = (input: string, ...args: string[]): Promise<Outcome> =>
  run(['clone', 'golden/golden.vmdk', '-', ...args], { input });
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('vmdkit clone', () => {
  it('tells of a dead lock on the base once', async () => {
    await mkdir(join(folder, 'golden/golden.vmdk.lck'));
    await writeFile(join(folder, 'golden/golden.vmdk.lck/M12345.lck'), 'torn');
    const { stderr, code } = await clone('--into', 'lab');
    expect(code).toBe(0);
    expect(stderr.split('a lock was left behind')).toHaveLength(2);
  });

  it('prints the plan and makes nothing with --dry-run', async () => {
    const { stdout, stderr, code } = await clone('--into', 'lab', '--count', '3', '--dry-run');
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout.split('\n').slice(0, 6)).toEqual([
      expect.stringMatching(/^CLONE +TYPE +BASE.* NEEDS$/),
      expect.stringMatching(
        /^lab\/golden-clone-01\.vmdk +monolithicSparse +\.\.\/golden\/golden\.vmdk +12 KiB$/,
      ),
      expect.stringMatching(/golden-clone-02/),
      expect.stringMatching(/golden-clone-03/),
      '',
      expect.stringMatching(
        /^3 clones of golden\/golden\.vmdk \(256 KiB, .* occupied\): 3 files, 36 KiB needed$/,
      ),
    ]);
    expect(stdout).toMatch(/^saved: .* against copies of what the bases occupy, .* of full size$/m);
    expect(await readdir(folder)).toEqual(['golden']);
  });

  it('cuts a long plan short unless -v asks for all of it', async () => {
    const short = await clone('--into', 'lab', '--count', '200', '-n');
    expect(short.stdout).toMatch(/-001[^]*… 189 more, all with -v\n.*-199[^]*-200/);
    const whole = await clone('--into', 'lab', '--count', '200', '-n', '-v');
    expect(whole.stdout.match(/golden-clone-\d+/g)).toHaveLength(200);
  });

  it('makes clones and says so in one line on stderr', async () => {
    const made = await clone('--into', '.', '--count', '2', '--name', 'web-{n}', '--start', '5');
    expect(made).toMatchObject({ stdout: '', code: 0 });
    expect(made.stderr).toMatch(/^2 clones in .*: 2 files, 24 KiB; .* saved against full copies\n$/);
    expect((await readdir(folder)).toSorted()).toEqual(['golden', 'web-5', 'web-6']);
    const quiet = await clone('--into', '.', '--name', 'quiet', '-q', '--type', 'vmfsSparse');
    expect(quiet).toEqual({ stdout: '', stderr: '', code: 0 });
    expect(await readdir(join(folder, 'quiet'))).toEqual(['quiet-delta.vmdk', 'quiet.vmdk']);
  });

  it('prints a line for each clone with ndjson, one document with json', async () => {
    const each = await clone('--into', 'lab', '--count', '2', '--output', 'ndjson');
    expect(lines(each.stdout)).toMatchObject(
      [1, 2].map((n) => ({
        schema: 'vmdkit-clone/v1',
        name: `golden-clone-0${n}`,
        status: 'created',
        hint: '../golden/golden.vmdk',
        files: [expect.stringMatching(/lab\/golden-clone-0\d\.vmdk$/)],
      })),
    );
    const planned = await clone('--into', 'new', '--count', '2', '--output', 'ndjson', '--dry-run');
    expect(lines(planned.stdout)).toMatchObject([
      { status: 'planned', 'bytes-needed': 12288 },
      { status: 'planned' },
    ]);
    const all = JSON.parse((await clone('--into', 'lab', '--start', '3', '--json')).stdout) as object;
    expect(all).toMatchObject({ schema: 'vmdkit-clones/v1', clones: [{ name: 'golden-clone-03' }] });
    const plan = JSON.parse((await clone('--into', 'lab', '--start', '4', '--json', '-n')).stdout) as object;
    expect(plan).toMatchObject({ schema: 'vmdkit-clone-plan/v1', clones: [{ name: 'golden-clone-04' }] });
  });

  it('takes names from stdin, and gives back what came with them', async () => {
    const { stdout, code } = await clonesFrom(
      'plain name\r\n\n  {"name": "json", "ip": "10.0.0.9"}\n',
      '--into',
      '.',
      '--output',
      'ndjson',
    );
    expect(code).toBe(0);
    expect(lines(stdout)).toMatchObject([
      { name: 'plain name', status: 'created' },
      { name: 'json', input: { ip: '10.0.0.9' }, status: 'created' },
    ]);
    for (const [input, why] of [
      ['', /list of names is empty/],
      ['a\n../b\n', /lead out of the folder/],
      ['{"name": 7}\n', /line 1: the object has no "name"/],
      ['a\n{"name"\n', /line 2: not JSON/],
    ] as const) {
      const refused = await clonesFrom(input, '--into', '.');
      expect(refused.code, input).toBe(2);
      expect(refused.stderr).toMatch(why);
    }
    expect((await clonesFrom('x\n', '--into', '.', '--count', '1')).code).toBe(2);
  });

  it('refuses with exit code 4 what is not safe, and with 2 and 3 what is not asked right or not there', async () => {
    expect((await clone('--into', 'lab')).code).toBe(0);
    const again = await clone('--into', 'lab', '--count', '2');
    expect(again.code).toBe(4);
    expect(again.stderr).toMatch(/golden-clone-01\.vmdk: there is something of this name/);
    expect(await readdir(join(folder, 'lab'))).toEqual(['golden-clone-01.vmdk']);
    const going = await clone('--into', 'lab', '--count', '2', '--keep-going');
    expect(going.code).toBe(4);
    expect(going.stderr).toMatch(/warning: .*golden-clone-01[^]*1 clone in lab.*; 1 failed\n$/);
    expect(await readdir(join(folder, 'lab'))).toHaveLength(2);

    expect((await clone()).code).toBe(2);
    expect((await clone('--into', 'lab', '--hint', 'odd')).code).toBe(2);
    expect((await clone('--into', 'lab', '--accept-mismatch')).code).toBe(2);
    expect(await clone('--into', 'lab', '--type', 'vmfs')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(
        /^vmdkit: a disk of this type is not created here \(createType\): found vmfs,/,
      ),
    });
    const appliance = await run(['clone', 'golden.ovf', '--into', 'lab', '--json']);
    expect(appliance.code).toBe(3);
    expect(JSON.parse(appliance.stderr)).toMatchObject({
      error: { code: 'machine-not-cloned', message: expect.stringContaining('no disk') },
    });
    const frozen = await clone('--into', 'lab', '--freeze');
    expect([frozen.code, frozen.stderr]).toEqual([2, expect.stringMatching(/--freeze is for machines/)]);
    const missing = await run(['clone', 'none.vmdk', '--into', 'lab']);
    expect(missing.code).toBe(3);
  });

  it('warns of a place from which clones do not find their base', async () => {
    const { stderr, code } = await clone('--into', 'lab', '--layout', 'folders');
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*--allow .*golden.*--layout files/);
  });

  it('leaves another host its run, unless told with --force that it has ended', async () => {
    await mkdir(join(folder, 'lab/.vmdkit-clone-00000000-1-1-00000000.new'), { recursive: true });
    const refused = await clone('--into', 'lab');
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/of another host[^]*--force/);
    const forced = await clone('--into', 'lab', '--force');
    expect(forced.code).toBe(0);
    expect(forced.stderr).toMatch(/warning: .*interrupted was undone first/);
    expect(await readdir(join(folder, 'lab'))).toEqual(['golden-clone-01.vmdk']);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('undoes all it made when stopped by %s', async (signal) => {
    const args = ['golden/golden.vmdk', '--into', 'lab', '--count', '5000'];
    const when = (): Promise<void> => whenSomeAreMade(join(folder, 'lab'));
    const stopped = await run(['clone', ...args], { stop: { when, signal } });
    expect(stopped).toMatchObject({ stdout: '', code: signal === 'SIGINT' ? 130 : 143 });
    expect(await readdir(folder)).toEqual(['golden']);
  });

  it('stops while it waits for names', async () => {
    const args = ['clone', 'golden/golden.vmdk', '-', '--into', 'lab'];
    const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder });
    // More than a pipe holds: once it is taken, the command reads names.
    await new Promise((resolve) => child.stdin.write('name\n'.repeat(50_000), resolve));
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([143, null]);
    expect(await readdir(folder)).toEqual(['golden']);
  });

  it('shows how to use it', async () => {
    const help = await clone('--help');
    expect(help.code).toBe(0);
    for (const option of [
      '--into',
      '--count',
      '--name',
      '--start',
      '--hint',
      '--type',
      '--keep-going',
      '--dry-run',
    ]) {
      expect(help.stdout).toContain(option);
    }
  });

  it('refuses a file in the place of the folder', async () => {
    await writeFile(join(folder, 'lab'), 'a file');
    const { code, stderr } = await clone('--into', 'lab');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/clones are made in a folder/)]);
  });
});

describe('lines of names', () => {
  it('are names or objects, whatever ends the lines', () => {
    expect(parseNames('\ufeffa\r\n b \n\n{"name":"c","x":[1]}')).toEqual(['a', 'b', { name: 'c', x: [1] }]);
    expect(parseNames('"quoted"')).toEqual(['"quoted"']);
    expect(parseNames('{"Name":"c"}\n')).toEqual([{ Name: 'c', name: 'c' }]);
    expect(() => parseNames('x\n'.repeat(100_001))).toThrow(/more than 100000 names/);
  });

  it('may be one document, as ConvertTo-Json prints it', () => {
    const both = [{ name: 'a', mac: 'x' }, 'b'];
    expect(parseNames(JSON.stringify(both))).toEqual(both);
    expect(parseNames(JSON.stringify(both, undefined, 2).replaceAll('\n', '\r\n'))).toEqual(both);
    expect(parseNames('{\n  "Name": "a"\n}\n')).toEqual([{ Name: 'a', name: 'a' }]);
    expect(parseNames('[]')).toEqual([]);
    expect(parseNames('[x] y\n')).toEqual(['[x] y']);
    expect(() => parseNames('[{"name":"a"}, 7]')).toThrow(/entry 2: the object has no "name"/);
    expect(() => parseNames('[{"name":"a"}')).toThrow(/stdin: not JSON, though it begins as such/);
  });
});
