// `vmdkit check --plan`, `--repair` and `--undo` as a user meets them: what is said, exit codes, JSON by its schemas.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { RepairPlan } from '../../src/operations/plan-repair.ts';
import { CID, setBoth, sparseImage } from '../operations/check-images.ts';
import { buildCommand, expectValid, temporaryFolder, vmdkit } from '../support/command.ts';

let folder: string;
let remove: (() => Promise<void>) | undefined;
const image = sparseImage();
image.bytes.writeUInt32LE(0, image.entryAt(5));
image.bytes.writeUInt8(1, 72);

beforeAll(() => buildCommand());
beforeEach(async () => {
  await remove?.();
  ({ folder, remove } = await temporaryFolder());
  await writeFile(join(folder, 'disk.vmdk'), image.bytes);
});
afterAll(() => remove?.());

const run = (...args: string[]) => vmdkit(['check', ...args], { cwd: folder });
const disk = () => readFile(join(folder, 'disk.vmdk'));

it('plans, repairs and takes back, and says how to go on', async () => {
  const planned = await run('disk.vmdk', '--plan', 'p.json');
  const lines = planned.stdout.toString().trimEnd().split('\n');
  expect(planned).toMatchObject({ code: 0, stderr: '' });
  expect(lines[0]).toBe('disk.vmdk: 3 findings can be mended, 0 would stay; then it is sound');
  expect(lines).toContain('  What the guest sees changes: disks that stand on this one would break.');
  expect(lines.at(-1)).toBe('To carry it out: vmdkit check disk.vmdk --repair p.json');
  expect((await disk()).equals(image.bytes)).toBe(true);
  expectValid('repair-plan', JSON.parse(await readFile(join(folder, 'p.json'), 'utf8')));

  const repaired = await run('disk.vmdk', '--repair', 'p.json');
  expect(repaired).toMatchObject({ code: 0 });
  expect(repaired.stderr).toBe(
    'disk.vmdk: repaired\nTo take it back: vmdkit check disk.vmdk --undo disk.vmdk.undo\n',
  );
  expect((await run('disk.vmdk')).code).toBe(0);

  const undone = await run('disk.vmdk', '--undo', 'disk.vmdk.undo', '--json');
  expect(undone).toMatchObject({ code: 0, stderr: '' });
  expectValid('repair', JSON.parse(undone.stdout.toString()));
  expect((await disk()).equals(image.bytes)).toBe(true);
});

it('tells in JSON what was done, and keeps the record where it is told to', async () => {
  const planned = await run('disk.vmdk', '--plan', 'p.json', '--json');
  expectValid('repair-plan', JSON.parse(planned.stdout.toString()));
  const { stdout, code } = await run('disk.vmdk', '--repair', 'p.json', '--undo-record', 'u', '--json');
  const done = JSON.parse(stdout.toString()) as { mended: unknown[] };
  expectValid('repair', done);
  expect(code).toBe(0);
  expect(done).toMatchObject({ outcome: 'applied', 'undo-record': expect.stringMatching(/\/u$/) as string });
  expect(done.mended).toHaveLength(3);
});

it('says what is cut off, and where there is nothing to mend', async () => {
  const sound = sparseImage().bytes;
  await writeFile(join(folder, 'tail.vmdk'), Buffer.concat([sound, Buffer.alloc(700, 7)]));
  const { stdout } = await run('tail.vmdk', '--plan', 'tail.json');
  expect(stdout.toString()).toContain('  cuts 700 B off the end of tail.vmdk; the undo record keeps it\n');
  await writeFile(join(folder, 'sound.vmdk'), sound);
  const nothing = await run('sound.vmdk', '--plan', 'sound.json');
  expect(nothing.stdout.toString()).toBe('sound.vmdk: there is nothing to mend\n');
});

it('says by how much a file gets longer whose tables were cut off', async () => {
  const { bytes, layout } = sparseImage([]);
  await writeFile(join(folder, 'cut.vmdk'), bytes.subarray(0, layout.gdOffset * 512 + 700));
  const { stdout, code } = await run('cut.vmdk', '--plan', 'cut.json');
  expect(code).toBe(0);
  expect(stdout.toString()).toMatch(/findings can be mended, 0 would stay; then it is sound\n/);
  expect(stdout.toString()).toMatch(/ {2}makes cut\.vmdk 46\.32 KiB longer\nTo carry it out: /);
  await run('cut.vmdk', '--repair', 'cut.json');
  expect((await run('cut.vmdk')).stdout.toString()).toMatch(/^cut\.vmdk: sound/);
});

it('gives exit code 1 when damage stays, with the reason', async () => {
  const broken = sparseImage();
  setBoth(broken, 1, 5);
  await writeFile(join(folder, 'broken.vmdk'), broken.bytes);
  const { stdout, code } = await run('broken.vmdk', '--plan', 'p.json');
  expect(code).toBe(1);
  expect(stdout.toString()).toMatch(
    /^broken.vmdk: nothing can be mended\n {2}stays: error GTE-RANGE: .*: no copy/,
  );
});

it('refuses a plan of another state, a file in the way, and options that do not go together', async () => {
  await run('disk.vmdk', '--plan', 'p.json');
  expect(await run('disk.vmdk', '--plan', 'p.json')).toMatchObject({ code: 4 });
  expect(await run('disk.vmdk', '--plan', 'p.json', '--force')).toMatchObject({ code: 0 });
  expect(await run('disk.vmdk', '--plan', 'disk.vmdk', '--force')).toMatchObject({ code: 3 });
  const plan = JSON.parse(await readFile(join(folder, 'p.json'), 'utf8')) as RepairPlan;
  await writeFile(join(folder, 'q.json'), JSON.stringify({ ...plan, files: [] }));
  const refused = await run('disk.vmdk', '--repair', 'q.json');
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('plan anew') as string });
  expect((await disk()).equals(image.bytes)).toBe(true);
  expect(await run('disk.vmdk', '--plan', 'r', '--undo', 'u')).toMatchObject({ code: 2 });
  for (const flag of ['--fit-cid', '--cut-leaks'])
    expect(await run('disk.vmdk', flag)).toMatchObject({ code: 2 });
});

it('cuts off lost space with data in it only when told to, and puts that back too', async () => {
  const leaking = Buffer.concat([sparseImage().bytes, Buffer.alloc(65_536, 9)]);
  await writeFile(join(folder, 'disk.vmdk'), leaking);
  const kept = await run('disk.vmdk', '--plan', 'p.json');
  expect(kept.stdout.toString()).toMatch(/stays: warning LEAK: .*--cut-leaks/);
  await run('disk.vmdk', '--plan', 'p.json', '--cut-leaks', '--force');
  expectValid('repair-plan', JSON.parse(await readFile(join(folder, 'p.json'), 'utf8')));
  expect(await run('disk.vmdk', '--repair', 'p.json')).toMatchObject({ code: 0 });
  expect((await disk()).length).toBe(leaking.length - 65_536);
  await run('disk.vmdk', '--undo', 'disk.vmdk.undo');
  expect((await disk()).equals(leaking)).toBe(true);
});

it('refuses to change what other disks stand on, and names them', async () => {
  const child = sparseImage([], { more: { cid: CID + 1, parentCid: CID, parentFileNameHint: 'disk.vmdk' } });
  await writeFile(join(folder, 'child.vmdk'), child.bytes);
  await run('disk.vmdk', '--plan', 'p.json');
  const { code, stderr } = await run('disk.vmdk', '--repair', 'p.json');
  expect(code).toBe(4);
  expect(stderr).toContain('child.vmdk');
  expect((await disk()).equals(image.bytes)).toBe(true);
});
