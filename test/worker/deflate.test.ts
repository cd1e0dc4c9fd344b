// Compressors that serve many grains: each stream stands alone, in whatever order and number they are asked for.
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createDeflater, mostDeflatedBytes } from '../../src/worker/deflate.ts';

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
    const sizes = [0, 1, 511, 65_536, 300_000, 2 ** 21, ...Array.from({ length: 30 }, (_, n) => n * 4096)];
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
    expect((await createDeflater(1)(other)).length).toBeGreaterThan((await deflate(other)).length);
  });
});
