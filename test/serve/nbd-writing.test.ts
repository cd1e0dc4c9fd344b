// Writing over NBD: overlays and leaves. What lies below is byte for byte as before, whatever clients do.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { openExports } from '../../src/serve/exports.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { hashesBelow } from '../support/clone-bench.ts';
import { requestBytes, type Chunk, type NbdClient, type RequestFields } from '../support/nbd-client.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const [READ, WRITE, FLUSH, TRIM, ZERO, STATUS] = [0, 1, 3, 4, 6, 7];
const [FUA, NO_HOLE, DF, FAST_ZERO] = [1, 2, 4, 16];
const [ENOTSUP, EIO, ENOSPC] = [95, 5, 28];
const WRITABLE_FLAGS = 0b1101_1110_1101;
const MIB = 1 << 20;
const KIB = 1 << 10;

let serving: Serving;
let client: NbdClient;
let before: Record<string, string>;

async function start(options: Parameters<typeof serveSmallChain>[0]): Promise<void> {
  serving = await serveSmallChain(options);
  before = await chainFiles(serving.store);
  client = await serving.connect();
}
beforeEach(() => start({ overlay: 'temporary' }));
afterEach(() => serving.close());

/** SHA-256 of the files of the chain. */
async function chainFiles(store: FileStore): Promise<Record<string, string>> {
  const hashes = Object.entries(await hashesBelow(store, '/'));
  return Object.fromEntries(hashes.filter(([path]) => /^\/(?:leaf|mid|base)/.test(path)));
}

async function done(fields: RequestFields): Promise<void> {
  const [reply] = await client.ask(fields);
  expect(reply).toMatchObject({ type: 0, data: Buffer.alloc(0) });
}

async function read(offset: number, length: number): Promise<Buffer> {
  const [chunk] = await client.ask({ type: READ, flags: DF, offset, length });
  return chunk!.data.subarray(8);
}

async function depths(offset: number, length: number): Promise<number[][]> {
  const [{ data }] = (await client.ask({ type: STATUS, offset, length })) as [Chunk];
  const extents: number[][] = [];
  for (let at = 4; at < data.length; at += 8)
    extents.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)]);
  return extents;
}

async function mergedBytes(store: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs: store, allow: ['/'] });
  const bytes = Buffer.alloc(CHAIN_BYTES);
  await chain.read(wholeOf(chain), bytes);
  await chain.close();
  return bytes;
}

describe('an overlay', () => {
  it('is the default export, takes writes of any shape, and leaves no trace when it was temporary', async () => {
    expect(await client.go()).toEqual({ size: CHAIN_BYTES, flags: WRITABLE_FLAGS });
    const { contents } = serving.chain;
    const expected = Buffer.from(contents);
    for (const [offset, length, byte] of [
      [MIB + 5, 3, 1],
      [MIB + 64 * KIB - 7, 100_000, 2],
      [CHAIN_BYTES - 1, 1, 3],
      [0, 0, 4],
      [6 * MIB, 512, 5],
    ] as const) {
      await done({ type: WRITE, offset, data: Buffer.alloc(length, byte) });
      expected.fill(byte, offset, offset + length);
    }
    expect((await read(0, CHAIN_BYTES)).equals(expected)).toBe(true);
    const other = await serving.connect();
    await other.go('leaf.vmdk');
    const [untouched] = await other.ask({ type: READ, flags: DF, offset: 0, length: CHAIN_BYTES });
    expect(untouched!.data.subarray(8).equals(contents)).toBe(true);
    await serving.close();
    expect(await chainFiles(serving.store)).toEqual(before);
    expect(await serving.store.list('/tmp')).toEqual([]);
  });

  it('keeps what it was given when it is a file, and goes on with it', async () => {
    await serving.close();
    await start({ overlay: { file: '/over.vmdk' } });
    expect(serving.exports.exports.map(({ name, target }) => [name, target !== undefined])).toEqual([
      ['over.vmdk', true],
      ['leaf.vmdk', false],
      ['mid.vmdk', false],
      ['base.vmdk', false],
    ]);
    await client.go();
    await done({ type: WRITE, offset: 3, data: Buffer.from('kept') });
    await serving.server.close();
    await serving.exports.close();
    const again = await openExports([{ path: '/leaf.vmdk' }], {
      fs: serving.store,
      overlay: { file: '/over.vmdk' },
    });
    await again.close();
    expect((await mergedBytes(serving.store, '/over.vmdk')).toString('utf8', 3, 7)).toBe('kept');
    expect(await chainFiles(serving.store)).toEqual(before);
    const other = openExports([{ path: '/mid.vmdk' }], {
      fs: serving.store,
      overlay: { file: '/over.vmdk' },
    });
    await expect(other).rejects.toMatchObject({ code: 'overlay-of-another-disk' });
  });

  it('has whole what was flushed, or written with FUA, while the server still runs', async () => {
    await serving.close();
    await start({ overlay: { file: '/over.vmdk' } });
    await client.go();
    await done({ type: WRITE, offset: 100, data: Buffer.from('flushed') });
    await done({ type: FLUSH });
    await done({ type: WRITE, flags: FUA, offset: 5 * MIB, data: Buffer.from('forced') });
    const bytes = await mergedBytes(serving.store, '/over.vmdk');
    expect(bytes.toString('utf8', 100, 107)).toBe('flushed');
    expect(bytes.toString('utf8', 5 * MIB, 5 * MIB + 6)).toBe('forced');
  });

  it('is flushed when a client that wrote leaves', async () => {
    await serving.close();
    await start({ overlay: { file: '/over.vmdk' } });
    await client.go();
    await done({ type: WRITE, offset: 100, data: Buffer.from('left') });
    client.destroy();
    await until(() => serving.events.at(-1)!.event === 'left', 'the client leaves');
    expect((await mergedBytes(serving.store, '/over.vmdk')).toString('utf8', 100, 104)).toBe('left');
  });
});

