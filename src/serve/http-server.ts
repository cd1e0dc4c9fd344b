// An HTTP server over some exports: their content, by ranges, and an index of them. It reads, and does nothing else; paths
// are names of exports and never those of files. Rule: nothing that a client does throws out of here.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { BufferPool } from './buffer-pool.ts';
import type { ExportTable, ServedExport } from './export-types.ts';
import { isAddressedTo, printHttpUri, type HttpAddress } from './http-address.ts';
import { bodyOf, contentRange, sendBody } from './http-body.ts';
import { exportNameAt, INDEX_POLICY, indexJson, indexPage, pathOf } from './http-index.ts';
import { selectBytes } from './http-ranges.ts';
import { ExportTags } from './http-tags.ts';
import { listenAt } from './listen.ts';
import { loadTlsSettings, type ServerTls } from './nbd-tls.ts';

/** What clients may take of the server. */
export interface HttpLimits {
  /** Clients at once; the next one is refused until one leaves. */
  readonly connections: number;
  /** From the first byte of a request to the end of its head, ms. */
  readonly headMs: number;
  /** A client that takes nothing of its answer, ms. */
  readonly stallMs: number;
  /** Between two requests of one client, ms. */
  readonly idleMs: number;
  /** For answers under way when the server ends, ms. */
  readonly closeMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  connections: 128,
  headMs: 10_000,
  stallMs: 60_000,
  idleMs: 15_000,
  closeMs: 10_000,
};

export type HttpEvent =
  | { readonly event: 'refused'; readonly reason: string }
  /** A part of a disk that could not be read; its client got an error, or an answer that broke off. */
  | { readonly event: 'failed'; readonly client: number; readonly export: string; readonly error: unknown };

export interface HttpServerOptions {
  /** Port 0 for one that is free. */
  readonly address: HttpAddress;
  readonly tls?: ServerTls | undefined;
  readonly limits?: Partial<HttpLimits> | undefined;
  readonly onEvent?: ((event: HttpEvent) => void) | undefined;
  /** Where the files of the exports are, whose state makes the ETags, and certificates. Default: the real file system. */
  readonly fs?: FileStore | undefined;
}

export interface HttpServer {
  /** Where it listens. */
  readonly address: HttpAddress;
  /** The URI of an export by its name; of the index without. */
  uriOf(exportName?: string): string;
  /** Takes no more clients, ends the answers under way, then ends. The exports stay open: they are the caller's. */
  close(): Promise<void>;
}

/** Serves `exports` until `close`, for reading. @throws VmdkError `cannot-listen`, `bad-certificates`, `file-missing`. */
export async function serveHttp(exports: ExportTable, options: HttpServerOptions): Promise<HttpServer> {
  const limits: HttpLimits = { ...HTTP_LIMITS, ...options.limits };
  const { onEvent = () => {} } = options;
  const store = storeFor(options.fs);
  const secure = options.tls !== undefined;
  const site = new Site(exports, store, options.address, onEvent);
  const answer = (request: IncomingMessage, response: ServerResponse): void =>
    void site.answer(request, response);
  // How often silent clients are looked for: seldom by default.
  const parsing = { maxHeaderSize: 16 << 10, connectionsCheckingInterval: Math.min(limits.headMs, 5000) };
  const server =
    options.tls === undefined
      ? createServer(parsing, answer)
      : createTlsServer({ ...(await loadTlsSettings(store, options.tls)), ...parsing }, answer);
  limitClients(server, limits, onEvent);
  const { host, port } = await listenAt(server, { kind: 'tcp', ...options.address }).then((at) =>
    at.kind === 'tcp' ? at : options.address,
  );
  const address = { host, port };
  // From here on nothing wrong with one connection may end the others.
  server.on('error', (error) => onEvent({ event: 'refused', reason: error.message }));
  return {
    address,
    uriOf: (name) => printHttpUri(address, secure, name === undefined ? '/' : pathOf({ name })),
    close: () => endServer(server, limits),
  };
}

