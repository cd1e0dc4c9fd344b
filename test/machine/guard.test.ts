// A guarded base, booted by mistake in every way: what changed is found and placed, who shows it is told, and its CID
// comes back only when every byte of its contents is the one that was recorded.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { checkGuard, releaseGuard, restoreCid, setGuard } from '../../src/machine/guard.ts';
import type { GuardOptions } from '../../src/machine/guard-types.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { contentOf, hashesBelow } from '../support/clone-bench.ts';
import { makeFolders, vmxText, writeText } from '../support/scan-model.ts';

const BASE = '/ds/golden/golden.vmdk';
const MIB = 2048;
const GRAIN = 128;
const NOW = '2026-03-01T12:00:00.000Z';

async function write(store: FileStore, path: string, start: number, data: Uint8Array): Promise<void> {
  const chain = await openChain(path, 'update', { fs: store, acceptMismatch: true });
  await chain.write(sectors(start), data);
  await chain.close();
}

/**
 * A base of 8 MiB with something in the first, third and last MiB; a and b stand on it, c on b. b hides the first MiB.
 */
async function datastore(type = 'monolithicSparse'): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeFolders(store, '/ds', '/ds/golden', '/ds/a', '/ds/b', '/ds/c');
  await createDisk(BASE, bytes(8 * MIB * 512), { fs: store, type });
  for (const at of [0, 2 * MIB + 100, 8 * MIB - 8]) await write(store, BASE, at, pattern(8 * 512, at));
  await createDelta('/ds/a/a.vmdk', BASE, { fs: store });
  await createDelta('/ds/b/b.vmdk', BASE, { fs: store });
  await write(store, '/ds/b/b.vmdk', 0, pattern(MIB * 512, 3));
  await createDelta('/ds/c/c.vmdk', '/ds/b/b.vmdk', { fs: store });
  return store;
}

const options = (store: FileStore, more: GuardOptions = {}): GuardOptions => ({
  fs: store,
  now: NOW,
  ...more,
});

