// compare and diff as a user runs them: answers on stdout, exit codes, JSON against the schemas.
import { copyFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { makeSmallChain } from '../support/small-chain.ts';

const MIB = 1 << 20;
const GRAIN = 64 << 10;

let cwd: string;
let remove: () => Promise<void>;
let works = 0;

beforeAll(async () => {
  buildCommand();
  ({ folder: cwd, remove } = await temporaryFolder());
  await makeSmallChain(cwd);
  await createDisk(join(cwd, 'empty.vmdk'), bytes(16 * MIB));
  await createDisk(join(cwd, 'flat.vmdk'), bytes(8 * MIB), { type: 'monolithicFlat' });
});
afterAll(() => remove());

const run = async (...args: string[]) => {
  const { stdout, stderr, code } = await vmdkit(args, { cwd });
  return { stdout: stdout.toString(), stderr, code };
};

describe('compare', () => {
  it('exits with 0 when the disks are equal, and says what it read', async () => {
    expect(await run('compare', 'empty.vmdk', 'empty.vmdk')).toEqual({
      stdout: 'the contents are equal; 0 B of each had to be read\n',
      stderr: '',
      code: 0,
    });
    expect(await run('compare', 'empty.vmdk', 'flat.vmdk')).toEqual({
      stdout:
        'the sizes differ: A has 16 MiB (16,777,216 bytes), B has 8 MiB (8,388,608 bytes)\n' +
        'the contents are equal; 0 B of each had to be read; past the end of the smaller disk there are zeros\n',
      stderr: '',
      code: 0,
    });
  });

  it('exits with 1 when they differ, and says where first and how much', async () => {
    expect(await run('compare', 'mid.vmdk', 'leaf.vmdk')).toEqual({
      stdout: 'the contents differ: first at byte 1,179,648\n131,072 bytes in 256 sectors differ\n',
      stderr: '',
      code: 1,
    });
    expect(await run('compare', 'mid.vmdk', 'leaf.vmdk', '--first')).toMatchObject({
      stdout: 'the contents differ: first at byte 1,179,648\nnot compared further\n',
      code: 1,
    });
    expect(await run('compare', 'empty.vmdk', 'flat.vmdk', '--strict')).toMatchObject({ code: 1 });
    expect(await run('compare', '-q', 'base.vmdk', 'leaf.vmdk')).toEqual({ stdout: '', stderr: '', code: 1 });
  });

  it('says the same as JSON', async () => {
    const equal = await json('compare', ['compare', 'empty.vmdk', 'flat.vmdk'], { cwd });
    expect(equal).toMatchObject({ equal: true, 'size-a': 16 * MIB, 'size-b': 8 * MIB, compared: 0 });
    const { stdout, code } = await run('compare', 'mid.vmdk', 'leaf.vmdk', '--json');
    const found: unknown = JSON.parse(stdout);
    expectValid('compare', found);
    expect(found).toMatchObject({
      equal: false,
      'first-difference': MIB + 2 * GRAIN,
      'differing-bytes': 2 * GRAIN,
      'differing-sectors': 256,
      complete: true,
    });
    expect(code).toBe(1);
  });

  it('exits with 3 for what cannot be read: that is no answer', async () => {
    const { stdout, stderr, code } = await run('compare', 'leaf.vmdk', 'gone.vmdk');
    expect([stdout, code]).toEqual(['', 3]);
    expect(stderr).toContain('gone.vmdk');
  });
});

describe('diff', () => {
  it('is a table of the ranges in which two disks differ', async () => {
    expect(await run('diff', 'mid.vmdk', 'leaf.vmdk')).toEqual({
      stdout: [
        'OFFSET          LENGTH          IN B',
        '0x120000        0x10000         zeros',
        '0x400000        0x10000         data',
        '2 ranges: 64 KiB changed, 64 KiB zeros in B',
        '',
      ].join('\n'),
      stderr: '',
      code: 0,
    });
    expect((await run('diff', 'leaf.vmdk', 'leaf.vmdk')).stdout).toMatch(/\nno difference\n$/);
    expect((await run('diff', 'empty.vmdk', 'flat.vmdk')).stdout).toMatch(
      /\nno difference\nthe sizes differ: A has 16 MiB .*, B has 8 MiB .*; past the end of the smaller there are zeros\n$/,
    );
  });

  it('is JSON, whole or a line each', async () => {
    const whole = await json<{ ranges: unknown[] }>('diff', ['diff', 'mid.vmdk', 'leaf.vmdk'], { cwd });
    expect(whole.ranges).toEqual([
      { start: MIB + 2 * GRAIN, length: GRAIN, zero: true, 'differing-bytes': GRAIN },
      { start: 4 * MIB, length: GRAIN, zero: false, 'differing-bytes': GRAIN },
    ]);
    const lines = await quietly(['diff', 'mid.vmdk', 'leaf.vmdk', '--output', 'ndjson'], { cwd });
    expect(
      lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(whole.ranges);
    const none = await json<{ ranges: unknown[] }>('diff', ['diff', 'leaf.vmdk', 'leaf.vmdk'], { cwd });
    expect(none.ranges).toEqual([]);
  });
});

describe('diff -o and apply', () => {
  let work: string;
  beforeEach(async () => {
    work = join(cwd, `work${works++}`);
    await mkdir(work);
    for (const name of ['base.vmdk', 'mid.vmdk', 'leaf.vmdk', 'flat.vmdk', 'flat-flat.vmdk']) {
      await copyFile(join(cwd, name), join(work, name));
    }
  });
  const there = async (...args: string[]) => {
    const { stdout, stderr, code } = await vmdkit(args, { cwd: work });
    return { stdout: stdout.toString(), stderr, code };
  };

  it('makes a delta over the first disk that reads as the second', async () => {
    expect(await there('diff', 'mid.vmdk', 'leaf.vmdk', '-o', 'd.vmdk')).toEqual({
      stdout: '',
      stderr: 'd.vmdk: a delta with 64 KiB of data and 64 KiB of zeros\n',
      code: 0,
    });
    expect(await there('compare', 'd.vmdk', 'leaf.vmdk')).toMatchObject({ code: 0 });
    expect(await there('diff', 'mid.vmdk', 'leaf.vmdk', '-o', 'd.vmdk', '--force')).toMatchObject({
      stdout: '',
      code: 4,
    });
    const made = await json('diff-file', ['diff', 'base.vmdk', 'leaf.vmdk', '-o', 'e.vmdk'], { cwd: work });
    expect(made).toMatchObject({ kind: 'delta', 'create-type': 'monolithicSparse' });
  });

  it('keeps the ranges as JSON in a file', async () => {
    expect(await there('diff', 'mid.vmdk', 'leaf.vmdk', '-o', 'r.json')).toEqual({
      stdout: '',
      stderr: '',
      code: 0,
    });
    const text = await readFile(join(work, 'r.json'), 'utf8');
    expectValid('diff', JSON.parse(text));
    expect(await there('diff', 'mid.vmdk', 'leaf.vmdk', '-o', '-', '--as', 'ranges')).toMatchObject({
      stdout: text,
    });
    expect(await there('diff', 'mid.vmdk', 'leaf.vmdk', '-o', 'r.json')).toMatchObject({ code: 4 });
  });

  it('makes a patch that apply puts over a copy, once', async () => {
    const made = await json('diff-file', ['diff', 'flat.vmdk', 'leaf.vmdk', '-o', 'p'], { cwd: work });
    expect(made).toMatchObject({ kind: 'patch', filename: 'p' });
    expect(await there('diff', 'flat.vmdk', 'leaf.vmdk', '-o', 'p')).toMatchObject({ code: 4 });
    const { stdout } = await vmdkit(['diff', 'flat.vmdk', 'leaf.vmdk', '-o', '-'], { cwd: work });
    expect(stdout.equals(await readFile(join(work, 'p')))).toBe(true);
    const applied = await there('apply', 'p', 'flat.vmdk');
    expect(applied).toMatchObject({ stdout: '', code: 0 });
    expect(applied.stderr).toMatch(
      /^flat\.vmdk: 192 KiB of data and 0 B of zeros written, and the result proved; CID is now [0-9a-f]{8}\n$/,
    );
    expect(await there('compare', 'flat.vmdk', 'leaf.vmdk')).toMatchObject({ code: 0 });
    expect(await json('apply', ['apply', 'p', 'flat.vmdk'], { cwd: work })).toMatchObject({ already: true });
  });

  it('takes a patch from a pipe, and leaves nothing of it', async () => {
    const { stdout: patch } = await vmdkit(['diff', 'flat.vmdk', 'leaf.vmdk', '-o', '-'], { cwd: work });
    const before = (await readdir(work)).sort();
    const cut = await vmdkit(['apply', '-', 'flat.vmdk'], { cwd: work, input: patch.subarray(0, 1000) });
    expect(cut).toMatchObject({ code: 3 });
    expect(cut.stderr).toContain('standard input: this is not a whole patch');
    expect(await there('compare', 'flat.vmdk', 'leaf.vmdk')).toMatchObject({ code: 1 });
    const applied = await json('apply', ['apply', '-', 'flat.vmdk'], { cwd: work, input: patch });
    expect(applied).toMatchObject({ patch: '-', already: false });
    expect(await there('compare', 'flat.vmdk', 'leaf.vmdk')).toMatchObject({ code: 0 });
    expect((await readdir(work)).sort()).toEqual(before);
  });

  it('refuses a patch that was not made from the disk, and disks that others stand on', async () => {
    await quietly(['diff', 'flat.vmdk', 'leaf.vmdk', '-o', 'p', '-q'], { cwd: work });
    const other = await there('apply', 'p', 'mid.vmdk');
    expect(other).toMatchObject({ stdout: '', code: 4 });
    expect(other.stderr).toContain('leaf.vmdk');
    await rm(join(work, 'leaf.vmdk'));
    const refused = await there('apply', 'p', 'mid.vmdk');
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain('the disk does not hold what the patch was made from');
    expect(await there('apply', 'base.vmdk', 'mid.vmdk')).toMatchObject({ code: 3 });
    expect(await there('diff', 'base.vmdk', 'mid.vmdk', '--as', 'patch')).toMatchObject({ code: 2 });
    expect(await there('diff', 'base.vmdk', 'mid.vmdk', '-o', '-', '--as', 'delta')).toMatchObject({
      code: 2,
    });
  });
});
