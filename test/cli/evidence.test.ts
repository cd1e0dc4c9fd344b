// Evidence on the command line: not one byte, time or name changes, and the manifest says so.
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, realpathSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildCommand, expectValid, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

beforeAll(async () => {
  buildCommand();
  ({ folder, remove } = await temporaryFolder());
  folder = realpathSync(folder);
  await mkdir(join(folder, 'case'));
  await mkdir(join(folder, 'out'));
  chain = await makeSmallChain(join(folder, 'case'));
});
afterAll(() => remove());

/** Everything that a file system tells of the evidence. */
function stateOfCase(): unknown[] {
  const place = join(folder, 'case');
  return [place, ...readdirSync(place).map((name) => join(place, name))].map((path) => {
    const { size, mtimeNs, ctimeNs, atimeNs, ino, mode } = lstatSync(path, { bigint: true });
    // Listing a folder, as this test does itself, moves its access time.
    return { path, size, mtimeNs, ctimeNs, ino, mode, ...(path === place ? {} : { atimeNs }) };
  });
}

/** Older than what was written last: any reading that counts as access would move it. */
function ageAccess(): void {
  for (const name of readdirSync(join(folder, 'case')))
    utimesSync(join(folder, 'case', name), new Date('2020-01-01'), new Date('2021-01-01'));
}

describe('vmdkit … --evidence', () => {
  it('changes nothing, and writes what it opened into a manifest', async () => {
    ageAccess();
    const before = stateOfCase();
    const manifest = join(folder, 'out', 'manifest.json');
    const raw = join(folder, 'out', 'leaf.raw');
    const args = [
      'cat',
      chain.leaf,
      '-o',
      raw,
      '--manifest',
      manifest,
      '--examiner',
      'E. X.',
      '--case',
      '7/26',
    ];
    const { stderr, code } = await vmdkit(args);
    expect(code).toBe(0);
    expect(stateOfCase()).toEqual(before);
    expect(sha256(readFileSync(raw))).toBe(sha256(chain.contents));
    const text = readFileSync(manifest);
    expect(stderr).toContain(`3 files of evidence unchanged; SHA-256 of this manifest:\n  ${sha256(text)}`);
    const record = JSON.parse(text.toString()) as Record<string, unknown>;
    expectValid('evidence', record);
    expect(record).toMatchObject({
      arguments: args,
      examiner: 'E. X.',
      case: '7/26',
      'exit-code': 0,
      unchanged: true,
      results: [{ filename: raw, size: chain.contents.length, sha256: sha256(chain.contents) }],
    });
    const files = record['files'] as {
      filename: string;
      unchanged: boolean;
      before: object;
      after: object;
    }[];
    expect(files.map(({ filename }) => filename)).toEqual([chain.base, chain.leaf, chain.mid].sort());
    for (const { filename, unchanged, before: then, after } of files) {
      expect(unchanged).toBe(true);
      expect(after).toEqual(then);
      expect(then).toMatchObject({
        sha256: sha256(readFileSync(filename)),
        modified: '2021-01-01T00:00:00Z',
        accessed: '2020-01-01T00:00:00Z',
      });
    }
  });

  it('changes nothing whatever is asked', async () => {
    ageAccess();
    const before = stateOfCase();
    const { base, leaf } = chain;
    for (const args of [
      ['info', leaf],
      ['chain', leaf],
      ['map', leaf],
      ['check', leaf, '--chain'],
      ['compare', leaf, leaf],
      ['diff', base, leaf],
      ['scan', join(folder, 'case')],
      ['convert', leaf, join(folder, 'out', 'copy.vmdk'), '-O', 'streamOptimized', '--quiet'],
    ]) {
      await quietly([...args, '--evidence']);
    }
    expect(stateOfCase()).toEqual(before);
  });

  it('refuses to write beside evidence, before anything is read', async () => {
    const before = stateOfCase();
    const { stderr, code } = await vmdkit(['info', chain.leaf, '--manifest', join(folder, 'case', 'm.json')]);
    expect({ code, refused: stderr.includes('holds evidence') }).toEqual({ code: 4, refused: true });
    const cat = await vmdkit(['cat', chain.leaf, '-o', join(folder, 'case', 'x.raw'), '--evidence']);
    expect(cat).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`${join(folder, 'case')}: no result goes here`),
    });
    expect(stateOfCase()).toEqual(before);
  });

  it('writes the manifest of a run that failed', async () => {
    const broken = join(folder, 'case', 'broken.vmdk');
    writeFileSync(broken, 'no disk');
    const manifest = join(folder, 'out', 'failed.json');
    const { code } = await vmdkit(['info', broken, '--chain', '--manifest', manifest]);
    expect(code).toBe(3);
    const record = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, unknown>;
    expectValid('evidence', record);
    expect(record).toMatchObject({ 'exit-code': 3, unchanged: true, error: { code: 'not-a-vmdk' } });
  });
});
