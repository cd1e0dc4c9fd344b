// Runs that are killed with SIGKILL when their file store is asked for the Nth time, many in one process of their own.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import * as vmdkit from '../../src/index.ts';
import { buildCommand } from './command.ts';

const CHILD = fileURLToPath(new URL('kill-child.js', import.meta.url));
const VERBS = new URL('killed-verbs.js', import.meta.url).href;

type Verb = (args: readonly string[], options: object) => Promise<unknown>;

/** What killed-verbs.js can do, done by what is in src. */
export const verbs: Readonly<Record<string, Verb>> = (
  (await import(VERBS)) as { verbsOf: (library: object) => Readonly<Record<string, Verb>> }
).verbsOf(vmdkit);

/** A change on files of its own. */
export interface Run {
  readonly verb: string;
  /** Paths and names. */
  readonly args: readonly string[];
}

/** Carries the runs out and says how often the file store of each was asked. */
export async function countCalls(runs: readonly Run[]): Promise<number[]> {
  return (await callsOf(runs)).map(({ length }) => length);
}

/** Carries the runs out and says what the file store of each was asked for, in order: `open /a`, `write`. */
export async function callsOf(runs: readonly Run[]): Promise<string[][]> {
  const { stdout, signal } = await runChild(runs.map((run) => ({ ...run, moment: 0 })));
  expect(signal).toBe(null);
  return JSON.parse(stdout) as string[][];
}

/** Kills every run when its store is asked for the Nth time, counted from 1. @throws Error when one ends before that. */
export async function killAt(runs: readonly (Run & { readonly moment: number })[]): Promise<void> {
  expect((await runChild(runs)).signal).toBe('SIGKILL');
}

function runChild(runs: readonly object[]): Promise<{ stdout: string; signal: string | null }> {
  buildCommand();
  return new Promise((resolve, reject) => {
    const args = [CHILD, JSON.stringify(runs)];
    execFile(process.execPath, args, { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ stdout, signal: error?.signal ?? null });
    });
  });
}
