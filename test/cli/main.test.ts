// The frame as a user meets it: help, usage errors, errors as text and as JSON, readers that go away, signals.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.ts';
import { headOf } from '../../src/cli/help.ts';
import { main } from '../../src/cli/main.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { bytes } from '../../src/core/units.ts';
import { buildCommand, COMMAND, expectValid, quietly, temporaryFolder, vmdkit } from '../support/command.ts';

let folder: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  await writeFile(join(folder, 'note.txt'), 'not a disk\n');
  await createDisk(join(folder, 'big.vmdk'), bytes(8 * 2 ** 30));
});
afterAll(() => remove());

describe('help', () => {
  it('goes to stdout when asked for, with every command', async () => {
    const text = await quietly(['--help']);
    for (const { name, summary } of COMMANDS) {
      expect(text).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
      expect(text.replace(/\s+/g, ' ')).toContain(summary);
    }
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(96);
  });

  it('is asked for by the word, too', async () => {
    expect(await quietly(['help', 'info'])).toBe(await quietly(['info', '--help']));
    expect(await quietly(['help'])).toBe(await quietly(['--help']));
  });

  it('goes to stderr with exit code 2 when no command is named', async () => {
    const { stdout, stderr, code } = await vmdkit([]);
    expect([stdout.toString(), code]).toEqual(['', 2]);
    expect(stderr).toContain('Usage: vmdkit COMMAND');
  });

  it.each(COMMANDS.map(({ name }) => name))(
    'of %s names its operands, options and examples',
    async (name) => {
      const command = COMMANDS.find((other) => other.name === name)!;
      const text = await quietly([name, '--help']);
      expect(text).toContain(`Usage: vmdkit ${headOf(command)} [options]`);
      for (const option of command.options ?? []) expect(text).toContain(`--${option.name}`);
      for (const example of command.examples ?? []) expect(text).toContain(example);
      expect(text.includes('--accept-mismatch')).toBe(command.opensDisks === true);
    },
  );

  it('gives the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await quietly(['--version'])).toBe(`${version}\n`);
    expect(await quietly(['info', '--version'])).toBe(`${version}\n`);
  });
});

