// Every change of a tree, killed with SIGKILL while it is made and while it takes its place, in processes of their own on a
// real file system: the same command, run again, ends as if nothing had happened, and leaves no journal.
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { bytes, type Sectors } from '../../src/core/units.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { pattern } from '../support/chain-model.ts';
import { contentOf } from '../support/clone-bench.ts';
import { temporaryFolder } from '../support/command.ts';
import { countCalls, killAt, verbs } from '../support/kills.ts';

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

let folder: string;
let remove: () => Promise<void>;
/** How often each asks its store, in the order of VERBS. */
let totals: readonly number[];

beforeAll(async () => {
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
  const runs = VERBS.map(async (verb) => ({ verb, args: [await copyOfStart(verb, 'whole')] }));
  totals = await countCalls(await Promise.all(runs));
  const killed = VERBS.flatMap((verb, index) =>
    MOMENTS.map(async (part) => ({
      verb,
      args: [await copyOfStart(verb, part)],
      moment: momentOf(index, part),
    })),
  );
  await killAt(await Promise.all(killed));
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

function folderOf(verb: Verb, part: number | 'whole'): string {
  return join(folder, `${verb.replaceAll(' ', '-')}-${part}`, 'tree');
}

async function copyOfStart(verb: Verb, part: number | 'whole'): Promise<string> {
  await cp(join(folder, 'start'), folderOf(verb, part), { recursive: true });
  return folderOf(verb, part);
}

function momentOf(index: number, part: number): number {
  return Math.floor(totals[index]! * part);
}

async function again(verb: Verb, root: string): Promise<void> {
  try {
    await verbs[verb]!([root], {});
  } catch (error) {
    // All was in place, and only the journal was left: then there is nothing left to do.
    if (isVmdkError(error, 'file-missing', 'target-exists', 'nothing-to-merge')) return;
    throw error;
  }
}

it.each(VERBS.map((verb, index) => [verb, index] as const))(
  '%s that is killed is finished or undone by the next',
  async (verb, index) => {
    expect(totals[index]).toBeGreaterThan(50);
    const after = await stateOf(folderOf(verb, 'whole'));
    for (const part of MOMENTS) {
      const root = folderOf(verb, part);
      const what = `${verb}, killed at ${momentOf(index, part)} of ${totals[index]}`;
      await again(verb, root);
      expect(await stateOf(root), what).toEqual(after);
      expect(
        (await readdir(root)).filter((file) => /^\.(?!vmdkit-sharers)|\.tmp$/.test(file)),
        what,
      ).toEqual([]);
    }
  },
  60_000,
);
