// The second phase: reads and questions, right and wrong, one by one and many at once.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requestBytes, type Chunk, type NbdClient, type RequestFields } from '../support/nbd-client.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const [READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, ZERO, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7];
const [FUA, DF, REQ_ONE] = [1, 4, 8];
const [EPERM, EINVAL, ENOSPC] = [1, 22, 28];
const [NONE, DATA, HOLE, BLOCK_STATUS, ERROR] = [0, 1, 2, 5, 0x8001];
const MIB = 1 << 20;
const KIB = 1 << 10;

let serving: Serving;
let client: NbdClient;

beforeEach(async () => {
  serving = await serveSmallChain();
  client = await serving.connect();
});
afterEach(() => serving.close());

/** The bytes that chunks of a read give together. */
function bytesOf(chunks: readonly Chunk[], offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, 0xee);
  for (const { type, data } of chunks) {
    if (type !== DATA && type !== HOLE) continue;
    const at = Number(data.readBigUInt64BE(0)) - offset;
    if (type === DATA) data.copy(bytes, at, 8);
    else bytes.fill(0, at, at + data.readUInt32BE(8));
  }
  return bytes;
}

function extentsOf({ data }: Chunk): number[][] {
  const extents: number[][] = [];
  for (let at = 4; at < data.length; at += 8)
    extents.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)]);
  return extents;
}

describe('reads', () => {
  it('give any range, sectors or not', async () => {
    await client.go();
    const { contents } = serving.chain;
    for (const [offset, length] of [
      [0, CHAIN_BYTES],
      [MIB, 512],
      [MIB - 1, 2],
      [MIB + 65_535, 70_001],
      [CHAIN_BYTES - 3, 3],
      [4 * MIB - 100_000, 300_000],
    ] as const) {
      const chunks = await client.ask({ type: READ, offset, length });
      expect(chunks.at(-1)!.done).toBe(true);
      expect(bytesOf(chunks, offset, length).equals(contents.subarray(offset, offset + length))).toBe(true);
    }
  });

  it('tell zeros in place of sending them, in order, unless they must not be cut', async () => {
    await client.go();
    const offset = MIB - 64 * KIB;
    const read = { type: READ, offset, length: 256 * KIB };
    const cut = await client.ask(read);
    expect(cut.map(({ type }) => type)).toEqual([HOLE, DATA, HOLE]);
    const whole = await client.ask({ ...read, flags: DF });
    expect(whole.map(({ type }) => type)).toEqual([DATA]);
    expect(bytesOf(whole, offset, 256 * KIB).equals(bytesOf(cut, offset, 256 * KIB))).toBe(true);
  });

  it('come as simple replies where nothing else was agreed on', async () => {
    await client.go('', { structured: false });
    const [reply] = await client.ask({
      type: READ,
      handle: 0xfedc_ba98_7654_3210n,
      offset: MIB,
      length: 1024,
    });
    expect(reply).toMatchObject({ type: -1, handle: 0xfedc_ba98_7654_3210n, data: Buffer.alloc(4) });
    expect(await client.bytes(1024)).toEqual(Buffer.alloc(1024, 0xb1));
    // An error has no data behind it, and the next reply follows at once.
    const [error] = await client.ask({ type: READ, offset: CHAIN_BYTES, length: 512 });
    expect(error!.data.readUInt32BE(0)).toBe(EINVAL);
    const [nothing] = await client.ask({ type: READ, offset: 5, length: 0 });
    expect(nothing!.data.readUInt32BE(0)).toBe(0);
  });

  it('come for every handle, a thousand at once, in pieces of any size', async () => {
    await client.go();
    const wanted = new Map<bigint, number>();
    const all = Buffer.concat(
      Array.from({ length: 1000 }, (_, index) => {
        const offset = ((index * 7919) % 2048) * 4096;
        wanted.set(BigInt(index), offset);
        return requestBytes({ type: READ, handle: BigInt(index), offset, length: 4096 });
      }),
    );
    for (let at = 0; at < all.length; at += 1013) client.send(all.subarray(at, at + 1013));
    while (wanted.size > 0) {
      const [chunk] = await client.reply();
      const offset = wanted.get(chunk!.handle)!;
      wanted.delete(chunk!.handle);
      expect(chunk!.data.subarray(8).equals(serving.chain.contents.subarray(offset, offset + 4096))).toBe(
        true,
      );
    }
  });

  it('see each link as it is', async () => {
    await client.go('base.vmdk');
    const chunks = await client.ask({ type: READ, offset: MIB, length: 192 * KIB });
    expect(bytesOf(chunks, MIB, 192 * KIB).equals(Buffer.alloc(192 * KIB, 0xb1))).toBe(true);
  });
});

