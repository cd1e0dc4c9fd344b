// Remote files against a real local server: what is asked for, what comes back, and everything a server or a network can
// do wrong. Rule under test: either the right bytes of the object that was opened, or an error that says what happened.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { RemoteAddress } from '../../src/storage/remote-address.ts';
import { BLOCK_BYTES } from '../../src/storage/remote-blocks.ts';
import { createRemoteClient } from '../../src/storage/remote-client.ts';
import { createRemoteFileStore, type RemoteStoreOptions } from '../../src/storage/remote-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { ObjectServer, type Fault } from '../support/object-server.ts';
import { contentOf } from './store-suite.ts';

const SIZE = 3 * 1024 * 1024 + 123;
const content = randomBytes(SIZE);
let server: ObjectServer;
let origin: string;
let url: string;

beforeEach(async () => {
  server = new ObjectServer();
  origin = await server.listen();
  url = `${origin}/disks/base.vmdk`;
  server.put('/disks/base.vmdk', content);
});
afterEach(() => server.close());

describe('a remote file', () => {
  it('reads any range, whatever the blocks', async () => {
    const file = await remote().open(url, 'read');
    expect(file.path).toBe(url);
    expect(await file.size()).toBe(SIZE);
    for (const [at, length] of [
      [0, 1],
      [1, 511],
      [BLOCK_BYTES - 1, 2],
      [SIZE - 1, 1],
      [123_456, 1_500_000],
      [0, SIZE],
      [SIZE, 0],
    ] as const) {
      const into = Buffer.alloc(length);
      await file.readExactly(into, at);
      expect(into.equals(content.subarray(at, at + length)), `${length} bytes at ${at}`).toBe(true);
    }
    await expect(file.readExactly(Buffer.alloc(2), SIZE - 1)).rejects.toMatchObject({
      code: 'file-too-short',
    });
    await file.close();
    await file.close();
    await expect(file.readExactly(Buffer.alloc(1), 0)).rejects.toMatchObject({ code: 'file-closed' });
  });

  it('asks for a few long ranges in place of many short ones, and never twice for a block', async () => {
    const file = await remote().open(url, 'read');
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]!.headers['accept-encoding']).toBe('identity');
    const into = Buffer.alloc(SIZE);
    const step = 16 << 10;
    const reads: Promise<void>[] = [];
    for (let at = 0; at < SIZE; at += step) reads.push(file.readExactly(into.subarray(at, at + step), at));
    await Promise.all(reads);
    expect(into.equals(content)).toBe(true);
    expect(server.asked.length).toBeLessThanOrEqual(5);
    const bytes = server.asked.reduce((sum, { range }) => sum + Math.min(range![1] + 1, SIZE) - range![0], 0);
    expect(bytes).toBe(SIZE);
    const before = server.asked.length;
    await file.readExactly(into.subarray(0, 100), 777_777);
    expect(server.asked).toHaveLength(before);
    await file.close();
  });

  it('reads ahead of a reader that goes straight on, and not of one that jumps', async () => {
    const file = await remote().open(url, 'read');
    const into = Buffer.alloc(4096);
    for (const at of [2_000_000, 100_000, 3_000_000, 900_000]) await file.readExactly(into, at);
    expect(server.asked.map(({ range }) => range![1] - range![0] + 1)).toEqual(Array(5).fill(BLOCK_BYTES));
    for (let at = 0; at < SIZE - into.length; at += into.length) await file.readExactly(into, at);
    expect(server.asked.length).toBeLessThan(25);
    await file.close();
  });

  it('keeps no more than the cache holds, and no more requests under way than it may', async () => {
    const file = await remote({ cacheBytes: 4 * BLOCK_BYTES, parallel: 2 }).open(url, 'read');
    const into = Buffer.alloc(SIZE);
    await file.readExactly(into, 0);
    expect(into.equals(content)).toBe(true);
    expect(server.mostAtOnce).toBeLessThanOrEqual(2);
    const before = server.asked.length;
    await file.readExactly(into.subarray(0, 10), SIZE - 10);
    expect(server.asked).toHaveLength(before);
    await file.readExactly(into.subarray(0, 10), 0);
    expect(server.asked).toHaveLength(before + 1);
    await file.close();
  });

  it('is found, missing or closed to us, as other files are', async () => {
    const store = remote();
    expect(await store.exists(url)).toBe(true);
    expect(await store.exists(`${origin}/disks/other.vmdk`)).toBe(false);
    expect(await store.resolve(`${origin}//disks/./base.vmdk`.replace('/./', '/'))).toEqual({
      path: url,
      kind: 'file',
      identity: `url:${url}`,
      size: SIZE,
      allocated: SIZE,
      modified: Date.parse('2024-05-01T10:00:00Z'),
      version: server.objects.get('/disks/base.vmdk')!.etag,
    });
    await expectCode(store.open(`${origin}/none`, 'read'), 'file-missing');
    server.fault = () => ({ kind: 'status', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' });
    const error = await expectCode(store.resolve(`${origin}/secret`), 'file-not-readable');
    expect(error.message).toContain('HTTP status 403 (AccessDenied)');
    await expectCode(store.resolve(origin), 'file-missing');
  });

  it('may be empty', async () => {
    server.put('/empty', Buffer.alloc(0));
    const file = await remote().open(`${origin}/empty`, 'read');
    expect(await file.size()).toBe(0);
    await expectCode(file.readExactly(Buffer.alloc(1), 0), 'file-too-short');
    await file.close();
  });

  it('can never be written, and its store is as before for files', async () => {
    const local = createMemoryFileStore({ '/a': Buffer.from('here') });
    const store = remote({ fs: local });
    expect(await contentOf(store, '/a')).toBe('here');
    const changes: (() => Promise<unknown>)[] = [
      () => store.open(url, 'update'),
      () => store.create(`${origin}/disks/new`),
      () => store.replace(url, Buffer.alloc(1)),
      () => store.rename(url, '/b'),
      () => store.rename('/a', url),
      () => store.remove(url),
      () => store.makeFolder(`${origin}/folder`),
      () => store.removeFolder(`${origin}/disks`),
      () => store.syncFolder(`${origin}/disks`),
      () => store.changeMode!(url, (mode) => mode | 0o222),
    ];
    for (const change of changes) await expectCode(change(), 'remote-read-only');
    await expectCode(store.list(`${origin}/disks`), 'not-a-folder');
    expect(server.asked).toEqual([]);
    await store.rename('/a', '/b');
    expect(await local.list('/')).toEqual(['b']);
  });
});

