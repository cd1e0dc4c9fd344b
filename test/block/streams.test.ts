// Contents as streams: every byte once and in order, backpressure in both directions, and a clean stop.
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RunList } from '../../src/block/run-list.ts';
import type { SectorSource } from '../../src/block/sector-source.ts';
import { createReadStream, createWriteStream } from '../../src/block/streams.ts';
import { isZero } from '../../src/block/zero-scan.ts';
import type { Sectors } from '../../src/core/units.ts';
import { bufferTarget, fileBytes } from '../support/buffer-disk.ts';

const MIB = 1 << 20;

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a read stream', () => {
  const size = 5 * MIB + 3 * 512;
  const disk = bufferTarget(size / 512, fileBytes(size));

  it('gives every byte between any two, in chunks of at most 1 MiB', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: size }), fc.nat({ max: size }), async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        const found: Buffer[] = [];
        const stream = createReadStream(disk, { start, end });
        stream.on('data', (chunk: Buffer) => found.push(chunk));
        await once(stream, 'end');
        expect(Buffer.concat(found).equals(disk.content.subarray(start, end))).toBe(true);
        for (const { length } of found) expect(length).toBeLessThanOrEqual(MIB);
      }),
      { numRuns: 30 },
    );
  });

  it('gives the whole disk unless told otherwise', async () => {
    expect((await collect(createReadStream(disk))).equals(disk.content)).toBe(true);
  });

  it("reads nothing for zeros, and every chunk of them is the reader's own", async () => {
    const runs = new RunList(0);
    runs.addAbsent((3 * MIB) / 512);
    const empty: SectorSource = {
      capacity: ((3 * MIB) / 512) as Sectors,
      map: (range) => Promise.resolve(runs.slice(range)),
      read: () => Promise.reject(new Error('there is nothing to read')),
      close: () => Promise.resolve(),
    };
    const lengths: number[] = [];
    for await (const chunk of createReadStream(empty, { start: 100, end: 3 * MIB - 100 })) {
      const data = chunk as Buffer;
      expect(isZero(data)).toBe(true);
      data.fill(1);
      lengths.push(data.length);
    }
    expect(lengths).toEqual([MIB - 100, MIB, MIB - 100]);
  });

  it('refuses a stretch that does not lie within the disk, at once', () => {
    for (const bad of [{ start: -1 }, { end: size + 1 }, { start: 5, end: 4 }, { start: NaN }]) {
      expect(() => createReadStream(disk, bad)).toThrow(RangeError);
    }
  });

  it('reads only a little ahead of a slow reader', async () => {
    const slow = bufferTarget(64 * (MIB / 512));
    const stream = createReadStream(slow);
    stream.read(0);
    await turns(200);
    // What the stream may hold (2 MiB), and what is under way.
    expect(slow.log.reads).toBeLessThanOrEqual(5);
    stream.destroy();
  });

  it('stops with the reason of its signal, and reads no more', async () => {
    const slow = bufferTarget(64 * (MIB / 512));
    const stopper = new AbortController();
    const stream = createReadStream(slow, { signal: stopper.signal });
    const reading = (async () => {
      for await (const chunk of stream) if ((chunk as Buffer).length > 0) stopper.abort(new Error('enough'));
    })();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError', cause: new Error('enough') });
    const { reads } = slow.log;
    await turns(20);
    expect(slow.log.reads).toBe(reads);
    expect(reads).toBeLessThan(8);
  });

  it('ends with the error of the disk', async () => {
    const broken = { ...disk, read: () => Promise.reject(new Error('bad sector')) };
    await expect(collect(createReadStream(broken))).rejects.toThrow('bad sector');
  });
});

describe('a write stream', () => {
  const sectors = 9000;
  const size = sectors * 512;

  it('puts what it is given where it belongs, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 700_000 }),
        fc.array(fc.oneof(fc.nat({ max: 2000 }), fc.nat({ max: 700_000 })), { maxLength: 6 }),
        async (start, lengths) => {
          const disk = bufferTarget(sectors, fileBytes(size));
          const model = Buffer.from(disk.content);
          let at = start;
          const pieces = lengths.map((length, index) => {
            const data = Buffer.alloc(length, index + 1);
            data.copy(model, at);
            at += length;
            return data;
          });
          await pipeline(Readable.from(pieces), createWriteStream(disk, { start }));
          expect(disk.content.equals(model)).toBe(true);
          expect(disk.log.flushes).toBe(1);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('makes few writes of many small pieces, and reads no sector back between them', async () => {
    const disk = bufferTarget(sectors, fileBytes(size));
    const piece = Buffer.alloc(100, 7);
    const pieces = Array.from({ length: 20_480 }, () => piece);
    await pipeline(Readable.from(pieces), createWriteStream(disk));
    expect(disk.content.subarray(0, 2_048_000).equals(Buffer.alloc(2_048_000, 7))).toBe(true);
    expect(disk.log.writes.length).toBeLessThanOrEqual(3);
    expect(disk.log.reads).toBe(0);
  });

  it('lets a caller use its buffer again once a write has called back', async () => {
    const disk = bufferTarget(sectors);
    const stream = createWriteStream(disk);
    const model = Buffer.alloc(size);
    const again = Buffer.alloc(70_001);
    for (let round = 0; round < 40; round++) {
      again.fill(round + 1);
      again.copy(model, round * again.length);
      await new Promise<void>((resolve, reject) => {
        stream.write(again, (error) => (error ? reject(error) : resolve()));
      });
    }
    again.fill(0xee);
    await new Promise<void>((resolve) => stream.end(resolve));
    expect(disk.content.equals(model)).toBe(true);
  });

  it('makes a fast writer wait for a slow disk', async () => {
    const disk = bufferTarget(sectors);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = { ...disk, write: () => held };
    const stream = createWriteStream(slow);
    let taken = 0;
    while (taken < 64 && stream.write(Buffer.alloc(MIB))) taken++;
    expect(taken).toBeLessThanOrEqual(3);
    release();
    stream.destroy();
  });

  it('fails with the error of the disk, and does not flush', async () => {
    const disk = bufferTarget(sectors);
    const broken = { ...disk, write: () => Promise.reject(new Error('no space')) };
    await expect(pipeline(Readable.from([Buffer.alloc(3 * MIB)]), createWriteStream(broken))).rejects.toThrow(
      'no space',
    );
    expect(disk.log.flushes).toBe(0);
  });

  it('fails when it is given more than the disk can hold', async () => {
    const disk = bufferTarget(4);
    await expect(
      pipeline(Readable.from([Buffer.alloc(4 * 512 + 1)]), createWriteStream(disk)),
    ).rejects.toThrow(RangeError);
  });

  it('stops with the reason of its signal', async () => {
    const disk = bufferTarget(sectors);
    const stopper = new AbortController();
    const stream = createWriteStream(disk, { signal: stopper.signal });
    const failed = new Promise((resolve) => stream.on('error', resolve));
    stream.write(Buffer.alloc(512));
    stopper.abort(new Error('enough'));
    expect(await failed).toMatchObject({ name: 'AbortError', cause: new Error('enough') });
    expect(disk.log.flushes).toBe(0);
  });
});
