// Disks made and written by QEMU, the plain buffers they must equal, and the same work done by vmdkit. Rule: all
// random work comes from a seed, so that a failure can be made again.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { readMapped, walkRuns, wholeOf } from '../../src/block/read-runs.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { createReadStream } from '../../src/block/streams.ts';
import type { Chain } from '../../src/chain/chain.ts';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { loadNatives } from '../../src/storage/natives.ts';
import type { Peer } from './peer-tools.ts';
import { quickRoot } from './quick-folder.ts';

export const MIB = 2 ** 20;

/** Formats that QEMU makes empty; streamOptimized only comes out of a conversion. */
export const QEMU_SUBFORMATS = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
] as const;

/** A write of `length` bytes of pattern `fill`, or of zeros, at byte `at`. All are whole sectors. */
export interface Work {
  readonly do: 'write' | 'zero';
  readonly at: number;
  readonly length: number;
  readonly fill: number;
}

const PATTERNS = 16;
const LONGEST_WRITE = 96 * 1024;

/** Bytes of which every sector differs from every other, and every pattern from every other. */
const patterns = Array.from({ length: PATTERNS }, (_, index) => {
  const data = Buffer.alloc(LONGEST_WRITE);
  for (let at = 0; at < data.length; at += SECTOR_BYTES)
    createHash('shake256', { outputLength: SECTOR_BYTES }).update(`${index} ${at}`).digest().copy(data, at);
  return data;
});

/** The folder of the patterns as files, for QEMU, while there are images: a worker that is ended could not remove it. */
let patternFiles: string | undefined;
let imagesOpen = 0;

function makePatternFiles(): string {
  const folder = mkdtempSync(join(quickRoot, 'vmdkit-patterns-'));
  for (const [index, data] of patterns.entries()) writeFileSync(join(folder, `pattern-${index}`), data);
  return folder;
}

/** Numbers in [0, below) that follow from `seed` alone (mulberry32). */
export function seededNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Random writes; a third fall close together, so that they overlap; `zeros` of ten are zeros, mostly whole grains. */
export function randomWork(seed: number, capacityBytes: number, count: number, zeros = 2): Work[] {
  const next = seededNumbers(seed);
  const sectors = capacityBytes / SECTOR_BYTES;
  return Array.from({ length: count }, (): Work => {
    const zero = next(10) < zeros;
    const close = next(3) === 0;
    const unit = zero && next(4) > 0 ? 128 : 1;
    const within = close ? Math.min(sectors, 2048) : sectors;
    const start = Math.floor(next(within) / unit) * unit;
    const wanted = zero ? unit * (1 + next(4)) : 1 + next(next(2) === 0 ? 16 : LONGEST_WRITE / SECTOR_BYTES);
    const length = Math.min(wanted, sectors - start) * SECTOR_BYTES;
    return { do: zero ? 'zero' : 'write', at: start * SECTOR_BYTES, length, fill: next(PATTERNS) };
  });
}

/** Does the work on the buffer that a disk must equal. */
export function applyToModel(model: Buffer, work: readonly Work[]): void {
  for (const each of work) bytesOf(each).copy(model, each.at);
}

function bytesOf({ do: kind, length, fill }: Work): Buffer {
  return kind === 'zero' ? Buffer.alloc(length) : patterns[fill]!.subarray(0, length);
}

/** Does the work on the leaf at `path`, flushing now and then, and proves that nothing below it changed. */
export async function applyByUs(
  path: string,
  work: readonly Work[],
  options: ChainOptions = {},
): Promise<void> {
  const chain = await openChain(path, 'update', options);
  try {
    const below = hashBelow(chain);
    for (const [index, each] of work.entries()) {
      const range = sectorRange(each.at / SECTOR_BYTES, each.length / SECTOR_BYTES);
      if (each.do === 'zero') await chain.zero(range);
      else await chain.write(range.start, bytesOf(each));
      if (index % 7 === 6) await chain.flush();
    }
    await chain.flush();
    expect(hashBelow(chain)).toEqual(below);
  } finally {
    await chain.close();
  }
}

/** SHA-256 of every file of every link below the leaf. */
function hashBelow(chain: Chain): Map<string, string> {
  const files = chain.links
    .slice(1)
    .flatMap((link) => [link.path, ...link.extents.flatMap(({ extent }) => extent.path ?? [])]);
  return new Map(
    files.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')] as const),
  );
}

