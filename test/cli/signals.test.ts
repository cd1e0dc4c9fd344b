// Ctrl-C while a command works: it ends with 130, says nothing, and leaves every file and name as it was. (clone shows
// the same where it is tested; for a server it is the usual end.)
import { spawn } from 'node:child_process';
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { seededBytes } from '../../src/fixture/seeded.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { buildCommand, COMMAND, temporaryFolder } from '../support/command.ts';

const MIB = 1 << 20;
/** So much that no command comes to its end while it is watched for a few milliseconds. */
const [CAPACITY, DATA] = [256 * 1024 * MIB, 96 * MIB];

let folder: string;
let remove: () => Promise<void>;
let before: Readonly<Record<string, string>>;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  const at = (name: string): string => join(folder, name);
  await createDisk(at('base.vmdk'), bytes(CAPACITY), { type: 'monolithicSparse' });
  await createDelta(at('leaf.vmdk'), at('base.vmdk'), { type: 'monolithicSparse' });
  const chain = await openChain(at('leaf.vmdk'), 'update');
  const noise = seededBytes('noise', MIB);
  for (let done = 0; done < DATA; done += MIB) await chain.write((done / SECTOR_BYTES) as Sectors, noise);
  await chain.close();
  before = await stateOf();
}, 60_000);
afterAll(() => remove());

/** Names, lengths and times of all files: whatever was written to has another time. */
async function stateOf(): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  for (const name of (await readdir(folder)).sort()) {
    const { size, mtimeNs, ino } = await stat(join(folder, name), { bigint: true });
    state[name] = `${size} ${mtimeNs} ${ino}`;
  }
  return state;
}

/** Whether the process has a file open whose path matches. */
async function hasOpen(pid: number, wanted: RegExp): Promise<boolean> {
  const open = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const paths = await Promise.all(open.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  return paths.some((path) => wanted.test(path));
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Sends SIGINT once the command has a file of that name open. */
async function interrupt(args: readonly string[], wanted: RegExp): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  let ended = false;
  const end = new Promise<number | null>((resolve) =>
    child.on('close', (code) => {
      ended = true;
      resolve(code);
    }),
  );
  while (!ended && !(await hasOpen(child.pid!, wanted)))
    await new Promise((resolve) => setTimeout(resolve, 1));
  child.kill('SIGINT');
  return { code: await end, stdout, stderr };
}

/** The new disk, as it is made beside the old one. */
const STAGED = /\/\.[^/]*vmdk|\.part/;
const LEAF = /\/leaf\.vmdk$/;

it.each<[string, readonly string[], RegExp]>([
  ['compact', ['compact', 'leaf.vmdk'], STAGED],
  ['commit', ['commit', 'leaf.vmdk'], STAGED],
  ['consolidate', ['consolidate', 'leaf.vmdk'], STAGED],
  ['convert', ['convert', 'leaf.vmdk', 'copy.vmdk', '-O', 'streamOptimized'], STAGED],
  ['recover', ['recover', 'leaf.vmdk', '-o', 'new.vmdk'], STAGED],
  ['rebase', ['rebase', 'leaf.vmdk', '--backing', 'none'], STAGED],
  ['hash', ['hash', 'leaf.vmdk'], LEAF],
  ['check', ['check', 'leaf.vmdk', '--chain', '--deep'], LEAF],
  ['compare', ['compare', 'leaf.vmdk', 'base.vmdk'], LEAF],
])('%s', async (_, args, wanted) => {
  expect(await interrupt(args, wanted)).toEqual({ code: 130, stdout: '', stderr: '' });
  expect(await stateOf()).toEqual(before);
});
