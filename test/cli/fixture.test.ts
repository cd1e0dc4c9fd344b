// `vmdkit fixture` as its users meet it: a spec into a folder and into a tar stream, proved again, broken by name.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ExpectedFixture } from '../../src/fixture/expected.ts';
import { FAULTS } from '../../src/fixture/faults.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';

let folder: string;
let remove: () => Promise<void>;
const SPEC = {
  seed: 'cli',
  disks: {
    base: {
      size: '1M',
      writes: [
        { fill: 'stamp', at: 0, length: '64k' },
        { fill: 'file', at: '128k', file: 'note.txt' },
      ],
    },
    'deltas/d1': { parent: 'base', writes: [{ fill: 'random', at: '96k', length: '5k' }] },
  },
};

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  writeFileSync(join(folder, 'spec.json'), JSON.stringify(SPEC));
  writeFileSync(join(folder, 'note.txt'), 'a file that the spec names');
});
afterEach(() => remove());

it('makes a folder that proves itself, and says what is in it', async () => {
  expectValid('fixture', SPEC);
  const said = await quietly(['fixture', 'spec.json', '-o', 'out'], { cwd: folder });
  expect(said.split('\n')[0]).toBe('out: 2 disks, 2 files of 320 KiB');
  const expected = JSON.parse(readFileSync(join(folder, 'out/expected.json'), 'utf8')) as ExpectedFixture;
  expectValid('fixture-expected', expected);
  expect(await json('fixture-verify', ['fixture', '--verify', 'out'], { cwd: folder })).toMatchObject({
    verdict: 'as-expected',
    files: 2,
    disks: 2,
  });
  const raw = await vmdkit(['cat', 'deltas/d1.vmdk'], { cwd: join(folder, 'out') });
  expect(raw.stdout.subarray(128 << 10, (128 << 10) + 26).toString()).toBe('a file that the spec names');

  const disk = join(folder, 'out/base.vmdk');
  const bytes = readFileSync(disk);
  bytes[bytes.length - 5]! ^= 1;
  writeFileSync(disk, bytes);
  const changed = await vmdkit(['fixture', '--verify', 'out'], { cwd: folder });
  expect(changed.code).toBe(1);
  expect(changed.stdout.toString()).toMatch(
    /out: DIFFERENT: .*\n {2}base\.vmdk: bytes: expected [0-9a-f]{64}, found/,
  );
});

it('gives a tar stream that holds the same, byte for byte the same each time', async () => {
  const tar = await vmdkit(['fixture', 'spec.json', '-o', '-'], { cwd: folder });
  const again = await vmdkit(['fixture', '-', '-o', '-'], { cwd: folder, input: JSON.stringify(SPEC) });
  expect([tar.code, tar.stderr, again.stdout.equals(tar.stdout)]).toEqual([0, '', true]);
  mkdirSync(join(folder, 'unpacked'));
  execFileSync('tar', ['-x', '-C', join(folder, 'unpacked')], { input: tar.stdout });
  expect(readdirSync(join(folder, 'unpacked/fixture')).sort()).toEqual([
    'base.vmdk',
    'deltas',
    'expected.json',
  ]);
  const verified = await vmdkit(['fixture', '--verify', 'unpacked/fixture'], { cwd: folder });
  expect(verified.stdout.toString()).toBe('unpacked/fixture: as expected: 2 files, 2 disks, 0 machines\n');
});

it('lists the faults, and makes what has one', async () => {
  const list = await json<{ faults: unknown[] }>('faults', ['fixture', '--list-faults']);
  expect(list.faults.length).toBe(FAULTS.length);
  const made = await json<{ raises: string[] }>(
    'fixture-made',
    ['fixture', '--fault', 'sparse-entry-past-end', '-o', 'broken'],
    { cwd: folder },
  );
  expect(made.raises).toEqual(['error GTE-RANGE']);
  const check = await vmdkit(['check', 'disk.vmdk', '--json'], { cwd: join(folder, 'broken') });
  expect(check.code).toBe(1);
  expect(check.stdout.toString()).toContain('"GTE-RANGE"');
  const verified = await vmdkit(['fixture', '--verify', 'broken'], { cwd: folder });
  expect(verified.stdout.toString()).toMatch(/^broken: DIFFERENT|^broken: as expected/);
});

it.each([
  [['fixture'], 2, /fixture needs SPEC/],
  [['fixture', 'spec.json'], 2, /fixture needs -o DIR/],
  [['fixture', 'spec.json', '--list-faults'], 2, /do not go together/],
  [['fixture', 'spec.json', '-o', '.'], 4, /goes into an empty folder or a new one/],
  [['fixture', 'note.txt', '-o', 'out'], 2, /the spec is no JSON/],
  [['fixture', '--fault', 'nonsense', '-o', 'out'], 2, /there is no fault nonsense/],
  [['fixture', '--verify', '.'], 2, /the answers that come with a fixture are not here/],
])('refuses %j', async (args, code, message) => {
  const outcome = await vmdkit(args, { cwd: folder });
  expect([outcome.code, outcome.stderr]).toEqual([code, expect.stringMatching(message)]);
  expect(readdirSync(folder).sort()).toEqual(['note.txt', 'spec.json']);
});

it('tells what it would make without making it', async () => {
  const said = await json('fixture-made', ['fixture', 'spec.json', '--dry-run'], { cwd: folder });
  expect(said).toMatchObject({ disks: ['base.vmdk', 'deltas/d1.vmdk'] });
  expect(readdirSync(folder).sort()).toEqual(['note.txt', 'spec.json']);
});
