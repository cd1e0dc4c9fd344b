// Change sets that nobody interrupts: each kind of change, what is refused before anything is made, and that a
// failure leaves everything as it was.
import { describe, expect, it } from 'vitest';
import { VmdkError } from '../../src/core/errors.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { applyChangeSet, type ChangeSetOptions } from '../../src/operations/change-set.ts';
import { findInterrupted, settleChangeSets } from '../../src/operations/settle-changes.ts';
import type { FileChange } from '../../src/operations/file-change.ts';
import { readWhole, writeWhole } from '../../src/operations/tidy.ts';
import { runsOf } from '../support/clone-bench.ts';
import { textsBelow } from '../support/change-bench.ts';
import { withMount } from '../support/mounted-store.ts';
import { createCrashStore } from '../support/crash-store.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const START = {
  '/vm/a.vmx': 'old vmx',
  '/vm/disk.vmdk': 'disk-disk-disk',
  '/vm/gone': 'x',
  '/vm/sub/f': 'f',
};

function newStore(): FileStore {
  return createMemoryFileStore(
    Object.fromEntries(Object.entries(START).map(([path, value]) => [path, text(value)])),
  );
}

async function apply(
  store: FileStore,
  changes: readonly FileChange[],
  options: ChangeSetOptions = {},
): Promise<void> {
  await applyChangeSet(
    store,
    { root: '/vm', label: 'test', request: 'r', changes },
    { runs: runsOf(1), ...options },
  );
}

