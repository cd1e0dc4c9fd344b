// Locks of other programs: crafted lock folders and lock files, kernel tables, and a real qemu-io at work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findLocks } from '../../src/storage/lock-state.js';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.js';
import { createNodeFileStore } from '../../src/storage/node-file-store.js';
import { createNodeLockHost } from '../../src/storage/node-lock-host.js';
import { findQemuLock } from '../../src/storage/qemu-lock.js';
import { describeWithPeer } from '../support/peer-tools.js';
const HERE = 'uuid=56\\x204d\\x20';
const bytes = (text) => new TextEncoder().encode(text);
const member = (text) => {
  const block = new Uint8Array(512);
  block.set(bytes(text));
  return block;
};
const nobody = {
  process: () => ({ alive: false }),
  lockTable: () => undefined,
  holder: () => undefined,
};
const running = (started) => ({ ...nobody, process: () => ({ alive: true, started }) });
/** The one lock found beside a disk, where `files` are the lock's, by path from the disk's. */
async function theLock(files, options = {}) {
  const beside = Object.entries(files).map(([name, content]) => [`/vm/a.vmdk${name}`, content]);
  const store = createMemoryFileStore({ '/vm/a.vmdk': bytes('disk'), ...Object.fromEntries(beside) });
  const found = await findLocks(store, '/vm/a.vmdk', { host: nobody, machineId: HERE, ...options });
  expect(found).toHaveLength(1);
  return found[0];
}
describe("VMware's lock folder", () => {
  const held = { '.lck/M12345.lck': member(`${HERE} 4711-8899(vmware-vmx) 1 X [ lc=123`) };
  it('is live while the process that made it runs', async () => {
    expect(await theLock(held, { host: running(8899) })).toEqual({
      kind: 'vmware-lck',
      holder: `4711-8899(vmware-vmx) on ${HERE}`,
      mode: 'exclusive',
      state: 'live',
      path: '/vm/a.vmdk.lck/M12345.lck',
      detail: 'process 4711 of this machine holds it',
    });
    expect(await theLock(held, { host: running() })).toMatchObject({ state: 'live' });
  });
  it('is stale once that process is gone or its number belongs to another', async () => {
    expect(await theLock(held)).toMatchObject({ state: 'stale' });
    expect(await theLock(held, { host: running(8900) })).toMatchObject({ state: 'stale' });
  });
  it('of another machine, or on a machine that does not know its id, cannot be judged', async () => {
    expect(await theLock(held, { machineId: 'other' })).toMatchObject({ state: 'unknown' });
    expect(await theLock(held, { machineId: undefined })).toMatchObject({ state: 'unknown' });
  });
  it('is live when its process cannot be told', async () => {
    for (const id of ['rubbish', '0-0', '-5-1', '99999999999999999999-1', '12']) {
      const lock = await theLock({ '.lck/M00001.lck': member(`${HERE} ${id} 1 S`) });
      expect(lock, id).toMatchObject({ state: 'live', mode: 'shared' });
    }
  });
  it('without a known start time goes by the process alone', async () => {
    const lock = { '.lck/M00001.lck': member(`${HERE} 4711-0 1 S`) };
    expect(await theLock(lock, { host: running(5) })).toMatchObject({ state: 'live' });
    expect(await theLock(lock)).toMatchObject({ state: 'stale' });
  });
  it.each([
    ['too short', bytes(`${HERE} 1-1 1 X`)],
    ['too long', new Uint8Array(513).fill(65)],
    ['of three fields', member(`${HERE} 1-1 1`)],
    ['of an unknown type', member(`${HERE} 1-1 1 Z`)],
    ['without a number', member(`${HERE} 1-1 x X`)],
    ['full of zeros', member('')],
  ])('with a member %s is damaged, hence stale', async (_, content) => {
    const lock = await theLock({ '.lck/M00001.lck': content }, { host: running() });
    expect(lock).toMatchObject({ state: 'stale', detail: 'the lock file is damaged' });
  });
  it('that somebody is entering is live for eight seconds', async () => {
    const entering = { '.lck/E00001.lck': bytes('') };
    expect(await theLock(entering, { now: Date.now() + 7_000 })).toMatchObject({ state: 'live' });
    expect(await theLock(entering, { now: Date.now() + 9_000 })).toMatchObject({ state: 'stale' });
  });
  it('reports every holder and passes over other names', async () => {
    const store = createMemoryFileStore({
      '/a': bytes(''),
      '/a.lck/M00001.lck': member(`${HERE} 1-1 1 S`),
      '/a.lck/M00002.lck': member(`${HERE} 2-1 2 S`),
      '/a.lck/M3.lck': member(`${HERE} 3-1 3 X`),
      '/a.lck/readme.txt': bytes('x'),
    });
    const found = await findLocks(store, '/a', { host: nobody });
    expect(found.map(({ path }) => path).toSorted()).toEqual(['/a.lck/M00001.lck', '/a.lck/M00002.lck']);
  });
  it('that is empty locks nothing, and one stuffed with entries is not read to its end', async () => {
    const store = createMemoryFileStore({ '/a': bytes(''), '/b': bytes('') });
    await store.makeFolder('/a.lck');
    expect(await findLocks(store, '/a', { host: nobody })).toEqual([]);
    await store.makeFolder('/b.lck');
    for (let i = 0; i < 300; i++)
      await (await store.create(`/b.lck/M${String(i).padStart(5, '0')}.lck`)).close();
    const found = await findLocks(store, '/b', { host: nobody });
    expect(found).toHaveLength(257);
    expect(found.at(-1)).toMatchObject({
      state: 'unknown',
      detail: expect.stringContaining('300 entries'),
    });
  });
  it('that is a file is an old style lock and taken as live', async () => {
    expect(await theLock({ '.lck': bytes('') })).toMatchObject({ kind: 'old-style-lck', state: 'live' });
  });
  it('of a missing disk is a missing disk', async () => {
    await expect(findLocks(createMemoryFileStore(), '/none')).rejects.toMatchObject({ code: 'file-missing' });
  });
});
describe("ESX's lock file on NFS", () => {
  const content = new Uint8Array(84);
  content.set(bytes('esx-07.example.com'), 20);
  async function found(identity, now = Date.now()) {
    const store = createMemoryFileStore({ '/vm/a': bytes(''), '/vm/.lck-e003090001000000': content });
    const resolve = async (path) => ({
      ...(await store.resolve(path)),
      ...(path === '/vm/a' ? { identity } : {}),
    });
    return findLocks({ ...store, resolve }, '/vm/a', { host: nobody, now });
  }
  it('belongs to the file whose inode its name spells, lowest byte first', async () => {
    expect(await found('64:4295558112')).toMatchObject([
      {
        kind: 'nfs-lck',
        holder: 'esx-07.example.com',
        mode: 'exclusive',
        state: 'live',
        path: '/vm/.lck-e003090001000000',
      },
    ]);
    expect(await found('64:4295558113')).toEqual([]);
  });
  it('that was not refreshed for a while cannot be judged', async () => {
    expect(await found('64:4295558112', Date.now() + 3_600_000)).toMatchObject([
      { state: 'unknown', detail: 'refreshed 3600 seconds ago' },
    ]);
  });
});
describe("QEMU's locks in the kernel's table", () => {
  const line = (range, device = 'fe:00:42', type = 'OFDLCK') =>
    `1: ${type} ADVISORY  READ -1 ${device} ${range}`;
  const identity = '65024:42';
  it('say that the disk is open for writing, also where ranges were joined', () => {
    expect(findQemuLock([line('203 203'), line('201 201'), line('100 101')].join('\n'), identity)).toEqual({
      device: 'fe:00:42',
      writing: true,
      detail: 'in use: consistent read, write; not shared: write, resize',
    });
  });
  it('say that it is open for reading', () => {
    expect(findQemuLock([line('100 100'), line('201 203')].join('\n'), identity)).toMatchObject({
      writing: false,
    });
  });
  it('are those of this file, held, and of these bytes alone', () => {
    const others = [
      line('100 101', 'fe:00:43'),
      line('100 101', 'fe:01:42'),
      line('0 EOF'),
      line('100 101', 'fe:00:42', 'FLOCK '),
      '1: -> OFDLCK ADVISORY  WRITE -1 fe:00:42 100 101',
    ];
    expect(findQemuLock(others.join('\n'), identity)).toBeUndefined();
    expect(findQemuLock(line('100 101'), 'memory:42')).toBeUndefined();
  });
  it('are found on devices with large numbers', () => {
    // makedev(0x103, 0x12345) as Linux packs it.
    const dev = (0x103n << 8n) | 0x45n | (0x123n << 20n);
    expect(findQemuLock(line('100 100', '103:12345:7'), `${dev}:7`)).toMatchObject({ writing: false });
  });
});
describe('this machine', () => {
  it('knows that this process runs and since when, and that a finished one does not', async () => {
    const host = createNodeLockHost();
    expect(host.process(process.pid).alive).toBe(true);
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    const pid = child.pid ?? 0;
    const [mine, its] = [host.process(process.pid).started ?? 0, host.process(pid).started ?? 0];
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(host.process(pid)).toEqual({ alive: false });
    if (process.platform === 'linux') expect(its).toBeGreaterThan(mine);
  });
});
describeWithPeer(['qemu-img', 'qemu-io'], 'a disk that qemu-io holds open', (peers) => {
  const store = createNodeFileStore();
  let folder;
  let disk;
  let child;
  beforeEach(async () => {
    folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vmdkit-lock-')));
    disk = join(folder, 'a.vmdk');
    await peers['qemu-img'].ok(['create', '-q', '-f', 'vmdk', disk, '1M']);
  });
  afterEach(async () => {
    await letGo();
    fs.rmSync(folder, { recursive: true });
  });
  /** Starts qemu-io on the disk and waits for its prompt, so that the disk is open. */
  async function hold(...args) {
    child = spawn(peers['qemu-io'].path, [...args, '-f', 'vmdk', disk]);
    const { stdout } = child;
    if (stdout === null) throw new Error('qemu-io has no output');
    child.stdin?.write('length\n');
    await once(stdout, 'data');
  }
  async function letGo() {
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.stdin?.end();
    await exited;
    child = undefined;
  }
  it('for writing is locked, by name, until it lets go', async () => {
    expect(await findLocks(store, disk)).toEqual([]);
    await hold();
    const pid = child?.pid ?? 0;
    expect(await findLocks(store, disk)).toMatchObject([
      { kind: 'qemu-ofd', mode: 'exclusive', state: 'live', path: disk, holder: `qemu-io (pid ${pid})` },
    ]);
    await letGo();
    expect(await findLocks(store, disk)).toEqual([]);
  });
  it('for reading is locked as shared', async () => {
    await hold('-r');
    expect(await findLocks(store, disk)).toMatchObject([{ kind: 'qemu-ofd', mode: 'shared', state: 'live' }]);
  });
});
