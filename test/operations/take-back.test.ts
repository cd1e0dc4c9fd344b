// Change sets that meet the border of a file system after their point of no return, as those of older versions did and as two
// mounts of one file system still do: they are taken back, whenever the power fails, or the error says where each file is.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isVmdkError, VmdkError } from '../../src/core/errors.ts';
import { applyChangeSet } from '../../src/operations/change-set.ts';
import type { FileChange } from '../../src/operations/file-change.ts';
import { findInterrupted, settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { textsBelow } from '../support/change-bench.ts';
import { runsOf } from '../support/clone-bench.ts';
import { createCrashStore, crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { withMount } from '../support/mounted-store.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A disk of two extents that is renamed into `/far`; what stands on it, and a file that takes the old name of another. */
const BEFORE: Record<string, string> = {
  '/far/other': 'other',
  '/vm/child.vmdk': 'hint="disk.vmdk"',
  '/vm/disk-s001.vmdk': 'first extent',
  '/vm/disk-s002.vmdk': 'second extent',
  '/vm/disk.vmdk': 'RW disk-s001.vmdk disk-s002.vmdk',
  '/vm/old': 'old',
};
const RENAME: readonly FileChange[] = [
  { kind: 'rename', from: '/vm/disk-s001.vmdk', to: '/far/new-s001.vmdk' },
  { kind: 'rename', from: '/vm/disk-s002.vmdk', to: '/far/new-s002.vmdk' },
  { kind: 'rename', from: '/vm/old', to: '/vm/kept' },
  { kind: 'remove', path: '/vm/disk.vmdk' },
  { kind: 'create', path: '/far/new.vmdk', file: text('RW new-s001.vmdk new-s002.vmdk') },
  { kind: 'create', path: '/vm/old', file: text('not old') },
  { kind: 'replace', path: '/vm/child.vmdk', data: text('hint="/far/new.vmdk"') },
];
const bytesOf = (texts: Record<string, string>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(texts).map(([path, value]) => [path, text(value)]));
const newStore = (): FileStore => createMemoryFileStore(bytesOf(BEFORE));

const apply = (fs: FileStore, changes = RENAME, label = 'rename'): Promise<void> =>
  applyChangeSet(
    fs,
    { root: '/vm', otherRoots: ['/far'], label, request: 'r', changes },
    { runs: runsOf(1) },
  );
const settle = (fs: FileStore, root = '/vm', pid = 2) =>
  settleChangeSets(fs, root, { runs: runsOf(pid, [pid]) });
const fatesOf = async (fs: FileStore, root = '/vm', pid = 2) =>
  (await findInterrupted(fs, root, { runs: runsOf(pid, [pid]) })).map(({ fate }) => fate);
const texts = async (fs: FileStore) => ({
  ...(await textsBelow(fs, '/far')),
  ...(await textsBelow(fs, '/vm')),
});

/** As an older version left it: the border was not looked for before, and the failure had no name. */
async function stuck(fs: FileStore, changes = RENAME, label = 'rename'): Promise<void> {
  const mounted = withMount(fs, '/far', { told: false });
  const unnamed: FileStore = {
    ...mounted,
    rename: (from, to) =>
      mounted.rename(from, to).catch((error: unknown) => {
        if (!isVmdkError(error, 'other-file-system')) throw error;
        throw new VmdkError('io', 'io-error', 'cannot rename: the system reports EXDEV', { path: from });
      }),
  };
  await expect(apply(unnamed, changes, label)).rejects.toMatchObject({ code: 'not-finished' });
}

describe('a rename that an older version began and that ends at a file system', () => {
  it.each(['/vm', '/far'])('is taken back by the next run that comes to %s', async (root) => {
    const fs = newStore();
    await stuck(fs);
    expect(Object.keys(await textsBelow(fs, '/vm'))).not.toContain('/vm/disk-s001.vmdk');
    expect(await fatesOf(fs, root)).toEqual(['finished-or-undone']);
    const mounted = withMount(fs, '/far');
    expect(await fatesOf(mounted, root)).toEqual(['undone']);
    expect(await settle(mounted, root)).toEqual([{ label: 'rename', request: 'r', outcome: 'undone' }]);
    expect(await texts(fs)).toEqual(BEFORE);
    expect(
      (await fs.list('/vm')).concat(await fs.list('/far')).filter((name) => name.startsWith('.')),
    ).toEqual([]);
    expect(await settle(mounted, root)).toEqual([]);
  });

  it('is finished where the folder is on the same file system by now', async () => {
    const fs = newStore();
    await stuck(fs);
    expect(await settle(fs)).toMatchObject([{ outcome: 'finished' }]);
    expect(await texts(fs)).toEqual({
      '/far/new-s001.vmdk': 'first extent',
      '/far/new-s002.vmdk': 'second extent',
      '/far/new.vmdk': 'RW new-s001.vmdk new-s002.vmdk',
      '/far/other': 'other',
      '/vm/child.vmdk': 'hint="/far/new.vmdk"',
      '/vm/kept': 'old',
      '/vm/old': 'not old',
    });
  });

  it('is taken back however often the power is cut meanwhile', async () => {
    const begun = newStore();
    await stuck(begun);
    let tried = 0;
    for (let n = 0; ; n++) {
      const crashing = await crashStoreOf(begun);
      crashing.crashAt(n);
      const cut = await settle(withMount(crashing, '/far')).then(
        () => false,
        (error: unknown) => {
          if (isPowerCut(error)) return true;
          throw error;
        },
      );
      for await (const state of crashing.afterCrash(n, 4)) {
        for (const root of n % 2 === 0 ? ['/vm', '/far'] : ['/far', '/vm']) {
          const fates = await fatesOf(withMount(state, '/far'), root, 3);
          const settled = await settle(withMount(state, '/far'), root, 3);
          expect(fates, `cut at ${n}`).toEqual(settled.map(({ outcome }) => outcome));
        }
        expect(await texts(state), `cut at ${n}: ${crashing.log[n]}`).toEqual(BEFORE);
        tried++;
      }
      if (!cut) break;
    }
    expect(tried).toBeGreaterThan(60);
  });

  it('stays where it is while something else has the old name, and the error says where the file is', async () => {
    const fs = newStore();
    await stuck(fs);
    await fs.replace('/vm/disk-s001.vmdk', text('somebody else'));
    const mounted = withMount(fs, '/far');
    const error: unknown = await settle(mounted).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'in-the-way', context: { path: '/vm/disk-s001.vmdk' } });
    const [, at] = /What belongs here is in (\S+) until then\.$/.exec((error as Error).message)!;
    expect((await textsBelow(fs, '/vm'))[at!]).toBe('first extent');
    await fs.rename('/vm/disk-s001.vmdk', '/vm/elsewhere');
    expect(await settle(mounted)).toMatchObject([{ outcome: 'undone' }]);
    expect(await texts(fs)).toEqual({ ...BEFORE, '/vm/elsewhere': 'somebody else' });
  });
});

