// The HTTP server: every export's content by ranges, the index, and clients of all kinds: polite, slow, gone, malformed and
// malicious. The disks are in memory; what goes over the wire is real.
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeBytes } from '../../src/block/byte-access.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import type { Bytes } from '../../src/core/units.ts';
import { openExports } from '../../src/serve/exports.ts';
import type { ExportSet, ServeOptions } from '../../src/serve/export-types.ts';
import { parseHttpAddress } from '../../src/serve/http-address.ts';
import type { HttpEvent, HttpLimits } from '../../src/serve/http-limits.ts';
import { serveHttp, type HttpServer } from '../../src/serve/http-server.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createRemoteFileStore } from '../../src/storage/remote-file-store.ts';
import { expectValid } from '../support/command.ts';
import { ObjectServer } from '../support/object-server.ts';
import { CHAIN_BYTES, makeSmallChain, type SmallChain } from '../support/small-chain.ts';

let fs: FileStore;
let chain: SmallChain;
let exports: ExportSet;
let server: HttpServer;
let events: HttpEvent[];
let leaf: string;

beforeEach(async () => {
  fs = createMemoryFileStore({ '/vm/x': Buffer.alloc(0) });
  chain = await makeSmallChain('/vm', fs);
  events = [];
  await start();
});
afterEach(stop);

async function start(options: ServeOptions = {}, limits: Partial<HttpLimits> = {}): Promise<void> {
  exports = await openExports([{ path: chain.leaf }], { fs, ...options });
  const address = parseHttpAddress('0');
  server = await serveHttp(exports, { address, fs, limits, onEvent: (event) => events.push(event) });
  leaf = server.uriOf('leaf.vmdk');
}

async function stop(): Promise<void> {
  await server.close();
  await exports.close();
}

