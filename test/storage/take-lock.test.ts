// Locks that are taken: seen by our own findings and by others, given back, never in the way of what others hold.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import { withLocks } from '../../src/operations/with-locks.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { findLocks } from '../../src/storage/lock-state.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { createNodeLockHost, type LockHost } from '../../src/storage/node-lock-host.ts';
import { takeLock } from '../../src/storage/take-lock.ts';
import { encodeLockMember, parseLockMember } from '../../src/storage/vmware-lock.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const member = (text: string): Uint8Array => bytes(text.padEnd(512, '\0'));
const HOST: LockHost = {
  id: 'vmdkit=test',
  process: (pid) => (pid === process.pid ? { alive: true, started: 7 } : { alive: false }),
  lockTable: () => undefined,
  holder: () => undefined,
};

function newStore(files: Record<string, Uint8Array> = {}): FileStore {
  return createMemoryFileStore({ '/vm/a.vmdk': bytes('disk'), ...files });
}

describe('a lock that is taken', () => {
  it('is one of VMware as it writes them, and is found by our own findings', async () => {
    const store = newStore();
    const lock = await takeLock(store, '/vm/a.vmdk', { host: HOST });
    const [found, ...more] = await findLocks(store, '/vm/a.vmdk', { host: HOST });
    expect(more).toEqual([]);
    expect(found).toMatchObject({
      kind: 'vmware-lck',
      mode: 'exclusive',
      state: 'live',
      holder: `${process.pid}-7(vmdkit) on vmdkit=test`,
    });
    expect(found?.path).toMatch(/^\/vm\/a\.vmdk\.lck\/M\d{5}\.lck$/);
    expect(await store.list('/vm/a.vmdk.lck')).toHaveLength(1);
    await lock.release();
    await lock.release();
    expect((await store.list('/vm')).sort()).toEqual(['a.vmdk']);
  });

  it('that finds no room says so of its folder, and leaves nothing', async () => {
    const store = newStore();
    const full = new VmdkError('io', 'no-space', 'cannot write: the file system is full', {
      path: 'x',
      offset: 0,
    });
    const noRoom: FileStore = {
      ...store,
      create: async (path) => ({ ...(await store.create(path)), write: () => Promise.reject(full) }),
    };
    await expect(takeLock(noRoom, '/vm/a.vmdk', { host: HOST })).rejects.toMatchObject({
      code: 'no-space',
      message: '/vm/a.vmdk.lck: no lock can be taken: cannot write: the file system is full',
    });
    expect(await store.list('/vm')).toEqual(['a.vmdk']);
  });

  it('has the text that VMware parses, with the checksum of its folder', () => {
    const text = encodeLockMember({
      machineId: 'm',
      executionId: '1-2(x)',
      number: 3,
      exclusive: true,
      folder: '/a.lck',
    });
    expect(text).toHaveLength(512);
    // DJB2 of "/a.lck", as another program counts it.
    expect(text.toString('latin1').replace(/\0+$/, '')).toBe('m 1-2(x) 3 X [ lc=2088228157');
    expect(parseLockMember(text)).toEqual({
      machineId: 'm',
      executionId: '1-2(x)',
      exclusive: true,
      number: 3,
    });
  });

  it('keeps another one away, and lets shared ones be together', async () => {
    const store = newStore();
    const first = await takeLock(store, '/vm/a.vmdk', { host: HOST, mode: 'shared' });
    const second = await takeLock(store, '/vm/a.vmdk', { host: HOST, mode: 'shared' });
    await expect(takeLock(store, '/vm/a.vmdk', { host: HOST })).rejects.toMatchObject({
      code: 'disk-locked',
      kind: 'refused',
    });
    await first.release();
    expect(await findLocks(store, '/vm/a.vmdk', { host: HOST })).toHaveLength(1);
    await second.release();
    const alone = await takeLock(store, '/vm/a.vmdk', { host: HOST });
    await expect(takeLock(store, '/vm/a.vmdk', { host: HOST, mode: 'shared' })).rejects.toMatchObject({
      code: 'disk-locked',
    });
    await alone.release();
    expect((await store.list('/vm')).sort()).toEqual(['a.vmdk']);
  });

  it('draws a higher number than whoever is there', async () => {
    const store = newStore({ '/vm/a.vmdk.lck/M00001.lck': member('other 1-1 41 S [ lc=1') });
    const lock = await takeLock(store, '/vm/a.vmdk', { host: HOST, mode: 'shared' });
    const numbers: (number | undefined)[] = [];
    for (const name of await store.list('/vm/a.vmdk.lck')) {
      const file = await store.open(`/vm/a.vmdk.lck/${name}`, 'read');
      const block = new Uint8Array(512);
      await file.readExactly(block, 0);
      await file.close();
      numbers.push(parseLockMember(block)?.number);
    }
    expect(new Set(numbers)).toEqual(new Set([41, 42]));
    await lock.release();
    expect(await store.list('/vm/a.vmdk.lck')).toEqual(['M00001.lck']);
  });
});

