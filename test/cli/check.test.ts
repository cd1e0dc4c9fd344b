// `vmdkit check` as a user meets it: the verdict first, findings worst first with their places, what to do, JSON by
// its schema, exit codes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { bytes } from '../../src/core/units.ts';
import type { CheckReport } from '../../src/operations/check-disk.ts';
import { setBoth, sparseImage } from '../operations/check-images.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';

let folder: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  await createDisk(join(folder, 'base.vmdk'), bytes(2 ** 20));
  await createDelta(join(folder, 'leaf.vmdk'), join(folder, 'base.vmdk'));
  const broken = sparseImage();
  setBoth(broken, 5, broken.sectorOf(0));
  for (let grain = 20; grain < 60; grain++) setBoth(broken, grain, 5);
  broken.bytes.writeUInt8(1, 72);
  await writeFile(join(folder, 'broken.vmdk'), broken.bytes);
  const leaking = sparseImage();
  setBoth(leaking, 5, 0);
  await writeFile(join(folder, 'leaking.vmdk'), leaking.bytes);
  await writeFile(join(folder, 'note.txt'), 'not a disk\n');
});
afterAll(() => remove());

const run = (...args: string[]) => vmdkit(['check', ...args], { cwd: folder });

describe('a sound disk', () => {
  it('is one verdict and its numbers, with exit code 0', async () => {
    expect(await quietly(['check', 'leaf.vmdk'], { cwd: folder })).toBe(
      'leaf.vmdk: sound\n  0 of 16 grains allocated, no space lost\n',
    );
  });

  it('has a line for each link of its chain', async () => {
    const text = await quietly(['check', 'leaf.vmdk', '--chain'], { cwd: folder });
    expect(text.split('\n').slice(0, 3)).toEqual([
      'leaf.vmdk: sound',
      '  leaf.vmdk: sound',
      '  base.vmdk: sound',
    ]);
  });

  it('with lost space is sound, and is told how to win it back', async () => {
    const { stdout, code } = await run('leaking.vmdk');
    const lines = stdout.toString().trimEnd().split('\n');
    expect(code).toBe(0);
    expect(lines[0]).toBe('leaking.vmdk: sound: 1 warning');
    expect(lines[1]).toMatch(
      /^ {2}warning LEAK: nothing refers to 65536 bytes at byte \d+: .*\(leaking.vmdk at byte \d+\)$/,
    );
    expect(lines.slice(2)).toEqual([
      '  3 of 1,100 grains allocated, 64 KiB of file space lost',
      'Copying the disk to a new one wins the lost space back.',
    ]);
  });
});

describe('a damaged disk', () => {
  it('gives exit code 1, errors before warnings, ten of a kind, what to do', async () => {
    const { stdout, stderr, code } = await run('broken.vmdk');
    const lines = stdout.toString().trimEnd().split('\n');
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(lines[0]).toBe('broken.vmdk: damaged: 41 errors, 1 warning');
    expect(lines.slice(1, 11).every((line) => line.startsWith('  error GTE-RANGE: grain '))).toBe(true);
    expect(lines[11]).toBe('  … and 30 more findings of GTE-RANGE');
    expect(lines[12]).toContain('error GRAIN-OVERLAP: grain 5 lies over grain 0');
    expect(lines[13]).toContain('warning UNCLEAN');
    expect(lines.at(-1)).toBe('Do not write to it. Copy all of its files first, then save what can be read.');
  });

  it('shows every finding that is kept with -v', async () => {
    const { stdout } = await run('broken.vmdk', '-v');
    expect(stdout.toString().match(/GTE-RANGE/g)).toHaveLength(40);
  });

  it('is JSON by its schema, with the keys of qemu-img check', async () => {
    const { stdout, code } = await run('broken.vmdk', '--json');
    const report = JSON.parse(stdout.toString()) as CheckReport;
    expect(code).toBe(1);
    expectValid('check', report);
    expect(report).toMatchObject({ format: 'vmdk', 'check-errors': 0, corruptions: 41, leaks: 0 });
    expect(report.counts).toContainEqual({ code: 'GTE-RANGE', severity: 'error', count: 40 });
  });
});

it('JSON of a chain has its links', async () => {
  const report = await json<CheckReport>('check', ['check', join(folder, 'leaf.vmdk'), '--chain', '--deep']);
  expect(report.links?.map(({ verdict }) => verdict)).toEqual(['sound', 'sound']);
});

it('what is no disk, and what is not there, cannot be checked: exit code 3', async () => {
  expect(await run('note.txt')).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('not a VMDK') as string,
  });
  expect(await run('none.vmdk')).toMatchObject({ code: 3 });
});
