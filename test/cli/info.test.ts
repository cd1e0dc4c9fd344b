// `vmdkit info` and `vmdkit chain`: what a disk and a chain are, sound or broken, for people and for programs.
import { rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { bytes } from '../../src/core/units.ts';
import type { ChainReport } from '../../src/operations/describe-chain.ts';
import type { DiskReport } from '../../src/operations/describe-disk.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
});
afterEach(() => remove());

const infoOf = (path: string, ...args: string[]): Promise<DiskReport> =>
  json('info', ['info', path, ...args]);

describe('info', () => {
  it('describes a delta in the shape of qemu-img', async () => {
    const report = await infoOf(chain.leaf);
    const mid = await infoOf(chain.mid);
    expect(report).toMatchObject({
      format: 'vmdk',
      'virtual-size': CHAIN_BYTES,
      'cluster-size': 65_536,
      'dirty-flag': false,
      'backing-filename': 'mid.vmdk',
      type: 'monolithicSparse',
      delta: true,
      readable: true,
      findings: [],
    });
    expect(basename(report['full-backing-filename'] ?? '')).toBe('mid.vmdk');
    expect(report['format-specific'].data['parent-cid']).toBe(mid['format-specific'].data.cid);
    expect(report['format-specific'].data.extents).toHaveLength(1);
  });

  it('describes every link with --chain, leaf first, also a line each', async () => {
    const args = ['info', chain.leaf, '--chain'];
    const reports = JSON.parse(await quietly([...args, '--json'])) as DiskReport[];
    for (const report of reports) expectValid('info', report);
    expect(reports.map(({ filename }) => basename(filename))).toEqual(['leaf.vmdk', 'mid.vmdk', 'base.vmdk']);
    expect(reports.map(({ delta }) => delta)).toEqual([true, true, false]);
    const lines = (await quietly([...args, '--output', 'ndjson'])).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(reports);
  });

  it('tells people the same in words, with exact sizes', async () => {
    const text = await quietly(['info', 'leaf.vmdk'], { cwd: folder });
    expect(text).toMatch(
      /^leaf\.vmdk\n {2}type +monolithicSparse, a delta\n {2}size +8 MiB \(8,388,608 bytes\)\n/,
    );
    expect(text).toMatch(/^ {2}parent +mid\.vmdk$/m);
    expect(text).toMatch(/^ {2}grain size +64 KiB$/m);
    expect(text).not.toMatch(/ $/m);
  });

  it('describes a disk whose extents are gone, and says so', async () => {
    const path = join(folder, 'flat.vmdk');
    await createDisk(path, bytes(CHAIN_BYTES), { type: 'monolithicFlat' });
    await rename(join(folder, 'flat-flat.vmdk'), join(folder, 'elsewhere'));
    const report = await infoOf(path);
    expect(report).toMatchObject({
      'virtual-size': CHAIN_BYTES,
      type: 'monolithicFlat',
      readable: false,
      reason: { code: 'extent-missing' },
    });
    expect(report['format-specific'].data.extents[0]).toMatchObject({ found: false, format: 'FLAT' });
    expect(await quietly(['info', path])).toMatch(/cannot be read: extent "flat-flat.vmdk" is missing/);
  });

  it('describes raw device mappings, devices and what lies outside without opening them', async () => {
    const head = 'version=1\nCID=12345678\nparentCID=ffffffff\n';
    const cases = [
      ['createType="vmfsRawDeviceMap"\nRW 2048 VMFSRDM "lun-rdm.vmdk"\n', 'raw-device-mapping'],
      ['createType="fullDevice"\nRW 2048 FLAT "/dev/sda" 0\n', 'raw-device'],
      ['createType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n', 'outside-allowed-folders'],
      ['createType="monolithicFlat"\nRW 8 FLAT "../../etc/passwd" 0\n', 'outside-allowed-folders'],
      ['createType="vmfs"\nencryptionKeys="x"\nRW 8 VMFS "a-flat.vmdk"\n', 'encrypted-disk'],
    ] as const;
    for (const [text, code] of cases) {
      const path = join(folder, 'odd.vmdk');
      await writeFile(path, head + text);
      const report = await infoOf(path);
      expect(report).toMatchObject({ readable: false, reason: { code } });
    }
  });

  it('shows control characters of foreign names, and never sends them to a terminal', async () => {
    const path = join(folder, 'odd.vmdk');
    const head = 'version=1\nCID=12345678\nparentCID=12345678\nparentFileNameHint="a\u001b[2Jb.vmdk"\n';
    await writeFile(path, `${head}createType="vmfs\u001b[31m"\nRW 8 VMFS "x\u001b]0;y\u0007.vmdk"\n`);
    const info = await vmdkit(['info', path]);
    const chained = await vmdkit(['chain', path, '-v']);
    const all = `${info.stdout.toString()}${info.stderr}${chained.stdout.toString()}${chained.stderr}`;
    expect(all).toContain('a\\x1b[2Jb.vmdk');
    expect(all.replace(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u);
    expect(chained.code).toBe(3);
  });

  it('names the descriptor of a bare extent and ends with 3', async () => {
    await createDisk(join(folder, 'flat.vmdk'), bytes(CHAIN_BYTES), { type: 'monolithicFlat' });
    const { stderr, code } = await vmdkit(['info', 'flat-flat.vmdk'], { cwd: folder });
    expect(code).toBe(3);
    expect(stderr).toMatch(/Open its descriptor instead: .*flat\.vmdk\n$/);
  });

  it('reports a parent that cannot be found as a finding', async () => {
    await rename(chain.mid, join(folder, 'mid.away'));
    const report = await infoOf(chain.leaf);
    expect(report['full-backing-filename']).toBeUndefined();
    expect(report.findings).toMatchObject([{ code: 'PARENT-MISSING', severity: 'error' }]);
  });

  it('lists where that parent was looked for and what was there, as chain does', async () => {
    await rename(chain.mid, join(folder, 'mid.away'));
    await writeFile(chain.mid, 'not a disk\n');
    const problem = (await infoOf(chain.leaf))['parent-problem']!;
    const { error } = JSON.parse((await vmdkit(['chain', chain.leaf, '--json'])).stderr) as {
      error: { code: string; hint: string; candidates: { path: string; outcome: string }[] };
    };
    expect(problem).toMatchObject({ code: error.code, hint: error.hint, tried: error.candidates });
    expect(problem.tried).toContainEqual({ path: chain.mid, outcome: 'not a VMDK' });
    const told = (text: string): string[] =>
      text.split('\n').flatMap((line) => /^ +(tried .*|Tell .*)$/.exec(line)?.[1] ?? []);
    const lines = told(await quietly(['info', chain.leaf]));
    expect(lines).toEqual(told((await vmdkit(['chain', chain.leaf])).stderr));
    expect(lines).toHaveLength(error.candidates.length + 1);
  });
});

const chainOf = (path: string, ...args: string[]): Promise<ChainReport> =>
  json('chain', ['chain', path, ...args]);

describe('chain', () => {
  it('shows every link, leaf to base', async () => {
    const report = await chainOf(chain.leaf);
    expect(report).toMatchObject({ complete: true, 'virtual-size': CHAIN_BYTES, findings: [] });
    const shown = report.links.map(({ depth, filename, hint, ...link }) => [
      depth,
      basename(filename),
      link['found-by'],
      hint,
      link['parent-fits'],
    ]);
    expect(shown).toEqual([
      [0, 'leaf.vmdk', 'named', 'mid.vmdk', true],
      [1, 'mid.vmdk', 'hint', 'base.vmdk', true],
      [2, 'base.vmdk', 'hint', undefined, undefined],
    ]);
    expect(report.links[0]!['parent-cid']).toBe(report.links[1]!.cid);
    expect(report['actual-size']).toBe(report.links.reduce((sum, link) => sum + link['actual-size'], 0));
  });

  it('is a table for people, and with -v the hints', async () => {
    const text = await quietly(['chain', 'leaf.vmdk', '-v'], { cwd: folder });
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^DEPTH {2}TYPE +CID +PARENT CID +SIZE +ON DISK +GRAIN +FOUND BY +FILE$/);
    expect(lines[1]).toMatch(
      /^ {4}0 {2}monolithicSparse {2}[0-9a-f]{8} {2}[0-9a-f]{8} fits {2}8 MiB .* leaf\.vmdk$/,
    );
    expect(lines[3]).toMatch(/ base +8 MiB .* hint +base\.vmdk$/);
    expect(lines[4]).toBe('hint of leaf.vmdk: "mid.vmdk"');
    expect(lines.at(-1)).toMatch(/^3 links, 8 MiB, .* on disk: the chain is complete$/);
  });

  it('shows a broken chain as far as it goes, then every place that was tried', async () => {
    await rename(chain.base, join(folder, 'base.away'));
    const { stdout, stderr, code } = await vmdkit(['chain', 'leaf.vmdk'], { cwd: folder });
    expect(code).toBe(3);
    expect(stdout.toString()).toMatch(/ leaf\.vmdk\n.* mid\.vmdk\n2 links, .*: the chain is broken\n$/);
    expect(stderr).toMatch(
      /^vmdkit: .*mid\.vmdk: the parent of this delta cannot be found .*expected a disk with CID/,
    );
    expect(stderr).toMatch(/\n {2}tried .*base\.vmdk: no such file\n/);
    const asJson = await vmdkit(['chain', 'leaf.vmdk', '--json'], { cwd: folder });
    const report = JSON.parse(asJson.stdout.toString()) as ChainReport;
    expectValid('chain', report);
    expectValid('error', JSON.parse(asJson.stderr));
    expect(report).toMatchObject({ complete: false, links: [{ depth: 0 }, { depth: 1 }] });
  });

  it('shows both ends of a mismatch, and reads on only when told', async () => {
    const text = await quietly(['info', chain.base, '--json']);
    const { cid } = (JSON.parse(text) as DiskReport)['format-specific'].data;
    await quietly(['write', chain.base, '--offset', '0', '--force', '--progress', 'never', '-q'], {
      input: 'x',
    });
    const { stderr, code } = await vmdkit(['chain', chain.leaf]);
    expect(code).toBe(3);
    expect(stderr).toContain(`expected CID ${cid!.toString(16).padStart(8, '0')}`);
    const report = await chainOf(chain.leaf, '--accept-mismatch');
    expect(report.complete).toBe(true);
    expect(report.links[1]).toMatchObject({ 'parent-fits': false });
    expect(report.findings).toMatchObject([{ code: 'CHAIN-CID', severity: 'error' }]);
  });

  it('says how each parent was found', async () => {
    await writeFile(join(folder, 'extra.txt'), 'not a disk');
    const far = await temporaryFolder();
    try {
      const delta = join(far.folder, 'delta.vmdk');
      const foundBy = async (hint: string, ...args: string[]): Promise<string | undefined> => {
        await createDelta(delta, chain.base, { hint });
        const { links } = await chainOf(delta, ...args);
        await rename(delta, join(far.folder, 'old'));
        return links[1]?.['found-by'];
      };
      expect(await foundBy('/vmfs/volumes/ds1/base.vmdk', '--root', folder)).toBe('path-map');
      expect(await foundBy('[ds1] base.vmdk', '--root', folder)).toBe('path-map');
      expect(await foundBy('/vmfs/volumes/ds1/base.vmdk', '--map', `/vmfs/volumes/ds1=${folder}`)).toBe(
        'path-map',
      );
      expect(await foundBy(chain.base, '--allow', folder)).toBe('hint');
      expect(await foundBy('nowhere.vmdk', '--allow', folder)).toBe('cid-search');
    } finally {
      await far.remove();
    }
  });

  it('tells a mapping that leads nowhere or is none from the start', async () => {
    const none = await vmdkit(['chain', chain.leaf, '--map', 'nothing']);
    expect([none.code, none.stderr]).toEqual([
      2,
      'vmdkit: --map: "nothing" is no FROM=TO\n  For example: --map /vmfs/volumes/ds1=/mnt/ds1\n',
    ]);
    const nowhere = await vmdkit(['chain', chain.leaf, '--root', join(folder, 'nowhere')]);
    expect([nowhere.code, nowhere.stderr]).toEqual([
      2,
      `vmdkit: --map, --root: there is no such folder: ${join(folder, 'nowhere')}\n`,
    ]);
  });
});
