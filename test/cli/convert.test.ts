// `vmdkit convert` through pipes: disks that come from one and go to one, also damaged ones. stdout is the disk and
// nothing else; what was lost is told on stderr, and by the exit code.
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { pattern } from '../support/chain-model.ts';
import { buildCommand, expectValid, quietly, temporaryFolder, vmdkit } from '../support/command.ts';

const content = pattern(700_000 - (700_000 % 512), 3);
let cwd: string;
let remove: (() => Promise<void>) | undefined;

beforeAll(async () => {
  buildCommand();
  ({ folder: cwd, remove } = await temporaryFolder());
  await writeFile(join(cwd, 's.raw'), content);
  for (const [name, type] of [
    ['stream', 'streamOptimized'],
    ['flat', 'vmfs'],
  ] as const)
    await convertDisk(join(cwd, 's.raw'), join(cwd, `${name}.vmdk`), { from: 'raw', type });
  await truncate(join(cwd, 'flat-flat.vmdk'), 400_000);
});
afterAll(() => remove?.());

it('takes a disk from a pipe and sends its content to one', async () => {
  const input = await readFile(join(cwd, 'stream.vmdk'));
  const { stdout, stderr, code } = await vmdkit(['convert', '-', '-', '--from', 'vmdk'], { cwd, input });
  expect({ equal: stdout.equals(content), stderr, code }).toEqual({ equal: true, stderr: '', code: 0 });
});

it('sends what can be saved of a damaged disk to a pipe, and lists the rest', async () => {
  expect(await vmdkit(['convert', 'flat.vmdk', '-'], { cwd })).toMatchObject({
    code: 3,
    stdout: Buffer.alloc(0),
  });
  const kept = Buffer.from(content).fill(0, 399_872);
  const said = await vmdkit(['convert', 'flat.vmdk', '-', '--salvage'], { cwd });
  expect({ equal: said.stdout.equals(kept), code: said.code }).toEqual({ equal: true, code: 1 });
  expect(said.stderr).toMatch(
    /^vmdkit: warning: lost: bytes 399872 to 699903 are zeros in the output: .*shorter/,
  );
  for (const type of ['raw', 'streamOptimized']) {
    const args = ['convert', 'flat.vmdk', '-', '--salvage', '--json', '-O', type];
    const { stdout, stderr, code } = await vmdkit(args, { cwd });
    const result = JSON.parse(stderr) as { size: number };
    expectValid('convert', result);
    expect({ size: result.size, code }).toEqual({ size: stdout.length, code: 1 });
    expect(result).toMatchObject({ lost: [{ start: 399_872, length: 300_032, code: 'extent-too-short' }] });
  }
});

it('waits until the medium has all of it, unless told not to', async () => {
  const sync = vi.spyOn(process.getBuiltinModule('node:fs'), 'fsync');
  try {
    for (const type of ['raw', 'twoGbMaxExtentSparse']) {
      const convert = ['convert', join(cwd, 's.raw'), '--from', 'raw', '-O', type, '-q'];
      await quietly([...convert, join(cwd, `waited-${type}.vmdk`)]);
      expect(sync.mock.calls.length).toBeGreaterThan(0);
      sync.mockClear();
      await quietly([...convert, join(cwd, `quick-${type}.vmdk`), '--no-sync']);
      expect(sync.mock.calls.length).toBe(0);
    }
  } finally {
    sync.mockRestore();
  }
  expect((await readFile(join(cwd, 'quick-raw.vmdk'))).equals(content)).toBe(true);
});
