// Chains as a whole: rings, depth, sizes, and links of every type in one chain, compared sector by sector with a model.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { ChainOptions } from '../../src/chain/chain-options.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import {
  craftCowd,
  craftMonolithic,
  craftSeSparse,
  craftSparse,
  marked,
  SECTOR,
  seSparseEntry,
  storeOf,
  text,
} from '../support/craft.ts';
import { craftStream } from '../support/craft-stream.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';
import { expectAllClosed, recordStore } from '../support/recording-store.ts';
import { seededNumbers } from '../support/qemu-images.ts';

type Files = Record<string, Buffer | string>;
const zeros = (sectors: number): Buffer => Buffer.alloc(sectors * SECTOR);

const link = (cid: string, parentCid: string, hint?: string, capacity = 8): Buffer =>
  craftMonolithic({ capacity }, { cid, parentCid, ...(hint === undefined ? {} : { hint }) }).bytes;

/** `count` links without data but for the base, 0.vmdk the leaf. */
function deep(count: number): Files {
  const files: Files = {};
  for (let at = 0; at < count - 1; at++) files[`/vm/${at}.vmdk`] = link('1', '1', `${at + 1}.vmdk`);
  files[`/vm/${count - 1}.vmdk`] = craftMonolithic(
    { capacity: 8, grains: { 0: marked('base', 0, 8) } },
    { cid: '1' },
  ).bytes;
  return files;
}

async function failure(files: Files, options: ChainOptions = {}, path = '/vm/0.vmdk') {
  const recording = recordStore(storeOf(files));
  const error = await bounded(() => failureOf(openChain(path, 'read', { fs: recording.store, ...options })));
  expectAllClosed(recording);
  return error;
}