/** As a machine that boots from it does it: the protection is in its way, and it is an administrator's. */
async function boot(store: FileStore, start: number, data: Uint8Array): Promise<void> {
  for (const name of await store.list('/ds/golden'))
    await store.changeMode!(`/ds/golden/${name}`, (mode) => mode | 0o200);
  await write(store, BASE, start, data);
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isVmdkError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('guarding a base', () => {
  it.each(['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'vmfs'])(
    'records it, makes every file of it read-only and changes nothing else (%s)',
    async (type) => {
      const store = await datastore(type);
      const before = await hashesBelow(store, '/ds');
      const report = await setGuard(BASE, options(store));
      expect(report).toMatchObject({ action: 'set', 'read-only': true, recorded: NOW, notes: [] });
      expect(report.children.map(({ path }) => path)).toEqual([
        '/ds/a/a.vmdk',
        '/ds/b/b.vmdk',
        '/ds/c/c.vmdk',
      ]);
      const { [`${BASE}.guard`]: fingerprint, ...after } = await hashesBelow(store, '/ds');
      expect(fingerprint).toBeDefined();
      expect(after).toEqual(before);
      for (const name of (await store.list('/ds/golden')).filter((file) => file.endsWith('.vmdk')))
        expect(await store.changeMode!(`/ds/golden/${name}`, (mode) => mode), name).toBe(0o444);
      await expect(write(store, BASE, 0, Buffer.alloc(512))).rejects.toMatchObject({
        code: 'file-not-writable',
      });
      expect(await checkGuard(BASE, options(store))).toMatchObject({ verdict: 'as-recorded', changed: [] });
      // The deltas above are read and written as before.
      await write(store, '/ds/a/a.vmdk', 5, pattern(512, 9));
      await contentOf(store, '/ds/c/c.vmdk');
    },
  );

  it('gives back the permissions that there were', async () => {
    const store = await datastore('twoGbMaxExtentSparse');
    await store.changeMode!('/ds/golden/golden-s001.vmdk', () => 0o660);
    await setGuard(BASE, options(store));
    expect(await releaseGuard(BASE, options(store))).toMatchObject({ action: 'release', 'read-only': false });
    expect(await store.changeMode!('/ds/golden/golden-s001.vmdk', (mode) => mode)).toBe(0o660);
    expect(await store.changeMode!(BASE, (mode) => mode)).toBe(0o644);
    expect(await store.exists(`${BASE}.guard`)).toBe(false);
    expect(await refusal(checkGuard(BASE, options(store)))).toMatchObject({
      kind: 'missing',
      code: 'not-guarded',
    });
  });

  it('is not recorded twice unless forced, and not while a machine runs on it', async () => {
    const store = await datastore();
    await writeText(store, '/ds/golden/golden.vmx', vmxText('golden', { 'scsi0:0': 'golden.vmdk' }));
    const error = await refusal(setGuard(BASE, options(store)));
    expect(error).toMatchObject({ kind: 'refused', code: 'base-runs' });
    expect(error.message).toContain('/ds/golden/golden.vmx at scsi0:0');
    await store.remove('/ds/golden/golden.vmx');
    await setGuard(BASE, options(store));
    expect(await refusal(setGuard(BASE, options(store)))).toMatchObject({ code: 'already-guarded' });
    await setGuard(BASE, options(store, { force: true, now: '2026-04-01T00:00:00.000Z' }));
    await releaseGuard(BASE, options(store));
    expect(await store.changeMode!(BASE, (mode) => mode)).toBe(0o644);
  });
});

describe('a base that was booted by mistake', () => {
  it('gets its CID back when nothing was written that was not there before', async () => {
    const store = await datastore();
    const before = await contentOf(store, '/ds/c/c.vmdk');
    const text = await readWhole(store, BASE);
    await setGuard(BASE, options(store));
    await boot(store, 0, pattern(8 * 512, 0));
    expect((await refusal(contentOf(store, '/ds/a/a.vmdk'))).code).toBe('parent-cid-mismatch');
    const checked = await checkGuard(BASE, options(store));
    expect(checked).toMatchObject({ verdict: 'cid-rolled', changed: [] });
    expect(checked.cid).not.toBe(checked['recorded-cid']);
    const restored = await restoreCid(BASE, options(store));
    expect(restored.cid).toBe(checked['recorded-cid']);
    expect((await contentOf(store, '/ds/c/c.vmdk')).equals(before)).toBe(true);
    expect((await readWhole(store, BASE)).equals(text)).toBe(true);
    expect(await checkGuard(BASE, options(store))).toMatchObject({ verdict: 'as-recorded' });
    expect(await restoreCid(BASE, options(store))).toMatchObject({ verdict: 'as-recorded' });
  });

  it('gets it back through its protection, which stays', async () => {
    const store = await datastore();
    await boot(store, 0, pattern(8 * 512, 1));
    await setGuard(BASE, options(store));
    await boot(store, 0, pattern(8 * 512, 1));
    await store.changeMode!(BASE, () => 0o444);
    expect(await restoreCid(BASE, options(store))).toMatchObject({
      verdict: 'cid-rolled',
      'read-only': true,
    });
    expect(await store.changeMode!(BASE, (mode) => mode)).toBe(0o444);
  });

  it('is told from one whose zeros are only stored in another way', async () => {
    const store = await datastore();
    await setGuard(BASE, options(store));
    await boot(store, 5 * MIB, Buffer.alloc(64 * 1024));
    const report = await checkGuard(BASE, options(store));
    expect(report).toMatchObject({ verdict: 'cid-rolled', changed: [] });
    expect(report.notes.join()).toContain('stored in another way');
  });

  it('shows where it changed, to the nearest grain, and in which disks that is seen', async () => {
    const store = await datastore();
    await setGuard(BASE, options(store));
    await boot(store, 2 * MIB + 101, pattern(512, 77));
    // In a MiB that was all zeros, over the border of two grains.
    await boot(store, 6 * MIB + 11 * GRAIN - 1, pattern(2 * 512, 78));
    await boot(store, 3 * MIB + 1, pattern(512, 79));
    const report = await checkGuard(BASE, options(store));
    expect(report.verdict).toBe('changed');
    expect(report.changed).toEqual([
      { start: 2 * MIB, count: GRAIN },
      { start: 3 * MIB, count: GRAIN },
      { start: 6 * MIB + 10 * GRAIN, count: 2 * GRAIN },
    ]);
    expect(report.children).toEqual(
      ['a/a', 'b/b', 'c/c'].map((name) => ({ path: `/ds/${name}.vmdk`, sectors: 4 * GRAIN })),
    );
    const before = await hashesBelow(store, '/ds');
    const error = await refusal(restoreCid(BASE, options(store)));
    expect(error).toMatchObject({ kind: 'refused', code: 'base-changed' });
    expect(error.message).toContain(
      'changes in sectors 4096+128, 6144+128, 13568+256, shown by /ds/a/a.vmdk',
    );
    expect(await hashesBelow(store, '/ds')).toEqual(before);
  });

  it('does not matter where every disk above has data of its own', async () => {
    const store = await datastore();
    await setGuard(BASE, options(store));
    const before = await contentOf(store, '/ds/c/c.vmdk');
    await boot(store, 7, pattern(512, 5));
    expect(await checkGuard(BASE, options(store))).toMatchObject({
      verdict: 'changed',
      children: [
        { path: '/ds/a/a.vmdk', sectors: GRAIN },
        { path: '/ds/b/b.vmdk', sectors: 0 },
        { path: '/ds/c/c.vmdk', sectors: 0 },
      ],
    });
    const forced = options(store, { force: true });
    expect((await refusal(restoreCid(BASE, forced))).code).toBe('base-changed');
    await write(store, '/ds/a/a.vmdk', 0, pattern(512, 6));
    const checked = await checkGuard(BASE, options(store));
    expect(checked).toMatchObject({ verdict: 'changed-unseen' });
    // That is no reason to call it what it was, unless somebody says that all who stand on it were found.
    const error = await refusal(restoreCid(BASE, options(store)));
    expect(error.code).toBe('base-changed');
    expect(error.message).toContain('--force puts the CID back');
    expect(await restoreCid(BASE, forced)).toMatchObject({
      cid: checked['recorded-cid'],
      notes: [expect.stringContaining('disks that are made over it from now on show it')],
    });
    expect((await contentOf(store, '/ds/c/c.vmdk')).equals(before)).toBe(true);
    expect(await checkGuard(BASE, options(store))).toMatchObject({ verdict: 'changed-unseen' });
  });

  it('that is a delta itself is known by what it hides as well', async () => {
    const store = await datastore();
    await setGuard('/ds/b/b.vmdk', options(store));
    await store.changeMode!('/ds/b/b.vmdk', (mode) => mode | 0o200);
    for (const name of await store.list('/ds/b'))
      await store.changeMode!(`/ds/b/${name}`, (mode) => mode | 0o200);
    // Zeros over the base's data: the same bytes in the file as none at all, and another disk.
    await write(store, '/ds/b/b.vmdk', 4 * MIB, Buffer.alloc(64 * 1024));
    expect(await checkGuard('/ds/b/b.vmdk', options(store))).toMatchObject({
      verdict: 'changed',
      changed: [{ start: 4 * MIB, count: GRAIN }],
      children: [{ path: '/ds/c/c.vmdk', sectors: GRAIN }],
    });
  });
});

describe('a fingerprint', () => {
  it('proves nothing when it was cut, edited, or is of another disk', async () => {
    const store = await datastore();
    await setGuard(BASE, options(store));
    const path = `${BASE}.guard`;
    const whole = (await readWhole(store, path)).toString();
    const lines = whole.split('\n');
    const cases: [string, string][] = [
      ['cut', `${lines.slice(0, -2).join('\n')}\n`],
      ['cut in a line', whole.slice(0, -5)],
      ['edited', whole.replace(/^(\d+) [0-9a-f]{4}/m, '$1 beef')],
      ['another CID', whole.replace(/"cid":\d+/, '"cid":1')],
      ['no JSON', `x${whole}`],
      ['too long a line', `${lines[0]}\n${'9'.repeat(70_000)}\n`],
      ['out of order', [lines[0], lines[2], lines[1], ...lines.slice(3)].join('\n')],
    ];
    for (const [what, text] of cases) {
      await store.replace(path, Buffer.from(text));
      for (const work of [checkGuard, restoreCid])
        expect((await refusal(work(BASE, options(store)))).code, what).toBe('fingerprint-damaged');
    }
    await store.replace(path, Buffer.from(whole));
    await store.rename(path, '/ds/small.vmdk.guard');
    await createDisk('/ds/small.vmdk', bytes(MIB * 512), { fs: store });
    expect((await refusal(checkGuard('/ds/small.vmdk', options(store)))).code).toBe('fingerprint-misfit');
  });

  it('holds a line for each MiB that is not all zeros, however large the disk', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/golden');
    await createDisk(BASE, bytes(2 ** 40), { fs: store });
    await write(store, BASE, 2 ** 30, pattern(512, 1));
    await setGuard(BASE, options(store));
    const lines = (await readWhole(store, `${BASE}.guard`)).toString().trimEnd().split('\n');
    expect(lines.map((line) => line.split(' ')[0]).slice(1)).toEqual([String(2 ** 30 / MIB), 'map', 'end']);
    expect(await checkGuard(BASE, options(store))).toMatchObject({ verdict: 'as-recorded' });
  });

  it('is stopped by a signal, and leaves nothing', async () => {
    const store = await datastore();
    const stop = new AbortController();
    const onProgress = (): void => stop.abort(new Error('enough'));
    await expect(setGuard(BASE, options(store, { signal: stop.signal, onProgress }))).rejects.toThrow(
      'enough',
    );
    expect((await store.list('/ds/golden')).filter((name) => !name.endsWith('.vmdk'))).toEqual([]);
    expect(await store.changeMode!(BASE, (mode) => mode)).toBe(0o644);
  });
});