describe('a change set', () => {
  it('patches a file where one of its renames brings it', async () => {
    const store = newStore();
    const move: FileChange = { kind: 'rename', from: '/vm/disk.vmdk', to: '/vm/sub/new.vmdk' };
    const patch = { kind: 'patch', path: '/vm/sub/new.vmdk', at: 5, data: text('DISK') } as const;
    const odd: readonly (readonly FileChange[])[] = [
      [{ ...patch, from: '/vm/disk.vmdk' }],
      [move, { ...patch, at: 0, data: text('D'), from: '/vm/gone' }],
    ];
    for (const changes of odd) await expect(apply(store, changes)).rejects.toMatchObject({ kind: 'usage' });
    const others = (): Promise<void> => store.replace('/vm/disk.vmdk', text('their-own-disk'));
    const changes = [move, { ...patch, from: '/vm/disk.vmdk' }];
    await expect(apply(store, changes, { beforeCommit: others })).rejects.toMatchObject({
      code: 'changed-since',
      context: { path: '/vm/disk.vmdk' },
    });
    await store.replace('/vm/disk.vmdk', text(START['/vm/disk.vmdk']));
    expect(await textsBelow(store, '/vm')).toEqual(START);
    await apply(store, changes);
    const { '/vm/disk.vmdk': _, ...rest } = START;
    expect(await textsBelow(store, '/vm')).toEqual({ ...rest, '/vm/sub/new.vmdk': 'disk-DISK-disk' });
  });

  it('makes, replaces, patches, renames and removes in one step', async () => {
    const store = newStore();
    await apply(store, [
      { kind: 'create', path: '/vm/new', file: text('new') },
      { kind: 'create', path: '/vm/planned', file: { size: 6, parts: [{ at: 2, data: text('ab') }] } },
      { kind: 'create', path: '/vm/copy', file: { copyOf: '/vm/disk.vmdk' } },
      {
        kind: 'create',
        path: '/vm/made',
        file: { make: (path) => writeWhole(store, path, text('made'), true) },
      },
      { kind: 'replace', path: '/vm/a.vmx', data: text('new vmx'), old: text('old vmx') },
      { kind: 'patch', path: '/vm/disk.vmdk', at: 5, data: text('DISK') },
      { kind: 'rename', from: '/vm/sub/f', to: '/vm/g' },
      { kind: 'remove', path: '/vm/gone' },
      { kind: 'remove-folder', path: '/vm/sub' },
      {
        kind: 'folder',
        path: '/vm/clone',
        files: [
          { name: 'a', content: text('1') },
          { name: 'b', content: text('2') },
        ],
      },
      {
        kind: 'create-together',
        path: '/vm',
        names: ['t1', 't2'],
        make: async (folder) => {
          for (const name of ['t1', 't2']) await writeWhole(store, `${folder}/${name}`, text(name), true);
        },
      },
    ]);
    expect(await textsBelow(store, '/vm')).toEqual({
      '/vm/a.vmx': 'new vmx',
      '/vm/clone/a': '1',
      '/vm/clone/b': '2',
      '/vm/copy': 'disk-disk-disk',
      '/vm/disk.vmdk': 'disk-DISK-disk',
      '/vm/g': 'f',
      '/vm/made': 'made',
      '/vm/new': 'new',
      '/vm/planned': '\0\0ab\0\0',
      '/vm/t1': 't1',
      '/vm/t2': 't2',
    });
    expect(await store.exists('/vm/sub')).toBe(false);
  });

  it('puts a new file in the place of one that leaves, and swaps two', async () => {
    const store = newStore();
    await apply(store, [
      { kind: 'remove', path: '/vm/gone' },
      { kind: 'create', path: '/vm/gone', file: text('here') },
      { kind: 'rename', from: '/vm/a.vmx', to: '/vm/disk.vmdk' },
      { kind: 'rename', from: '/vm/disk.vmdk', to: '/vm/a.vmx' },
    ]);
    expect(await textsBelow(store, '/vm')).toEqual({
      '/vm/a.vmx': 'disk-disk-disk',
      '/vm/disk.vmdk': 'old vmx',
      '/vm/gone': 'here',
      '/vm/sub/f': 'f',
    });
  });

  it('reaches into other roots, and makes a first root that is missing', async () => {
    const store = newStore();
    await applyChangeSet(
      store,
      {
        root: '/new/root',
        otherRoots: ['/vm'],
        label: 'clone',
        request: 'r',
        changes: [
          { kind: 'folder', path: '/new/root/c', files: [{ name: 'f', content: text('1') }] },
          { kind: 'create', path: '/vm/d', file: text('d') },
          { kind: 'replace', path: '/vm/a.vmx', data: text('v') },
        ],
      },
      { runs: runsOf(1) },
    );
    expect(await textsBelow(store, '/new')).toEqual({ '/new/root/c/f': '1' });
    expect(await textsBelow(store, '/vm')).toEqual({ ...START, '/vm/d': 'd', '/vm/a.vmx': 'v' });
  });

  it('keeps a folder that is not empty', async () => {
    const store = newStore();
    await apply(store, [{ kind: 'remove-folder', path: '/vm/sub' }]);
    expect(await textsBelow(store, '/vm')).toEqual(START);
  });

  it('goes on without an optional folder that fails, and tells of it', async () => {
    const store = newStore();
    const skipped: number[] = [];
    const failing = { copyOf: '/vm/nothing' };
    await apply(
      store,
      [
        {
          kind: 'folder',
          path: '/vm/c1',
          optional: true,
          files: [
            { name: 'a', content: text('a') },
            { name: 'b', content: failing },
          ],
        },
        { kind: 'folder', path: '/vm/c2', optional: true, files: [{ name: 'a', content: text('a') }] },
      ],
      { onSkipped: (index) => void skipped.push(index) },
    );
    expect(skipped).toEqual([0]);
    expect(await textsBelow(store, '/vm')).toEqual({ ...START, '/vm/c2/a': 'a' });
  });

  it('syncs each new file and folder once, and renames a folder once', async () => {
    const store = await createCrashStore({ '/vm/a': text('a') });
    const files = ['1', '2', '3'].map((name) => ({ name, content: text(name) }));
    const count = 40;
    const changes = Array.from({ length: count }, (_, index): FileChange => {
      return { kind: 'folder', path: `/vm/c${index}`, files };
    });
    await apply(store, changes);
    const counted = (pattern: RegExp): number => store.log.filter((line) => pattern.test(line)).length;
    expect(counted(/^create /)).toBe(3 * count + 1);
    expect(counted(/^sync /)).toBe(3 * count + 1);
    expect(counted(/^syncFolder .*made\/\d+$/)).toBe(count);
    expect(counted(/^rename .*made\/\d+ \/vm\/c\d+$/)).toBe(count);
    // What all of them share does not grow with their number.
    expect(store.log.length - 12 * count).toBeLessThan(40);
  });

  it('reports progress by files', async () => {
    const seen: string[] = [];
    const files = [
      { name: 'a', content: text('1') },
      { name: 'b', content: text('2') },
    ];
    await apply(newStore(), [{ kind: 'folder', path: '/vm/clone', files }], {
      onProgress: ({ phase, done, total, unit }) => void seen.push(`${phase} ${done}/${total} ${unit}`),
    });
    expect(seen).toEqual(['test 2/2 files']);
  });
});

