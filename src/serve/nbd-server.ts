// An NBD server over some exports: takes connections, brings each through its two phases, and lets them finish when it
// ends. Rule: nothing that a client does, or the network, throws out of here.
import { createServer, type Socket } from 'node:net';
import type { FileStore } from '../storage/file-store.ts';
import { createNodeFileStore } from '../storage/node-file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { BufferPool } from './buffer-pool.ts';
import type { ExportTable, WritableTarget } from './export-types.ts';
import { listenAt } from './listen.ts';
import { negotiate, type Attached, type HandshakeHost } from './nbd-handshake.ts';
import { ByteBudget, NBD_LIMITS, type NbdLimits } from './nbd-limits.ts';
import { HEADER_ROOM, NbdSession } from './nbd-session.ts';
import { loadTls, type ServerTls } from './nbd-tls.ts';
import { printNbdUri, type NbdAddress } from './nbd-uri.ts';
import { NbdWire, WireClosedError } from './nbd-wire.ts';
import { makeRunFolder } from './run-folder.ts';
import { ServedTarget } from './served-bytes.ts';

/** What happens on a server. `client` counts connections from 1. */
export type NbdEvent =
  | { readonly event: 'attached'; readonly client: number; readonly export: string; readonly tls: boolean }
  | {
      readonly event: 'left';
      readonly client: number;
      /** Missing when it never got to one. */
      readonly export?: string;
      /** Missing when it took leave as it should. */
      readonly reason?: string;
      readonly bytesRead: number;
      readonly bytesWritten: number;
    }
  | { readonly event: 'refused'; readonly reason: string }
  /** A request that could not be carried out; its client has been told. */
  | { readonly event: 'failed'; readonly client: number; readonly export: string; readonly error: unknown };

export interface NbdServerOptions {
  /** Default: a Unix socket in a folder of its own, removed at the end. */
  readonly address?: NbdAddress | undefined;
  readonly tls?: ServerTls | undefined;
  readonly limits?: Partial<NbdLimits> | undefined;
  readonly onEvent?: ((event: NbdEvent) => void) | undefined;
  /** Where certificates are. Default: the real file system. */
  readonly fs?: FileStore | undefined;
}

export interface NbdServer {
  /** Where it listens. */
  readonly address: NbdAddress;
  /** The URI of an export by its name; of the default one without. */
  uriOf(exportName?: string): string;
  /** Takes no more clients, answers what is under way, then ends. The exports stay open: they are the caller's. */
  close(): Promise<void>;
}

/** Serves `exports` until `close`. @throws VmdkError `cannot-listen`, `bad-certificates`, `file-missing`. */
export async function serveNbd(exports: ExportTable, options: NbdServerOptions): Promise<NbdServer> {
  const limits: NbdLimits = { ...NBD_LIMITS, ...options.limits };
  const { onEvent = () => {} } = options;
  const tls = options.tls === undefined ? undefined : await loadTls(storeFor(options.fs), options.tls);
  let closing = false;
  const handshake: HandshakeHost = {
    exports,
    requestBytes: limits.requestBytes,
    tls,
    closing: () => closing,
  };
  const connections = new Connections(handshake, limits, onEvent);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => connections.take(socket));
  server.maxConnections = limits.connections;
  server.on('drop', () =>
    onEvent({ event: 'refused', reason: `${limits.connections} clients are connected already` }),
  );
  const folder = options.address === undefined ? await makeRunFolder(createNodeFileStore()) : undefined;
  let address: NbdAddress;
  try {
    address = await listenAt(server, options.address ?? { kind: 'unix', path: `${folder!.path}/nbd.sock` });
  } catch (error) {
    await folder?.remove();
    throw error;
  }
  // From here on nothing wrong with one connection may end the others.
  server.on('error', (error) => onEvent({ event: 'refused', reason: error.message }));
  const end = async (): Promise<void> => {
    closing = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await connections.finish();
    await closed;
    await folder?.remove();
  };
  let ending: Promise<void> | undefined;
  return {
    address,
    uriOf: (exportName) => printNbdUri(address, tls !== undefined, exportName),
    close: () => (ending ??= end()),
  };
}

interface Connection {
  readonly socket: Socket;
  session?: NbdSession;
  readonly done: Promise<void>;
}

