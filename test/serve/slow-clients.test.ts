// Clients of both servers that are slow and yet alive get all of their answer, however long it takes; those that never
// come to an end with their question, or ask nonsense, hold up nobody. The disks are in memory; what goes over the wire is real.
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { seededBytes } from '../../src/fixture/seeded.ts';
import type { HttpLimits } from '../../src/serve/http-limits.ts';
import { serveHttp, type HttpServer } from '../../src/serve/http-server.ts';
import { optionBytes, requestBytes } from '../support/nbd-client.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const [READ, DF] = [0, 4];
/** What a slow client takes at a time, and how long it then waits: 8 MiB take four times as long as it may be stuck. */
const [GULP, PAUSE, STALL] = [128 << 10, 10, 160];

let serving: Serving;
let http: HttpServer | undefined;

afterEach(async () => {
  await http?.close();
  http = undefined;
  await serving.close();
});

async function startHttp(limits: Partial<HttpLimits>): Promise<Socket> {
  serving = await serveSmallChain();
  http = await serveHttp(serving.exports, {
    address: { host: '127.0.0.1', port: 0 },
    fs: serving.store,
    limits,
  });
  const socket = connect(http.address.port, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes what comes a gulp at a time until the other side ends it. */
async function sip(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let taken = 0;
  for await (const piece of socket as AsyncIterable<Buffer>) {
    pieces.push(piece);
    taken += piece.length;
    if (taken < GULP) continue;
    taken = 0;
    await pause(PAUSE);
  }
  return Buffer.concat(pieces);
}

it('a slow HTTP client gets all of a disk, however long it takes', async () => {
  const socket = await startHttp({ stallMs: STALL });
  const start = performance.now();
  socket.write('GET /disks/leaf.vmdk.raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const answer = await sip(socket);
  expect(performance.now() - start).toBeGreaterThan(2 * STALL);
  expect(answer.subarray(-CHAIN_BYTES).equals(serving.chain.contents)).toBe(true);
  expect(answer.subarray(0, 15).toString()).toBe('HTTP/1.1 200 OK');
});

it('an NBD client that is slow to take gets all of one large reply', async () => {
  serving = await serveSmallChain({}, { limits: { stallMs: STALL } });
  const client = await serving.connect();
  await client.go();
  const start = performance.now();
  client.send(requestBytes({ type: READ, flags: DF, length: CHAIN_BYTES }));
  const pieces: Buffer[] = [];
  for (let left = 20 + 8 + CHAIN_BYTES; left > 0; left -= pieces.at(-1)!.length) {
    client.resume();
    pieces.push(await client.bytes(Math.min(left, GULP)));
    client.pause();
    await pause(PAUSE);
  }
  expect(performance.now() - start).toBeGreaterThan(2 * STALL);
  expect(Buffer.concat(pieces).subarray(28).equals(serving.chain.contents)).toBe(true);
  client.resume();
  expect((await client.ask({ type: READ, length: 512 }))[0]!.done).toBe(true);
});

it('an NBD client that is slow to ask is served', async () => {
  serving = await serveSmallChain({}, { limits: { stallMs: STALL } });
  const client = await serving.connect();
  await client.go();
  for (const byte of requestBytes({ type: READ, offset: 1 << 20, length: 512 })) {
    client.send(Buffer.of(byte));
    await pause(PAUSE);
  }
  const [chunk] = await client.reply();
  expect(chunk!.data.subarray(8)).toEqual(Buffer.alloc(512, 0xb1));
});

/** Sends it by the byte, over and over, until the other side has had enough: how long that took, ms. */
async function drip(socket: Socket, bytes: Uint8Array): Promise<number> {
  const start = performance.now();
  let closed = false;
  socket.on('close', () => (closed = true)).resume();
  for (let at = 0; !closed; at++) {
    if (at === 500) throw new Error('it was listened to for ever');
    socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1));
    await pause(PAUSE);
  }
  return performance.now() - start;
}

it('a head that comes by the byte ends with its time, and the others are served', async () => {
  const socket = await startHttp({ headMs: STALL });
  socket.write('GET / HTTP/1.1\r\n');
  const dripping = drip(socket, Buffer.from('X-Still: here\r\n'));
  expect((await fetch(http!.uriOf('leaf.vmdk'), { method: 'HEAD' })).status).toBe(200);
  expect(await dripping).toBeGreaterThanOrEqual(STALL / 2);
});

it('so does a handshake', async () => {
  serving = await serveSmallChain({}, { limits: { handshakeMs: STALL } });
  const address = serving.server.address;
  const socket = address.kind === 'unix' ? connect(address.path) : connect(address);
  socket.on('error', () => {});
  const dripping = drip(socket, Buffer.concat([Buffer.from('00000003', 'hex'), optionBytes(3)]));
  expect((await (await serving.connect()).go()).size).toBe(CHAIN_BYTES);
  expect(await dripping).toBeGreaterThanOrEqual(STALL / 2);
  await until(() => serving.events.some(({ event }) => event === 'left'), 'it is told');
});

it('noise of any kind never stops the HTTP server', async () => {
  const first = await startHttp({ headMs: STALL });
  first.destroy();
  const heads = [
    'GET /disks/leaf.vmdk.raw HTTP/1.1\r\nHost: localhost\r\nRange: bytes=',
    'GET /disks/',
    'GET / HTTP/1.1\r\nHost: ',
    'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
    '',
  ];
  const noise = seededBytes('noise', 40 * 400);
  const closed = Array.from({ length: 40 }, (_, round) => {
    const socket = connect(http!.address.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    const own = noise.subarray(round * 400, round * 400 + 1 + ((round * 97) % 399));
    socket.write(Buffer.concat([Buffer.from(heads[round % heads.length]!), own]));
    if (round % 3 === 0) socket.end('\r\n\r\n');
    return new Promise<void>((resolve) => socket.once('close', () => resolve()));
  });
  await Promise.all(closed);
  const body = await (await fetch(http!.uriOf('leaf.vmdk'))).arrayBuffer();
  expect(Buffer.from(body).equals(serving.chain.contents)).toBe(true);
});