describe('locks of others', () => {
  const theirs = {
    'live or not, of another machine': { '/vm/a.vmdk.lck/M00001.lck': member('other 1-1 1 X [ lc=1') },
    damaged: { '/vm/a.vmdk.lck/M00001.lck': bytes('?') },
    entering: { '/vm/a.vmdk.lck/E00001.lck': bytes('') },
    'of the old style': { '/vm/a.vmdk.lck': bytes('x') },
  };
  it.each(Object.entries(theirs))('%s are obeyed, named and left alone', async (_, files) => {
    const store = newStore(files);
    const before = await store.list('/vm');
    await expect(takeLock(store, '/vm/a.vmdk', { host: HOST })).rejects.toMatchObject({
      code: 'disk-locked',
      message: expect.stringContaining('/vm/a.vmdk.lck') as unknown,
    });
    const lock = await takeLock(store, '/vm/a.vmdk', { host: HOST, others: 'ignore' });
    await lock.release();
    expect(await store.list('/vm')).toEqual(before);
    for (const path of Object.keys(files)) expect(await store.exists(path)).toBe(true);
  });

  it('that somebody only began to take, and died, are neither waited for nor removed', async () => {
    const store = newStore();
    for (const folder of ['/vm/a.vmdk.lck', '/vm/a.vmdk.lck/D00001.lck']) await store.makeFolder(folder);
    await expect(takeLock(store, '/vm/a.vmdk', { host: HOST })).rejects.toMatchObject({
      code: 'disk-locked',
    });
    const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 9_000);
    try {
      const lock = await takeLock(store, '/vm/a.vmdk', { host: HOST });
      await lock.release();
    } finally {
      later.mockRestore();
    }
    expect(await store.list('/vm/a.vmdk.lck')).toEqual(['D00001.lck']);
  });

  it('that one of ours may have left are waited for until the work is stopped, and no longer', async () => {
    const store = newStore({ '/vm/a.vmdk.lck/vmdkit-test-4711-5-00001.claim': bytes('') });
    await store.makeFolder('/vm/a.vmdk.lck/D00001.lck');
    const before = (await store.list('/vm/a.vmdk.lck')).sort();
    const stop = new AbortController();
    const reason = new Error('stopped');
    setTimeout(() => stop.abort(reason), 50);
    const began = Date.now();
    const taking = withLocks(store, ['/vm/a.vmdk'], async () => {}, { host: HOST, signal: stop.signal });
    await expect(taking).rejects.toBe(reason);
    expect(Date.now() - began).toBeLessThan(2_000);
    expect((await store.list('/vm/a.vmdk.lck')).sort()).toEqual(before);
  });

  it('that a vmdkit of this machine left when it was killed are cleared', async () => {
    const left = { '/vm/a.vmdk.lck/M00001.lck': member('vmdkit=test 4711-5(vmdkit) 1 X [ lc=1') };
    const store = newStore(left);
    expect(await findLocks(store, '/vm/a.vmdk', { host: HOST })).toMatchObject([{ state: 'stale' }]);
    const lock = await takeLock(store, '/vm/a.vmdk', { host: HOST });
    expect(await store.list('/vm/a.vmdk.lck')).not.toContain('M00001.lck');
    await lock.release();
    const elsewhere = { ...HOST, id: 'vmdkit=elsewhere' };
    await expect(takeLock(newStore(left), '/vm/a.vmdk', { host: elsewhere })).rejects.toMatchObject({
      code: 'disk-locked',
    });
  });

  it('are not looked for, and nothing is made, behind a link', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmdkit-take-'));
    try {
      const store = createNodeFileStore();
      const disk = join(folder, 'a.vmdk');
      writeFileSync(disk, 'disk');
      mkdirSync(join(folder, 'elsewhere'));
      symlinkSync('elsewhere', `${disk}.lck`);
      await expect(takeLock(store, disk)).rejects.toMatchObject({ code: 'disk-locked' });
      await withLocks(
        store,
        [disk],
        async () => expect(await store.list(join(folder, 'elsewhere'))).toEqual([]),
        { others: 'ignore' },
      );
      expect((await store.list(folder)).sort()).toEqual(['a.vmdk', 'a.vmdk.lck', 'elsewhere']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('beside a link to the disk count', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmdkit-take-'));
    try {
      const store = createNodeFileStore();
      writeFileSync(join(folder, 'a.vmdk'), 'disk');
      symlinkSync('a.vmdk', join(folder, 'link.vmdk'));
      mkdirSync(join(folder, 'link.vmdk.lck'));
      writeFileSync(join(folder, 'link.vmdk.lck', 'M00001.lck'), member('other 1-1 1 X'));
      const taking = withLocks(store, [join(folder, 'link.vmdk')], async () => undefined);
      await expect(taking).rejects.toMatchObject({ code: 'disk-locked' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('work under locks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vmdkit-locks-'));
  const store = createNodeFileStore();
  const [a, b] = [join(folder, 'a.vmdk'), join(folder, 'b.vmdk')] as const;
  writeFileSync(a, 'a');
  writeFileSync(b, 'b');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const names = (): Promise<string[]> => store.list(folder).then((found) => found.sort());

  it('holds them while it lasts, each file once, and gives them back', async () => {
    const value = await withLocks(store, [a, b, a], async () => {
      expect(await names()).toEqual(['a.vmdk', 'a.vmdk.lck', 'b.vmdk', 'b.vmdk.lck']);
      for (const path of [a, b]) {
        const found = await findLocks(store, path);
        expect(found).toMatchObject([{ kind: 'vmware-lck', state: 'live' }, { kind: 'qemu-ofd' }]);
      }
      return 7;
    });
    expect(value).toBe(7);
    expect(await names()).toEqual(['a.vmdk', 'b.vmdk']);
    expect(await findLocks(store, a)).toEqual([]);
  });

  it('gives them back when it fails or is stopped', async () => {
    const failing = withLocks(store, [a, b], async () => {
      throw new Error('stopped');
    });
    await expect(failing).rejects.toThrow('stopped');
    expect(await names()).toEqual(['a.vmdk', 'b.vmdk']);
  });

  it('does not begin when one of them is taken, and keeps none', async () => {
    const lock = await takeLock(store, b);
    let begun = false;
    const work = async (): Promise<void> => void (begun = true);
    await expect(withLocks(store, [a, b], work)).rejects.toMatchObject({ code: 'disk-locked' });
    expect(begun).toBe(false);
    await lock.release();
    expect(await names()).toEqual(['a.vmdk', 'b.vmdk']);
  });

  it('does without locks of QEMU where the native package is missing', async () => {
    const plain = createNodeFileStore({ native: false });
    await withLocks(plain, [a], async () => {
      expect((await findLocks(plain, a)).map(({ kind }) => kind)).toEqual(['vmware-lck']);
    });
    expect(await names()).toEqual(['a.vmdk', 'b.vmdk']);
  });

  it('meets another opening of QEMU locks even where the lock table is not seen', async () => {
    const blind = { ...createNodeLockHost(), lockTable: () => undefined };
    const file = await store.open(a, 'read');
    expect(await file.lockBytes?.([101], [])).toBe('held');
    await expect(takeLock(store, a, { host: blind })).rejects.toMatchObject({ code: 'disk-locked' });
    await file.close();
    await (await takeLock(store, a, { host: blind })).release();
    expect(await names()).toEqual(['a.vmdk', 'b.vmdk']);
  });
});
