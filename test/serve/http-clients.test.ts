// Connections of the HTTP server that ask for more than one thing, or for nothing that it understands, while an answer is
// under way. The disks are in memory; what goes over the wire is real.
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import type { PlannedSource } from '../../src/block/sector-source.ts';
import type { HttpEvent, HttpLimits } from '../../src/serve/http-limits.ts';
import { serveHttp, type HttpServer } from '../../src/serve/http-server.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const HEAD = 'GET /disks/leaf.vmdk.raw HTTP/1.1\r\nHost: localhost\r\n';
const WHOLE = `${HEAD}\r\n`;

let serving: Serving;
let http: HttpServer | undefined;
let events: HttpEvent[];

afterEach(async () => {
  await http?.close();
  http = undefined;
  await serving.close();
});

/** `read` stands before every read of the disk. */
async function start(read = (): Promise<void> => Promise.resolve(), limits: Partial<HttpLimits> = {}) {
  serving = await serveSmallChain();
  events = [];
  const { source } = serving.exports.exports[0]! as { source: PlannedSource };
  const inner = source.read.bind(source);
  source.read = async (range, into) => {
    await read();
    return inner(range, into);
  };
  http = await serveHttp(serving.exports, {
    address: { host: '127.0.0.1', port: 0 },
    fs: serving.store,
    limits,
    onEvent: (event) => events.push(event),
  });
  const socket = connect(http.address.port, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

/** All that comes until the connection ends. */
function rest(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  return new Promise((resolve) => socket.once('close', () => resolve(Buffer.concat(pieces))));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('noise in the middle of an answer breaks it off, and never becomes a part of the disk', async () => {
  const socket = await start();
  const { contents } = serving.chain;
  const all = rest(socket);
  socket.pause();
  socket.write(WHOLE);
  await pause(100);
  socket.write('this is no request\r\n\r\n');
  await pause(100);
  socket.resume();
  const answer = await all;
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  expect(body.length).toBeLessThan(CHAIN_BYTES);
  expect(body.equals(contents.subarray(0, body.length))).toBe(true);
});

it('requests that come together are answered in turn, and the disk is read for one of them at a time', async () => {
  let [reading, most] = [0, 0];
  const socket = await start(async () => {
    most = Math.max(most, ++reading);
    await pause(1);
    reading--;
  });
  const { contents } = serving.chain;
  const starts = Array.from({ length: 60 }, (_, index) => index * 70_000);
  const heads = starts.map((at, index) => {
    const last = index === starts.length - 1 ? 'Connection: close\r\n' : '';
    return `${HEAD}Range: bytes=${at}-${at + 9}\r\n${last}\r\n`;
  });
  const all = rest(socket);
  socket.write(heads.join(''));
  const answers = (await all).toString('latin1').split('HTTP/1.1 206 Partial Content\r\n').slice(1);
  expect(answers.map((each) => each.split('\r\n\r\n')[1])).toEqual(
    starts.map((at) => contents.toString('latin1', at, at + 10)),
  );
  expect(most).toBe(1);
});

it('so many requests that they were memory themselves are refused', async () => {
  const socket = await start();
  const all = rest(socket);
  for (let round = 0; round < 12; round++)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(100));
  socket.pause();
  await until(() => events.length > 0, 'it is told');
  socket.resume();
  await all;
  expect(events).toEqual([{ event: 'refused', reason: 'more than 1000 requests at once' }]);
  expect((await fetch(http!.uriOf())).status).toBe(200);
});

it('a client that waits for a slow disk is not taken for one that takes nothing', async () => {
  const socket = await start(() => pause(300), { stallMs: 100 });
  const all = rest(socket);
  socket.write(`${HEAD}Range: bytes=0-0\r\nConnection: close\r\n\r\n`);
  expect((await all).toString('latin1', 0, 13)).toBe('HTTP/1.1 206 ');
});

it('the end of the server waits for the answers under way, and not for what a client might still ask', async () => {
  const socket = await start(() => pause(20), { closeMs: 5000 });
  const all = rest(socket);
  socket.write(WHOLE);
  await until(() => socket.bytesRead > 0, 'the answer begins');
  const before = performance.now();
  await http!.close();
  expect(performance.now() - before).toBeLessThan(3000);
  const answer = await all;
  expect(answer.subarray(-CHAIN_BYTES).equals(serving.chain.contents)).toBe(true);
});
