// Where a server listens. A Unix socket is its owner's alone from its first moment; one that a killed server left is
// taken over, one that is listened at is not.
import { randomBytes } from 'node:crypto';
import { connect, type AddressInfo, type Server } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { createNodeFileStore } from '../storage/node-file-store.ts';
import type { NbdAddress } from './nbd-uri.ts';

/** What `sun_path` holds, its end included, on the narrowest of systems. */
const LONGEST_SOCKET_PATH = 104;
const OWNER_ONLY = 0o600;
const ALL_BUT_OWNER = 0o177;

/** Listens, and tells where: with the port that was free, the path made absolute. @throws VmdkError `cannot-listen`. */
export async function listenAt(server: Server, address: NbdAddress): Promise<NbdAddress> {
  if (address.kind === 'tcp') {
    await begin(server, () => server.listen({ host: address.host, port: address.port }), address);
    return { ...address, port: (server.address() as AddressInfo).port };
  }
  const path = resolve(address.path);
  const unix: NbdAddress = { kind: 'unix', path };
  if (Buffer.byteLength(path) >= LONGEST_SOCKET_PATH) {
    throw cannotListen(unix, `a path of ${Buffer.byteLength(path)} bytes`, 'Paths of sockets must be short.');
  }
  await clearStale(unix, path);
  const mask = narrowMask();
  try {
    // The socket is made within this call.
    await begin(
      server,
      () => server.listen(path),
      unix,
      () => restoreMask(mask),
    );
  } finally {
    restoreMask(mask);
  }
  await createNodeFileStore({ native: false }).changeMode?.(path, () => OWNER_ONLY);
  return unix;
}

function begin(
  server: Server,
  listen: () => void,
  address: NbdAddress,
  after = (): void => {},
): Promise<void> {
  return new Promise((done, fail) => {
    const failed = (error: NodeJS.ErrnoException): void =>
      fail(cannotListen(address, error.code ?? error.message));
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      done();
    });
    listen();
    after();
  });
}

async function clearStale(address: NbdAddress, path: string): Promise<void> {
  const store = createNodeFileStore({ native: false });
  // Its name is short, since that has an end as well.
  const taken = join(dirname(path), `~${randomBytes(2).toString('hex')}`);
  try {
    if (!(await store.exists(path))) return;
    const { kind } = await store.resolve(path);
    if (kind !== 'socket') throw cannotListen(address, `a ${kind} is there already`);
    if (await isListenedAt(path)) throw cannotListen(address, 'another server listens there');
    await store.rename(path, taken);
  } catch (error) {
    // Another that begins now has cleared it.
    if (isVmdkError(error, 'file-missing')) return;
    throw error;
  }
  // What was taken away may be the socket of that one: it is looked at once more, and put back if it lives.
  if (!(await isListenedAt(taken))) return store.remove(taken);
  await store.rename(taken, path).catch(() => {});
  throw cannotListen(address, 'another server listens there');
}

function isListenedAt(path: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(path);
    const end = (answer: boolean): void => {
      probe.destroy();
      done(answer);
    };
    probe.once('connect', () => end(true));
    // Whatever else is wrong with it, it may be somebody's.
    probe.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED'));
  });
}

/** Undefined in a worker thread, which cannot; the mode is then set afterwards. */
function narrowMask(): number | undefined {
  try {
    return process.umask(ALL_BUT_OWNER);
  } catch {
    return undefined;
  }
}

function restoreMask(mask: number | undefined): void {
  if (mask !== undefined) process.umask(mask);
}

function cannotListen(address: NbdAddress, found: string, hint?: string): VmdkError {
  const place = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
  return new VmdkError('io', 'cannot-listen', 'cannot listen here', {
    path: place,
    found,
    ...(hint === undefined ? {} : { hint }),
  });
}