describe('errors', () => {
  it('of usage end with 2 and say what was meant', async () => {
    const { stdout, stderr, code } = await vmdkit(['ifno', 'x']);
    expect([stdout.toString(), stderr, code]).toEqual([
      '',
      'vmdkit: there is no command "ifno"\n  Did you mean info?\n',
      2,
    ]);
  });

  it('are one block on stderr and nothing on stdout', async () => {
    const { stdout, stderr, code } = await vmdkit(['info', 'nowhere.vmdk'], { cwd: folder });
    expect([stdout.toString(), code]).toEqual(['', 3]);
    expect(stderr).toBe('vmdkit: nowhere.vmdk: cannot look up: there is no such file or folder\n');
  });

  it.each([
    [['info', 'nowhere.vmdk', '--json'], 3, 'file-missing', 'missing'],
    [['map', 'note.txt', '--output', 'ndjson'], 3, 'not-a-vmdk', 'corrupt'],
    [['--output=json', 'chain'], 2, 'usage', 'usage'],
    [['frobnicate', '--json'], 2, 'usage', 'usage'],
  ])('with JSON output are one line of JSON: %j', async (args, expected, errorCode, kind) => {
    const { stdout, stderr, code } = await vmdkit(args, { cwd: folder });
    expect([stdout.toString(), code]).toEqual(['', expected]);
    const value = JSON.parse(stderr) as { error: Record<string, unknown> };
    expectValid('error', value);
    expect(value.error).toMatchObject({ code: errorCode, kind });
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it('show a stack only with --verbose', async () => {
    const plain = await vmdkit(['info', 'note.txt'], { cwd: folder });
    const verbose = await vmdkit(['info', 'note.txt', '-v'], { cwd: folder });
    expect(plain.stderr).not.toContain('    at ');
    expect(verbose.stderr).toContain('    at ');
  });
});

describe('colours', () => {
  it('are only where they are asked for, off a terminal', async () => {
    const escape = '\u001b[';
    expect(await quietly(['--help'])).not.toContain(escape);
    expect(await quietly(['--help', '--color', 'always'])).toContain(escape);
  });
});

describe('an input that nobody asked for', () => {
  it('is not opened: to others who share the pipe it would no longer block', async () => {
    const silent = () => new Writable({ write: (_piece, _encoding, done) => done() });
    const opened: string[] = [];
    const streams = {
      stdout: silent(),
      stderr: silent(),
      get stdin() {
        opened.push('stdin');
        return Readable.from([]);
      },
    };
    const disk = join(folder, 'big.vmdk');
    for (const command of ['info', 'map', 'check']) expect(await main([command, disk], streams)).toBe(0);
    expect(opened).toEqual([]);
  });
});

describe('a reader that goes away', () => {
  it('ends the command quietly', async () => {
    const child = spawn(process.execPath, [COMMAND, 'cat', 'big.vmdk'], { cwd: folder });
    let stderr = '';
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([stderr, code]).toEqual(['', 0]);
  });
});

describe.runIf(existsSync('/dev/full'))('an output that cannot be written', () => {
  it.each([['cat'], ['info']])('is a failure of %s', async (name) => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [COMMAND, name, 'big.vmdk'], {
      cwd: folder,
      stdio: ['ignore', full, 'pipe'],
    });
    let stderr = '';
    child.stderr!.on('data', (piece: Buffer) => (stderr += piece.toString()));
    const code = await new Promise((resolve) => child.on('close', resolve));
    closeSync(full);
    expect([stderr, code]).toEqual(['vmdkit: stdout: the output cannot be written: found ENOSPC\n', 3]);
  });
});

describe('signals', () => {
  it('stop the work also while nobody takes the output', async () => {
    const child = spawn(process.execPath, [COMMAND, 'cat', 'big.vmdk'], { cwd: folder });
    child.stdout.once('readable', () => setTimeout(() => child.kill('SIGTERM'), 300));
    const code = await new Promise((resolve) => child.on('exit', resolve));
    expect(code).toBe(143);
    child.stdout.destroy();
  });

  it.each([
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s stops the work with exit code %d', async (signal, expected) => {
    const { stderr, code } = await vmdkit(['cat', 'big.vmdk'], { cwd: folder, onOutput: () => signal });
    expect([stderr, code]).toEqual(['', expected]);
  });
});

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('for %s knows every command and its options', async (shell) => {
    const script = await quietly(['completion', shell]);
    for (const { name, options = [] } of COMMANDS) {
      expect(script).toContain(name);
      for (const option of options) expect(script).toContain(option.name);
    }
  });

  it('for bash is a script that bash reads and that completes', async () => {
    const script = await quietly(['completion']);
    const asking = 'COMP_WORDS=(vmdkit inf); COMP_CWORD=1; _vmdkit; echo "${COMPREPLY[@]}"';
    const options = 'COMP_WORDS=(vmdkit map x --le); COMP_CWORD=3; _vmdkit; echo "${COMPREPLY[@]}"';
    const words = 'COMP_WORDS=(vmdkit map --journal ig); COMP_CWORD=3; _vmdkit; echo "${COMPREPLY[@]}"';
    const bash = spawn('bash', ['--norc', '-c', `${script}\n${asking}\n${options}\n${words}`]);
    let stdout = '';
    bash.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
    const code = await new Promise((resolve) => bash.on('close', resolve));
    expect([stdout, code]).toEqual(['info\n--length\nignore\n', 0]);
  });

  it('refuses other shells', async () => {
    const { stderr, code } = await vmdkit(['completion', 'csh']);
    expect([stderr, code]).toEqual([
      'vmdkit: completion: "csh" is none of bash, zsh, fish\n  Did you mean zsh?\n',
      2,
    ]);
  });
});
