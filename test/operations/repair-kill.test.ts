// A repair, its undoing and a recovery, killed with SIGKILL in processes of their own on a real file system: the same
// command, run again, ends as if nothing had happened; and a repair can be taken back byte for byte all the same.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { buildCommand, temporaryFolder } from '../support/command.ts';
import { sparseImage } from './check-images.ts';

const CHILD = new URL('../support/repair-child.js', import.meta.url);
const VERBS = ['repair', 'undo', 'recover'] as const;
/** Where in the run each is killed: a recovery also when nothing is left to do but tidying. */
const MOMENTS = { repair: [0.4, 0.75, 0.97], undo: [0.4, 0.75, 0.97], recover: [0.4, 0.75, 0.9, 1] } as const;

type Verb = (typeof VERBS)[number];

let folder: string;
let remove: () => Promise<void>;
let verbs: Readonly<Record<Verb, (folder: string, options: object) => Promise<unknown>>>;

beforeAll(async () => {
  buildCommand();
  ({ verbs } = (await import(CHILD.href)) as { verbs: typeof verbs });
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

/** Damage in a header, in tables and in a directory, which the copies in the file put right. */
function damaged(): Buffer {
  const image = sparseImage();
  image.bytes.writeUInt32LE(0, image.entryAt(5));
  image.bytes.writeUInt32LE(0, image.copyAt(700));
  image.bytes.fill(0, image.layout.gdOffset * 512, image.layout.gdOffset * 512 + 512);
  return Buffer.concat([image.bytes, Buffer.alloc(700, 3)]);
}

/** A damaged disk with its plan; for the undoing it is repaired already. */
async function startOf(verb: Verb, name: string): Promise<string> {
  const root = join(folder, `${verb}-${name}`);
  await mkdir(root);
  const disk = join(root, 'disk.vmdk');
  await writeFile(disk, damaged());
  await writeFile(join(root, 'plan.json'), JSON.stringify(await planRepair(disk)));
  if (verb === 'undo') await verbs.repair(root, {});
  return root;
}

/** Every name, and what the disks hold but for their CIDs, which chance gives. */
async function stateOf(root: string): Promise<Record<string, string>> {
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

function runChild(root: string, verb: Verb, moment: number): Promise<{ out: string; signal: string | null }> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [fileURLToPath(CHILD), root, verb, String(moment)],
      (error, stdout, stderr) => {
        if (error !== null && error.signal !== 'SIGKILL') reject(new Error(`${error.message}\n${stderr}`));
        else resolve({ out: stdout, signal: error?.signal ?? null });
      },
    );
  });
}

async function again(verb: Verb, root: string): Promise<void> {
  try {
    await verbs[verb](root, {});
  } catch (error) {
    // By its code: the built class of errors is not the one of src.
    const { code } = error as { code?: string };
    // All was in place already.
    if (verb === 'recover' && code === 'target-exists') return;
    if (verb === 'undo' && code === 'file-missing') return;
    throw error;
  }
}

it.each(VERBS)(
  '%s that is killed ends as ever when it is run again',
  async (verb) => {
    const whole = await startOf(verb, 'whole');
    const before = await stateOf(whole);
    const total = Number((await runChild(whole, verb, 0)).out);
    expect(total).toBeGreaterThan(20);
    const after = await stateOf(whole);
    expect(after).not.toEqual(before);
    for (const part of MOMENTS[verb]) {
      const root = await startOf(verb, String(part));
      const moment = Math.floor(total * part);
      const what = `killed at ${moment} of ${total}`;
      expect((await runChild(root, verb, moment)).signal, what).toBe('SIGKILL');
      await again(verb, root);
      expect({ what, state: await stateOf(root) }).toEqual({ what, state: after });
      if (verb === 'repair') await again('undo', root);
      expect(sha(await readFile(join(root, 'disk.vmdk'))), what).toBe(sha(damaged()));
    }
  },
  60_000,
);
