// Remote files from servers that take their time, never come to an end, or are not who they say: each ends in the right
// bytes or in an error that says why, after a time that is bounded. The network is a function here.
import { expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/storage/remote-blocks.ts';
import type { RemoteFetch } from '../../src/storage/remote-client.ts';
import { createRemoteFileStore, type RemoteStoreOptions } from '../../src/storage/remote-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';

const URL = 'https://store.example/base.vmdk';
const SIZE = 3 * BLOCK_BYTES;

interface Network {
  readonly store: FileStore;
  /** The ranges that were asked for. */
  readonly asked: string[];
}

/** A store before `answer`, which stands for fetch. */
function networkOf(answer: RemoteFetch, options: Partial<RemoteStoreOptions> = {}): Network {
  const asked: string[] = [];
  const fetch: RemoteFetch = (url, init) => {
    asked.push(init.headers['range']!);
    return answer(url, init);
  };
  const shared = { allowOrigins: ['https://store.example'], attempts: 2, firstPause: 1 };
  return { asked, store: createRemoteFileStore({ ...shared, fetch, ...options }) };
}

/** `count` bytes every so many milliseconds; it ends with the range, or never. */
function flow(length: number, count: number, ms: number): ReadableStream<Uint8Array> {
  let left = length;
  let timer: NodeJS.Timeout | undefined;
  return new ReadableStream<Uint8Array>({
    start(stream) {
      timer = setInterval(() => {
        stream.enqueue(new Uint8Array(Math.min(count, left)).fill(7));
        left -= Math.min(count, left);
        if (left > 0) return;
        clearInterval(timer);
        stream.close();
      }, ms);
    },
    cancel: () => clearInterval(timer),
  });
}

function part(range: string, body: (length: number) => ReadableStream<Uint8Array>): Response {
  const [start = 0, last = 0] = range.match(/\d+/g)!.map(Number);
  const end = Math.min(last + 1, SIZE);
  const headers = { 'content-range': `bytes ${start}-${end - 1}/${SIZE}`, etag: '"a"' };
  return new Response(body(end - start), { status: 206, headers });
}

it('a server that drips fails as one that is silent does', async () => {
  const { store, asked } = networkOf(
    (_, { headers }) => Promise.resolve(part(headers['range']!, (length) => flow(length, 1, 10))),
    { silence: 100 },
  );
  const before = performance.now();
  await expect(store.open(URL, 'read')).rejects.toMatchObject({
    code: 'remote-failed',
    context: { found: expect.stringMatching(/^only \d+ bytes for 0\.1 s$/) as string },
  });
  expect(performance.now() - before).toBeLessThan(2000);
  expect(asked).toHaveLength(2);
});

it('a slow one is waited for', async () => {
  const { store } = networkOf(
    (_, { headers }) => Promise.resolve(part(headers['range']!, (length) => flow(length, 4096, 15))),
    { silence: 150 },
  );
  const before = performance.now();
  const file = await store.open(URL, 'read');
  expect(performance.now() - before).toBeGreaterThan(200);
  expect(await file.size()).toBe(SIZE);
  await file.close();
});

it('the text of a refusal is not waited for longer than it is worth', async () => {
  const open = (text: string): Response =>
    new Response(new ReadableStream<Uint8Array>({ start: (stream) => stream.enqueue(Buffer.from(text)) }), {
      status: 403,
    });
  const { store, asked } = networkOf(() => Promise.resolve(open('<Error><Code>AccessDenied</Code>')));
  const before = performance.now();
  await expect(store.open(URL, 'read')).rejects.toMatchObject({
    code: 'file-not-readable',
    context: { found: 'HTTP status 403 (AccessDenied)' },
  });
  expect(performance.now() - before).toBeLessThan(5000);
  expect(asked).toHaveLength(1);
});

it('a certificate that is not trusted is an error at once, which says how to trust it', async () => {
  const cause = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const { store, asked } = networkOf(() => Promise.reject(new TypeError('fetch failed', { cause })));
  await expect(store.open(URL, 'read')).rejects.toMatchObject({
    code: 'remote-failed',
    context: {
      found: 'self-signed certificate',
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS') as string,
    },
  });
  expect(asked).toHaveLength(1);
});

it('a server that refuses a range which it says is there has failed; the object has not changed', async () => {
  let opened = false;
  const { store } = networkOf((_, { headers }) => {
    const first = !opened;
    opened = true;
    if (first) return Promise.resolve(part(headers['range']!, (length) => flow(length, length, 1)));
    return Promise.resolve(
      new Response(null, { status: 416, headers: { 'content-range': `bytes */${SIZE}` } }),
    );
  });
  const file = await store.open(URL, 'read');
  await expect(file.readExactly(Buffer.alloc(1), SIZE - 1)).rejects.toMatchObject({
    code: 'remote-failed',
    context: { found: `HTTP status 416 of ${SIZE} bytes` },
  });
  await file.close();
});

it('what would have been read ahead is not asked for once the file is closed', async () => {
  const { store, asked } = networkOf((_, { headers }) =>
    Promise.resolve(part(headers['range']!, (length) => flow(length, length, 1))),
  );
  const file = await store.open(URL, 'read');
  await file.readExactly(Buffer.alloc(1), 0);
  await file.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(asked).toEqual([`bytes=0-${BLOCK_BYTES - 1}`]);
});
