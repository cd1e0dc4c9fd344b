// A repair, its undoing and a recovery, killed with SIGKILL in processes of their own on a real file system: the same
// command, run again, ends as if nothing had happened; and a repair can be taken back byte for byte all the same.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { temporaryFolder } from '../support/command.ts';
import { countCalls, killAt, verbs } from '../support/kills.ts';
import { sparseImage } from './check-images.ts';

const VERBS = ['repair', 'undo', 'recover'] as const;
/** Where in the run each is killed: a recovery also when nothing is left to do but tidying. */
const MOMENTS = { repair: [0.4, 0.75, 0.97], undo: [0.4, 0.75, 0.97], recover: [0.4, 0.75, 0.9, 1] } as const;

type Verb = (typeof VERBS)[number];
type State = Readonly<Record<string, string>>;

let folder: string;
let remove: () => Promise<void>;
/** Of each verb: how often it asks its store, and what is there before and after. */
const whole = new Map<Verb, { total: number; before: State; after: State }>();

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  const roots = await Promise.all(VERBS.map((verb) => startOf(verb, 'whole')));
  const before = await Promise.all(roots.map(stateOf));
  const totals = await countCalls(VERBS.map((verb, index) => ({ verb, args: [roots[index]!] })));
  const after = await Promise.all(roots.map(stateOf));
  for (const [index, verb] of VERBS.entries())
    whole.set(verb, { total: totals[index]!, before: before[index]!, after: after[index]! });
  const runs = VERBS.flatMap((verb) =>
    MOMENTS[verb].map(async (part) => ({
      verb,
      args: [await startOf(verb, part)],
      moment: momentOf(verb, part),
    })),
  );
  await killAt(await Promise.all(runs));
});
afterAll(() => remove());

function momentOf(verb: Verb, part: number): number {
  return Math.floor(whole.get(verb)!.total * part);
}

/** Damage in a header, in tables and in a directory, which the copies in the file put right. */
function damaged(): Buffer {
  const image = sparseImage();
  image.bytes.writeUInt32LE(0, image.entryAt(5));
  image.bytes.writeUInt32LE(0, image.copyAt(700));
  image.bytes.fill(0, image.layout.gdOffset * 512, image.layout.gdOffset * 512 + 512);
  return Buffer.concat([image.bytes, Buffer.alloc(700, 3)]);
}

function folderOf(verb: Verb, part: number | 'whole'): string {
  return join(folder, `${verb}-${part}`);
}

/** A damaged disk with its plan; for the undoing it is repaired already. */
async function startOf(verb: Verb, part: number | 'whole'): Promise<string> {
  const root = folderOf(verb, part);
  await mkdir(root);
  const disk = join(root, 'disk.vmdk');
  await writeFile(disk, damaged());
  await writeFile(join(root, 'plan.json'), JSON.stringify(await planRepair(disk)));
  if (verb === 'undo') await verbs['repair']!([root], {});
  return root;
}

/** Every name, and what the disks hold but for their CIDs, which chance gives. */
async function stateOf(root: string): Promise<State> {
  const state: Record<string, string> = {};
  for (const name of (await readdir(root)).sort()) {
    const bytes = await readFile(join(root, name), 'latin1');
    state[name] = name.endsWith('.vmdk')
      ? sha(bytes.replace(/^(CID|ddb.longContentID)( ?= ?).*$/gm, '$1'))
      : 'there';
  }
  return state;
}

const sha = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');

async function again(verb: Verb, root: string): Promise<void> {
  try {
    await verbs[verb]!([root], {});
  } catch (error) {
    // All was in place already.
    if (verb === 'recover' && isVmdkError(error, 'target-exists')) return;
    if (verb === 'undo' && isVmdkError(error, 'file-missing')) return;
    throw error;
  }
}

it.each(VERBS)(
  '%s that is killed ends as ever when it is run again',
  async (verb) => {
    const { total, before, after } = whole.get(verb)!;
    expect(total).toBeGreaterThan(20);
    expect(after).not.toEqual(before);
    for (const part of MOMENTS[verb]) {
      const root = folderOf(verb, part);
      const what = `killed at ${momentOf(verb, part)} of ${total}`;
      await again(verb, root);
      expect({ what, state: await stateOf(root) }).toEqual({ what, state: after });
      if (verb === 'repair') await again('undo', root);
      expect(sha(await readFile(join(root, 'disk.vmdk'))), what).toBe(sha(damaged()));
    }
  },
  60_000,
);