describe('a change set that cannot be', () => {
  const good: FileChange = { kind: 'create', path: '/vm/new', file: text('new') };
  it.each<[string, string, FileChange]>([
    ['a place that is taken', 'target-exists', { kind: 'create', path: '/vm/gone', file: text('') }],
    ['a folder that is there', 'target-exists', { kind: 'folder', path: '/vm/sub', files: [] }],
    ['a rename onto something', 'target-exists', { kind: 'rename', from: '/vm/gone', to: '/vm/a.vmx' }],
    ['a missing file', 'file-missing', { kind: 'remove', path: '/vm/none' }],
    ['a missing folder', 'file-missing', { kind: 'create', path: '/vm/none/f', file: text('') }],
    ['a place outside', 'outside-roots', { kind: 'create', path: '/vm/../other', file: text('') }],
    ['a place in a journal', 'outside-roots', { kind: 'create', path: '/vm/.vmdkit-x', file: text('') }],
    [
      'another content than expected',
      'changed-since',
      { kind: 'replace', path: '/vm/a.vmx', data: text('n'), old: text('o') },
    ],
    ['bytes past the end', 'file-too-short', { kind: 'patch', path: '/vm/gone', at: 9, data: text('n') }],
    ['a folder for a file', 'not-a-regular-file', { kind: 'replace', path: '/vm/sub', data: text('n') }],
    ['a folder that is removed whole', 'usage', { kind: 'remove', path: '/vm/sub' }],
    ['a place twice', 'usage', { kind: 'create', path: '/vm/new', file: text('') }],
    [
      'a name that climbs',
      'usage',
      { kind: 'folder', path: '/vm/c', files: [{ name: '../x', content: text('') }] },
    ],
    ['a copy of nothing', 'file-missing', { kind: 'create', path: '/vm/c', file: { copyOf: '/vm/none' } }],
    [
      'other files than promised',
      'usage',
      { kind: 'create-together', path: '/vm', names: ['t'], make: async () => {} },
    ],
  ])('with %s changes nothing', async (_, code, bad) => {
    const store = newStore();
    await expect(apply(store, [good, bad])).rejects.toMatchObject({ code });
    expect(await textsBelow(store, '/vm')).toEqual(START);
  });

  it.each<FileChange>([
    { kind: 'rename', from: '/vm/gone', to: '/vm/sub/gone' },
    { kind: 'rename', from: '/vm/sub/f', to: '/vm/f' },
    { kind: 'remove', path: '/vm/sub/f' },
    { kind: 'create', path: '/vm/sub/new', file: text('n') },
  ])('on a file system that no rename reaches changes nothing: %o', async (bad) => {
    const store = withMount(newStore(), '/vm/sub');
    await expect(apply(store, [good, bad])).rejects.toMatchObject({ code: 'other-file-system' });
    expect(await textsBelow(store, '/vm')).toEqual(START);
  });

  it('because files changed while it was made, or it was stopped, changes nothing', async () => {
    const store = newStore();
    const changes: FileChange[] = [
      good,
      { kind: 'replace', path: '/vm/a.vmx', data: text('new') },
      { kind: 'patch', path: '/vm/disk.vmdk', at: 0, data: text('D') },
    ];
    const conflict = { code: 'changed-since' };
    const other = async (): Promise<void> => store.replace('/vm/a.vmx', text('theirs'));
    await expect(apply(store, changes, { beforeCommit: other })).rejects.toMatchObject(conflict);
    expect(await textsBelow(store, '/vm')).toEqual({ ...START, '/vm/a.vmx': 'theirs' });
    const patching = async (): Promise<void> => store.replace('/vm/disk.vmdk', text('their disk'));
    await expect(apply(store, changes, { beforeCommit: patching })).rejects.toMatchObject(conflict);
    const stop = new AbortController();
    const stopping = async (): Promise<void> => stop.abort(new Error('enough'));
    await expect(apply(store, changes, { beforeCommit: stopping, signal: stop.signal })).rejects.toThrow(
      'enough',
    );
    expect(await textsBelow(store, '/vm')).toEqual({
      ...START,
      '/vm/a.vmx': 'theirs',
      '/vm/disk.vmdk': 'their disk',
    });
  });

  it('names the place that was asked for, not the one in the journal', async () => {
    const store = newStore();
    const full = (path: string): Promise<never> =>
      Promise.reject(new VmdkError('io', 'no-space', 'cannot write', { path }));
    const noRoom = (part: string): FileStore => ({
      ...store,
      create: (path) => (path.includes(part) ? full(path) : store.create(path)),
    });
    await expect(apply(noRoom('/made/'), [good])).rejects.toMatchObject({ context: { path: good.path } });
    await expect(apply(noRoom('/journal.json'), [good])).rejects.toMatchObject({ context: { path: '/vm' } });
    expect(await textsBelow(store, '/vm')).toEqual(START);
  });

  it('because another one is at work in one of its roots changes nothing', async () => {
    const store = newStore();
    let inner: unknown;
    const changes = [good];
    await applyChangeSet(
      store,
      { root: '/w', otherRoots: ['/vm'], label: 'test', request: 'r', changes },
      {
        runs: runsOf(1),
        beforeCommit: async () => {
          inner = await apply(store, [{ ...good, path: '/vm/n2' }]).catch((error: unknown) => error);
          await expect(settleChangeSets(store, '/vm', { runs: runsOf(2, [1, 2]) })).rejects.toMatchObject({
            code: 'run-in-progress',
          });
        },
      },
    );
    expect(inner).toMatchObject({ code: 'run-in-progress' });
    expect(await textsBelow(store, '/vm')).toEqual({ ...START, '/vm/new': 'new' });
    expect(await findInterrupted(store, '/vm')).toEqual([]);
  });

  it('after the point of no return is finished by the next run', async () => {
    const store = newStore();
    let failing = true;
    const flaky: FileStore = {
      ...store,
      replace: async (path, data) => {
        if (failing) throw new Error('the disk is full');
        await store.replace(path, data);
      },
    };
    const changes: FileChange[] = [good, { kind: 'replace', path: '/vm/a.vmx', data: text('n') }];
    await expect(apply(flaky, changes)).rejects.toMatchObject({ code: 'not-finished' });
    failing = false;
    expect(await findInterrupted(flaky, '/vm', { runs: runsOf(1) })).toMatchObject([
      { label: 'test', request: 'r', fate: 'finished' },
    ]);
    expect(await settleChangeSets(flaky, '/vm', { runs: runsOf(1) })).toEqual([
      { label: 'test', request: 'r', outcome: 'finished' },
    ]);
    expect(await textsBelow(store, '/vm')).toEqual({ ...START, '/vm/new': 'new', '/vm/a.vmx': 'n' });
    expect(await readWhole(store, '/vm/new')).toEqual(Buffer.from('new'));
  });
});
