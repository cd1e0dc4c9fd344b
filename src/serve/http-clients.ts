// The connections of an HTTP server: what each may take, and one request of it answered at a time, however many come at
// once. Rule: nothing but the answer under way is ever written to its connection, so that no word of ours can be taken for
// content of a disk.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpEvent, HttpLimits } from './http-limits.ts';

/** Requests of one connection that wait for their turn. */
const MOST_WAITING = 1000;

interface Connection {
  /** Requests that are not answered to their end. */
  requests: number;
  /** Settles with the last of them. */
  turn: Promise<void>;
}

export class HttpClients {
  readonly #server: Server;
  readonly #limits: HttpLimits;
  readonly #onEvent: (event: HttpEvent) => void;
  readonly #connections = new WeakMap<Socket, Connection>();
  #closing = false;

  /** Sees to the limits of `server`. */
  constructor(server: Server, limits: HttpLimits, onEvent: (event: HttpEvent) => void) {
    this.#server = server;
    this.#limits = limits;
    this.#onEvent = onEvent;
    server.maxConnections = limits.connections;
    server.headersTimeout = limits.headMs;
    // Nobody has anything to send but a head.
    server.requestTimeout = limits.headMs;
    server.keepAliveTimeout = limits.idleMs;
    server.maxHeadersCount = 100;
    server.setTimeout(limits.stallMs, (socket) => this.#onStill(socket));
    server.on('drop', () =>
      onEvent({ event: 'refused', reason: `${limits.connections} clients are connected already` }),
    );
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#onNoise(error, socket));
  }

  /** Calls `answer`, which never rejects, once all that came before on its connection is answered to its end. */
  take(request: IncomingMessage, response: ServerResponse, answer: () => Promise<void>): void {
    const { socket } = request;
    const connection = this.#connections.get(socket) ?? { requests: 0, turn: Promise.resolve() };
    this.#connections.set(socket, connection);
    if (connection.requests > MOST_WAITING) {
      if (!socket.destroyed)
        this.#onEvent({ event: 'refused', reason: `more than ${MOST_WAITING} requests at once` });
      socket.destroy();
      return;
    }
    response.on('error', () => {});
    connection.requests++;
    connection.turn = connection.turn.then(async () => {
      if (!socket.destroyed) {
        const ended = new Promise<void>((resolve) => response.once('close', resolve));
        if (this.#closing) response.shouldKeepAlive = false;
        await answer();
        await ended;
      }
      connection.requests--;
      if (this.#closing) socket.destroySoon();
    });
  }

  /** Takes no more connections, ends those that are idle at once and the others with their answer. */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const impatient = setTimeout(() => this.#server.closeAllConnections(), this.#limits.closeMs);
    await closed;
    clearTimeout(impatient);
  }

  /** Nothing moved for a while. A client that has taken all there is waits for us, for as long as we read. */
  #onStill(socket: Socket): void {
    const waitsForUs = this.#isAnswered(socket) && socket.writableLength === 0;
    if (waitsForUs) socket.setTimeout(this.#limits.stallMs);
    else socket.destroy();
  }

  /** What came is no request. */
  #onNoise({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
    const status = statusOf(code);
    // In the middle of an answer this would arrive as a part of the disk.
    if (status === undefined || !socket.writable || this.#isAnswered(socket)) socket.destroy();
    else socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
  }

  #isAnswered(socket: Socket): boolean {
    return (this.#connections.get(socket)?.requests ?? 0) > 0;
  }
}

/** Undefined where HTTP is not spoken at all. */
function statusOf(code: string): string | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large';
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout';
  return code.startsWith('HPE_') ? '400 Bad Request' : undefined;
}
