// Inflating grains: what comes out is what went in, whatever went before in the same zlib state; too much is refused.
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { inflateWithin as inflateInto } from '../../src/worker/inflate.ts';
import { seededNumbers } from '../support/qemu-images.ts';

const GRAIN = 65_536;
const inflateWithin = (data: Uint8Array, limit: number): Promise<Buffer> =>
  inflateInto(data, limit, (inflated) => Buffer.from(inflated));

/** Bytes that zlib makes a little smaller. */
function pattern(length: number, seed: number): Buffer {
  const random = seededNumbers(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random(64)));
}

describe('inflating a grain', () => {
  it('gives every grain its own content, many at once and of any size', async () => {
    const sizes = [0, 1, 511, 512, 65_535, GRAIN, GRAIN, 3 * GRAIN, 1 << 20, (1 << 20) + 7];
    const contents = sizes.map((size, index) => pattern(size, index + 1));
    const all = [...contents, ...contents.toReversed(), ...contents];
    const results = await Promise.all(all.map((data) => inflateWithin(deflateSync(data), data.length)));
    for (const [index, result] of results.entries()) expect(result.equals(all[index]!)).toBe(true);
  });

  it('ignores what stands behind the end of the stream, and the next grain is whole again', async () => {
    const data = pattern(GRAIN, 3);
    const padded = Buffer.concat([deflateSync(data), Buffer.alloc(700, 0xee)]);
    for (const stored of [padded, deflateSync(data), padded, padded, deflateSync(data)]) {
      expect((await inflateWithin(stored, GRAIN)).equals(data)).toBe(true);
    }
  });

  it('hands over memory that serves again for the next', async () => {
    const stream = deflateSync(pattern(GRAIN, 4));
    const seen = new Set<ArrayBufferLike>();
    for (let count = 0; count < 64; count++) {
      await inflateInto(stream, GRAIN, (inflated) => seen.add(inflated.buffer));
    }
    // As many as states are lent, whichever comes next.
    expect(seen.size).toBeLessThanOrEqual(4);
  });

  it('rejects with what its taker throws, and goes on with the next', async () => {
    const stream = deflateSync(pattern(GRAIN, 6));
    const thrower = (): never => {
      throw new Error('not wanted');
    };
    await expect(inflateInto(stream, GRAIN, thrower)).rejects.toThrow('not wanted');
    expect(await inflateInto(stream, GRAIN, ({ length }) => length)).toBe(GRAIN);
  });

  it('refuses a stream of more than it may hold, without inflating all of it', async () => {
    const bomb = deflateSync(Buffer.alloc(64 << 20));
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 8; count++) {
      await expect(inflateWithin(bomb, GRAIN)).rejects.toThrow('more than it may');
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
    await expect(inflateWithin(deflateSync(Buffer.alloc(GRAIN + 1)), GRAIN)).rejects.toThrow('more than');
  });

  it('refuses a stream that is cut short or damaged, and goes on with the next', async () => {
    const data = pattern(GRAIN, 5);
    const stream = deflateSync(data);
    const damaged = Buffer.from(stream);
    damaged.fill(0x5a, 1000, 1100);
    const wrongSum = Buffer.from(stream);
    wrongSum[stream.length - 1]! ^= 1;
    const bad = [stream.subarray(0, -1), stream.subarray(0, 100), Buffer.alloc(0), damaged, wrongSum];
    const outcomes = await Promise.allSettled(
      [...bad, ...bad, stream].map((stored) => inflateWithin(stored, GRAIN)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual([
      ...Array<string>(10).fill('rejected'),
      'fulfilled',
    ]);
    expect((await inflateWithin(stream, GRAIN)).equals(data)).toBe(true);
  });
});
