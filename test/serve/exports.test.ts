// Names of exports and URIs, and the parts of a server that are plain values.
import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../src/serve/buffer-pool.ts';
import { ByteQueue } from '../../src/serve/byte-queue.ts';
import { uniqueNames } from '../../src/serve/export-names.ts';
import { openExports } from '../../src/serve/exports.ts';
import { ByteBudget } from '../../src/serve/nbd-limits.ts';
import { isLocal, parseNbdUri, printNbdUri, type NbdAddress } from '../../src/serve/nbd-uri.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { makeSmallChain } from '../support/small-chain.ts';

describe('names of exports', () => {
  it('are those of the files, with as many folders as tell them apart', () => {
    expect(uniqueNames(['/a/x.vmdk', '/a/y.vmdk'])).toEqual(['x.vmdk', 'y.vmdk']);
    expect(uniqueNames(['/a/x.vmdk', '/b/x.vmdk', '/b/y.vmdk'])).toEqual(['a/x.vmdk', 'b/x.vmdk', 'y.vmdk']);
    expect(uniqueNames(['/1/a/x', '/2/a/x', '/3/b/x'])).toEqual(['1/a/x', '2/a/x', 'b/x']);
    expect(uniqueNames(['/x', '/a/x'])).toEqual(['/x', 'a/x']);
    expect(uniqueNames(['/same', '/same'])).toEqual(['same', 'same']);
  });

  it('are given once for a link that several disks stand on', async () => {
    const store = createMemoryFileStore();
    const { leaf, mid } = await makeSmallChain('/', store);
    const points = [{ path: mid, name: 'point' }, { path: leaf }, { path: '/gone.vmdk', optional: true }];
    const set = await openExports(points, { fs: store });
    expect(set.exports.map(({ name }) => name)).toEqual(['point', 'mid.vmdk', 'base.vmdk', 'leaf.vmdk']);
    expect(set.find('')!.name).toBe('point');
    expect(set.find('base.vmdk')!.links).toHaveLength(1);
    expect(set.problems).toMatchObject([{ point: { path: '/gone.vmdk' }, error: { code: 'file-missing' } }]);
    await set.close();
    await expect(openExports([{ path: '/gone.vmdk', optional: true }], { fs: store })).rejects.toMatchObject({
      code: 'file-missing',
    });
  });
});

describe('URIs', () => {
  it.each<[string, NbdAddress | undefined, boolean, string]>([
    ['nbd://', { kind: 'tcp', host: '127.0.0.1', port: 10_809 }, false, ''],
    ['nbd://localhost', { kind: 'tcp', host: 'localhost', port: 10_809 }, false, ''],
    ['nbds://10.0.0.1:5/a%20b', { kind: 'tcp', host: '10.0.0.1', port: 5 }, true, 'a b'],
    ['nbd://[::1]:7', { kind: 'tcp', host: '::1', port: 7 }, false, ''],
    ['nbd+unix:///x/y?socket=/run/s%3F', { kind: 'unix', path: '/run/s?' }, false, 'x/y'],
    ['nbds+unix:///', undefined, true, ''],
    ['/run/s.sock', { kind: 'unix', path: '/run/s.sock' }, false, ''],
  ])('%s', (text, address, tls, exportName) => {
    expect(parseNbdUri(text)).toEqual({ address, tls, exportName });
    if (address === undefined) return;
    expect(parseNbdUri(printNbdUri(address, tls, exportName))).toEqual({ address, tls, exportName });
  });

  it.each([
    '',
    'localhost:10809',
    'http://localhost',
    'nbd:localhost',
    'nbd+unix://host/?socket=/s',
    'nbd://h/%E0%A4%A',
  ])('are not "%s"', (text) => expect(() => parseNbdUri(text)).toThrow('is no place to serve at'));

  it('know what only this machine can reach', () => {
    const tcp = (host: string): NbdAddress => ({ kind: 'tcp', host, port: 1 });
    expect(['127.0.0.1', '127.1.2.3', 'localhost', '::1'].map((host) => isLocal(tcp(host)))).toEqual(
      Array.from({ length: 4 }, () => true),
    );
    expect(['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example'].some((host) => isLocal(tcp(host)))).toBe(false);
    expect(isLocal({ kind: 'unix', path: '/s' })).toBe(true);
  });
});

it('a queue gives bytes as they came, in pieces of any size', () => {
  const queue = new ByteQueue();
  const all = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 256));
  for (let at = 0; at < 300; at += 7) queue.push(all.subarray(at, Math.min(300, at + 7)));
  const into = Buffer.alloc(20);
  expect(queue.take(0)).toHaveLength(0);
  expect(queue.take(5)).toEqual(all.subarray(0, 5));
  expect(queue.take(30)).toEqual(all.subarray(5, 35));
  expect(queue.skip(15)).toBe(15);
  expect(queue.takeInto(into, 4)).toBe(16);
  expect(into.subarray(4)).toEqual(all.subarray(50, 66));
  expect(() => queue.take(235)).toThrow(RangeError);
  expect(queue.skip(1000)).toBe(234);
  expect(queue.length).toBe(0);
});

it('a budget lets nobody starve, and wakes who waits', () => {
  const budget = new ByteBudget(10 << 20);
  let woken = 0;
  const wake = (): void => void woken++;
  expect(budget.take(32 << 20, 0, wake)).toBe(true);
  expect(budget.take(2 << 20, 0, wake)).toBe(false);
  expect(budget.take(512 << 10, 0, wake)).toBe(true);
  expect(budget.take(512 << 10, 768 << 10, wake)).toBe(false);
  budget.give(32 << 20);
  expect(woken).toBe(1);
  expect(budget.take(2 << 20, 0, wake)).toBe(true);
  expect(budget.take(9 << 20, 2 << 20, wake)).toBe(false);
  budget.forget(wake);
  budget.give(2 << 20);
  expect({ woken, used: budget.used }).toEqual({ woken: 1, used: 512 << 10 });
});

it('a pool gives buffers again, and does not keep them without bound', () => {
  const pool = new BufferPool(64, 300_000);
  const [first, second] = [pool.take(100_000), pool.take(100_000)];
  expect(first.length).toBe(64 + 131_072);
  for (const buffer of [first, second, pool.take(100_000), pool.take(2 << 20)]) pool.give(buffer);
  expect(pool.take(131_072)).toBe(second);
  expect(pool.take(70_000)).toBe(first);
  expect(pool.take(70_000)).not.toBe(first);
});
