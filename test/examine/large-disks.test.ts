// Disks of 2 TiB and 62 TiB are examined under 300 MiB: every command, with a manifest, one after the other in a process of
// its own. The peak of all is the peak of each.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sectors } from '../../src/core/units.ts';
import { buildCommand, expectValid } from '../support/command.ts';
import { seSparseDiskWithScatteredGrains, sparseDiskWithScatteredGrains } from '../support/large-images.ts';
import { PEAK_MIB } from '../support/peak-memory.ts';

const TIB_SECTORS = 2 ** 31;
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-examine-'));
const out = join(folder, 'results');
beforeAll(() => {
  buildCommand();
  for (const name of ['sparse', 'few', 'huge', 'results']) mkdirSync(join(folder, name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly stdoutBytes: number;
  /** The end of it. */
  readonly stdout: string;
  readonly stderr: string;
  readonly peakMiB: number;
}

/** The command as built, because Node 20 runs no TypeScript. */
function runInTurn(commands: readonly (readonly string[])[]): Ran[] {
  const script = `
    import { readFileSync } from 'node:fs';
    import { PassThrough, Writable } from 'node:stream';
    import { scriptsIn } from '${new URL('../../bin/scripts.js', import.meta.url).href}';
    const { main } = scriptsIn('${fileURLToPath(new URL('../../dist/cli', import.meta.url))}')('./main.cjs');
    const keep = () => {
      const kept = { bytes: 0, end: '' };
      const stream = new Writable({ write(piece, _, done) {
        kept.bytes += piece.length;
        kept.end = (kept.end + piece.toString()).slice(-100_000);
        done();
      } });
      return { kept, stream };
    };
    const ran = [];
    for (const args of JSON.parse(process.argv[1])) {
      const [stdout, stderr] = [keep(), keep()];
      const code = await main([...args, '--progress', 'never'], { stdin: new PassThrough().end(), stdout: stdout.stream, stderr: stderr.stream });
      ran.push({ code, stdoutBytes: stdout.kept.bytes, stdout: stdout.kept.end, stderr: stderr.kept.end, peakMiB: ${PEAK_MIB} });
    }
    console.log(JSON.stringify(ran));`;
  const args = ['--input-type=module', '-e', script, JSON.stringify(commands)];
  return JSON.parse(String(execFileSync(process.execPath, args, { maxBuffer: 64 << 20 }))) as Ran[];
}

/** Runs all that examines, holds every run to its memory, and gives the output of each by its first word. */
function examine(path: string, manifestOf: string): Map<string, Ran> {
  const commands = [
    ['info', path, '--evidence'],
    ['map', path, '--json', '--evidence'],
    ['chain', path, '--evidence'],
    ['check', path, '--chain', '--evidence'],
    ['which', path, '1T'],
    ['timeline', path],
    ['signs', path],
    ['slack', path, '--manifest', join(out, `${manifestOf}.json`)],
    ['hash', path, '--sparse-only', '--per-link', '--json'],
    ['report', path, '-o', join(out, `${manifestOf}.html`), '--json'],
  ];
  const runs = runInTurn(commands);
  const by = new Map(commands.map(([name], index) => [name!, runs[index]!]));
  for (const [name, { code, stderr, peakMiB }] of by) {
    expect({ name, code, stderr, fits: peakMiB < 300 }).toMatchObject({ name, code: 0, fits: true });
  }
  return by;
}

interface Hashed {
  readonly 'sparse-sha256': string;
  readonly links: { data: { bytes: number }; files: Record<string, unknown>[] }[];
}

function hashesOf(by: Map<string, Ran>): Hashed {
  const hashed = JSON.parse(by.get('hash')!.stdout) as Hashed;
  expectValid('hash', hashed);
  const report = JSON.parse(by.get('report')!.stdout.replace(/^[^{]*/, '')) as {
    disks: { hashes: object }[];
  };
  expectValid('report', report);
  expect(report.disks[0]!.hashes).toEqual({ 'sparse-sha256': hashed['sparse-sha256'] });
  return hashed;
}

describe('a very large disk is examined under 300 MiB', () => {
  it('hosted sparse, just under 2 TiB', { timeout: 180_000 }, async () => {
    const capacity = (2 * TIB_SECTORS - 2 ** 20) as Sectors;
    const { path, grains } = await sparseDiskWithScatteredGrains(join(folder, 'sparse'), capacity, 200);
    const by = examine(path, 'sparse');
    const { links } = hashesOf(by);
    expect(links[0]!.data.bytes).toBe(grains * 65_536);
    expect(by.get('signs')!.stdout).toContain('nothing contradicts itself');
    const record = JSON.parse(readFileSync(join(out, 'sparse.json'), 'utf8')) as {
      files: { before: object }[];
    };
    expectValid('evidence', record);
    expect(record.files[0]!.before).toHaveProperty('sha256');
  });

  it('seSparse, 62 TiB, in a file of 250 GiB', { timeout: 180_000 }, async () => {
    const capacity = (62 * TIB_SECTORS) as Sectors;
    const { path, grains } = await seSparseDiskWithScatteredGrains(join(folder, 'huge'), capacity, 200);
    const by = examine(path, 'huge');
    const { links } = hashesOf(by);
    expect(links[0]!.data.bytes).toBe(grains * 4096);
    const record = JSON.parse(readFileSync(join(out, 'huge.json'), 'utf8')) as {
      'manifest-hash': string;
      files: { filename: string; before: Record<string, unknown>; after: object; unchanged: boolean }[];
    };
    expectValid('evidence', record);
    expect(record['manifest-hash']).toBe('auto');
    const [extent, descriptor] = record.files;
    expect(extent!.before['size']).toBeGreaterThan(100 * 2 ** 30);
    expect(Object.keys(extent!.before)).toContain('sparse-sha256');
    expect(Object.keys(extent!.before)).not.toContain('sha256');
    expect(Object.keys(descriptor!.before)).toContain('sha256');
    expect(extent!.after).toEqual(extent!.before);
    expect(by.get('slack')!.stderr).toContain('(1 hashed without their zeros: sparse-sha256)');
    expect(links[0]!.files[1]!['sparse-sha256']).toBe(extent!.before['sparse-sha256']);
  });

  it('hash, piece by piece: those of nothing but zeros cost nothing', { timeout: 180_000 }, async () => {
    const { path } = await seSparseDiskWithScatteredGrains(
      join(folder, 'few'),
      (16 * TIB_SECTORS) as Sectors,
      2,
    );
    const args = ['hash', path, '--sparse-only', '--piece', '1G', '--format', 'sum', '--name', 'big'];
    const [ran] = runInTurn([args]);
    expect({ code: ran!.code, stderr: ran!.stderr }).toEqual({ code: 0, stderr: '' });
    const lines = ran!.stdout.trimEnd().split('\n');
    // dd if=/dev/zero bs=1M count=1024 | sha256sum
    expect(lines.at(-1)).toBe(
      `49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14  big offset ${16 * 2 ** 40 - 2 ** 30}-${16 * 2 ** 40 - 1}`,
    );
    expect(ran!.peakMiB).toBeLessThan(300);
  });
});