/** The contents as we read them: in pieces by `read`, by the map, and as a stream; all three must be equal. */
export async function readByUs(path: string, options: ChainOptions = {}): Promise<Buffer> {
  const chain = await openChain(path, 'read', options);
  try {
    const content = Buffer.alloc(chain.capacity * SECTOR_BYTES, 0xee);
    const step = 1021;
    for (let at = 0; at < chain.capacity; at += step) {
      const range = sectorRange(at, Math.min(step, chain.capacity - at));
      await chain.read(range, content.subarray(at * SECTOR_BYTES, (at + range.count) * SECTOR_BYTES));
    }
    const mapped = Buffer.alloc(content.length, 0xee);
    await readMapped(chain, wholeOf(chain), mapped);
    expectSameContent(mapped, content, 'by map and by read');
    let streamed = 0;
    for await (const chunk of createReadStream(chain)) {
      const piece = chunk as Buffer;
      expectSameContent(
        piece,
        content.subarray(streamed, streamed + piece.length),
        `as a stream from ${streamed}`,
      );
      streamed += piece.length;
    }
    expect(streamed).toBe(content.length);
    return content;
  } finally {
    await chain.close();
  }
}

export function expectSameContent(found: Buffer, expected: Buffer, what: string): void {
  expect(found.length, what).toBe(expected.length);
  if (found.equals(expected)) return;
  let at = 0;
  while (found[at] === expected[at]) at++;
  expect.fail(`${what}: sector ${Math.floor(at / SECTOR_BYTES)} differs (byte ${at})`);
}

/** Gives a disk of QEMU's another content id, written as QEMU writes it: without leading zeros. */
export async function giveCid(path: string, cid: number): Promise<void> {
  const file = await open(path, 'r+');
  const head = Buffer.alloc(Math.min((await file.stat()).size, 16_384));
  await file.read(head, 0, head.length, 0);
  const text = head.toString('latin1');
  const at = text.search(/^CID=[0-9a-f]+$/m);
  const start = text.lastIndexOf('# Disk DescriptorFile', at);
  const ends = text.indexOf('\0', at);
  const end = ends < 0 ? text.length : ends;
  const edited = text.slice(start, end).replace(/^CID=[0-9a-f]+$/m, `CID=${cid.toString(16)}`);
  // An embedded text is followed by zeros; a text file simply ends where it ends.
  const room = start === 0 ? edited.length : Math.max(end - start, edited.length);
  const bytes = Buffer.concat([Buffer.from(edited, 'latin1')], room);
  await file.write(bytes, 0, bytes.length, start);
  if (start === 0) await file.truncate(edited.length);
  await file.close();
}

/** One entry of `qemu-img map --output json`; bytes. */
export interface QemuRun {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
}

/** Proves that our map says the same of every sector: present or not, zeros or data, and which link answers. */
export async function expectSameMap(
  path: string,
  runs: readonly QemuRun[],
  options: ChainOptions = {},
): Promise<void> {
  const seesHoles = (await loadNatives()) !== undefined;
  const chain = await openChain(path, 'read', options);
  try {
    let index = 0;
    for await (const list of walkRuns(chain, wholeOf(chain))) {
      for (const run of list) {
        const end = run.start + run.count;
        for (let at: Sectors = run.start; at < end;) {
          while (endOf(runs[index]!) <= at) index++;
          const theirs = runs[index]!;
          const flat = isFlatAt(chain, run.depth, at);
          const zero = run.state !== 'data';
          // QEMU calls the holes of a flat extent both data and zero; without native calls we cannot see holes.
          const same =
            theirs.depth === run.depth &&
            theirs.present === (run.state !== 'absent') &&
            theirs.zero === (flat && !seesHoles ? theirs.zero : zero) &&
            theirs.data === (flat || !zero);
          if (!same) expect.fail(`sector ${at}: we map ${inspect(run)}, QEMU ${inspect(theirs)}`);
          at = Math.min(end, endOf(theirs)) as Sectors;
        }
      }
    }
  } finally {
    await chain.close();
  }
}

function endOf({ start, length }: QemuRun): number {
  return (start + length) / SECTOR_BYTES;
}

function isFlatAt(chain: Chain, depth: number, sector: number): boolean {
  const placed = chain.links[depth]!.extents.find(({ start, extent }) => sector < start + extent.capacity);
  return placed?.extent.kind === 'flat';
}

export interface QemuDiskOptions {
  /** Not given for an overlay: QEMU takes the size of what is below. */
  readonly size?: number;
  readonly subformat?: string;
  /** The disk below, as it is to stand in the descriptor. */
  readonly backing?: string;
  /** More `-o` options: `zeroed_grain=on`, `compat6=on`, `adapter_type=lsilogic`. */
  readonly more?: readonly string[];
}

/** Work for the disk of that name. */
export interface NamedWork {
  readonly name: string;
  readonly work: readonly Work[];
}

/** What the disk of that name must read as. */
export interface NamedModel {
  readonly name: string;
  readonly model: Buffer;
}

function ioCommands(work: readonly Work[]): string[] {
  const commands = work.map(({ do: kind, at, length, fill }) =>
    kind === 'zero'
      ? `write -z ${at} ${length}`
      : `write -s ${join(patternFiles!, `pattern-${fill}`)} ${at} ${length}`,
  );
  return commands.flatMap((command) => ['-c', command]);
}

/** A folder of disks and the QEMU programs that work on them. */
export class QemuImages {
  readonly folder: string;
  readonly #qemu: Peer;
  readonly #io: Peer;