describe('what may be read', () => {
  it('is below an allowed prefix, part by part and after all is decoded', async () => {
    const store = createRemoteFileStore({ allowOrigins: [`${origin}/disks/`], fs: createMemoryFileStore() });
    await store.resolve(url);
    await store.resolve(url.replace('/disks', '/%64isks').replace('http', 'HTTP'));
    const port = new URL(origin).port;
    for (const other of [
      `${origin}/disks-too/base.vmdk`,
      `${origin}/base.vmdk`,
      `${origin}/DISKS/base.vmdk`,
      `https://127.0.0.1:${port}/disks/base.vmdk`,
      'http://127.0.0.1/disks/base.vmdk',
      `http://localhost:${port}/disks/base.vmdk`,
      `http://127.0.0.1.example:${port}/disks/base.vmdk`,
      's3://disks/base.vmdk',
    ]) {
      const error = await expectCode(store.resolve(other), 'origin-not-allowed');
      expect(error.message).toContain('--allow-origin');
    }
    expect(server.asked).toHaveLength(1);
  });

  it('is a plain URL: no secrets, queries, climbing or double meanings', async () => {
    const store = remote();
    const host = origin.slice('http://'.length);
    for (const bad of [
      `http://user:secret@${host}/disks/base.vmdk`,
      `http://user@${host}/disks/base.vmdk`,
      `${url}?X-Amz-Signature=secret`,
      `${url}#part`,
      `${origin}/disks/../secret`,
      `${origin}/disks/%2e%2e/secret`,
      `${origin}/disks%2fbase.vmdk`,
      `${origin}/disks%5cbase.vmdk`,
      `${origin}/disks\\base.vmdk`,
      `${origin}/disks/a%00b`,
      `${origin}/disks/a%zz`,
      `${origin}/disks/a\nb`,
      'http:///disks/base.vmdk',
      's3://',
      's3://a:b@bucket/x',
      `${origin}/${'a'.repeat(3000)}`,
    ]) {
      const error = await expectCode(store.resolve(bad), 'url-refused');
      expect(error.message).not.toContain('secret@');
      expect(error.message).not.toContain('Signature');
    }
    expect(server.asked).toEqual([]);
    for (const prefix of ['ftp://x', 'https://', 'x', 'http://a:b@c', `${url}?a`]) {
      expect(() => createRemoteFileStore({ allowOrigins: [prefix] }), prefix).toThrow(/--allow-origin/);
    }
  });
});

