// map, cat, convert and write: the contents of a chain as a user gets and changes them.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { buildCommand, expectValid, json, quietly, temporaryFolder, vmdkit } from '../support/command.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

const MIB = 1 << 20;
const GRAIN = 64 << 10;

let folder: string;
let remove: () => Promise<void>;
let chain: SmallChain;

beforeAll(() => buildCommand());
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  chain = await makeSmallChain(folder);
});
afterEach(() => remove());

interface Run {
  start: number;
  length: number;
  depth: number;
  present: boolean;
  zero: boolean;
  data: boolean;
  filename?: string;
}

const short = ({ start, length, depth, present, zero, filename }: Run): unknown[] => [
  start,
  length,
  depth,
  present ? (zero ? 'zero' : 'data') : 'absent',
  filename === undefined ? '' : basename(filename),
];

const EXPECTED = [
  [0, MIB, 2, 'absent', ''],
  [MIB, GRAIN, 2, 'data', 'base.vmdk'],
  [MIB + GRAIN, GRAIN, 1, 'data', 'mid.vmdk'],
  [MIB + 2 * GRAIN, GRAIN, 0, 'zero', ''],
  [MIB + 3 * GRAIN, 3 * MIB - 3 * GRAIN, 2, 'absent', ''],
  [4 * MIB, GRAIN, 0, 'data', 'leaf.vmdk'],
  [4 * MIB + GRAIN, 4 * MIB - GRAIN, 2, 'absent', ''],
];

describe('map', () => {
  it('says which link answers what, as JSON and a line each', async () => {
    const runs = await json<Run[]>('map', ['map', chain.leaf]);
    expect(runs.map(short)).toEqual(EXPECTED);
    const lines = (await quietly(['map', chain.leaf, '--output', 'ndjson'])).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as Run)).toEqual(runs);
  });

  it('cuts runs at --start and --length', async () => {
    const args = ['map', chain.leaf, '--start', '1056k', '--length', '64k'];
    const runs = await json<Run[]>('map', args);
    expect(runs.map(short)).toEqual([
      [MIB + GRAIN / 2, GRAIN / 2, 2, 'data', 'base.vmdk'],
      [MIB + GRAIN, GRAIN / 2, 1, 'data', 'mid.vmdk'],
    ]);
    expect(await json('map', ['map', chain.leaf, '--length', '0'])).toEqual([]);
  });

  it('is a table for people', async () => {
    const text = await quietly(['map', 'leaf.vmdk'], { cwd: folder });
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toBe('OFFSET          LENGTH          STATE   DEPTH  MAPPED TO       FILE');
    expect(lines[2]).toMatch(/^0x100000 {8}0x10000 {9}data {4}2 {6}0x[0-9a-f]+ +base\.vmdk$/);
    expect(lines[4]).toBe('0x120000        0x10000         zero    0');
    expect(lines.at(-1)).toBe('7 runs: 192 KiB data, 64 KiB zero, 7.75 MiB absent');
  });

  it.each([
    [['--start', '9M'], '--start: byte 9437184 is past the end of the disk\n  The disk has 8388608 bytes.'],
    [['--length', '9M'], '--length: byte 9437184 is past the end of the disk\n  The disk has 8388608 bytes.'],
    [['--start', '100'], '--start: 100 bytes are not whole sectors of 512'],
  ])('refuses %j', async (args, message) => {
    const { stderr, code } = await vmdkit(['map', chain.leaf, ...args]);
    expect([stderr, code]).toEqual([`vmdkit: ${message}\n`, 2]);
  });
});

describe('cat', () => {
  it('gives the bytes the guest sees', async () => {
    const { stdout, stderr, code } = await vmdkit(['cat', chain.leaf]);
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout.equals(chain.contents)).toBe(true);
    const base = (await vmdkit(['cat', chain.base])).stdout;
    expect(base.subarray(MIB, MIB + 3 * GRAIN).equals(Buffer.alloc(3 * GRAIN, 0xb1))).toBe(true);
  });

  it('gives any part, byte by byte, to a file too', async () => {
    const start = MIB + GRAIN - 3;
    const { stdout } = await vmdkit(['cat', chain.leaf, '--start', String(start), '--length', '5']);
    expect(stdout).toEqual(Buffer.from([0xb1, 0xb1, 0xb1, 0xb2, 0xb2]));
    await quietly(['cat', chain.leaf, '--start', '1M', '-o', join(folder, 'part')]);
    expect((await readFile(join(folder, 'part'))).equals(chain.contents.subarray(MIB))).toBe(true);
  });

  it('refuses what is not there, and a file that is', async () => {
    const past = await vmdkit(['cat', chain.leaf, '--start', '8M', '--length', '1']);
    expect([past.code, past.stderr]).toEqual([
      2,
      'vmdkit: bytes 8388608 to 8388609 do not lie within the disk\n  It has 8388608 bytes.\n',
    ]);
    await writeFile(join(folder, 'there'), 'precious');
    const there = await vmdkit(['cat', chain.leaf, '-o', 'there'], { cwd: folder });
    expect([there.code, there.stderr]).toEqual([
      4,
      'vmdkit: there: the target exists already\n  Pass --force to replace it.\n',
    ]);
    expect(await readFile(join(folder, 'there'), 'utf8')).toBe('precious');
  });
});

