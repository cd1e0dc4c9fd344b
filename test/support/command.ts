// Runs the built command as a user would, and proves its JSON against the published schemas.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { expect } from 'vitest';

const root = new URL('../../', import.meta.url);
export const COMMAND = fileURLToPath(new URL('bin/vmdkit.js', root));
const SETUP = fileURLToPath(new URL('bin/setup.js', root));
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

/** Builds dist unless it is up to date: once per test file, before anything is run. */
export function buildCommand(): void {
  execFileSync(process.execPath, [SETUP], { stdio: 'pipe' });
}

export function vmdkit(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
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