describe('a server or a network at fault', () => {
  const passing: [string, Fault][] = [
    ['503', { kind: 'status', status: 503 }],
    ['429 with Retry-After', { kind: 'status', status: 429, headers: { 'retry-after': '0' } }],
    ['500', { kind: 'status', status: 500, body: 'x'.repeat(100_000) }],
    ['a connection that breaks', { kind: 'reset' }],
    ['an answer that ends too soon', { kind: 'truncate', after: 5000 }],
    ['an answer that never comes', { kind: 'silence' }],
  ];

  it.each(passing)('%s: is asked again, from where it stopped', async (_, fault) => {
    const store = remote(fault.kind === 'silence' ? { silence: 200 } : {});
    server.fault = (_asked, number) => (number % 2 === 0 ? fault : undefined);
    const file = await store.open(url, 'read');
    const into = Buffer.alloc(300_000);
    await file.readExactly(into, 1_000_000);
    expect(into.equals(content.subarray(1_000_000, 1_300_000))).toBe(true);
    await file.close();
    if (fault.kind === 'truncate') {
      expect(server.asked[1]!.range).toEqual([fault.after, BLOCK_BYTES - 1]);
      expect(server.asked[1]!.headers['if-match']).toBe(server.objects.get('/disks/base.vmdk')!.etag);
    }
  });

  it.each(passing)('%s, again and again: fails after a number of attempts that is told', async (_, fault) => {
    const store = remote({ attempts: 3, ...(fault.kind === 'silence' ? { silence: 300 } : {}) });
    const file = await store.open(url, 'read');
    const before = server.asked.length;
    server.fault = () => (fault.kind === 'truncate' ? { kind: 'truncate', after: 0 } : fault);
    const error = await expectCode(file.readExactly(Buffer.alloc(10), 1_000_000), 'remote-failed');
    expect(error.message).toContain('after 3 attempts');
    expect(error.message).toContain(url);
    expect(server.asked).toHaveLength(before + 3);
    server.fault = undefined;
    const into = Buffer.alloc(10);
    await file.readExactly(into, 1_000_000);
    expect(into.equals(content.subarray(1_000_000, 1_000_010))).toBe(true);
    await file.close();
  });

  it('nobody there: says so', async () => {
    await server.close();
    const error = await expectCode(remote({ attempts: 2 }).open(url, 'read'), 'remote-failed');
    expect(error.message).toMatch(/ECONNREFUSED/);
    await server.listen();
  });

  it('given up: who opens it again hears the same without another wait, and later it is asked again', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const store = remote({ attempts: 2 });
      server.fault = () => ({ kind: 'status', status: 503 });
      const error = await expectCode(store.resolve(url), 'remote-failed');
      expect(await expectCode(store.open(url, 'read'), 'remote-failed')).toBe(error);
      await expectCode(store.exists(url), 'remote-failed');
      expect(server.asked).toHaveLength(2);
      server.fault = undefined;
      vi.setSystemTime(Date.now() + 1999);
      await expectCode(store.open(url, 'read'), 'remote-failed');
      expect(await store.exists(`${origin}/disks/other.vmdk`)).toBe(false);
      vi.setSystemTime(Date.now() + 1);
      await (await store.open(url, 'read')).close();
    } finally {
      vi.useRealTimers();
    }
  });

  it.each<[string, string, Fault]>([
    ['the whole in place of a range', 'remote-no-ranges', { kind: 'whole' }],
    [
      'a redirect',
      'remote-redirect',
      { kind: 'status', status: 302, headers: { location: 'http://169.254.169.254/' } },
    ],
    [
      'another range',
      'remote-wrong-range',
      { kind: 'headers', headers: { 'content-range': `bytes 7-65542/${SIZE}` } },
    ],
    [
      'a range of unknown length',
      'remote-wrong-range',
      { kind: 'headers', headers: { 'content-range': 'bytes 0-65535/*' } },
    ],
    ['no Content-Range', 'remote-wrong-range', { kind: 'headers', headers: { 'content-range': undefined } }],
    ['compressed bytes', 'remote-wrong-range', { kind: 'headers', headers: { 'content-encoding': 'zstd' } }],
    [
      'nothing to pin it by',
      'remote-not-pinned',
      { kind: 'headers', headers: { etag: undefined, 'last-modified': undefined } },
    ],
    ['418', 'remote-failed', { kind: 'status', status: 418 }],
  ])('%s: is refused at once', async (_, code, fault) => {
    server.fault = () => fault;
    await expectCode(remote().open(url, 'read'), code);
    expect(server.asked).toHaveLength(1);
  });

  it.each(['while it is opened', 'while it is read'])('%s: a signal ends the wait at once', async (when) => {
    const ending = new AbortController();
    const store = remote({ signal: ending.signal });
    const file = when.endsWith('read') ? await store.open(url, 'read') : undefined;
    server.fault = () => ({ kind: 'status', status: 503, headers: { 'retry-after': '86400' } });
    const work = file?.readExactly(Buffer.alloc(1000), 2_000_000) ?? store.open(url, 'read');
    const before = performance.now();
    setTimeout(() => ending.abort(new Error('stopped')), 50);
    await expect(work).rejects.toThrow('stopped');
    expect(performance.now() - before).toBeLessThan(2000);
    await file?.close();
  });

  it('an answer whose end never comes: a signal ends the wait for it, though all of its bytes came', async () => {
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => stream.enqueue(content.subarray(0, 100)),
    });
    const headers = new Map([
      ['content-range', 'bytes 0-99/100'],
      ['etag', '"a"'],
    ]);
    const ending = new AbortController();
    const client = createRemoteClient({
      // A fetch that has forgotten the signal, as Node's has by then.
      fetch: () =>
        Promise.resolve({ status: 206, headers: { get: (name) => headers.get(name) ?? null }, body }),
      attempts: 1,
      silence: 60_000,
      firstPause: 1,
      parallel: 1,
      sign: () => Promise.reject(new Error('not S3')),
    });
    const take = (): void => ending.abort(new Error('stopped'));
    const address = { url, scheme: 'http' } as RemoteAddress;
    const work = client.get({ address, start: 0, end: 100, pin: undefined, signal: ending.signal, take });
    await expect(work).rejects.toThrow('stopped');
  });

  it('a redirect of S3 to another region names the region', async () => {
    server.fault = () => ({ kind: 'status', status: 301, headers: { 'x-amz-bucket-region': 'eu-north-1' } });
    const error = await expectCode(remote().open(url, 'read'), 'remote-redirect');
    expect(error.message).toContain('AWS_REGION=eu-north-1');
  });
});