class Connections {
  readonly #handshake: HandshakeHost;
  readonly #limits: NbdLimits;
  readonly #onEvent: (event: NbdEvent) => void;
  readonly #budget: ByteBudget;
  readonly #pool = new BufferPool(HEADER_ROOM);
  readonly #targets = new Map<WritableTarget, ServedTarget>();
  readonly #open = new Set<Connection>();
  #count = 0;

  constructor(handshake: HandshakeHost, limits: NbdLimits, onEvent: (event: NbdEvent) => void) {
    this.#handshake = handshake;
    this.#limits = limits;
    this.#onEvent = onEvent;
    this.#budget = new ByteBudget(limits.totalBytes);
  }

  take(socket: Socket): void {
    const client = ++this.#count;
    const connection: Connection = { socket, done: Promise.resolve() };
    const done = this.#serve(client, socket, connection)
      .catch(() => socket.destroy())
      .then(() => void this.#open.delete(connection));
    this.#open.add(Object.assign(connection, { done }));
  }

  /** Lets everybody finish what is under way, not for ever. */
  async finish(): Promise<void> {
    const open = [...this.#open];
    for (const { session, socket } of open) {
      if (session === undefined) socket.destroy();
      else session.finish('the server ended');
    }
    const impatient = setTimeout(() => {
      for (const { socket } of open) socket.destroy();
    }, this.#limits.closeMs);
    await Promise.all(open.map(({ done }) => done));
    clearTimeout(impatient);
  }

  async #serve(client: number, socket: Socket, connection: Connection): Promise<void> {
    let attached: Attached | undefined;
    try {
      attached = await this.#negotiate(socket);
    } catch (error) {
      socket.destroy();
      this.#left(client, undefined, error instanceof Error ? error.message : String(error));
      return;
    }
    if (attached === undefined) {
      socket.destroySoon();
      this.#left(client);
      return;
    }
    const { served, wire, secure } = attached;
    this.#onEvent({ event: 'attached', client, export: served.name, tls: secure });
    const session = new NbdSession(attached, {
      limits: this.#limits,
      budget: this.#budget,
      pool: this.#pool,
      target: this.#targetOf(served.target),
      onFailure: (error) => this.#onEvent({ event: 'failed', client, export: served.name, error }),
    });
    connection.session = session;
    this.#watch(wire.socket, session);
    const { reason, bytesRead, bytesWritten } = await session.run();
    await wire.whenClosed;
    this.#left(client, served.name, reason, bytesRead, bytesWritten);
  }

  async #negotiate(socket: Socket): Promise<Attached | undefined> {
    let late = false;
    const deadline = setTimeout(() => {
      late = true;
      socket.destroy();
    }, this.#limits.handshakeMs);
    try {
      return await negotiate(new NbdWire(socket), this.#handshake);
    } catch (error) {
      if (late) throw new WireClosedError('it did not choose an export in time');
      throw error;
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Drops a client that is waited for in vain. */
  #watch(socket: Socket, session: NbdSession): void {
    const { stallMs, idleMs } = this.#limits;
    const step = idleMs > 0 ? Math.min(stallMs, idleMs) : stallMs;
    let [quiet, seen] = [0, -1];
    socket.on('timeout', () => {
      quiet = socket.bytesRead === seen ? quiet + step : step;
      seen = socket.bytesRead;
      if (session.isStuck && quiet >= stallMs) session.drop(`nothing moved for ${stallMs / 1000} s`);
      else if (idleMs > 0 && session.isIdle && quiet >= idleMs)
        session.drop(`it was idle for ${idleMs / 1000} s`);
      else socket.setTimeout(step);
    });
    socket.setTimeout(step);
  }

  /** Whoever writes to a disk, under whatever name, writes through one. */
  #targetOf(target: WritableTarget | undefined): ServedTarget | undefined {
    if (target === undefined) return undefined;
    const known = this.#targets.get(target) ?? new ServedTarget(target);
    this.#targets.set(target, known);
    return known;
  }

  #left(client: number, name?: string, reason?: string, bytesRead = 0, bytesWritten = 0): void {
    this.#onEvent({
      event: 'left',
      client,
      ...(name === undefined ? {} : { export: name }),
      ...(reason === undefined ? {} : { reason }),
      bytesRead,
      bytesWritten,
    });
  }
}
