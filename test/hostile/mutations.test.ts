// Sound disks of every kind with bytes changed, cut and repeated at random (seeded). Whatever comes out, it is contents or
// a VmdkError: no other exception, nothing left open, no time or memory by the numbers, nothing outside opened, and
// contents that prove themselves (streams) are right.
import { describe, expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
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
import { bounded, contentOf } from '../support/hostile.ts';
import { seededNumbers } from '../support/qemu-images.ts';
import { expectInside, recordStore } from '../support/recording-store.ts';

type Files = Record<string, Buffer>;
const DISK = '/vm/a/disk.vmdk';
const PARENT = '/vm/b/parent.vmdk';
const CAPACITY = 1024;
const ROUNDS = 250;
/** What a mutated capacity may claim: more is not read whole. */
const MOST_READ = 8192;

const grains = { 0: marked('m', 0, 8), 5: marked('m', 40, 8), 100: marked('m', 800, 8) };
const link = { parentCid: 'abc', hint: '../b/parent.vmdk' };
const parent = craftMonolithic(
  { capacity: CAPACITY, grains: { 1: marked('p', 8, 8), 127: marked('p', 1016, 8) } },
  { cid: 'abc' },
).bytes;
const line = (type: string): Buffer =>
  Buffer.from(text({ ...link, extents: [`RW ${CAPACITY} ${type} "x.vmdk"${type === 'FLAT' ? ' 0' : ''}`] }));
const streamGrains = [0, 3, 7].map((grain) => [grain, marked('m', grain * 128, 128)] as const);

const KINDS: Record<string, Files> = {
  monolithicSparse: { [DISK]: craftMonolithic({ capacity: CAPACITY, grains, zeros: [7, 8] }, link).bytes },
  'without a copy of the tables': {
    [DISK]: craftMonolithic({ capacity: CAPACITY, grains, redundant: false, entriesPerTable: 16 }, link)
      .bytes,
  },
  'split sparse': {
    [DISK]: line('SPARSE'),
    '/vm/a/x.vmdk': craftSparse({ capacity: CAPACITY, grains }).bytes,
  },
  flat: { [DISK]: line('FLAT'), '/vm/a/x.vmdk': marked('f', 0, CAPACITY) },
  COWD: {
    [DISK]: line('VMFSSPARSE'),
    '/vm/a/x.vmdk': craftCowd({ capacity: CAPACITY, grainSize: 8, grains, zeros: [9] }).bytes,
  },
  seSparse: {
    [DISK]: line('SESPARSE'),
    '/vm/a/x.vmdk': craftSeSparse({
      capacity: CAPACITY,
      grains,
      entries: { 9: seSparseEntry(1, 0), 10: seSparseEntry(2, 0) },
    }).bytes,
  },
  'stream with a footer': {
    [DISK]: craftStream({ capacity: CAPACITY, grains: streamGrains, descriptor: link }).bytes,
  },
  'stream with tables in front': {
    [DISK]: craftStream({ capacity: CAPACITY, grains: streamGrains, layout: 'front', descriptor: link })
      .bytes,
  },
};

/** Bytes that matter: the metadata of these small files is in their first and last sectors. */
function mutate(original: Buffer, random: (below: number) => number): Buffer {
  const bytes = Buffer.from(original);
  const somewhere = (): number => {
    const span = [80, 1300, bytes.length][random(3)]!;
    const at = random(Math.min(span, bytes.length));
    return random(4) === 0 ? bytes.length - 1 - at : at;
  };
  for (let change = 0; change <= random(4); change++) {
    const at = somewhere();
    switch (random(6)) {
      case 0:
        bytes[at] = bytes[at]! ^ (1 << random(8));
        break;
      case 1:
        bytes.fill(
          [0, 0xff, 0x7f, 0x80][random(4)]!,
          at,
          Math.min(bytes.length, at + [1, 2, 4, 8][random(4)]!),
        );
        break;
      case 2: {
        const width = [1, 2, 4][random(3)]!;
        if (at + width <= bytes.length) bytes.writeUIntLE(random(2 ** (8 * width)), at, width);
        break;
      }
      case 3:
        bytes.copy(bytes, at, somewhere(), bytes.length);
        break;
      case 4:
        return bytes.subarray(0, random(2) === 0 ? at : Math.floor(at / SECTOR) * SECTOR);
      default:
        bytes.fill(bytes.subarray(at, at + 16), somewhere(), bytes.length);
    }
  }
  return bytes;
}

/** Contents or the VmdkError; any other failure fails the test. */
async function attempt(fs: FileStore): Promise<Buffer | VmdkError> {
  try {
    const chain = await openChain(DISK, 'read', { fs });
    try {
      return await contentOf(chain, Math.min(chain.capacity, MOST_READ));
    } finally {
      await chain.close();
    }
  } catch (error) {
    if (error instanceof VmdkError) return error;
    throw error;
  }
}

describe.each(Object.entries(KINDS))('a mutated disk (%s)', (kind, files) => {
  it('is contents or a VmdkError, whatever was changed', { timeout: 120_000 }, async () => {
    const random = seededNumbers(kind.length * 1009);
    const whole: Files = { ...files, [PARENT]: parent };
    const sound = await attempt(storeOf(whole));
    expect(sound).toBeInstanceOf(Buffer);
    const targets = Object.keys(whole);
    let read = 0;
    await bounded(async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const target = targets[random(targets.length)]!;
        const recording = recordStore(storeOf({ ...whole, [target]: mutate(whole[target]!, random) }));
        const outcome = await attempt(recording.store);
        expectInside(recording, '/vm');
        if (outcome instanceof VmdkError) {
          expect(outcome.context.path, outcome.message).toBeDefined();
          expect(outcome.message).not.toMatch(/undefined|NaN|\[object/);
        } else read++;
      }
    });
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(ROUNDS);
  });

  it(
    'that is cut at any sector is never other data than before, and zeros only where there were',
    { timeout: 120_000 },
    async () => {
      const whole = { ...files, [PARENT]: parent };
      const sound = (await attempt(storeOf(whole))) as Buffer;
      for (const [path, bytes] of Object.entries(whole)) {
        for (let end = 0; end < bytes.length / SECTOR; end++) {
          const outcome = await attempt(storeOf({ ...whole, [path]: bytes.subarray(0, end * SECTOR) }));
          if (outcome instanceof VmdkError) continue;
          expect(outcome.equals(sound), `${path} cut at sector ${end}`).toBe(true);
        }
      }
    },
  );
});

describe('the stored grains of a stream', () => {
  it('are right or an error after any change of a byte', async () => {
    const { bytes } = craftStream({ capacity: CAPACITY, grains: streamGrains });
    const first = 128 * SECTOR;
    const expected = (await attempt(storeOf({ [DISK]: bytes }))) as Buffer;
    const random = seededNumbers(7);
    for (let round = 0; round < 300; round++) {
      const changed = Buffer.from(bytes);
      const at = first + random(3 * SECTOR);
      changed[at] = changed[at]! ^ (1 << random(8));
      const outcome = await attempt(storeOf({ [DISK]: changed }));
      if (outcome instanceof VmdkError) expect(outcome.kind).toBe('corrupt');
      else expect(outcome.equals(expected), `byte ${at}`).toBe(true);
    }
  });
});