describe('an object that changes', () => {
  it.each<[string, (object: { bytes: Uint8Array; etag?: string | undefined }) => void]>([
    ['ETag', (object) => void (object.etag = '"other"')],
    ['length', (object) => void (object.bytes = content.subarray(0, SIZE - 1))],
  ])('by its %s: fails, for good, and mixes nothing', async (_, change) => {
    const file = await remote().open(url, 'read');
    const into = Buffer.alloc(1000, 0xee);
    change(server.objects.get('/disks/base.vmdk')!);
    const error = await expectCode(file.readExactly(into, 2_000_000), 'remote-changed');
    expect(error.message).toContain('changed while it was read');
    expect(into.every((byte) => byte === 0xee)).toBe(true);
    const before = server.asked.length;
    await expectCode(file.readExactly(into, 1_500_000), 'remote-changed');
    expect(server.asked).toHaveLength(before);
    await file.close();
  });

  it('is noticed by a weak ETag or the time alone, and in the middle of an answer that broke off', async () => {
    for (const first of [
      { etag: 'W/"1"' },
      { etag: undefined, lastModified: 'Wed, 01 May 2024 10:00:00 GMT' },
    ]) {
      server.put('/disks/base.vmdk', content, first);
      const file = await remote().open(url, 'read');
      await file.readExactly(Buffer.alloc(10), 500_000);
      expect(server.asked.at(-1)!.headers['if-match']).toBeUndefined();
      const etag = first.etag === undefined ? undefined : 'W/"2"';
      server.put('/disks/base.vmdk', content, { etag, lastModified: 'Wed, 01 May 2024 10:00:01 GMT' });
      await expectCode(file.readExactly(Buffer.alloc(10), 2_000_000), 'remote-changed');
      await file.close();
    }
    server.put('/disks/base.vmdk', content);
    const asked = server.asked.length;
    server.fault = (_, number) => {
      if (number !== asked) return undefined;
      setImmediate(() => server.put('/disks/base.vmdk', randomBytes(SIZE)));
      return { kind: 'truncate', after: 100 };
    };
    await expectCode(remote().open(url, 'read'), 'remote-changed');
  });

  it('is pinned while anybody has it open, and seen as it is by who opens it later', async () => {
    const store = remote();
    const first = await store.open(url, 'read');
    const other = randomBytes(SIZE + 5);
    server.put('/disks/base.vmdk', other);
    const second = await store.open(url, 'read');
    expect(await second.size()).toBe(SIZE);
    await expectCode(second.readExactly(Buffer.alloc(1), SIZE - 1), 'remote-changed');
    await first.close();
    await second.close();
    const third = await store.open(url, 'read');
    const into = Buffer.alloc(SIZE + 5);
    await third.readExactly(into, 0);
    expect(into.equals(other)).toBe(true);
    await third.close();
  });

  it('stays pinned while it is open, however many others are opened after it', async () => {
    const store = remote();
    const first = await store.open(url, 'read');
    for (let index = 0; index < 260; index++) {
      server.put(`/disks/${index}`, Buffer.of(index % 256));
      await store.resolve(`${origin}/disks/${index}`);
    }
    server.put('/disks/base.vmdk', randomBytes(SIZE + 5));
    expect((await store.resolve(url)).size).toBe(SIZE);
    await first.close();
  });
});