describe('block status', () => {
  it('tells what is allocated, and which link answers', async () => {
    await client.go('', { contexts: ['base:allocation', 'qemu:allocation-depth'] });
    const chunks = await client.ask({ type: STATUS, offset: MIB - 64 * KIB, length: 2 * MIB });
    expect(chunks.map(({ type, data }) => [type, data.readUInt32BE(0)])).toEqual([
      [BLOCK_STATUS, 1],
      [BLOCK_STATUS, 2],
    ]);
    const end = MIB - 64 * KIB + 2 * MIB;
    const rest = end - (MIB + 192 * KIB);
    expect(extentsOf(chunks[0]!)).toEqual([
      [64 * KIB, 3],
      [128 * KIB, 0],
      [64 * KIB + rest, 3],
    ]);
    expect(extentsOf(chunks[1]!)).toEqual([
      [64 * KIB, 0],
      [64 * KIB, 3],
      [64 * KIB, 2],
      [64 * KIB, 1],
      [rest, 0],
    ]);
  });

  it('tells one extent when one is asked for, and keeps within the range', async () => {
    await client.go('', { contexts: ['base:allocation'] });
    const [one] = await client.ask({ type: STATUS, flags: REQ_ONE, offset: MIB + 100, length: MIB });
    expect(extentsOf(one!)).toEqual([[128 * KIB - 100, 0]]);
    const [odd] = await client.ask({ type: STATUS, offset: MIB - 1, length: 2 });
    expect(extentsOf(odd!)).toEqual([
      [1, 3],
      [1, 0],
    ]);
  });

  it('is refused where no context was chosen, or only for another export', async () => {
    await client.option(8);
    await client.option(
      10,
      Buffer.from(
        '0000000962617365 2e766d646b 00000001 0000000f 626173653a616c6c6f636174696f6e'.replaceAll(' ', ''),
        'hex',
      ),
    );
    await client.go('leaf.vmdk', { structured: false });
    const [reply] = await client.ask({ type: STATUS, length: 512 });
    expect(reply!.data.readUInt32BE(0)).toBe(EINVAL);
  });
});

describe('requests that are wrong get an error, and the next one is served', () => {
  it.each<[string, RequestFields, number]>([
    ['an unknown command', { type: 42 }, EINVAL],
    ['flags that do not go with it', { type: READ, flags: REQ_ONE, length: 512 }, EINVAL],
    ['FUA where nothing can be written', { type: READ, flags: FUA, length: 512 }, EINVAL],
    ['a read past the end', { type: READ, offset: CHAIN_BYTES - 511, length: 512 }, EINVAL],
    ['an offset of 2^64 - 1', { type: READ, offset: 2n ** 64n - 1n, length: 1 }, EINVAL],
    ['more than 32 MiB', { type: READ, length: 2 ** 32 - 1 }, EINVAL],
    ['a status of nothing', { type: STATUS, length: 0 }, EINVAL],
    ['a status past the end', { type: STATUS, length: 2 ** 32 - 1 }, EINVAL],
    ['a flush with a length', { type: FLUSH, length: 1 }, EINVAL],
    ['a write to what is read-only', { type: WRITE, data: Buffer.alloc(100_000) }, EPERM],
    ['a trim of what is read-only', { type: TRIM, length: 512 }, EPERM],
    ['zeros over what is read-only', { type: ZERO, length: 512 }, EPERM],
  ])('%s', async (_, fields, expected) => {
    await client.go('', { contexts: ['base:allocation'] });
    const [error] = await client.ask({ ...fields, handle: 77n });
    expect(error).toMatchObject({ type: ERROR, handle: 77n, done: true });
    expect(error!.data.readUInt32BE(0)).toBe(expected);
    expect(error!.data.length).toBe(6 + error!.data.readUInt16BE(4));
    expect((await client.ask({ type: FLUSH }))[0]).toMatchObject({ type: NONE });
    expect((await client.ask({ type: CACHE, length: CHAIN_BYTES }))[0]).toMatchObject({ type: NONE });
  });

  it('a write that is too long is passed over to its end', async () => {
    await serving.close();
    serving = await serveSmallChain({ overlay: 'temporary' }, { limits: { requestBytes: 65_536 } });
    client = await serving.connect();
    await client.go();
    const [tooLong] = await client.ask({ type: WRITE, data: Buffer.alloc(200_000, 1) });
    expect(tooLong!.data.readUInt32BE(0)).toBe(EINVAL);
    const [past] = await client.ask({ type: WRITE, offset: CHAIN_BYTES, data: Buffer.alloc(512) });
    expect(past!.data.readUInt32BE(0)).toBe(ENOSPC);
    const chunks = await client.ask({ type: READ, offset: 0, length: 4096 });
    expect(bytesOf(chunks, 0, 4096).equals(Buffer.alloc(4096))).toBe(true);
  });
});