function limitClients(server: Server, limits: HttpLimits, onEvent: (event: HttpEvent) => void): void {
  server.maxConnections = limits.connections;
  server.headersTimeout = limits.headMs;
  // Nobody has anything to send but a head.
  server.requestTimeout = limits.headMs;
  server.keepAliveTimeout = limits.idleMs;
  server.maxHeadersCount = 100;
  server.setTimeout(limits.stallMs, (socket) => socket.destroy());
  server.on('drop', () =>
    onEvent({ event: 'refused', reason: `${limits.connections} clients are connected already` }),
  );
  server.on('clientError', (_error, socket: Socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
}

async function endServer(server: Server, { closeMs }: HttpLimits): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const impatient = setTimeout(() => server.closeAllConnections(), closeMs);
  await closed;
  clearTimeout(impatient);
}

class Site {
  readonly #exports: ExportTable;
  readonly #tags: ExportTags;
  readonly #address: HttpAddress;
  readonly #onEvent: (event: HttpEvent) => void;
  readonly #pool = new BufferPool(0);
  readonly #clients = new WeakMap<Socket, number>();
  #count = 0;

  constructor(
    exports: ExportTable,
    store: FileStore,
    address: HttpAddress,
    onEvent: (event: HttpEvent) => void,
  ) {
    this.#exports = exports;
    this.#tags = new ExportTags(store);
    this.#address = address;
    this.#onEvent = onEvent;
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    let served: ServedExport | undefined;
    try {
      const refusal = this.#refusalOf(request);
      if (refusal !== undefined)
        return sendText(request, response, refusal.status, refusal.text, refusal.headers);
      const path = pathAsked(request);
      if (path === '/' || path === '/index.html')
        return sendIndex(request, response, indexPage(this.#exports), 'text/html');
      if (path === '/index.json') {
        return sendIndex(
          request,
          response,
          `${JSON.stringify(indexJson(this.#exports))}\n`,
          'application/json',
        );
      }
      served = this.#exportAt(path);
      if (served === undefined) return sendText(request, response, 404, 'There is no such export.');
      await this.#send(served, request, response);
    } catch (error) {
      const client = this.#clientOf(request.socket);
      this.#onEvent({ event: 'failed', client, export: served?.name ?? '', error });
      if (response.headersSent) response.destroy();
      else sendText(request, response, 500, 'This part of the disk cannot be read.');
    }
  }

  #refusalOf(
    request: IncomingMessage,
  ): { status: number; text: string; headers?: Record<string, string> } | undefined {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return {
        status: 405,
        text: 'Disks are only read here.',
        headers: { Allow: 'GET, HEAD', Connection: 'close' },
      };
    }
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
    if (coding !== undefined || (length !== undefined && length !== '0')) {
      return { status: 413, text: 'Nothing is sent here.', headers: { Connection: 'close' } };
    }
    if (!isAddressedTo(request.headers.host, this.#address)) {
      return { status: 421, text: 'This server goes by another name.' };
    }
    return undefined;
  }

  #exportAt(path: string): ServedExport | undefined {
    const name = exportNameAt(path);
    return name === undefined || name === '' ? undefined : this.#exports.find(name);
  }

  async #send(served: ServedExport, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { size, source, name } = served;
    const tag = await this.#tags.tagOf(served);
    const method = request.method === 'HEAD' ? 'HEAD' : 'GET';
    const selected = selectBytes(request.headers, size, tag, method);
    const headers = {
      ...COMMON,
      'Accept-Ranges': 'bytes',
      'Cache-Control': tag === undefined ? 'no-store' : 'no-cache',
      ...(tag === undefined ? {} : { ETag: tag }),
    };
    if (selected.status === 304) {
      response.writeHead(304, headers).end();
      return;
    }
    if (!('spans' in selected)) {
      const range = selected.status === 416 ? { 'Content-Range': `bytes */${size}` } : {};
      const text =
        selected.status === 416
          ? 'No bytes at these ranges, too many of them, or some twice.'
          : 'It is another one.';
      sendText(request, response, selected.status, text, { ...headers, ...range });
      return;
    }
    const { status, spans } = selected;
    const body = bodyOf(spans, size);
    const begin = (): void =>
      void response.writeHead(status, {
        ...headers,
        'Content-Type': body.type,
        'Content-Length': body.length,
        'Content-Disposition': `attachment; filename*=UTF-8''${nameInHeader(`${name.split('/').at(-1)!}.raw`)}`,
        ...(status === 206 && spans.length === 1 ? { 'Content-Range': contentRange(spans[0], size) } : {}),
      });
    if (method === 'HEAD') {
      begin();
      response.end();
      return;
    }
    await sendBody(response, source, body, this.#pool, begin);
  }

  /** Counted from 1, as the NBD server counts its own. */
  #clientOf(socket: Socket): number {
    const known = this.#clients.get(socket) ?? ++this.#count;
    this.#clients.set(socket, known);
    return known;
  }
}

/** As RFC 8187 has it: without the characters that end or begin something there. */
function nameInHeader(name: string): string {
  return encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Pages of others may neither read nor frame what is here, nor be told about it. */
const COMMON = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

function sendIndex(request: IncomingMessage, response: ServerResponse, text: string, type: string): void {
  const headers = {
    ...COMMON,
    'Content-Security-Policy': INDEX_POLICY,
    'Cache-Control': 'no-store',
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(text),
  };
  response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : text);
}

function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  const line = `${text}\n`;
  const all = {
    ...COMMON,
    ...headers,
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(line),
  };
  response.writeHead(status, all).end(request.method === 'HEAD' ? undefined : line);
}

/** The path as it was sent, without its query; of an absolute URL too, which every server must understand. */
function pathAsked({ url = '/' }: IncomingMessage): string {
  return url.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '') || '/';
}