describe('an object in an S3-compatible store', () => {
  const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG', region: 'eu-test-1' };
  let s3: ObjectServer;
  let endpoint: string;
  const path = 'golden/base one+two (3)ü.vmdk';
  const name = 's3://bucket.one/golden/base%20one%2Btwo%20%283%29%C3%BC.vmdk';

  beforeEach(async () => {
    s3 = new ObjectServer(keys);
    endpoint = await s3.listen();
    s3.put(`/bucket.one/${path}`, content);
  });
  afterEach(() => s3.close());

  const store = (settings: RemoteStoreOptions['s3'], more: Partial<RemoteStoreOptions> = {}): FileStore =>
    remote({ allowOrigins: ['s3://bucket.one'], s3: { endpoint, ...settings }, ...more });

  it('is asked for with a signature that an independent verifier accepts', async () => {
    const file = await store(keys).open(`s3://bucket.one/${path}`, 'read');
    expect(file.path).toBe(name);
    const into = Buffer.alloc(SIZE);
    await file.readExactly(into, 0);
    expect(into.equals(content)).toBe(true);
    await file.close();
  });

  it('is signed anew for each attempt, and carries the token of a session', async () => {
    s3.fault = (_, number) => (number === 0 ? { kind: 'status', status: 503 } : undefined);
    await store({ ...keys, sessionToken: 'a-token' }).resolve(name);
    expect(s3.asked.map(({ headers }) => headers['x-amz-security-token'])).toEqual(['a-token', 'a-token']);
    expect(s3.asked[1]!.headers.authorization).toContain('x-amz-security-token');
  });

  it('is refused for wrong keys, a wrong region or none, in the words of S3', async () => {
    for (const [settings, word] of [
      [{ ...keys, secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
      [{ ...keys, accessKeyId: 'nobody' }, 'InvalidAccessKeyId'],
      [{ ...keys, region: 'us-east-1' }, 'AuthorizationHeaderMalformed'],
      [{}, 'AccessDenied'],
    ] as const) {
      const error = await expectCode(store(settings).resolve(name), 'file-not-readable');
      expect(error.message).toContain(word);
      expect(error.message).not.toContain('wJalr');
    }
    const missing = await expectCode(store(keys).resolve('s3://bucket.one/none'), 'file-missing');
    expect(missing.message).toContain('NoSuchKey');
    await expectCode(store({ accessKeyId: 'x' }).resolve(name), 'usage');
    const ended = await expectCode(store({ ...keys, secretAccessKey: 'wJalr\n' }).resolve(name), 'usage');
    expect(ended.message).toContain('AWS_SECRET_ACCESS_KEY holds a space, a line end');
    expect(ended.message).not.toContain('wJalr');
    await expectCode(store({ ...keys, endpoint: 'ftp://x' }).resolve(name), 'usage');
    await expectCode(store({ ...keys, region: 'a.b' }).resolve(name), 'usage');
  });

  it('is read without a signature where anybody may', async () => {
    server.put('/bucket.one/base.vmdk', content);
    const anonymous = remote({ allowOrigins: ['s3://bucket.one'], s3: { endpoint: origin } });
    expect((await anonymous.resolve('s3://bucket.one/base.vmdk')).size).toBe(SIZE);
    expect(server.asked[0]!.headers.authorization).toBeUndefined();
  });
});

function remote(options: Partial<RemoteStoreOptions> = {}): FileStore {
  return createRemoteFileStore({
    allowOrigins: [origin],
    fs: createMemoryFileStore(),
    firstPause: 1,
    ...options,
  });
}

async function expectCode(work: Promise<unknown>, code: string): Promise<Error> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'VmdkError', code });
  return error as Error;
}