  private constructor(folder: string, qemu: Peer, io: Peer) {
    this.folder = folder;
    this.#qemu = qemu;
    this.#io = io;
  }

  /** `root`: where its folder goes; the disk's for what is about blocks and holes. */
  static async open(qemu: Peer, io: Peer, root = quickRoot): Promise<QemuImages> {
    const folder = await mkdtemp(join(root, 'vmdkit-qemu-'));
    patternFiles ??= makePatternFiles();
    imagesOpen++;
    return new QemuImages(folder, qemu, io);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async create(name: string, options: QemuDiskOptions): Promise<string> {
    const { size, backing, subformat, more = [] } = options;
    const settings = [...(subformat === undefined ? [] : [`subformat=${subformat}`]), ...more];
    const args = ['create', '-q', '-f', 'vmdk'];
    if (backing !== undefined) args.push('-b', backing, '-F', 'vmdk');
    if (settings.length > 0) args.push('-o', settings.join(','));
    args.push(this.path(name));
    if (size !== undefined) args.push(String(size));
    await this.#qemu.ok(args);
    return this.path(name);
  }

  /** Does the work with qemu-io, in one process. */
  async apply(name: string, work: readonly Work[]): Promise<void> {
    await this.#io.ok(['-f', 'vmdk', ...ioCommands(work), this.path(name)]);
  }

  /** Does one work after the other, each in an opening of its own, in one process; no name has a space. */
  async applyEach(works: readonly NamedWork[]): Promise<void> {
    await this.#io.ok(
      works.flatMap(({ name, work }) => [
        '-c',
        `open -o driver=vmdk ${this.path(name)}`,
        ...ioCommands(work),
        '-c',
        'close',
      ]),
    );
  }

  /** Copies a chain into one new disk. */
  async convert(from: string, to: string, subformat: string): Promise<string> {
    const options = ['-q', '-f', 'vmdk', '-O', 'vmdk', '-o', `subformat=${subformat}`];
    await this.#qemu.ok(['convert', ...options, this.path(from), this.path(to)]);
    return this.path(to);
  }

  /** The contents as QEMU reads them; of several disks one after the other. */
  async raw(...names: string[]): Promise<Buffer> {
    const raw = this.path('contents.raw');
    const paths = names.map((name) => this.path(name));
    await this.#qemu.ok(['convert', '-q', '-f', 'vmdk', '-O', 'raw', ...paths, raw]);
    const content = await readFile(raw);
    await rm(raw);
    return content;
  }

  /** Proves that QEMU reads each disk as its model, all in one process. */
  async expectContents(disks: readonly NamedModel[]): Promise<void> {
    const found = await this.raw(...disks.map(({ name }) => name));
    let at = 0;
    for (const { name, model } of disks) {
      expectSameContent(found.subarray(at, at + model.length), model, `${name} as QEMU reads it`);
      at += model.length;
    }
    expect(found.length).toBe(at);
  }

  async map(name: string): Promise<QemuRun[]> {
    const text = await this.#qemu.ok(['map', '--output', 'json', '-f', 'vmdk', this.path(name)]);
    return JSON.parse(text) as QemuRun[];
  }

  /** Proves that `qemu-img check` finds nothing in the disk itself. */
  async expectSound(name: string): Promise<void> {
    expect(await this.#qemu.ok(['check', '-f', 'vmdk', this.path(name)])).toContain('No errors were found');
  }

  /** Proves by `qemu-img compare` that two disks have the same contents; `strict` also compares allocation. */
  async expectEqual(one: string, other: string, strict = false): Promise<void> {
    const how = ['compare', ...(strict ? ['-s'] : []), '-f', 'vmdk', '-F', 'vmdk'];
    const { stdout, code } = await this.#qemu.run([...how, this.path(one), this.path(other)]);
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: 'Images are identical.', code: 0 });
  }

  /** Proves that QEMU and we read `name` as `model`, and agree on its map, which it gives. */
  async expectAgreement(name: string, model: Buffer, options: ChainOptions = {}): Promise<QemuRun[]> {
    const [runs] = await this.expectAgreements([{ name, model }], options);
    return runs!;
  }

  /** The same of several disks, whose contents QEMU reads in one process. */
  async expectAgreements(disks: readonly NamedModel[], options: ChainOptions = {}): Promise<QemuRun[][]> {
    await this.expectContents(disks);
    const maps: QemuRun[][] = [];
    for (const { name, model } of disks) {
      expectSameContent(await readByUs(this.path(name), options), model, `${name} as we read it`);
      const runs = await this.map(name);
      await expectSameMap(this.path(name), runs, options);
      maps.push(runs);
    }
    return maps;
  }

  close(): Promise<void> {
    if (--imagesOpen === 0) {
      rmSync(patternFiles!, { recursive: true });
      patternFiles = undefined;
    }
    return rm(this.folder, { recursive: true });
  }
}
