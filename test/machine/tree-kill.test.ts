// Every change of a tree, killed with SIGKILL while it is made and while it takes its place, in processes of their own on a
// real file system: the same command, run again, ends as if nothing had happened, and leaves no journal.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytes, type Sectors } from '../../src/core/units.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { pattern } from '../support/chain-model.ts';
import { contentOf } from '../support/clone-bench.ts';
import { buildCommand, temporaryFolder } from '../support/command.ts';

const CHILD = fileURLToPath(new URL('../support/tree-child.js', import.meta.url));
const NAMES = ['base', 'mid', 'leaf', 'top', 'side', 'other', 'new'] as const;
const VERBS = [
  'commit',
  'commit in place',
  'rebase',
  'consolidate',
  'promote',
  'shadow',
  'resize',
  'compact',
  'rename',
] as const;
/** Where in the run each is killed: while it is made, and while it takes its place. */
const MOMENTS = [0.55, 0.93] as const;

type Verb = (typeof VERBS)[number];
type State = Readonly<Record<string, string>>;
type Change = (at: (name: string) => string, options: object) => Promise<unknown>;

let folder: string;
let remove: () => Promise<void>;
let verbs: Readonly<Record<Verb, Change>>;

beforeAll(async () => {
  buildCommand();
  const url = new URL('../support/tree-child.js', import.meta.url);
  ({ verbs } = (await import(url.href)) as { verbs: typeof verbs });
  ({ folder, remove } = await temporaryFolder());
  const at = placeIn(join(folder, 'start'));
  await mkdir(join(folder, 'start'));
  await createDisk(at('base'), bytes(128 << 10), { type: 'monolithicSparse', grainSize: 8 });
  await createDisk(at('other'), bytes(128 << 10), { type: 'monolithicFlat' });
  await fill('base', 1);
  await fill('other', 2);
  const parents = [
    ['mid', 'base', 3],
    ['leaf', 'mid', 4],
    ['top', 'leaf', 5],
    ['side', 'mid', 6],
  ] as const;
  for (const [name, parent, seed] of parents) {
    await createDelta(at(name), at(parent), { type: 'monolithicSparse', grainSize: 8 });
    await fill(name, seed);
  }
  async function fill(name: string, seed: number): Promise<void> {
    const chain = await openChain(at(name), 'update');
    await chain.write((seed * 20) as Sectors, pattern(40 << 9, seed));
    await chain.close();
  }
}, 60_000);
afterAll(() => remove());

function placeIn(root: string): (name: string) => string {
  return (name) => join(root, `${name}.vmdk`);
}

/** SHA-256 of what each disk that is there reads as. */
async function stateOf(root: string): Promise<State> {
  const there = new Set(await readdir(root));
  const state: Record<string, string> = {};
  for (const name of NAMES) {
    if (!there.has(`${name}.vmdk`)) continue;
    const content = await contentOf(undefined, placeIn(root)(name));
    state[name] = createHash('sha256').update(content).digest('hex');
  }
  return state;
}

async function copyOfStart(name: string): Promise<string> {
  const root = join(folder, name, 'tree');
  await cp(join(folder, 'start'), root, { recursive: true });
  return root;
}

function runChild(
  root: string,
  verb: Verb,
  moment: number,
): Promise<{ stdout: string; signal: string | null }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [CHILD, root, verb, String(moment)], (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ stdout, signal: error?.signal ?? null });
    });
  });
}

async function again(verb: Verb, root: string): Promise<void> {
  try {
    await verbs[verb](placeIn(root), {});
  } catch (error) {
    // By its code: the built class of errors is not the one of src.
    const { code } = error as { code?: string };
    // All was in place, and only the journal was left: then there is nothing left to do.
    if (code === 'file-missing' || code === 'target-exists' || code === 'nothing-to-merge') return;
    throw error;
  }
}

it.each(VERBS)(
  '%s that is killed is finished or undone by the next',
  async (verb) => {
    const name = verb.replaceAll(' ', '-');
    const whole = await copyOfStart(`${name}-whole`);
    const before = await stateOf(whole);
    const total = Number((await runChild(whole, verb, 0)).stdout);
    expect(total).toBeGreaterThan(50);
    const after = await stateOf(whole);
    for (const [index, part] of MOMENTS.entries()) {
      const root = await copyOfStart(`${name}-${index}`);
      const moment = Math.floor(total * part);
      const what = `${verb}, killed at ${moment} of ${total}`;
      expect((await runChild(root, verb, moment)).signal, what).toBe('SIGKILL');
      await again(verb, root);
      const now = await stateOf(root);
      expect(now, what).toEqual(after);
      expect(
        (await readdir(root)).filter((file) => /^\.(?!vmdkit-sharers)|\.tmp$/.test(file)),
        what,
      ).toEqual([]);
    }
    expect(Object.keys(before).length).toBe(6);
  },
  60_000,
);
