// The store in memory: what every store promises, and that holes cost nothing.
import { describe, expect, it } from 'vitest';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.js';
import { contentOf, describeStore, expectFailure } from './store-suite.js';
describeStore('memory', () => {
  const store = createMemoryFileStore({ '/base/work/seed': new Uint8Array(1) });
  void store.remove('/base/work/seed');
  return { store, folder: '/base/work' };
});
describe('the store in memory', () => {
  it('holds what it was made with, in folders made for it, as a copy', async () => {
    const bytes = new TextEncoder().encode('hello');
    const store = createMemoryFileStore({ '/a/b/c': bytes, relative: bytes });
    bytes.fill(0);
    expect(await contentOf(store, '/a/b/c')).toBe('hello');
    expect(await contentOf(store, '/relative')).toBe('hello');
    expect(await store.list('/a')).toEqual(['b']);
  });
  it('holds a file of a terabyte with two written places in two pages', async () => {
    const store = createMemoryFileStore();
    const file = await store.create('/huge');
    await file.resize(2 ** 40);
    await file.write(new Uint8Array(512).fill(1), 2 ** 39 + 512);
    await file.write(new Uint8Array(512).fill(2), 2 ** 40 - 512);
    expect(await file.stretches?.(0, 2 ** 40)).toEqual([
      { start: 0, length: 2 ** 39, data: false },
      { start: 2 ** 39, length: 65_536, data: true },
      { start: 2 ** 39 + 65_536, length: 2 ** 39 - 2 * 65_536, data: false },
      { start: 2 ** 40 - 65_536, length: 65_536, data: true },
    ]);
    expect(await file.stretches?.(2 ** 39 + 100, 1000)).toEqual([
      { start: 2 ** 39 + 100, length: 1000, data: true },
    ]);
    expect((await store.resolve('/huge')).allocated).toBe(131_072);
    expect((await store.resolve('/huge')).size).toBe(2 ** 40);
  });
  it('answers very many stretches in pieces that can be asked for one after the other', async () => {
    const store = createMemoryFileStore();
    const file = await store.create('/holes');
    await file.resize(10_000 * 131_072);
    for (let i = 0; i < 10_000; i++) await file.write(new Uint8Array(1).fill(1), i * 131_072);
    let at = 0;
    let data = 0;
    let calls = 0;
    for (const size = await file.size(); at < size; calls++) {
      for (const stretch of (await file.stretches?.(at, size - at)) ?? []) {
        expect(stretch.start).toBe(at);
        at += stretch.length;
        if (stretch.data) data++;
      }
    }
    expect(data).toBe(10_000);
    expect(calls).toBeGreaterThan(1);
    expect(calls).toBeLessThan(10);
  });
  it('puts no folder into itself', async () => {
    const store = createMemoryFileStore({ '/a/b': new Uint8Array(1) });
    await expectFailure(store.rename('/a', '/a/c'), 'io-error', '/a');
  });
});
