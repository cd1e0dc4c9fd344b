// `vmdkit recover` as a user meets it: what was made, what is lost, exit codes, JSON by its schema.
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { streamImage } from '../operations/check-images.ts';
import { buildCommand, expectValid, temporaryFolder, vmdkit } from '../support/command.ts';

let folder: string;
let remove: (() => Promise<void>) | undefined;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  const image = streamImage();
  await writeFile(join(folder, 'cut.vmdk'), image.bytes.subarray(0, image.sectorOf(515) * 512 + 40));
  await writeFile(join(folder, 'whole.vmdk'), image.bytes);
  await writeFile(join(folder, 'web-flat.vmdk'), Buffer.alloc(51200, 1));
});
afterAll(() => remove?.());

const run = (...args: string[]) => vmdkit(['recover', ...args], { cwd: folder });

it('makes a descriptor, and says what it could not know', async () => {
  const { stdout, code } = await run('web-flat.vmdk', '-o', 'web.vmdk');
  expect(code).toBe(1);
  expect(stdout.toString()).toMatch(
    /^web.vmdk: a descriptor of type vmfs, CID [0-9a-f]{8}, 50 KiB\n {2}lost: of the disk database/,
  );
  expect((await vmdkit(['check', 'web.vmdk'], { cwd: folder })).code).toBe(0);
});

it('saves a stream, with the sectors that may be missing, in JSON by its schema', async () => {
  const { stdout, code } = await run('cut.vmdk', '-o', 'cut.raw', '--json');
  const report: unknown = JSON.parse(stdout.toString());
  expectValid('recover', report);
  expect(code).toBe(1);
  expect(report).toMatchObject({ made: 'raw', lost: [{ start: 513 * 128, count: 587 * 128 }] });
  expect(await run('whole.vmdk', '-o', 'whole.raw')).toMatchObject({ code: 0, stderr: '' });
});

it('is told where to, and never writes over a file', async () => {
  expect(await run('whole.vmdk')).toMatchObject({ code: 2 });
  expect(await run('whole.vmdk', '-o', 'cut.vmdk', '--force')).toMatchObject({ code: 4 });
});

it('gives every disk of a folder its descriptor back, in JSON by its schema', async () => {
  await mkdir(join(folder, 'vm'));
  for (const number of [1, 2])
    await writeFile(join(folder, `vm/d${number}-flat.vmdk`), Buffer.alloc(51200, number));
  // As long as a part of a split disk can be, and all of it a hole.
  await writeFile(join(folder, 'vm/d3-f001.vmdk'), '');
  await truncate(join(folder, 'vm/d3-f001.vmdk'), 4192256 * 512);
  expect(await run('vm', '-o', 'elsewhere')).toMatchObject({ code: 2 });
  const { stdout, code } = await run('vm', '-o', 'vm', '--json');
  const report: unknown = JSON.parse(stdout.toString());
  expectValid('recover', report);
  expect(code).toBe(1);
  expect(report).toMatchObject({
    made: 'descriptors',
    disks: [
      { 'create-type': 'vmfs' },
      { 'create-type': 'vmfs' },
      { 'create-type': 'twoGbMaxExtentFlat', warnings: [expect.stringContaining('d3-f001.vmdk')] },
    ],
  });
  await rm(join(folder, 'vm/d3.vmdk'));
  expect((await run('vm', '-o', 'vm')).stdout.toString()).toContain(
    '  may be lost: vm/d3.vmdk: the last part that is here, d3-f001.vmdk, is as long as any part',
  );
  expect(await run('vm', '-o', 'vm')).toMatchObject({ code: 3 });
});
