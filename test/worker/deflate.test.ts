// Compressors that serve many grains: each stream stands alone, in whatever order and number they are asked for.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createDeflater, mostDeflatedBytes } from '../../src/worker/deflate.ts';
import { DeflateThreads } from '../../src/worker/deflate-threads.ts';
import { createZlibDeflater } from '../../src/worker/zlib-deflater.ts';
import { quickFolder } from '../support/quick-folder.ts';

/** Bytes that compress badly, the same for the same seed. */
function noise(length: number, seed: number): Buffer {
  const data = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    data[at] = state >>> 16;
  }
  return data;
}

describe('a deflater', () => {
  it('gives every piece of data a stream of its own, many at once, of any size', async () => {
    const deflate = createDeflater(6);
    const sizes = [
      0,
      1,
      511,
      65_536,
      300_000,
      2 ** 21,
      2 ** 24 + 1,
      ...Array.from({ length: 30 }, (_, n) => n * 4096),
    ];
    const pieces = sizes.map((size, index) =>
      index % 2 === 0 ? noise(size, index) : Buffer.alloc(size, index),
    );
    const streams = await Promise.all(pieces.map((piece) => deflate(piece)));
    for (const [index, stream] of streams.entries()) {
      expect(inflateSync(stream).equals(pieces[index]!)).toBe(true);
      expect(stream.length).toBeLessThanOrEqual(mostDeflatedBytes(pieces[index]!.length));
    }
  });

  it('makes the same stream of the same data, whatever came before', async () => {
    const [data, other] = [noise(65_536, 7), Buffer.alloc(65_536, 'text ')];
    const first = await createDeflater(6)(data);
    const deflate = createDeflater(6);
    await Promise.all(Array.from({ length: 9 }, () => deflate(other)));
    expect((await deflate(data)).equals(first)).toBe(true);
  });

  it('looks harder for what is alike at a higher level', async () => {
    const words = noise(65_536, 3).map((byte) => 0x61 + (byte & 3));
    const [fast, small] = await Promise.all([1, 9].map((level) => createDeflater(level)(words)));
    expect(fast!.length).toBeGreaterThan(small!.length);
  });
});

describe('threads that compress', () => {
  const data = Buffer.alloc(65_536, 'some text ');

  it('make what zlib reads, and of several levels at once', async () => {
    const threads = new DeflateThreads(mostDeflatedBytes);
    const jobs = Array.from({ length: 60 }, (_, index) => ({
      level: 1 + (index % 9),
      data: noise(9000, index),
    }));
    const streams = await Promise.all(jobs.map((job) => threads.deflate(job.data, job.level)));
    for (const [index, job] of jobs.entries()) {
      expect(inflateSync(streams[index]!).equals(job.data)).toBe(true);
    }
    expect(await threads.deflate(Buffer.alloc(2 ** 24 + 1), 6)).toBeUndefined();
  });

  it('leave all to others where their program is not to be had, or does not run', async () => {
    const { folder, remove } = await quickFolder();
    const broken = join(folder, 'broken.mjs');
    writeFileSync(broken, "throw new Error('of no use');");
    for (const program of ['#no-such-program', join(folder, 'missing.mjs'), broken]) {
      const threads = new DeflateThreads(mostDeflatedBytes, program);
      const many = await Promise.all(Array.from({ length: 40 }, () => threads.deflate(data, 6)));
      expect(many.every((stream) => stream === undefined)).toBe(true);
      expect(await threads.deflate(data, 6)).toBeUndefined();
    }
    await remove();
  });
});

describe('zlib, where there are no threads', () => {
  it('gives every piece a stream of its own, the same for the same data', async () => {
    const deflate = createZlibDeflater(6);
    const pieces = Array.from({ length: 20 }, (_, index) => noise(index * 4099, index));
    const streams = await Promise.all(pieces.map((piece) => deflate(piece)));
    for (const [index, stream] of streams.entries()) {
      expect(inflateSync(stream).equals(pieces[index]!)).toBe(true);
      expect(stream.length).toBeLessThanOrEqual(mostDeflatedBytes(pieces[index]!.length));
    }
    expect((await deflate(pieces[7]!)).equals(streams[7]!)).toBe(true);
  });
});
