// A small web server for tests of remote disks: objects by path, ranges, ETags, a log of what was asked, and any fault a
// test wants. With `s3` it is an S3-compatible store, too, which proves every signature (AWS SigV4) by itself.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StoredObject {
  bytes: Uint8Array;
  etag?: string | undefined;
  lastModified?: string | undefined;
}

export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** As asked for; the last byte is included. */
  readonly range: readonly [number, number] | undefined;
}

/** What goes wrong with one answer. */
export type Fault =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' }
  /** Breaks off after so many bytes of the body. */
  | { readonly kind: 'truncate'; readonly after: number }
  | { readonly kind: 'headers'; readonly headers: Record<string, string | undefined> }
  | { readonly kind: 'whole' };

export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export class ObjectServer {
  /** By decoded path, with the leading slash. */
  readonly objects = new Map<string, StoredObject>();
  readonly asked: Asked[] = [];
  /** What to do wrong with the request that comes now; `number` counts from 0. */
  fault: ((asked: Asked, number: number) => Fault | undefined) | undefined;
  /** Answers at one time, the most there were. */
  mostAtOnce = 0;
  #open = 0;
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #s3: S3Keys | undefined;

  constructor(s3?: S3Keys) {
    this.#s3 = s3;
  }

  /** `http://127.0.0.1:PORT` */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  put(path: string, bytes: Uint8Array, more: Omit<StoredObject, 'bytes'> = {}): void {
    const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
    this.objects.set(path, { bytes, etag, lastModified: 'Wed, 01 May 2024 10:00:00 GMT', ...more });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const path = decodeURIComponent(request.url ?? '/');
    const range = first === undefined ? undefined : ([Number(first), Number(last)] as const);
    const asked = { path, headers: request.headers, range };
    const number = this.asked.push(asked) - 1;
    const fault = this.fault?.(asked, number);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#open);
    response.once('close', () => this.#open--);
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'reset') return void request.socket.destroy();
    if (fault?.kind === 'status') return send(response, fault.status, fault.headers ?? {}, fault.body ?? '');
    const refusal = this.#s3 === undefined ? undefined : signatureFault(request, this.#s3);
    if (refusal !== undefined) return send(response, 403, {}, `<Error><Code>${refusal}</Code></Error>`);
    const object = this.objects.get(path);
    if (object === undefined) return send(response, 404, {}, '<Error><Code>NoSuchKey</Code></Error>');
    this.#serve(object, asked, fault, response);
  }

  #serve(
    object: StoredObject,
    { headers, range }: Asked,
    fault: Fault | undefined,
    response: ServerResponse,
  ): void {
    const { bytes, etag, lastModified } = object;
    const named = {
      ...(etag === undefined ? {} : { etag }),
      ...(lastModified === undefined ? {} : { 'last-modified': lastModified }),
    };
    const wanted = headers['if-match'];
    if (wanted !== undefined && wanted !== etag) return send(response, 412, named, '');
    if (range === undefined || fault?.kind === 'whole') return send(response, 200, named, bytes);
    const end = Math.min(range[1] + 1, bytes.length);
    if (range[0] >= end)
      return send(response, 416, { ...named, 'content-range': `bytes */${bytes.length}` }, '');
    const part = bytes.subarray(range[0], end);
    const all: Record<string, string | undefined> = {
      ...named,
      'content-range': `bytes ${range[0]}-${end - 1}/${bytes.length}`,
      'content-length': String(part.length),
      ...(fault?.kind === 'headers' ? fault.headers : {}),
    };
    const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    if (fault?.kind !== 'truncate') return send(response, 206, sent as Record<string, string>, part);
    response.writeHead(206, sent as Record<string, string>);
    response.write(part.subarray(0, fault.after), () => response.destroy());
  }
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
): void {
  response.writeHead(status, headers).end(body);
}

/** The word that S3 has for what is wrong with a request's signature; undefined when it holds. */
function signatureFault(request: IncomingMessage, keys: S3Keys): string | undefined {
  const given = request.headers.authorization;
  if (given === undefined) return 'AccessDenied';
  const [, id, date = '', region, signed = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      given,
    ) ?? [];
  if (id !== keys.accessKeyId) return 'InvalidAccessKeyId';
  if (region !== keys.region) return 'AuthorizationHeaderMalformed';
  const names = signed.split(';');
  if (!['host', 'x-amz-content-sha256', 'x-amz-date'].every((name) => names.includes(name)))
    return 'AccessDenied';
  const stamp = String(request.headers['x-amz-date']);
  const at = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!stamp.startsWith(date) || !(Math.abs(Date.now() - at) < 15 * 60_000)) return 'RequestTimeTooSkewed';
  const canonical = [
    request.method,
    // S3 encodes each part of the path once.
    (request.url ?? '/')
      .split('/')
      .map((part) => strictlyEncoded(decodeURIComponent(part)))
      .join('/'),
    '',
    ...names.map((name) => `${name}:${String(request.headers[name]).trim().replace(/\s+/g, ' ')}`),
    '',
    signed,
    request.headers['x-amz-content-sha256'],
  ].join('\n');
  const scope = `${date}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const key = [date, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    Buffer.from(`AWS4${keys.secretAccessKey}`),
  );
  const right = createHmac('sha256', key)
    .update(['AWS4-HMAC-SHA256', stamp, scope, hash].join('\n'))
    .digest();
  return timingSafeEqual(right, Buffer.from(signature, 'hex')) ? undefined : 'SignatureDoesNotMatch';
}

function strictlyEncoded(part: string): string {
  return encodeURIComponent(part).replace(
    /[!'()*]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