describe('convert', () => {
  it('makes a raw file with holes for zeros', async () => {
    const target = join(folder, 'leaf.raw');
    const result = await json<{ size: number; written: number }>('convert', ['convert', chain.leaf, target]);
    expect(result).toMatchObject({ size: CHAIN_BYTES, written: 3 * GRAIN });
    expect((await readFile(target)).equals(chain.contents)).toBe(true);
    expect((await stat(target)).blocks * 512).toBeLessThan(MIB);
    expect((await readdir(folder)).sort()).toEqual(['base.vmdk', 'leaf.raw', 'leaf.vmdk', 'mid.vmdk']);
  });

  it('streams to - and says nothing else there', async () => {
    const { stdout, stderr, code } = await vmdkit(['convert', chain.leaf, '-', '-O', 'raw']);
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout.equals(chain.contents)).toBe(true);
  });

  it('replaces a target with --force only, and never a file it reads', async () => {
    const target = join(folder, 'there');
    await writeFile(target, 'precious');
    expect((await vmdkit(['convert', chain.leaf, target])).code).toBe(4);
    expect(await readFile(target, 'utf8')).toBe('precious');
    expect((await vmdkit(['convert', chain.leaf, target, '--force'])).code).toBe(0);
    expect((await readFile(target)).equals(chain.contents)).toBe(true);
    const before = await readFile(chain.base);
    const { stderr, code } = await vmdkit(['convert', chain.leaf, 'base.vmdk', '--force', '-O', 'raw'], {
      cwd: folder,
    });
    expect([stderr, code]).toEqual(['vmdkit: base.vmdk: the target is a file of the disk that is read\n', 4]);
    expect((await readFile(chain.base)).equals(before)).toBe(true);
  });

  it('makes disks of other types, above a parent too, and says what it made', async () => {
    const stream = await json<{ size: number }>('convert', [
      'convert',
      chain.leaf,
      join(folder, 'x.vmdk'),
      '-O',
      'streamoptimized',
      '--level',
      '1',
    ]);
    expect(stream).toMatchObject({ 'create-type': 'streamOptimized', format: 'vmdk', lost: [] });
    expect((await stat(join(folder, 'x.vmdk'))).size).toBe(stream.size);
    const delta = await json('convert', ['convert', 'x.vmdk', 'd.vmdk', '--backing', 'base.vmdk'], {
      cwd: folder,
    });
    expect(delta).toMatchObject({ 'create-type': 'monolithicSparse', hint: 'base.vmdk', written: 2 * GRAIN });
    for (const name of ['x.vmdk', 'd.vmdk']) {
      const { stdout } = await vmdkit(['convert', name, '-'], { cwd: folder });
      expect(stdout.equals(chain.contents)).toBe(true);
    }
    const flat = await vmdkit(['convert', 'd.vmdk', 'f.vmdk', '-O', 'monolithicFlat'], { cwd: folder });
    expect([flat.code, flat.stderr]).toEqual([
      0,
      'f.vmdk: monolithicFlat, 8 MiB (8,388,608 bytes), 192 KiB of data, 8 MiB in 2 files\n',
    ]);
  });

  it('takes raw content from a file or a pipe, and sends a disk through one', async () => {
    await writeFile(join(folder, 'in.raw'), chain.contents);
    const file = ['convert', 'in.raw', 'a.vmdk', '--from', 'raw', '-O', 'vmfs', '--thin'];
    expect(await json('convert', file, { cwd: folder })).toMatchObject({ 'create-type': 'vmfs' });
    const pipe = await vmdkit(['convert', '-', '-', '-O', 'streamOptimized'], { input: chain.contents });
    await writeFile(join(folder, 'b.vmdk'), pipe.stdout);
    for (const name of ['a.vmdk', 'b.vmdk']) {
      const { stdout } = await vmdkit(['cat', name], { cwd: folder });
      expect(stdout.equals(chain.contents)).toBe(true);
    }
    const odd = await vmdkit(['convert', '-', 'c.vmdk', '-O', 'vmfs'], { input: 'odd', cwd: folder });
    expect([odd.code, odd.stderr]).toEqual([
      2,
      'vmdkit: the input: a raw disk is whole sectors: found 3 bytes, expected a multiple of 512\n' +
        '  Fill it up with zeros first: truncate -s 512 FILE\n',
    ]);
    const none = await vmdkit(['convert', '-', 'c.vmdk', '-O', 'vmfs'], { input: '', cwd: folder });
    expect([none.code, none.stderr]).toEqual([
      2,
      'vmdkit: the input: a disk has at least one sector, and nothing is here: found 0 bytes\n' +
        '  From a pipe: what writes into it may have failed.\n',
    ]);
    expect((await readdir(folder)).filter((name) => name.startsWith('.') || name.startsWith('c'))).toEqual(
      [],
    );
  });

  it('lists what it could not read with --salvage, and fails with the place without', async () => {
    await vmdkit(['convert', chain.leaf, 'x.vmdk', '-O', 'streamOptimized'], { cwd: folder });
    const bytes = await readFile(join(folder, 'x.vmdk'));
    bytes.fill(0x5a, 128 * 512 + 16, 128 * 512 + 60);
    await writeFile(join(folder, 'x.vmdk'), bytes);
    const failed = await vmdkit(['convert', 'x.vmdk', 'y.raw'], { cwd: folder });
    expect(failed.code).toBe(3);
    expect(failed.stderr).toMatch(
      /x\.vmdk: the grain cannot be inflated \(byte 65536, sector 2048 of the disk\)/,
    );
    expect((await readdir(folder)).includes('y.raw')).toBe(false);
    const { stdout, code } = await vmdkit(['convert', 'x.vmdk', 'y.raw', '--salvage', '--json'], {
      cwd: folder,
    });
    expect(code).toBe(1);
    const result = JSON.parse(stdout.toString()) as { lost: object[] };
    expectValid('convert', result);
    expect(result.lost).toMatchObject([{ start: MIB, length: GRAIN, code: 'grain-damaged' }]);
    const expected = Buffer.from(chain.contents).fill(0, MIB, MIB + GRAIN);
    expect((await readFile(join(folder, 'y.raw'))).equals(expected)).toBe(true);
  });

  it('is measured before', async () => {
    const measured = await json<{ required: number }>('measure', [
      'measure',
      chain.leaf,
      '-O',
      'streamOptimized',
    ]);
    await vmdkit(['convert', chain.leaf, 'leaf-x.vmdk', '-O', 'streamOptimized'], { cwd: folder });
    expect((await stat(join(folder, 'leaf-x.vmdk'))).size).toBe(measured.required);
    await mkdir(join(folder, 'elsewhere'));
    const delta = ['-O', 'vmfsSparse', '--backing', chain.base, '--hint', 'absolute'];
    const name = join('elsewhere', 'leaf-y.vmdk');
    const { stdout } = await vmdkit(['measure', chain.leaf, ...delta, '--name', name, '--json'], {
      cwd: folder,
    });
    await vmdkit(['convert', chain.leaf, name, ...delta], { cwd: folder });
    const files = ['leaf-y.vmdk', 'leaf-y-delta.vmdk'];
    const sizes = files.map(async (file) => (await stat(join(folder, 'elsewhere', file))).size);
    const [text, extent] = await Promise.all(sizes);
    expect(JSON.parse(stdout.toString())).toMatchObject({ required: text! + extent! });
    expect(await quietly(['measure', chain.leaf])).toBe(
      `required size: ${CHAIN_BYTES}\nfully allocated size: ${CHAIN_BYTES}\n`,
    );
  });

  it('refuses what cannot be', async () => {
    const refused = async (...args: string[]) => {
      const { stderr, code } = await vmdkit(['convert', ...args], { cwd: folder });
      return [code, stderr.split('\n')[0]];
    };
    expect(await refused('leaf.vmdk', 'x.vmdk')).toEqual([2, 'vmdkit: which type of disk is x.vmdk to be?']);
    expect(await refused('leaf.vmdk', '-', '-O', 'vmfs')).toEqual([
      3,
      'vmdkit: vmfs cannot be written to a pipe: expected raw or streamOptimized',
    ]);
    expect((await refused('leaf.vmdk', 'x.vmdk', '-O', 'vmfsSparse'))[0]).toBe(3);
    expect((await refused('leaf.vmdk', 'x.vmdk', '-O', 'nonsense'))[0]).toBe(2);
    expect((await refused('leaf.vmdk', 'x.vmdk', '-O', 'vmfs', '--level', '3'))[0]).toBe(2);
  });

  it('leaves nothing behind when it is stopped', async () => {
    const path = join(folder, 'thick.vmdk');
    await createDisk(path, bytes(256 * MIB), { type: 'monolithicFlat', preallocate: true });
    const begun = async (): Promise<void> => {
      while (!(await readdir(folder)).some((name) => /^\.convert-.*\.part$/.test(name))) await pause(2);
    };
    const { code } = await vmdkit(['convert', path, 'copy.raw', '--no-native'], {
      cwd: folder,
      stop: { when: begun, signal: 'SIGINT' },
    });
    expect(code).toBe(130);
    expect((await readdir(folder)).filter((name) => /copy|convert/.test(name))).toEqual([]);
  });

  it('leaves no target when it is killed, and the next run clears what is left', async () => {
    const path = join(folder, 'thick.vmdk');
    await createDisk(path, bytes(256 * MIB), { type: 'monolithicFlat', preallocate: true });
    const hidden = async () => (await readdir(folder)).filter((name) => name.startsWith('.convert-'));
    const begun = async (): Promise<void> => {
      while ((await hidden()).length === 0) await pause(2);
    };
    const args = ['convert', path, 'copy.vmdk', '-O', 'vmfs', '--no-native'];
    const { code } = await vmdkit(args, { cwd: folder, stop: { when: begun, signal: 'SIGKILL' } });
    expect(code).toBe(null);
    expect((await readdir(folder)).filter((name) => name.startsWith('copy'))).toEqual([]);
    expect(await hidden()).toHaveLength(1);
    expect((await vmdkit(['convert', chain.leaf, 'small.raw'], { cwd: folder })).code).toBe(0);
    expect(await hidden()).toEqual([]);
  });

  it('reports progress as JSON lines, plain lines or not at all', async () => {
    const target = join(folder, 'leaf.raw');
    const run = (mode: string) =>
      vmdkit(['convert', chain.leaf, target, '--force', '-q', '--progress', mode]);
    const lines = (await run('json')).stderr.trimEnd().split('\n');
    for (const line of lines) expectValid('progress', JSON.parse(line));
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({
      progress: { done: 3 * GRAIN, total: 3 * GRAIN, unit: 'bytes' },
    });
    expect((await run('always')).stderr).toMatch(/^copying: 100 %, 192 KiB of 192 KiB/m);
    expect((await run('auto')).stderr).toBe('');
    expect((await run('never')).stderr).toBe('');
  });
});