describe('the content of an export', () => {
  it('is that of its chain, whole and by ranges, of every link', async () => {
    expect(leaf).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/disks\/leaf\.vmdk\.raw$/);
    const whole = await fetch(leaf);
    expect(whole.status).toBe(200);
    expect(whole.headers.get('content-length')).toBe(String(CHAIN_BYTES));
    expect(Buffer.from(await whole.arrayBuffer()).equals(chain.contents)).toBe(true);
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 1],
      ['bytes=1048575-1179649', 1_048_575, 1_179_650],
      ['bytes=-1000', CHAIN_BYTES - 1000, CHAIN_BYTES],
      ['bytes=4194300-', 4_194_300, CHAIN_BYTES],
    ] as const) {
      const part = await fetch(leaf, { headers: { range } });
      expect(part.status, range).toBe(206);
      expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${CHAIN_BYTES}`);
      expect(part.headers.get('content-length')).toBe(String(end - start));
      expect(Buffer.from(await part.arrayBuffer()).equals(chain.contents.subarray(start, end)), range).toBe(
        true,
      );
    }
    const base = await fetch(server.uriOf('base.vmdk'), { headers: { range: 'bytes=1048576-1048579' } });
    expect(Buffer.from(await base.arrayBuffer()).toString('hex')).toBe('b1b1b1b1');
  });

  it('comes in several ranges as a multipart answer', async () => {
    const answer = await fetch(leaf, { headers: { range: 'bytes=0-3,1048576-1048579, -2' } });
    expect(answer.status).toBe(206);
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(answer.headers.get('content-type')!)![1]!;
    const body = Buffer.from(await answer.arrayBuffer());
    expect(body).toHaveLength(Number(answer.headers.get('content-length')));
    const parts = body.toString('latin1').split(`\r\n--${boundary}`);
    expect(parts.at(-1)).toBe('--\r\n');
    expect(parts.slice(1, -1).map((each) => each.split('\r\n\r\n')[1]!.length)).toEqual([4, 4, 2]);
    expect(parts[2]).toContain(`Content-Range: bytes 1048576-1048579/${CHAIN_BYTES}`);
    expect(parts[2]!.endsWith('\r\n\r\n\xb1\xb1\xb1\xb1')).toBe(true);
    const overlapping = await fetch(leaf, { headers: { range: 'bytes=0-10,5-20' } });
    expect([overlapping.status, overlapping.headers.get('content-range')]).toEqual([
      416,
      `bytes */${CHAIN_BYTES}`,
    ]);
  });

  it('has a tag that stays as long as the files do, also across servers, and is another one after', async () => {
    const head = await fetch(leaf, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
    expect(head.headers.get('accept-ranges')).toBe('bytes');
    expect(head.headers.get('content-length')).toBe(String(CHAIN_BYTES));
    const tag = head.headers.get('etag')!;
    expect(tag).toMatch(/^"[0-9a-f]{32}"$/);
    expect((await fetch(leaf, { headers: { 'if-none-match': tag } })).status).toBe(304);
    expect((await fetch(leaf, { headers: { 'if-match': '"x"' } })).status).toBe(412);
    const part = { range: 'bytes=0-0', 'if-range': tag };
    expect((await fetch(leaf, { headers: part })).status).toBe(206);
    expect((await fetch(server.uriOf('mid.vmdk'), { method: 'HEAD' })).headers.get('etag')).not.toBe(tag);
    await stop();
    await start();
    expect((await fetch(leaf, { method: 'HEAD' })).headers.get('etag')).toBe(tag);
    await stop();
    const disk = await openChain(chain.leaf, 'update', { fs });
    await writeBytes(disk, 0 as Bytes, Buffer.from('changed'));
    await disk.close();
    await start();
    expect((await fetch(leaf, { method: 'HEAD' })).headers.get('etag')).not.toBe(tag);
    const whole = await fetch(leaf, { headers: part });
    expect(whole.status).toBe(200);
    await whole.body!.cancel();
  });

  it('that changes while it is served is an error from then on: no new content under the old tag, nor old under a new one', async () => {
    const tag = (await fetch(leaf, { method: 'HEAD' })).headers.get('etag')!;
    const base = server.uriOf('base.vmdk');
    const { path } = exports.find('leaf.vmdk')!.links[0]!;
    const old = await fs.open(path, 'update');
    await old.write(Buffer.from('changed'), (await old.size()) - 600);
    await old.close();
    for (const headers of [{ range: 'bytes=0-9', 'if-range': tag }, { 'if-none-match': tag }, {}] as Record<
      string,
      string
    >[]) {
      const answer = await fetch(leaf, { headers });
      expect(answer.status).toBe(500);
      expect(answer.headers.get('etag')).toBeNull();
      expect(await answer.text()).toBe('The disk is no longer what it was when it was opened here.\n');
    }
    expect((await fetch(leaf, { method: 'HEAD' })).status).toBe(500);
    expect(events[0]).toMatchObject({ export: 'leaf.vmdk', error: { code: 'disk-changed' } });
    expect((await fetch(base, { headers: { range: 'bytes=0-9' } })).status).toBe(206);
  });

  it('that is replaced while an answer is under way breaks it off before its end', async () => {
    const { path } = exports.find('leaf.vmdk')!.links[0]!;
    const copy = await fs.open(path, 'read');
    const bytes = Buffer.alloc(await copy.size());
    await copy.readExactly(bytes, 0);
    await copy.close();
    const failing = exports.exports[0]!.source;
    const read = failing.read.bind(failing);
    let replaced: Promise<void> | undefined;
    failing.read = async (range, into) => {
      // The last piece is being read.
      if (range.start + range.count === CHAIN_BYTES / 512) await (replaced ??= fs.replace(path, bytes));
      return read(range, into);
    };
    const answer = await fetch(leaf);
    expect(answer.status).toBe(200);
    await expect(answer.arrayBuffer()).rejects.toThrow();
    expect(events).toMatchObject([{ event: 'failed', error: { code: 'disk-changed' } }]);
  });

  it('of a remote disk has another tag when its server says so, though length and time are the same', async () => {
    const file = await fs.open(exports.find('base.vmdk')!.path, 'read');
    const bytes = Buffer.alloc(await file.size());
    await file.readExactly(bytes, 0);
    await file.close();
    await stop();
    const objects = new ObjectServer();
    const origin = await objects.listen();
    const tags: (string | null)[] = [];
    for (const etag of ['"a"', '"b"', '"a"']) {
      objects.put('/base.vmdk', bytes, { etag, lastModified: undefined });
      const store = createRemoteFileStore({ allowOrigins: [origin], fs });
      exports = await openExports([{ path: `${origin}/base.vmdk` }], { fs: store });
      server = await serveHttp(exports, { address: parseHttpAddress('0'), fs: store });
      const { status, headers } = await fetch(server.uriOf('base.vmdk'), { headers: { range: 'bytes=0-0' } });
      expect(status).toBe(206);
      tags.push(headers.get('etag'));
      await stop();
    }
    expect(tags[1]).not.toBe(tags[0]);
    expect(tags[2]).toBe(tags[0]);
    await objects.close();
    await start();
  });

  it('has no tag while it is written to', async () => {
    await stop();
    await start({ overlay: 'temporary', temporaryFolder: '/vm' });
    const { headers } = await fetch(server.uriOf(exports.exports[0]!.name), { method: 'HEAD' });
    expect([headers.get('etag'), headers.get('cache-control')]).toEqual([null, 'no-store']);
  });

  it('that cannot be read is an error, or an answer that breaks off: never zeros', async () => {
    const failing = exports.exports[0]!.source;
    const read = failing.read.bind(failing);
    failing.read = (range, into) =>
      range.start >= 4096 ? Promise.reject(new Error('a bad sector')) : read(range, into);
    const first = await fetch(leaf, { headers: { range: 'bytes=4194304-4194399' } });
    expect(first.status).toBe(500);
    expect(await first.text()).toBe('This part of the disk cannot be read.\n');
    const later = await fetch(leaf, { headers: { range: 'bytes=0-4194399' } });
    expect(later.status).toBe(206);
    await expect(later.arrayBuffer()).rejects.toThrow();
    expect(events).toHaveLength(2);
    expect(events[0]).toMatchObject({
      event: 'failed',
      export: 'leaf.vmdk',
      error: { message: 'a bad sector' },
    });
  });
});

describe('the index', () => {
  it('lists every export as a page without script and as JSON', async () => {
    const page = await fetch(server.uriOf());
    const text = await page.text();
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+';/,
    );
    expect(text).not.toMatch(/<script|javascript:|\son\w+=/i);
    for (const name of ['leaf', 'mid', 'base']) {
      expect(text).toContain(`<a href="/disks/${name}.vmdk.raw">${name}.vmdk</a>`);
    }
    const answer = await fetch(`${server.uriOf()}index.json`);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const json = (await answer.json()) as { exports: { path: string; name: string }[] };
    expectValid('exports', json);
    expect(json.exports.map(({ name }) => name)).toEqual(['leaf.vmdk', 'mid.vmdk', 'base.vmdk']);
    const { status } = await fetch(new URL(json.exports[1]!.path, server.uriOf()), { method: 'HEAD' });
    expect(status).toBe(200);
  });

  it('takes names for text, whatever they hold', async () => {
    await stop();
    const odd = '<img src=x onerror=alert(1)>"\'&#%?\u202e.vmdk';
    exports = await openExports([{ path: chain.leaf, name: odd }], { fs });
    server = await serveHttp(exports, { address: parseHttpAddress('0'), fs });
    const text = await (await fetch(server.uriOf())).text();
    expect(text).not.toContain('<img');
    expect(text).not.toContain('\u202e');
    const [, path] = /href="(\/disks[^"]+)"/.exec(text)!;
    const { status, headers } = await fetch(new URL(path!, server.uriOf()), { method: 'HEAD' });
    expect(status).toBe(200);
    expect(headers.get('content-disposition')).toMatch(/^attachment; filename\*=UTF-8''[\w%.!~-]+$/);
  });
});

describe('a client', () => {
  it('cannot reach anything but exports, write anything, or come under another name', async () => {
    for (const path of [
      '/disks/../../../etc/passwd.raw',
      '/disks/..%2f..%2fetc%2fpasswd.raw',
      '/disks/%2e%2e/vm/x.raw',
      '/disks//vm/leaf.vmdk.raw',
      '/disks/.raw',
      '/disks/%.raw',
      '/disks/%00.raw',
      '/disks/leaf.vmdk',
      '/vm/leaf.vmdk',
      '//etc/passwd',
      '/disks/__proto__.raw',
      '*',
    ]) {
      expect(
        await rawStatus(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
        path,
      ).toBe(404);
    }
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND']) {
      const text = `${method} /disks/leaf.vmdk.raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      expect(await rawStatus(text), method).toBe(405);
    }
    const head = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:80', '[::1]:8080', '127.9.9.9']) {
      expect(await rawStatus(head(host)), host).toBe(200);
    }
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '']) {
      expect(await rawStatus(head(host)), host).toBe(421);
    }
    const absolute =
      'GET http://localhost/index.json?x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    expect(await rawStatus(absolute)).toBe(200);
  });

  it('that sends nonsense is shown the door, and the server goes on', async () => {
    expect(await rawStatus('nonsense\r\n\r\n')).toBe(400);
    expect(await rawStatus(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toBe(
      431,
    );
    expect(await rawStatus('GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde')).toBe(413);
    expect(
      await rawStatus('GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ).toBe(413);
    expect((await fetch(server.uriOf())).status).toBe(200);
  });

  it('that goes away in the middle leaves nothing behind, and one that takes nothing is dropped', async () => {
    await stop();
    await start({}, { stallMs: 200 });
    const { port } = new URL(leaf);
    const request = 'GET /disks/leaf.vmdk.raw HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const gone = connect(Number(port), '127.0.0.1');
    gone.write(request);
    await new Promise((resolve) => gone.once('data', resolve));
    gone.destroy();
    const stuck = connect(Number(port), '127.0.0.1');
    stuck.write(request);
    stuck.pause();
    const stopped = new Promise<void>((resolve) => stuck.once('close', () => resolve()));
    await new Promise((resolve) => setTimeout(resolve, 600));
    stuck.resume();
    let came = 0;
    stuck.on('data', (piece: Buffer) => (came += piece.length));
    stuck.on('error', () => {});
    await stopped;
    expect(came).toBeLessThan(CHAIN_BYTES);
    expect((await fetch(leaf, { headers: { range: 'bytes=0-0' } })).status).toBe(206);
    expect(events).toEqual([]);
  });

  it('that says nothing is dropped, and no more come in than may', async () => {
    await stop();
    await start({}, { connections: 2, headMs: 200 });
    const port = Number(new URL(leaf).port);
    const silent = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    const ended = silent.map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    for (const socket of silent) socket.on('error', () => {}).resume();
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    silent[0]!.write('GET / HTT');
    const third = connect(port, '127.0.0.1');
    third.on('error', () => {});
    await new Promise<void>((resolve) => third.once('close', () => resolve()));
    expect(events).toEqual([{ event: 'refused', reason: '2 clients are connected already' }]);
    await Promise.all(ended);
    expect((await fetch(leaf, { method: 'HEAD' })).status).toBe(200);
  });

  it('may be vmdkit: a chain whose base is served reads as ever, and its source may not change', async () => {
    const origin = new URL(leaf).origin;
    const remote = createRemoteFileStore({ allowOrigins: [origin], fs, firstPause: 1 });
    const file = await remote.open(leaf, 'read');
    const all = Buffer.alloc(CHAIN_BYTES);
    await file.readExactly(all, 0);
    expect(all.equals(chain.contents)).toBe(true);
    await file.close();
  });
});

describe('an address', () => {
  it('is on the loopback unless a host is named', () => {
    expect(parseHttpAddress('8080')).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(parseHttpAddress(':8080')).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(parseHttpAddress('localhost:0')).toEqual({ host: 'localhost', port: 0 });
    expect(parseHttpAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
    expect(parseHttpAddress('http://0.0.0.0:8080/')).toEqual({ host: '0.0.0.0', port: 8080 });
    for (const bad of ['', 'x', 'localhost', '70000', 'a b:80', 'h:80/x', '-1']) {
      expect(() => parseHttpAddress(bad), bad).toThrow(/no place to serve at/);
    }
  });
});

/** Sends these very bytes and gives the status of the answer. */
function rawStatus(text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(leaf).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (piece: Buffer) => {
      answer += piece.toString('latin1');
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1];
      if (status === undefined) reject(new Error(`no answer to ${text}`));
      else resolve(Number(status));
    });
    socket.write(text);
  });
}