describe('a chain that leads back', () => {
  const CYCLE = { kind: 'corrupt', code: 'chain-cycle' };

  it('to the leaf itself is an error that says so, also under the override', async () => {
    const files = { '/vm/0.vmdk': link('a', 'a', '0.vmdk') };
    for (const acceptMismatch of [false, true]) {
      expect(await failure(files, { acceptMismatch })).toMatchObject({
        ...CYCLE,
        context: { path: '/vm/0.vmdk' },
      });
    }
  });

  it('from B to A is an error that says so', async () => {
    const files = { '/vm/0.vmdk': link('a', 'b', '1.vmdk'), '/vm/1.vmdk': link('b', 'a', '0.vmdk') };
    for (const acceptMismatch of [false, true]) {
      const error = await failure(files, { acceptMismatch });
      expect(error).toMatchObject({ ...CYCLE, context: { path: '/vm/1.vmdk' } });
      expect(error.message).toContain('/vm/0.vmdk: already a link of this chain');
    }
  });

  it('by another name of a link, a symbolic or a hard one, is found by the file itself', async () => {
    const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-ring-')));
    try {
      const at = (name: string) => join(folder, name);
      fs.mkdirSync(at('vm'));
      for (const name of ['hard.vmdk', 'soft.vmdk']) {
        fs.rmSync(at('vm/0.vmdk'), { force: true });
        fs.writeFileSync(at('vm/0.vmdk'), link('a', 'a', name));
        if (name === 'hard.vmdk') fs.linkSync(at('vm/0.vmdk'), at('vm/hard.vmdk'));
        else fs.symlinkSync('0.vmdk', at('vm/soft.vmdk'));
        const error = await failureOf(openChain(at('vm/0.vmdk'), 'read', { fs: createNodeFileStore() }));
        expect(error, name).toMatchObject(CYCLE);
        fs.rmSync(at(`vm/${name}`));
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('is not one when two disks are merely equal', async () => {
    const files = {
      '/vm/0.vmdk': link('a', 'a', 'copy/0.vmdk'),
      '/vm/copy/0.vmdk': link('a', 'a', 'base.vmdk'),
      '/vm/copy/base.vmdk': craftMonolithic({ capacity: 8 }, { cid: 'a' }).bytes,
    };
    const chain = await openChain('/vm/0.vmdk', 'read', { fs: storeOf(files) });
    expect(chain.links).toHaveLength(3);
    await chain.close();
  });
});

describe('the depth of a chain', () => {
  it.each([1, 2, 32])('of %i is read with nothing to say', async (count) => {
    const chain = await openChain('/vm/0.vmdk', 'read', { fs: storeOf(deep(count)) });
    expect(chain.links).toHaveLength(count);
    expect(chain.findings).toEqual([]);
    expectSame(await contentOf(chain), marked('base', 0, 8));
    await chain.close();
  });

  it.each([33, 255])('of %i is read with a warning', async (count) => {
    await bounded(async () => {
      const chain = await openChain('/vm/0.vmdk', 'read', { fs: storeOf(deep(count)) });
      expect(chain.links).toHaveLength(count);
      expect(chain.findings).toMatchObject([
        { code: 'CHAIN-DEPTH', severity: 'warning', path: '/vm/0.vmdk' },
      ]);
      expectSame(await contentOf(chain), marked('base', 0, 8));
      await chain.close();
    });
  });

  it.each([256, 1000])('of %i is refused, and nothing stays open', async (count) => {
    expect(await failure(deep(count))).toMatchObject({
      kind: 'corrupt',
      code: 'chain-too-deep',
      context: { path: '/vm/0.vmdk', found: 'more than 255 links', expected: 'at most 255' },
    });
  });
});

describe('a parent of another size', () => {
  const files = (parent: number): Files => ({
    '/vm/0.vmdk': craftMonolithic(
      { capacity: 24, grains: { 1: marked('c', 8, 8) } },
      { parentCid: '1', hint: 'p.vmdk' },
    ).bytes,
    '/vm/p.vmdk': craftMonolithic(
      {
        capacity: parent,
        grains: Object.fromEntries(
          [0, 1, 2, 3].slice(0, Math.ceil(parent / 8)).map((n) => [n, marked('p', n * 8, 8)]),
        ),
      },
      { cid: '1' },
    ).bytes,
  });

  it.each([4, 12, 32])(
    '(%i sectors under 24) is an error that names both sizes and files',
    async (parent) => {
      const error = await failure(files(parent));
      expect(error).toMatchObject({
        kind: 'corrupt',
        code: 'chain-capacity-mismatch',
        context: { path: '/vm/0.vmdk', found: '24 sectors', expected: `${parent} sectors as in /vm/p.vmdk` },
      });
    },
  );

  it('reads as zeros past its end, under the override, and that is said', async () => {
    for (const [parent, expected] of [
      [4, [marked('p', 0, 4), zeros(4), marked('c', 8, 8), zeros(8)]],
      [20, [marked('p', 0, 8), marked('c', 8, 8), marked('p', 16, 4), zeros(4)]],
      [32, [marked('p', 0, 8), marked('c', 8, 8), marked('p', 16, 8)]],
    ] as const) {
      const chain = await openChain('/vm/0.vmdk', 'read', {
        fs: storeOf(files(parent)),
        acceptMismatch: true,
      });
      expectSame(await contentOf(chain), Buffer.concat(expected), `parent of ${parent}`);
      expect(chain.findings).toMatchObject([{ code: 'CHAIN-CAP', severity: 'error', path: '/vm/0.vmdk' }]);
      for (const part of ['24 sectors', `${parent} sectors`, '/vm/p.vmdk'])
        expect(chain.findings[0]!.message).toContain(part);
      // Each range by itself as well: ends within a parent that is too short.
      const all = await contentOf(chain);
      for (let start = 0; start < 24; start += 3) {
        const part = Buffer.alloc(3 * SECTOR, 0xee);
        await chain.read(sectorRange(start, 3), part);
        expectSame(part, all.subarray(start * SECTOR, (start + 3) * SECTOR));
      }
      await chain.close();
    }
  });

  it('in the middle of a chain hides what is below its end', async () => {
    const three: Files = {
      '/vm/0.vmdk': link('3', '2', '1.vmdk', 24),
      '/vm/1.vmdk': link('2', '1', '2.vmdk', 8),
      '/vm/2.vmdk': craftMonolithic(
        { capacity: 24, grains: { 0: marked('b', 0, 8), 1: marked('b', 8, 8) } },
        { cid: '1' },
      ).bytes,
    };
    expectSame(
      await readAll('/vm/0.vmdk', { fs: storeOf(three), acceptMismatch: true }),
      Buffer.concat([marked('b', 0, 8), zeros(16)]),
    );
  });
});

type State = 'absent' | 'zero' | 'data';
interface ModelLink {
  readonly files: (next: string | undefined, name: string) => Files;
  readonly state: (sector: number) => State;
  readonly tag: string;
}

/** One link of each kind, its grains chosen at random: what it says of each sector, and its files. */
function makeLink(kind: string, tag: string, capacity: number, random: (below: number) => number): ModelLink {
  const grainSize = {
    sparse128: 128,
    sparse1: 1,
    cowd: 1,
    sesparse: 8,
    stream: 64,
    split: 16,
    flat: capacity,
    zero: capacity,
  }[kind]!;
  const count = Math.ceil(capacity / grainSize);
  const states = Array.from({ length: count }, (): State => {
    if (kind === 'flat') return 'data';
    const chance = random(100);
    if (chance < 45) return 'absent';
    return chance < 60 && kind !== 'stream' ? 'zero' : 'data';
  });
  const numbers = (state: State): number[] => [...states.keys()].filter((grain) => states[grain] === state);
  const content = (grain: number): Buffer => marked(tag, grain * grainSize, grainSize);
  const grains = Object.fromEntries(numbers('data').map((grain) => [grain, content(grain)]));
  const cid = (name: string): string => (0x100 + Number(name)).toString(16);
  const ids = (next: string | undefined, name: string) => ({
    cid: cid(name),
    ...(next === undefined ? {} : { parentCid: cid(next), hint: `${next}.vmdk` }),
  });
  const files = (next: string | undefined, name: string): Files => {
    const path = `/vm/${name}.vmdk`;
    const withExtent = (type: string, bytes: Buffer): Files => ({
      [path]: text({
        ...ids(next, name),
        extents: [`RW ${capacity} ${type} "${name}-x.vmdk"${type === 'FLAT' ? ' 0' : ''}`],
      }),
      [`/vm/${name}-x.vmdk`]: bytes,
    });
    switch (kind) {
      case 'flat':
        return withExtent('FLAT', content(0));
      case 'cowd':
        return withExtent('VMFSSPARSE', craftCowd({ capacity, grains, zeros: numbers('zero') }).bytes);
      case 'sesparse': {
        const entries = Object.fromEntries(
          numbers('zero').map((grain, at) => [grain, seSparseEntry(1 + (at % 2), 0)]),
        );
        return withExtent('SESPARSE', craftSeSparse({ capacity, grains, entries }).bytes);
      }
      case 'stream':
        return {
          [path]: craftStream({
            capacity,
            grainSize,
            grains: numbers('data').map((n) => [n, content(n)] as const),
            descriptor: ids(next, name),
          }).bytes,
        };
      case 'split': {
        // Two extents, of which the second has grains of its own size; the cut is no multiple of the first's.
        const cut = 40 * 16;
        const part = (from: number, to: number) =>
          craftSparse({
            capacity: to - from,
            grainSize: 16,
            grains: Object.fromEntries(
              numbers('data')
                .filter((n) => n * 16 >= from && n * 16 < to)
                .map((n) => [n - from / 16, content(n)]),
            ),
            zeros: numbers('zero')
              .filter((n) => n * 16 >= from && n * 16 < to)
              .map((n) => n - from / 16),
          }).bytes;
        return {
          [path]: text({
            ...ids(next, name),
            extents: [
              `RW ${cut} SPARSE "${name}-s001.vmdk"`,
              `RW ${capacity - cut} SPARSE "${name}-s002.vmdk"`,
            ],
          }),
          [`/vm/${name}-s001.vmdk`]: part(0, cut),
          [`/vm/${name}-s002.vmdk`]: part(cut, capacity),
        };
      }
      default:
        return {
          [path]: craftMonolithic({ capacity, grainSize, grains, zeros: numbers('zero') }, ids(next, name))
            .bytes,
        };
    }
  };
  return { files, tag, state: (sector) => states[Math.floor(sector / grainSize)]! };
}

describe('links of different types and grain sizes in one chain', () => {
  const CAPACITY = 2101;
  const CHAINS = [
    ['sparse128', 'cowd', 'sesparse', 'flat'],
    ['cowd', 'sparse128', 'flat'],
    ['sesparse', 'sesparse', 'cowd', 'sparse1', 'split', 'stream'],
    ['stream', 'split', 'flat'],
    ['split', 'stream', 'cowd', 'sparse128'],
    ['sparse1', 'sparse128', 'sparse1', 'stream', 'sesparse', 'cowd', 'split', 'flat'],
  ];

  it.each(CHAINS.map((kinds, seed) => [kinds.join(' over '), kinds, seed + 1] as const))(
    '(%s) read right, sector by sector and in ranges of every sort',
    async (_, kinds, seed) => {
      const random = seededNumbers(seed);
      const links = kinds.map((kind, depth) => makeLink(kind, `${kind}-${depth}`, CAPACITY, random));
      const files: Files = {};
      links.forEach((each, depth) =>
        Object.assign(
          files,
          each.files(depth + 1 < links.length ? String(depth + 1) : undefined, String(depth)),
        ),
      );
      const expected = Buffer.alloc(CAPACITY * SECTOR);
      const depths: number[] = [];
      for (let sector = 0; sector < CAPACITY; sector++) {
        const depth = links.findIndex((each) => each.state(sector) !== 'absent');
        depths.push(depth);
        if (depth >= 0 && links[depth]!.state(sector) === 'data') {
          expected.set(marked(links[depth]!.tag, sector, 1), sector * SECTOR);
        }
      }
      const chain = await openChain('/vm/0.vmdk', 'read', { fs: storeOf(files) });
      expectSame(await contentOf(chain), expected);
      const one = Buffer.alloc(SECTOR);
      for (let sector = 0; sector < CAPACITY; sector += 7) {
        await chain.read(sectorRange(sector, 1), one.fill(0xee));
        expectSame(one, expected.subarray(sector * SECTOR, (sector + 1) * SECTOR), `sector ${sector}`);
      }
      for (let round = 0; round < 60; round++) {
        const start = random(CAPACITY);
        const count = 1 + random(CAPACITY - start);
        const part = Buffer.alloc(count * SECTOR, 0xee);
        await chain.read(sectorRange(start, count), part);
        expectSame(
          part,
          expected.subarray(start * SECTOR, (start + count) * SECTOR),
          `${count} from ${start}`,
        );
      }
      for (const run of await chain.map(sectorRange(0, CAPACITY))) {
        for (let sector: number = run.start; sector < run.start + run.count; sector++) {
          if (depths[sector]! < 0) expect(run.state).not.toBe('data');
          else
            expect([run.depth, run.state]).toEqual([depths[sector], links[depths[sector]!]!.state(sector)]);
        }
      }
      await chain.close();
    },
  );
});