describe('the end', () => {
  const left = async () => {
    await client.whenClosed();
    await until(() => serving.events.at(-1)?.event === 'left', 'the client leaves');
    return serving.events.at(-1);
  };

  it('comes after the answers, when the client takes leave', async () => {
    await client.go();
    const reads = [0, 1, 2].map((index) =>
      requestBytes({ type: READ, handle: BigInt(index), offset: MIB, length: 65_536 }),
    );
    client.send(Buffer.concat([...reads, requestBytes({ type: DISCONNECT })]));
    for (let count = 0; count < 3; count++) expect((await client.reply())[0]!.type).toBe(DATA);
    expect(await left()).toEqual({
      event: 'left',
      client: 1,
      export: 'leaf.vmdk',
      bytesRead: 196_608,
      bytesWritten: 0,
    });
  });

  it('comes after the answers, when the client only stops to send', async () => {
    await client.go();
    client.send(requestBytes({ type: READ, offset: MIB, length: 65_536 }));
    client.halfClose();
    expect((await client.reply())[0]!.data.length).toBe(8 + 65_536);
    expect(await left()).not.toHaveProperty('reason');
  });

  it('comes at once after wrong magic', async () => {
    await client.go();
    client.send(Buffer.alloc(28, 0xff));
    expect(await left()).toMatchObject({ reason: 'a request does not begin with its magic number' });
  });

  it('is told when it comes in the middle of a request', async () => {
    await client.go();
    client.send(requestBytes({ type: READ, length: 512 }).subarray(0, 11));
    client.halfClose();
    expect(await left()).toMatchObject({ reason: 'it left in the middle of a request' });
  });

  it('comes for who takes nothing of the replies, and nobody else waits for that', async () => {
    await serving.close();
    const limits = { stallMs: 100, clientBytes: 20 * MIB, totalBytes: 20 * MIB };
    serving = await serveSmallChain({}, { limits });
    client = await serving.connect();
    await client.go('', { structured: false });
    client.pause();
    for (let count = 0; count < 40; count++) client.send(requestBytes({ type: READ, length: CHAIN_BYTES }));
    const other = await serving.connect();
    await other.go();
    for (let count = 0; count < 20; count++) {
      expect((await other.ask({ type: READ, offset: MIB, length: 4096 }))[0]!.type).toBe(DATA);
    }
    await until(() => serving.events.some(({ event }) => event === 'left'), 'the stuck client is dropped');
    expect(serving.events.find(({ event }) => event === 'left')).toMatchObject({
      reason: 'nothing moved for 0.1 s',
    });
  });

  it('gives everything back, however many clients are gone in the middle', async () => {
    await serving.close();
    serving = await serveSmallChain({}, { limits: { totalBytes: CHAIN_BYTES + 4 * MIB } });
    for (let round = 0; round < 24; round++) {
      const gone = await serving.connect();
      await gone.go();
      gone.pause();
      const read = requestBytes({ type: READ, length: CHAIN_BYTES });
      gone.send(round % 3 === 0 ? read.subarray(0, 13) : Buffer.concat([read, read, read.subarray(0, 13)]));
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      gone.destroy();
    }
    // What is still taken would keep this from ever being read.
    client = await serving.connect();
    await client.go();
    const chunks = await client.ask({ type: READ, flags: DF, length: CHAIN_BYTES });
    expect(chunks[0]!.data.subarray(8).equals(serving.chain.contents)).toBe(true);
    const lefts = () => serving.events.filter(({ event }) => event === 'left').length;
    await until(() => lefts() === 24, 'all who are gone are told');
  });

  it('comes for who leaves half a request, and for the idle only where asked for', async () => {
    await serving.close();
    serving = await serveSmallChain({}, { limits: { stallMs: 50 } });
    client = await serving.connect();
    await client.go();
    const idle = await serving.connect();
    await idle.go();
    client.send(requestBytes({ type: READ, length: 512 }).subarray(0, 20));
    expect(await left()).toMatchObject({ client: 1, reason: 'nothing moved for 0.05 s' });
    expect((await idle.ask({ type: READ, length: 512 }))[0]!.done).toBe(true);
    await serving.close();
    serving = await serveSmallChain({}, { limits: { idleMs: 50 } });
    client = await serving.connect();
    await client.go();
    expect(await left()).toMatchObject({ reason: 'it was idle for 0.05 s' });
  });
});