describe('zeros', () => {
  beforeEach(() => client.go('', { contexts: ['qemu:allocation-depth'] }));

  it('hide what lies below by metadata, are stored where asked for, and reach odd ends', async () => {
    await done({ type: ZERO, offset: MIB, length: 64 * KIB });
    await done({ type: ZERO, flags: NO_HOLE, offset: 4 * MIB, length: 64 * KIB });
    await done({ type: ZERO, offset: MIB + 64 * KIB + 3, length: 1000 });
    expect((await read(MIB, 64 * KIB)).equals(Buffer.alloc(64 * KIB))).toBe(true);
    const odd = await read(MIB + 64 * KIB, 1024);
    expect(
      odd.equals(Buffer.concat([Buffer.alloc(3, 0xb2), Buffer.alloc(1000), Buffer.alloc(21, 0xb2)])),
    ).toBe(true);
    expect(await depths(4 * MIB, 128 * KIB)).toEqual([
      [64 * KIB, 1],
      [64 * KIB, 0],
    ]);
  });

  it('are fast exactly where they are metadata', async () => {
    const fast = async (offset: number, length: number, flags = FAST_ZERO): Promise<number> => {
      const [reply] = await client.ask({ type: ZERO, flags, offset, length });
      return reply!.data.length === 0 ? 0 : reply!.data.readUInt32BE(0);
    };
    expect(await fast(2 * MIB, MIB)).toBe(0);
    expect(await fast(MIB, 32 * KIB)).toBe(ENOTSUP);
    expect(await fast(MIB, 64 * KIB)).toBe(0);
    expect(await fast(MIB + 64 * KIB, 64 * KIB, FAST_ZERO | NO_HOLE)).toBe(ENOTSUP);
    await done({ type: WRITE, offset: 6 * MIB, data: Buffer.alloc(512, 1) });
    expect(await fast(6 * MIB, 64 * KIB)).toBe(ENOTSUP);
    expect((await read(6 * MIB, 1))[0]).toBe(1);
    expect((await read(MIB, 512)).equals(Buffer.alloc(512))).toBe(true);
  });

  it('come by trimming for whole grains of what lies below, and for nothing else', async () => {
    await done({ type: WRITE, offset: MIB, data: Buffer.alloc(512, 7) });
    await done({ type: TRIM, offset: 0, length: CHAIN_BYTES - 1 });
    expect((await read(MIB, 512)).equals(Buffer.alloc(512, 7))).toBe(true);
    expect((await read(MIB + 64 * KIB, 64 * KIB)).equals(Buffer.alloc(64 * KIB))).toBe(true);
    await done({ type: TRIM, offset: 4 * MIB + 1, length: 64 * KIB - 1 });
    expect((await read(4 * MIB, 64 * KIB)).equals(Buffer.alloc(64 * KIB))).toBe(true);
  });
});