const hashOf = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

describe('write', () => {
  it('puts bytes anywhere into the leaf and leaves what is below alone', async () => {
    const below = await Promise.all([chain.mid, chain.base].map(hashOf));
    const result = await json('write', ['write', chain.leaf, '--offset', '1000', '-'], { input: 'hello' });
    expect(result).toMatchObject({ offset: 1000, length: 5, zeroed: false, 'cid-changed': true });
    chain.contents.write('hello', 1000);
    await writeFile(join(folder, 'piece'), Buffer.alloc(3 * GRAIN + 7, 0xee));
    await quietly(['write', 'leaf.vmdk', 'piece', '--offset', '1056k', '-q'], { cwd: folder });
    chain.contents.fill(0xee, MIB + GRAIN / 2, MIB + GRAIN / 2 + 3 * GRAIN + 7);
    const { stdout } = await vmdkit(['cat', chain.leaf]);
    expect(stdout.equals(chain.contents)).toBe(true);
    expect(await Promise.all([chain.mid, chain.base].map(hashOf))).toEqual(below);
  });

  it('zeroes any range', async () => {
    const { stderr, code } = await vmdkit(
      ['write', 'leaf.vmdk', '--offset', String(MIB - 5), '--zero', String(GRAIN + 100)],
      { cwd: folder },
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^leaf\.vmdk: zeroed 65,636 bytes at byte 1,048,571; CID is now [0-9a-f]{8}\n$/);
    chain.contents.fill(0, MIB - 5, MIB + GRAIN + 95);
    expect((await vmdkit(['cat', chain.leaf])).stdout.equals(chain.contents)).toBe(true);
  });

  it('refuses what reaches past the end before it writes a byte', async () => {
    const before = await hashOf(chain.leaf);
    await writeFile(join(folder, 'piece'), Buffer.alloc(GRAIN));
    const { stderr, code } = await vmdkit(['write', chain.leaf, join(folder, 'piece'), '--offset', '8160k']);
    expect([stderr, code]).toEqual([
      'vmdkit: bytes 8355840 to 8421376 reach past the end of the disk\n  It has 8388608 bytes.\n',
      2,
    ]);
    expect((await vmdkit(['write', chain.leaf, '--offset', '9M'], { input: 'x' })).code).toBe(2);
    expect(await hashOf(chain.leaf)).toBe(before);
  });

  it.each([
    [[], 'write needs --offset N'],
    [['--offset', '10MB'], '--offset: "10MB": MB means powers of 1000'],
    [['--offset', '0', '--zero', '1k', 'file'], 'write: --zero writes zeros: no FILE goes with it'],
  ])('refuses %j', async (args, message) => {
    const { stderr, code } = await vmdkit(['write', chain.leaf, ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