describe('a run that can be neither finished nor taken back', () => {
  it('because what it made may be in use names each file and its place, and goes on once they are there', async () => {
    const fs = newStore();
    const changes: FileChange[] = [...RENAME, { kind: 'create', path: '/vm/made', file: text('made') }];
    await stuck(fs, changes, 'snapshot');
    const mounted = withMount(fs, '/far');
    const before = await texts(fs);
    expect(await fatesOf(mounted)).toEqual(['stuck']);
    const error: unknown = await settle(mounted).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ kind: 'io', code: 'not-finished' });
    expect(await texts(fs)).toEqual(before);
    const named = [...(error as Error).message.matchAll(/^ {2}(\S+) belongs at (\S+)$/gm)];
    expect(named.map(([, , place]) => place)).toEqual(['/far/new-s001.vmdk', '/far/new-s002.vmdk']);
    for (const [, at, place] of named) {
      expect(posix.basename(posix.dirname(at!))).toBe('out');
      await fs.rename(at!, place!);
    }
    expect(await fatesOf(mounted)).toEqual(['finished']);
    expect(await settle(mounted)).toMatchObject([{ outcome: 'finished' }]);
    expect((await texts(fs))['/far/new-s002.vmdk']).toBe('second extent');
    expect((await texts(fs))['/vm/child.vmdk']).toBe('hint="/far/new.vmdk"');
  });

  it('because a folder is gone says where its file is, and goes on once it is there', async () => {
    const fs = newStore();
    const changes: FileChange[] = [{ kind: 'rename', from: '/vm/old', to: '/vm/sub/old' }];
    await fs.makeFolder('/vm/sub');
    const failing: FileStore = {
      ...fs,
      rename: (from, to) =>
        to === '/vm/sub/old' ? Promise.reject(new Error('it is gone')) : fs.rename(from, to),
    };
    await expect(apply(failing, changes)).rejects.toMatchObject({ code: 'not-finished' });
    await fs.removeFolder('/vm/sub');
    await expect(settle(fs)).rejects.toMatchObject({
      code: 'folder-missing',
      context: {
        path: '/vm/sub',
        hint: expect.stringMatching(/^The file is in \/vm\/\.vmdkit-change-.*\/out\/0\./),
      },
    });
    await fs.makeFolder('/vm/sub');
    expect(await settle(fs)).toMatchObject([{ outcome: 'finished' }]);
    expect((await texts(fs))['/vm/sub/old']).toBe('old');
  });
});

describe('two mounts of one file system, whose border only a rename finds', () => {
  it.each<[string, readonly FileChange[]]>([
    ['on the way in', RENAME],
    [
      'on the way out',
      [
        { kind: 'create', path: '/vm/made', file: text('m') },
        { kind: 'remove', path: '/vm/far/f' },
      ],
    ],
  ])('leave everything as it was: %s', async (_, changes) => {
    const fs = createMemoryFileStore(bytesOf({ ...BEFORE, '/vm/far/f': 'f' }));
    const before = await texts(fs);
    const mounts = withMount(withMount(fs, '/far', { told: false }), '/vm/far', { told: false });
    await expect(apply(mounts, changes)).rejects.toMatchObject({
      kind: 'refused',
      code: 'other-file-system',
    });
    expect(await texts(fs)).toEqual(before);
    expect((await fs.list('/vm')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('leave nothing of a power cut either', async () => {
    let n = 0;
    for (; ; n += 3) {
      const fs = await createCrashStore(bytesOf(BEFORE));
      fs.crashAt(n);
      const failure = await apply(withMount(fs, '/far', { told: false })).catch((error: unknown) => error);
      for await (const state of fs.afterCrash(n, 3)) {
        await settle(withMount(state, '/far', { told: false }));
        await settle(withMount(state, '/far', { told: false }), '/far');
        expect(await texts(state), `cut at ${n}: ${fs.log[n]}`).toEqual(BEFORE);
      }
      if (isVmdkError(failure, 'other-file-system')) break;
    }
    expect(n).toBeGreaterThan(60);
  });
});
