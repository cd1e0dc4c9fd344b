// An HTTP server over some exports: their content, by ranges, and an index of them. It reads, and does nothing else; paths
// are names of exports and never those of files. Rule: nothing that a client does throws out of here.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { BufferPool } from './buffer-pool.ts';
import type { ExportTable, ServedExport } from './export-types.ts';
import { isAddressedTo, printHttpUri, type HttpAddress } from './http-address.ts';
import { bodyOf, contentRange, sendBody } from './http-body.ts';
import { HttpClients } from './http-clients.ts';
import { exportNameAt, INDEX_POLICY, indexJson, indexPage, pathOf } from './http-index.ts';
import { HTTP_LIMITS, type HttpEvent, type HttpLimits } from './http-limits.ts';
import { selectBytes } from './http-ranges.ts';
import { ExportTags } from './http-tags.ts';
import { listenAt } from './listen.ts';
import { loadTlsSettings, type ServerTls } from './nbd-tls.ts';

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
  const tags = await ExportTags.of(exports, store);
  const site = new Site(exports, tags, options.address, onEvent);
  // How often silent clients are looked for: seldom by default.
  const parsing = { maxHeaderSize: 16 << 10, connectionsCheckingInterval: Math.min(limits.headMs, 5000) };
  const server =
    options.tls === undefined
      ? createServer(parsing)
      : createTlsServer({
          ...(await loadTlsSettings(store, options.tls)),
          ...parsing,
          handshakeTimeout: limits.headMs,
        });
  const clients = new HttpClients(server, limits, onEvent);
  server.on('request', (request: IncomingMessage, response: ServerResponse) =>
    clients.take(request, response, () => site.answer(request, response)),
  );
  const { host, port } = await listenAt(server, { kind: 'tcp', ...options.address }).then((at) =>
    at.kind === 'tcp' ? at : options.address,
  );
  const address = { host, port };
  // From here on nothing wrong with one connection may end the others.
  server.on('error', (error) => onEvent({ event: 'refused', reason: error.message }));
  return {
    address,
    uriOf: (name) => printHttpUri(address, secure, name === undefined ? '/' : pathOf({ name })),
    close: () => clients.close(),
  };
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
    tags: ExportTags,
    address: HttpAddress,
    onEvent: (event: HttpEvent) => void,
  ) {
    this.#exports = exports;
    this.#tags = tags;
    this.#address = address;
    this.#onEvent = onEvent;
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
      else sendText(request, response, 500, failureText(error));
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
    const tag = this.#tags.tagOf(served);
    const assertSame = (age: number): Promise<void> => this.#tags.assertSame(served, age);
    const method = request.method === 'HEAD' ? 'HEAD' : 'GET';
    const selected = selectBytes(request.headers, size, tag, method);
    const headers = {
      ...COMMON,
      'Accept-Ranges': 'bytes',
      'Cache-Control': tag === undefined ? 'no-store' : 'no-cache',
      ...(tag === undefined ? {} : { ETag: tag }),
    };
    if (method === 'HEAD' || !('spans' in selected)) await assertSame(0);
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
    await sendBody(response, source, body, { pool: this.#pool, begin, assertSame });
  }

  /** Counted from 1, as the NBD server counts its own. */
  #clientOf(socket: Socket): number {
    const known = this.#clients.get(socket) ?? ++this.#count;
    this.#clients.set(socket, known);
    return known;
  }
}

function failureText(error: unknown): string {
  return isVmdkError(error, 'disk-changed', 'remote-changed')
    ? 'The disk is no longer what it was when it was opened here.'
    : 'This part of the disk cannot be read.';
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