it('a leaf that is to be written is locked, and only it can be', async () => {
  await serving.close();
  await start({ write: true });
  expect(serving.exports.exports.map(({ target }) => target !== undefined)).toEqual([true, false, false]);
  const second = openExports([{ path: '/leaf.vmdk' }], { fs: serving.store, write: true });
  await expect(second).rejects.toMatchObject({ code: 'disk-locked' });
  await client.go();
  await done({ type: WRITE, offset: MIB, data: Buffer.from('leaf') });
  await serving.close();
  expect((await mergedBytes(serving.store, '/leaf.vmdk')).toString('utf8', MIB, MIB + 4)).toBe('leaf');
  const after = await chainFiles(serving.store);
  for (const path of ['/mid.vmdk', '/base.vmdk']) expect(after[path]).toEqual(before[path]);
  expect(Object.keys(after).filter((path) => path.includes('.lck'))).toEqual([]);
  const base = openExports([{ path: '/leaf.vmdk' }, { path: '/mid.vmdk' }], {
    fs: serving.store,
    write: true,
  });
  await expect(base).rejects.toMatchObject({ code: 'base-is-written' });
  await (await openExports([{ path: '/leaf.vmdk' }], { fs: serving.store, write: true })).close();
});

it('clients that write side by side see one disk, as a plain buffer would be', async () => {
  const offset = fc.integer({ min: 0, max: 64 }).map((n) => MIB - 32 * KIB + n * 3001);
  const work = fc.record({
    type: fc.constantFrom(WRITE, WRITE, ZERO, TRIM, FLUSH),
    offset,
    length: fc.integer({ min: 1, max: 90_000 }),
    byte: fc.integer({ min: 1, max: 255 }),
    who: fc.integer({ min: 0, max: 2 }),
    flags: fc.constantFrom(0, FUA),
  });
  const clients = [client, await serving.connect(), await serving.connect()];
  for (const each of clients) await each.go();
  const model = Buffer.from(serving.chain.contents);
  // A trim may be heeded or not: what it covers is not judged until it is written again.
  const unknown = new Uint8Array(CHAIN_BYTES);
  await fc.assert(
    fc.asyncProperty(fc.array(work, { minLength: 1, maxLength: 8 }), async (works) => {
      for (const { type, offset: at, length, byte, who, flags } of works) {
        const data = type === WRITE ? Buffer.alloc(length, byte) : undefined;
        const place = type === FLUSH ? { offset: 0, length: 0 } : { offset: at, length };
        const [reply] = await clients[who]!.ask({
          type,
          ...place,
          flags: type === FLUSH ? 0 : flags,
          ...(data ? { data } : {}),
        });
        expect(reply!.type).toBe(0);
        if (type === FLUSH) continue;
        unknown.fill(type === TRIM ? 1 : 0, at, at + length);
        if (type !== TRIM) model.fill(data === undefined ? 0 : byte, at, at + length);
      }
      const from = MIB - 64 * KIB;
      const got = await clients[0]!.ask({ type: READ, flags: DF, offset: from, length: 512 * KIB });
      const bytes = got[0]!.data.subarray(8);
      for (let at = 0; at < bytes.length; at++) if (unknown[from + at] === 1) bytes[at] = model[from + at]!;
      expect(bytes.equals(model.subarray(from, from + 512 * KIB))).toBe(true);
    }),
    { numRuns: 30, seed: 42 },
  );
  expect(await chainFiles(serving.store)).toEqual(before);
});

it('two clients that write into one sector at once lose nothing', async () => {
  const other = await serving.connect();
  await client.go();
  await other.go();
  for (let index = 0; index < 64; index++) {
    const who = index % 2 === 0 ? client : other;
    who.send(requestBytes({ type: WRITE, offset: 3 * MIB + index * 8, data: Buffer.alloc(8, index + 1) }));
  }
  for (const who of [client, other]) {
    for (let count = 0; count < 32; count++) expect((await who.reply())[0]!.type).toBe(0);
  }
  const bytes = await read(3 * MIB, 512);
  for (let index = 0; index < 64; index++) expect(bytes[index * 8 + 7]).toBe(index + 1);
});

describe('a medium that fails', () => {
  it.each([
    ['ENOSPC', ENOSPC],
    ['EIO', EIO],
  ])('is told to the client as %s, and to the server whole', async (code, number) => {
    const { target } = serving.exports.exports[0]!;
    const cause = Object.assign(new Error(code), { code });
    Object.assign(target!, { write: () => Promise.reject(new Error('the medium', { cause })) });
    await client.go();
    const [reply] = await client.ask({ type: WRITE, offset: 0, data: Buffer.alloc(512) });
    expect(reply!.data.readUInt32BE(0)).toBe(number);
    expect(serving.events.at(-1)).toMatchObject({ event: 'failed', export: 'leaf-overlay.vmdk' });
    expect((await read(MIB, 1))[0]).toBe(0xb1);
  });
});
