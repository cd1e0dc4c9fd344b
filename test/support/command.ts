// Runs the command as a user would, and proves its JSON against the published schemas. Most runs are the same `main` in
// this process: starting Node for each would take half of the time of all tests. What is about the process itself
// (signals, the environment, a reader that goes away) runs the built command in one of its own.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { expect } from 'vitest';

const root = new URL('../../', import.meta.url);
export const COMMAND = fileURLToPath(new URL('bin/vmdkit.js', root));
const SETUP = fileURLToPath(new URL('bin/setup.mjs', root));
const DEMO_BASE_MAKER = fileURLToPath(new URL('fixtures/make-base.js', root));
const SCHEMAS = fileURLToPath(new URL('docs/schemas/', root));

export interface Outcome {
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Null when a signal ended it. */
  readonly code: number | null;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the first bytes of stdout; what it returns is sent as a signal. */
  readonly onOutput?: () => NodeJS.Signals;
  /** Sent as a signal once `when` resolves. */
  readonly stop?: { readonly when: () => Promise<void>; readonly signal: NodeJS.Signals };
}

let built = false;

/** Builds dist unless it is up to date: before anything is run, and once, since a worker keeps its modules. */
export function buildCommand(): void {
  if (!built) execFileSync(process.execPath, [SETUP], { stdio: 'pipe' });
  built = true;
}

/** Makes the base disk of the demo in `folder` with the built library; its path. See fixtures/README.md. */
export function makeDemoBase(folder: string): string {
  const path = join(folder, 'demo-base.vmdk');
  execFileSync(process.execPath, [DEMO_BASE_MAKER, path], { stdio: 'pipe' });
  return path;
}

export function vmdkit(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { env, onOutput, stop } = options;
  if (env === undefined && onOutput === undefined && stop === undefined) return runHere(args, options);
  return runApart(args, options);
}

/** The built command, in a process of its own. */
export function runApart(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (piece: Buffer) => {
      if (stdout.length === 0 && options.onOutput !== undefined) child.kill(options.onOutput());
      stdout.push(piece);
    });
    child.stderr.on('data', (piece: Buffer) => stderr.push(piece));
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString(), code }),
    );
    options.stop?.when().then(() => child.kill(options.stop!.signal), reject);
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
  });
}

/** The last run in this process: there is one current folder, so runs wait for one another. */
let last: Promise<unknown> = Promise.resolve();

function runHere(args: readonly string[], options: RunOptions): Promise<Outcome> {
  return inTurn(() => runMain(args, options));
}

/** In this process, with stdout and stderr in one, as a terminal shows them. */
export function runOnTerminal(args: readonly string[], cwd: string): Promise<{ text: string; code: number }> {
  const terminal = collector();
  return inTurn(async () => {
    const { code } = await runMain(args, { cwd }, terminal, terminal);
    return { text: terminal.bytes().toString(), code: code! };
  });
}

function inTurn<T>(run: () => Promise<T>): Promise<T> {
  const running = last.then(run);
  last = running.catch(() => {});
  return running;
}

async function runMain(
  args: readonly string[],
  { cwd, input }: RunOptions,
  stdout = collector(),
  stderr = collector(),
): Promise<Outcome> {
  const { main } = await import('../../src/cli/main.ts');
  const stdin = Readable.from(input === undefined ? [] : [Buffer.from(input)], { objectMode: false });
  const folder = process.cwd();
  if (cwd !== undefined) process.chdir(cwd);
  try {
    const code = await main(args, { stdin, stdout: stdout.stream, stderr: stderr.stream });
    return { stdout: stdout.bytes(), stderr: stderr.bytes().toString(), code };
  } finally {
    process.chdir(folder);
  }
}

function collector(): { stream: Writable; bytes: () => Buffer } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    write(piece: Uint8Array, _, done) {
      // The writer may use its memory again.
      pieces.push(Buffer.from(piece));
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(pieces) };
}

/** Runs it, expects exit code 0 and a silent stderr, and gives its stdout as text. */
export async function quietly(args: readonly string[], options?: RunOptions): Promise<string> {
  const { stdout, stderr, code } = await vmdkit(args, options);
  expect({ args, stderr, code }).toEqual({ args, stderr: '', code: 0 });
  return stdout.toString();
}

/** The same, read as JSON and proved against the published schema of that name. */
export async function json<T>(schema: string, args: readonly string[], options?: RunOptions): Promise<T> {
  const value: unknown = JSON.parse(await quietly([...args, '--json'], options));
  expectValid(schema, value);
  return value as T;
}

let ajv: Ajv | undefined;

/** `schema` is the name of a file in docs/schemas, without `.v1.json`. */
export function expectValid(schema: string, value: unknown): void {
  if (ajv === undefined) {
    ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
    for (const name of readdirSync(SCHEMAS))
      ajv.addSchema(JSON.parse(readFileSync(join(SCHEMAS, name), 'utf8')));
  }
  const valid = ajv.validate(`urn:vmdkit:${schema}:v1`, value);
  expect({ schema, errors: valid ? [] : ajv.errors }).toEqual({ schema, errors: [] });
}

/** A folder of one's own, and how to remove it. */
export async function temporaryFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'vmdkit-cli-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
