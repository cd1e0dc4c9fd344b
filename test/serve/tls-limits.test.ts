// How long a client may take to agree on TLS, over both protocols: one that is silent, or speaks by the byte, is sent away
// in its time, which a test makes short; meanwhile all others are served.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { serveHttp, type HttpServer } from '../../src/serve/http-server.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { NbdClient, optionBytes } from '../support/nbd-client.ts';
import { selfSigned } from '../support/self-signed.ts';
import { serveSmallChain, until, type Serving } from '../support/serving.ts';
import { CHAIN_BYTES } from '../support/small-chain.ts';

const LIMIT = 150;
/** Far below the limit that holds without one being set, and far above that of the test. */
const LONGEST = 5000;
const CLIENT = { rejectUnauthorized: false, servername: 'localhost' };
/** What TLS begins with: a record of a handshake that would be 512 bytes long. */
const HELLO = Buffer.from('1603010200', 'hex');

const tls = { certificates: '/pki' };
const pki = createMemoryFileStore(
  Object.fromEntries(Object.entries(selfSigned()).map(([name, pem]) => [`/pki/${name}`, Buffer.from(pem)])),
);

let serving: Serving;
let http: HttpServer | undefined;

afterEach(async () => {
  await http?.close();
  http = undefined;
  await serving.close();
});

/** How long it takes until the other side has had enough, ms; `bytes` are sent one by one. */
async function patience(socket: Socket, bytes: Uint8Array): Promise<number> {
  const start = performance.now();
  let sent = 0;
  const sending = setInterval(() => {
    if (bytes.length > 0) socket.write(Buffer.of(bytes[sent++] ?? 0));
  }, 10);
  socket.on('error', () => {}).resume();
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(sending);
  return performance.now() - start;
}

function expectInTime(ms: number): void {
  expect(ms).toBeGreaterThan(LIMIT / 2);
  expect(ms).toBeLessThan(LONGEST);
}

const WAYS: readonly [string, Buffer][] = [
  ['says nothing', Buffer.alloc(0)],
  ['speaks by the byte', HELLO],
];

describe('NBD: a client that has begun TLS and then', () => {
  it.each(WAYS)('%s is sent away in time, and the others are served', async (_, bytes) => {
    serving = await serveSmallChain({}, { limits: { handshakeMs: LIMIT }, tls, fs: pki });
    const { address } = serving.server;
    const socket = address.kind === 'unix' ? connect(address.path) : connect(address);
    const answer = new Promise((resolve) => socket.once('data', () => socket.once('data', resolve)));
    socket.write(Buffer.concat([Buffer.from('00000003', 'hex'), optionBytes(5)]));
    await answer;
    const left = patience(socket, bytes);
    const other = await NbdClient.connect(address);
    await other.option(5);
    await other.startTls(CLIENT);
    expect((await other.go()).size).toBe(CHAIN_BYTES);
    expectInTime(await left);
    await until(() => serving.events.some(({ event }) => event === 'left'), 'it is told');
    expect(serving.events.filter(({ event }) => event === 'left')).toMatchObject([
      { client: 1, reason: 'it did not choose an export in time' },
    ]);
    other.destroy();
  });
});

describe('HTTPS: a client that connects and then', () => {
  it.each(WAYS)('%s is sent away in time, and the others are served', async (_, bytes) => {
    serving = await serveSmallChain();
    http = await serveHttp(serving.exports, {
      address: { host: '127.0.0.1', port: 0 },
      fs: await withCertificates(),
      tls,
      limits: { headMs: LIMIT },
    });
    const { port } = http.address;
    const left = patience(connect(port, '127.0.0.1'), bytes);
    const other = connectTls({ ...CLIENT, port, host: '127.0.0.1' });
    other.write('HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const [answer] = (await other.toArray()) as Buffer[];
    expect(answer!.toString('latin1', 0, 15)).toBe('HTTP/1.1 200 OK');
    expectInTime(await left);
  });
});

/** The disks and the certificates in one store. */
async function withCertificates(): Promise<Serving['store']> {
  await serving.store.makeFolder('/pki');
  for (const [name, pem] of Object.entries(selfSigned()))
    await serving.store.replace(`/pki/${name}`, Buffer.from(pem));
  return serving.store;
}
