// Locks of processes that were killed with SIGKILL, on a real file system: in every moment of taking one, while it is held,
// and while it is given back. The next vmdkit goes on without being told to ignore anything, and nothing stays behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, utimesSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { compactDisk } from '../../src/operations/compact-disk.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { buildCommand, COMMAND, temporaryFolder } from '../support/command.ts';
import { callsOf, killAt, type Run } from '../support/kills.ts';

let folder: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  await createDisk(join(folder, 'disk.vmdk'), bytes(1 << 20), { type: 'monolithicSparse' });
});
afterAll(() => remove());

async function copyOfDisk(name: string): Promise<string> {
  await mkdir(join(folder, name));
  const disk = join(folder, name, 'disk.vmdk');
  await copyFile(join(folder, 'disk.vmdk'), disk);
  return disk;
}

/** Compacting, which takes the locks of the disk for that. */
const runOn = (disk: string): Run => ({ verb: 'take and give back locks', args: [disk] });

/** A mark that does not say whose it is: as it is found eight seconds later. */
function age(disk: string): void {
  for (const name of readdirSync(`${disk}.lck`))
    if (name.startsWith('D')) utimesSync(join(`${disk}.lck`, name), 1, 1);
}

it('of one that was killed in any moment of taking or giving back its lock is no lock', async () => {
  const [asked] = (await callsOf([runOn(await copyOfDisk('whole'))])) as [string[]];
  const first = asked.findIndex((what) => what.includes('disk.vmdk.lck/vmdkit-'));
  const last = asked.findIndex((what) => what.startsWith('removeFolder') && what.includes('.lck/D'));
  const back = asked.findLastIndex((what) => what.startsWith('remove ') && what.includes('.lck/M'));
  expect([first > 0, last - first > 8, back > last]).toEqual([true, true, true]);
  const taking = [...Array(last - first + 2).keys()].map((index) => first + index);
  const moments = [...taking, back, back + 1];
  const runs = moments.map(async (moment) => ({
    ...runOn(await copyOfDisk(`at-${moment}`)),
    moment: moment + 1,
  }));
  await killAt(await Promise.all(runs));
  for (const moment of moments) {
    const disk = join(folder, `at-${moment}`, 'disk.vmdk');
    const what = `killed before ${asked[moment]}`;
    expect({ what, left: existsSync(`${disk}.lck`) }).toEqual({ what, left: true });
    // The mark is made, and not yet claimed; or it is about to go: then it is waited for.
    const marked = asked[moment - 1]!.includes('.lck/D') && asked[moment] === 'write';
    if (marked || moment === last) age(disk);
    await compactDisk(disk);
    expect({ what, names: readdirSync(join(folder, `at-${moment}`)) }).toEqual({
      what,
      names: ['disk.vmdk'],
    });
  }
}, 60_000);

it('of a command that was killed while it held it is no lock', async () => {
  const disk = await copyOfDisk('held');
  const args = [COMMAND, 'write', disk, '--offset', '0'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(child, 'close');
  const isHeld = (): boolean =>
    existsSync(`${disk}.lck`) && readdirSync(`${disk}.lck`).some((name) => name.startsWith('M'));
  while (!isHeld()) await new Promise((resolve) => setTimeout(resolve, 10));
  await expect(compactDisk(disk)).rejects.toMatchObject({ code: 'disk-locked' });
  child.kill('SIGKILL');
  expect((await ended)[1]).toBe('SIGKILL');
  expect(isHeld()).toBe(true);
  await compactDisk(disk);
  expect(readdirSync(join(folder, 'held'))).toEqual(['disk.vmdk']);
}, 60_000);