it('noise of any kind never stops the server', async () => {
  let seed = 12345;
  const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31);
  for (let round = 0; round < 40; round++) {
    const noisy = await serving.connect();
    if (round % 2 === 0) await noisy.go('', { contexts: ['base:allocation'] });
    const noise = Buffer.from(Array.from({ length: 28 + (random() % 400) }, () => random() % 256));
    if (round % 4 === 0) {
      // A well-formed beginning, so that the noise gets further.
      requestBytes({ type: random() % 9, flags: random() % 32, length: random() % 100_000 }).copy(noise);
    }
    noisy.send(noise);
    if (round % 3 === 0) noisy.destroy();
    else noisy.halfClose();
  }
  await client.go();
  const chunks = await client.ask({ type: READ, offset: MIB, length: 512 });
  expect(bytesOf(chunks, MIB, 512).equals(Buffer.alloc(512, 0xb1))).toBe(true);
  const lefts = () => serving.events.filter(({ event }) => event === 'left').length;
  await until(() => lefts() === 40, 'all noisy clients are gone');
  expect(serving.events.filter(({ event }) => event === 'failed')).toEqual([]);
});

describe('requests that only warm the cache', () => {
  /** Reads of the disk take 20 ms each; gives how many there were, and the most at once. */
  function slowReads(): { count: number; most: number } {
    const { source } = serving.exports.exports[0]!;
    const inner = source.read.bind(source);
    const seen = { count: 0, most: 0 };
    let reading = 0;
    source.read = async (range, into) => {
      seen.count++;
      seen.most = Math.max(seen.most, ++reading);
      await new Promise((resolve) => setTimeout(resolve, 20));
      reading--;
      return inner(range, into);
    };
    return seen;
  }

  it('count the memory that they take', async () => {
    const seen = slowReads();
    await client.go();
    const handles = Array.from({ length: 24 }, (_, index) => BigInt(index));
    client.send(
      Buffer.concat(handles.map((handle) => requestBytes({ type: CACHE, handle, offset: MIB, length: MIB }))),
    );
    for (const _ of handles) expect((await client.reply())[0]).toMatchObject({ type: NONE });
    expect(seen).toEqual({ count: 24, most: expect.toSatisfy((most: number) => most <= 4) as number });
  });

  it('end when the client has gone', async () => {
    const seen = slowReads();
    await client.go();
    client.send(requestBytes({ type: CACHE, length: CHAIN_BYTES }));
    await until(() => seen.count > 0, 'it begins');
    client.destroy();
    await until(() => serving.events.some(({ event }) => event === 'left'), 'it has left');
    expect(seen.count).toBeLessThan(CHAIN_BYTES / MIB);
  });
});
