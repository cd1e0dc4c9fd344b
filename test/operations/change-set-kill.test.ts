// Change sets that are killed with SIGKILL at moments spread over the whole run, in processes of their own on a real
// file system: the next run finishes them or leaves no trace of them.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { textsBelow } from '../support/change-bench.ts';
import { countCalls, killAt, type Run } from '../support/kills.ts';

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
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-change-kill-'));
  [total] = (await countCalls([await runIn('whole')])) as [number];
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Two folders of its own for each run. */
async function runIn(name: string): Promise<Run> {
  const root = join(folder, name);
  await mkdir(join(root, 'vm'), { recursive: true });
  await mkdir(join(root, 'into'));
  for (const [path, text] of Object.entries(BEFORE)) await writeFile(join(root, path), text);
  return { verb: 'change many files', args: [join(root, 'into'), join(root, 'vm')] };
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
  const moments = Array.from({ length: MOMENTS }, (_, at) => 1 + Math.floor(((at + 0.5) / MOMENTS) * total));
  await killAt(
    await Promise.all(moments.map(async (moment, at) => ({ ...(await runIn(`killed-${at}`)), moment }))),
  );
  const outcomes: string[] = [];
  for (const [index, moment] of moments.entries()) {
    const name = `killed-${index}`;
    const roots = index % 2 === 0 ? ['into', 'vm'] : ['vm', 'into'];
    for (const root of roots) await settleChangeSets(store, join(folder, name, root));
    const texts = await textsOf(name);
    const outcome = texts['/vm/a.vmx']!;
    expect(texts, `killed at ${moment} of ${total}`).toEqual(outcome === 'after' ? AFTER : BEFORE);
    outcomes.push(outcome);
  }
  expect(new Set(outcomes)).toEqual(new Set(['before', 'after']));
}, 60_000);
