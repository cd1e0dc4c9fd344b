// Change sets that are killed with SIGKILL at moments spread over the whole run, in processes of their own on a real
// file system: the next run finishes them or leaves no trace of them.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { textsBelow } from '../support/change-bench.ts';

const CHILD = fileURLToPath(new URL('../support/change-child.js', import.meta.url));
const SETUP = fileURLToPath(new URL('../../bin/setup.js', import.meta.url));
const MOMENTS = 16;
const BEFORE = { '/vm/a.vmx': 'before', '/vm/base': 'base', '/vm/gone': 'g', '/vm/leaf': 'l' };
const AFTER = {
  ...Object.fromEntries(
    ['c1', 'c2', 'c3'].flatMap((name) => [
      [`/into/${name}/a`, name],
      [`/into/${name}/b`, 'base'],
    ]),
  ),
  '/vm/a.vmx': 'after',
  '/vm/base': 'bASE',
  '/vm/leaf-1': 'l',
  '/vm/new': 'new',
};
const store = createNodeFileStore();

let folder: string;
let total: number;
beforeAll(async () => {
  // The child runs what is built; this builds only when src has changed.
  await run([SETUP]);
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-change-kill-'));
  total = Number((await runChild('whole', 0)).stdout);
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(args: readonly string[]): Promise<{ stdout: string; signal: string | null }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ stdout, signal: error?.signal ?? null });
    });
  });
}

/** Two folders of its own for each run. */
async function runChild(name: string, moment: number): ReturnType<typeof run> {
  const root = join(folder, name);
  await mkdir(join(root, 'vm'), { recursive: true });
  await mkdir(join(root, 'into'));
  for (const [path, text] of Object.entries(BEFORE)) await writeFile(join(root, path), text);
  return run([CHILD, join(root, 'into'), join(root, 'vm'), String(moment)]);
}

async function textsOf(name: string): Promise<Record<string, string>> {
  const root = join(folder, name);
  const texts = await textsBelow(store, root);
  return Object.fromEntries(Object.entries(texts).map(([path, text]) => [path.slice(root.length), text]));
}

it('a change set that nobody kills is carried out', async () => {
  expect(total).toBeGreaterThan(100);
  expect(await textsOf('whole')).toEqual(AFTER);
});

it('a change set that is killed is finished or undone by the next run', async () => {
  const outcomes: string[] = [];
  for (let index = 0; index < MOMENTS; index++) {
    const name = `killed-${index}`;
    const moment = 1 + Math.floor(((index + 0.5) / MOMENTS) * total);
    const { signal } = await runChild(name, moment);
    expect(signal, `killed at ${moment} of ${total}`).toBe('SIGKILL');
    const roots = index % 2 === 0 ? ['into', 'vm'] : ['vm', 'into'];
    for (const root of roots) await settleChangeSets(store, join(folder, name, root));
    const texts = await textsOf(name);
    const outcome = texts['/vm/a.vmx']!;
    expect(texts, `killed at ${moment} of ${total}`).toEqual(outcome === 'after' ? AFTER : BEFORE);
    outcomes.push(outcome);
  }
  expect(new Set(outcomes)).toEqual(new Set(['before', 'after']));
}, 60_000);
