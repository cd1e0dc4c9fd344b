// Linked clones as they stand when a run is done, failed or was stopped: all or none, and the base as it was.
import { mkdir, mkdtemp, rm, stat, symlink, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFsFromVolume, Volume } from 'memfs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { VmdkError } from '../../src/core/errors.ts';
import type { Progress } from '../../src/core/task.ts';
import { sectors } from '../../src/core/units.ts';
import { cloneDisks } from '../../src/operations/clone-disks.ts';
import { planClones } from '../../src/operations/clone-plan.ts';
import { NEW_DELTA_TYPES } from '../../src/operations/plan-delta.ts';
import type { FileStore, WritableFile } from '../../src/storage/file-store.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { createFileStore, type PromisesFs } from '../../src/storage/promises-file-store.ts';
import {
  BASE_BYTES,
  BASE_CONTENT,
  cloned,
  contentOf,
  datastore,
  filesBelow,
  hashesBelow,
  makeBase,
  runsOf,
} from '../support/clone-bench.ts';

const GOLDEN = '/ds/golden/golden.vmdk';

describe('cloneDisks', () => {
  it.each(NEW_DELTA_TYPES)('makes %s clones that read as the base does, each by itself', async (type) => {
    const fs = await datastore();
    const before = await hashesBelow(fs, '/ds/golden');
    for (const layout of ['files', 'folders'] as const) {
      const into = `/ds/${layout}`;
      if (layout === 'folders') await fs.makeFolder(into);
      const results = await cloned({ bases: [GOLDEN], into, count: 2, type, layout, start: 7 }, { fs });
      expect(results.map(({ name, status, type: made }) => [name, status, made])).toEqual([
        ['golden-clone-07', 'created', type],
        ['golden-clone-08', 'created', type],
      ]);
      const files = (await filesBelow(fs, into)).filter((path) => !path.endsWith('/'));
      expect(files).toEqual(results.flatMap((result) => result.files!).toSorted());
    }
    // A clone in /ds/folders/NAME reaches no further than /ds/folders; those in /ds/files need no help.
    const [first] = await cloned({ bases: [GOLDEN], into: '/ds', names: ['x'], type }, { fs });
    for (const path of [first!.path!, '/ds/files/golden-clone-08.vmdk']) {
      const content = await contentOf(fs, path);
      expect(content.subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT)).toBe(true);
      expect(content.length).toBe(BASE_BYTES);
    }
    expect(await hashesBelow(fs, '/ds/golden')).toEqual(before);
  });

  it('gives a clone the CID of its base, its own long content id, and no file of the base', async () => {
    const fs = await datastore('vmfs');
    const results = await cloned({ bases: [GOLDEN], into: '/ds', count: 20 }, { fs });
    const ids = new Set<string>();
    for (const { path, cid, hint } of results) {
      const chain = await openChain(path!, 'read', { fs });
      await chain.close();
      const { leaf, links } = chain;
      const base = links[1]!.descriptor;
      expect(leaf.descriptor).toMatchObject({ cid: base.cid, parentCid: base.cid, parentFileNameHint: hint });
      expect(cid).toBe(base.cid!.toString(16).padStart(8, '0'));
      expect(leaf.descriptor.ddb.get('ddb.longcontentid')).toMatch(new RegExp(`^[0-9a-f]{24}${cid}$`));
      ids.add(leaf.descriptor.ddb.get('ddb.longcontentid')!);
      const text = Buffer.concat(leaf.descriptor.lines.map(({ raw }) => raw)).toString();
      expect(text.replace(/^parentFileNameHint=.*$/m, '')).not.toContain('golden.vmdk');
      expect(leaf.extents.map(({ extent }) => extent.path)).toEqual([path!.replace('.vmdk', '-delta.vmdk')]);
    }
    expect(ids.size).toBe(20);
  });

  it('makes clones that are written apart from each other and from the base', async () => {
    const fs = await datastore();
    const [one, two] = await cloned({ bases: [GOLDEN], into: '/ds', count: 2 }, { fs });
    const before = await hashesBelow(fs, '/ds/golden');
    const chain = await openChain(one!.path!, 'update', { fs });
    await chain.write(sectors(3), Buffer.alloc(512, 0xaa));
    await chain.close();
    expect((await contentOf(fs, one!.path!)).subarray(3 * 512, 4 * 512)).toEqual(Buffer.alloc(512, 0xaa));
    expect((await contentOf(fs, two!.path!)).subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT)).toBe(
      true,
    );
    expect(await hashesBelow(fs, '/ds/golden')).toEqual(before);
  });

  it('tells of every disk of a clone, and gives back what came with its name', async () => {
    const fs = await datastore();
    await makeBase(fs, '/ds/golden/data.vmdk', 'vmfs');
    const names = ['a', { name: 'b', ip: '10.0.0.2' }];
    const bases = [GOLDEN, '/ds/golden/data.vmdk'];
    const [a, b] = await cloned({ bases, into: '/ds', names }, { fs });
    expect(a).not.toHaveProperty('input');
    expect(b).toMatchObject({
      schema: 'vmdkit-clone/v1',
      name: 'b',
      input: { name: 'b', ip: '10.0.0.2' },
      path: '/ds/b/b-golden.vmdk',
      disks: [
        { path: '/ds/b/b-golden.vmdk', base: GOLDEN },
        { path: '/ds/b/b-data.vmdk', base: '/ds/golden/data.vmdk', type: 'vmfsSparse' },
      ],
    });
    for (const { path } of b!.disks!) await contentOf(fs, path);
  });

  it('tells how far it is', async () => {
    const fs = await datastore();
    const seen: Progress[] = [];
    await cloned({ bases: [GOLDEN], into: '/ds', count: 5 }, { fs, onProgress: (now) => seen.push(now) });
    expect(seen.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5]);
    expect(seen[4]).toEqual({ phase: 'cloning', done: 5, total: 5, unit: 'clones' });
  });

  it('carries out a plan as it stands, and refuses one that no longer fits', async () => {
    const fs = await datastore();
    const plan = await planClones({ bases: [GOLDEN], into: '/ds/lab', count: 2 }, { fs });
    const stored = JSON.parse(JSON.stringify(plan)) as typeof plan;
    const chain = await openChain(GOLDEN, 'update', { fs });
    await chain.write(sectors(9), Buffer.alloc(512, 1));
    await chain.close();
    const run = async (work: typeof plan) => {
      const made: (string | undefined)[] = [];
      for await (const { path } of cloneDisks(work, { fs })) made.push(path);
      return made;
    };
    await expect(run(stored)).rejects.toMatchObject({ kind: 'conflict', code: 'plan-outdated' });
    expect(await fs.list('/ds')).toEqual(['golden']);
    const fresh = await planClones({ bases: [GOLDEN], into: '/ds/lab', count: 2 }, { fs });
    expect(await run(fresh)).toEqual(fresh.clones.map(({ disks }) => disks[0]!.path));
  });
});

describe('cloneDisks on memfs', () => {
  it('makes clones there as elsewhere, in both layouts', async () => {
    const volume = createFsFromVolume(Volume.fromJSON({ '/ds/golden': null }));
    const store = createFileStore(volume.promises as PromisesFs);
    await makeBase(store, GOLDEN);
    const plain = await cloned({ bases: [GOLDEN], into: '/ds/lab', count: 2 }, { fs: store });
    const own = await cloned({ bases: [GOLDEN], into: '/ds', count: 2, type: 'vmfsSparse' }, { fs: store });
    for (const { path } of [...plain, ...own]) {
      const content = await contentOf(store, path!);
      expect(content.subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT)).toBe(true);
    }
    expect((await filesBelow(store, '/ds')).filter((path) => path.endsWith('/'))).toEqual([
      '/ds/golden/',
      '/ds/golden-clone-01/',
      '/ds/golden-clone-02/',
      '/ds/lab/',
    ]);
  });
});

describe('a run that fails', () => {
  it.each(['create', 'write', 'sync', 'rename', 'syncFolder', 'makeFolder'] as const)(
    'leaves nothing when a %s fails, whichever it is, or all of it',
    async (call) => {
      for (let nth = 0; nth < 1000; nth++) {
        const fs = await datastore();
        const before = await hashesBelow(fs, '/');
        const failing = failingStore(fs, call, nth);
        const request = { bases: [GOLDEN], into: '/ds/new/lab', count: 3, type: 'vmfsSparse' };
        const error: unknown = await cloned(request, { fs: failing.store }).then(
          () => undefined,
          (thrown) => thrown,
        );
        if (!failing.hasFailed()) return expect(nth).toBeGreaterThan(0);
        if (error instanceof VmdkError && error.code === 'not-finished') {
          const again = await cloned(request, { fs });
          expect(again, `${call} ${nth}`).toHaveLength(3);
          continue;
        }
        // What fails after all is safe in its place costs nobody a clone.
        if (error === undefined) {
          expect(await filesBelow(fs, '/ds/new/lab')).toHaveLength(6);
          continue;
        }
        expect(error, `${call} ${nth}`).toMatchObject({ code: 'no-space' });
        expect(await hashesBelow(fs, '/')).toEqual(before);
        expect(await filesBelow(fs, '/ds')).toEqual(['/ds/golden/', GOLDEN]);
      }
      expect.fail(`${call} never ran out`);
    },
  );

  it('leaves nothing when it is stopped, at any moment', async () => {
    for (let nth = 0; nth < 1000; nth++) {
      const fs = await datastore();
      const abort = new AbortController();
      const reason = new Error('enough');
      const stopping = watchedStore(fs, (count) => count === nth && abort.abort(reason));
      const request = { bases: [GOLDEN], into: '/ds', count: 3, layout: 'files' } as const;
      const options = { fs: stopping, signal: abort.signal };
      try {
        expect(await cloned(request, options)).toHaveLength(3);
        // Stopped too late: everything was already on its way into place.
        if (!abort.signal.aborted) return expect(nth).toBeGreaterThan(20);
        expect(await fs.list('/ds')).toHaveLength(4);
      } catch (error) {
        expect(error).toBe(reason);
        expect(await fs.list('/ds')).toEqual(['golden']);
      }
    }
    expect.fail('it never came to its end');
  });

  it('keeps none of the clones when one cannot be made, unless told to keep going', async () => {
    const fs = await datastore();
    const request = { bases: [GOLDEN], into: '/ds', count: 4 };
    const broken = breakingPath(fs, 'golden-clone-02.vmdk');
    await expect(cloned(request, { fs: broken })).rejects.toMatchObject({ code: 'no-space' });
    expect(await fs.list('/ds')).toEqual(['golden']);
    const results = await cloned({ ...request, keepGoing: true }, { fs: broken });
    expect(results.map(({ status }) => status)).toEqual(['created', 'failed', 'created', 'created']);
    expect(results[1]).toEqual({
      schema: 'vmdkit-clone/v1',
      name: 'golden-clone-02',
      status: 'failed',
      error: {
        code: 'no-space',
        kind: 'io',
        message: expect.stringContaining('golden-clone-02.vmdk'),
        path: expect.any(String),
      },
    });
    expect((await fs.list('/ds')).toSorted()).toEqual([
      'golden',
      'golden-clone-01',
      'golden-clone-03',
      'golden-clone-04',
    ]);
  });

  it('never takes the place of what appeared meanwhile, be it empty', async () => {
    for (const layout of ['files', 'folders'] as const) {
      const fs = await datastore();
      const path = layout === 'files' ? '/ds/b.vmdk' : '/ds/b';
      const appear = () => (layout === 'files' ? fs.create(path) : fs.makeFolder(path));
      const request = { bases: [GOLDEN], into: '/ds', names: ['a', 'b', 'c'], layout };
      await expect(cloned(request, { fs: interferingStore(fs, appear) })).rejects.toMatchObject({
        code: 'target-exists',
        context: { path },
      });
      expect((await fs.list('/ds')).toSorted()).toEqual([path.slice(4), 'golden']);
      await (layout === 'files' ? fs.remove(path) : fs.removeFolder(path));
      const going = { ...request, keepGoing: true };
      const results = await cloned(going, { fs: interferingStore(fs, appear) });
      expect(results.map(({ status }) => status)).toEqual(['created', 'failed', 'created']);
      expect(results[1]!.error).toMatchObject({ code: 'target-exists', path });
      expect(layout === 'files' ? (await fs.resolve(path)).size : (await fs.list(path)).length).toBe(0);
    }
  });

  it('keeps no clone of a base that changed meanwhile', async () => {
    const fs = await datastore();
    const late = interferingStore(fs, () => touch(fs, GOLDEN));
    await expect(cloned({ bases: [GOLDEN], into: '/ds', count: 3 }, { fs: late })).rejects.toMatchObject({
      kind: 'conflict',
      code: 'base-changed',
    });
    expect(await fs.list('/ds')).toEqual(['golden']);
  });

  it('gives way when another run begins in the same folder', async () => {
    const fs = await datastore();
    const other = '.vmdkit-clone-aaaaaaaa-2-7-00000000.new';
    const late = watchedStore(fs, (_, what, path) => {
      if (what === 'create' && path.endsWith('journal.json'))
        fs.makeFolder(`/ds/${other}`).catch(() => undefined);
    });
    const options = { fs: late, runs: runsOf(1, [1, 2]) };
    await expect(cloned({ bases: [GOLDEN], into: '/ds' }, options)).rejects.toMatchObject({
      kind: 'conflict',
      code: 'run-in-progress',
    });
    expect((await fs.list('/ds')).toSorted()).toEqual([other, 'golden']);
  });
});

describe('runs of cloneDisks that begin at the same moment', () => {
  it('take turns in one folder that none of them found', async () => {
    const fs = await datastore();
    const pids = [1, 2, 3];
    const runs = await Promise.all(
      pids.map((pid) =>
        cloned(
          { bases: [GOLDEN], into: '/ds/lab/new', count: 2, template: `run${pid}-{n}`, layout: 'files' },
          { fs, runs: runsOf(pid, pids) },
        ),
      ),
    );
    expect(runs.flat().map(({ name, status }) => `${name} ${status}`)).toEqual(
      pids.flatMap((pid) => [`run${pid}-1 created`, `run${pid}-2 created`]),
    );
    const files = await fs.list('/ds/lab/new');
    expect(files).toHaveLength(6);
    expect(files.filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('do not both get a name that both want', async () => {
    const fs = await datastore();
    const runs = [1, 2].map((pid) =>
      cloned(
        { bases: [GOLDEN], into: '/ds/lab', template: 'one{n}', layout: 'files' },
        { fs, runs: runsOf(pid, [1, 2]) },
      ),
    );
    const outcomes = await Promise.allSettled(runs);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'target-exists' },
    });
    expect((await fs.list('/ds/lab')).toSorted()).toEqual(['one1.vmdk']);
  });
});

describe('an error about a file of a clone', () => {
  it('names where it was to be, and the folder where nothing can be made', async () => {
    const fs = await datastore();
    const full = (path: string): VmdkError => new VmdkError('io', 'no-space', 'cannot write', { path });
    const noRoom = {
      ...fs,
      create: async (path: string): Promise<WritableFile> => {
        if (path.endsWith('.json')) return fs.create(path);
        return { ...(await fs.create(path)), write: () => Promise.reject(full(path)) };
      },
    };
    const request = { bases: [GOLDEN], into: '/ds/lab', template: 'a{n}', layout: 'files' as const };
    const error: unknown = await cloned(request, { fs: noRoom, runs: runsOf(1) }).catch((e: unknown) => e);
    expect((error as Error).message).toMatch(/^\/ds\/lab\/a1(-delta)?\.vmdk: cannot write$/);
    const shut = { ...fs, makeFolder: (path: string) => Promise.reject(full(path)) };
    await expect(cloned({ ...request, into: '/ds' }, { fs: shut, runs: runsOf(1) })).rejects.toMatchObject({
      message: '/ds: cannot write',
    });
    expect(await fs.list('/ds')).toEqual(['golden']);
  });
});

describe('cloneDisks on a real file system', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmdkit-clone-'));
    await mkdir(join(folder, 'golden'));
    await makeBase(undefined, join(folder, 'golden/golden.vmdk'), 'vmfs');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('makes 200 clones and leaves bytes and all times of the base as they were', async () => {
    const files = ['golden/golden.vmdk', 'golden/golden-flat.vmdk'].map((name) => join(folder, name));
    const times = () =>
      Promise.all(
        files.map(async (file) =>
          (({ atimeNs, mtimeNs, ctimeNs }) => ({ atimeNs, mtimeNs, ctimeNs }))(
            await stat(file, { bigint: true }),
          ),
        ),
      );
    const store = createNodeFileStore();
    const hashes = await hashesBelow(store, join(folder, 'golden'));
    // Older than what relatime would leave alone.
    for (const file of files) await utimes(file, new Date(2001, 1, 1), new Date(2002, 1, 1));
    const before = await times();
    const request = { bases: [files[0]!], into: folder, count: 200, template: 'web-{n:03}' };
    const results = await cloned(request, {});
    const after = await times();
    expect(after).toEqual(before);
    expect(results).toHaveLength(200);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['created']));
    expect(await hashesBelow(store, join(folder, 'golden'))).toEqual(hashes);
    const names = await store.list(folder);
    expect(names.toSorted()).toEqual(['golden', ...results.map(({ name }) => name)].toSorted());
    for (const { path } of [results[0]!, results[199]!]) {
      const content = await contentOf(undefined, path!);
      expect(content.subarray(0, BASE_CONTENT.length).equals(BASE_CONTENT)).toBe(true);
    }
  });

  it('refuses, with nothing made, where the file system is too full', async () => {
    const fs = await datastore();
    const full: FileStore = { ...fs, freeBytes: () => Promise.resolve(4096) };
    await expect(
      cloned({ bases: [GOLDEN], into: '/ds/new/lab', count: 3 }, { fs: full }),
    ).rejects.toMatchObject({
      kind: 'refused',
      code: 'no-space',
      context: { path: '/ds/new/lab', found: '4096 bytes free' },
    });
    expect(await fs.exists('/ds/new')).toBe(false);
  });

  it('occupies no more than the plan says', async () => {
    const request = { bases: [join(folder, 'golden/golden.vmdk')], into: join(folder, 'lab'), count: 3 };
    for (const type of NEW_DELTA_TYPES) {
      const plan = await planClones({ ...request, template: `${type}-{n}`, type }, {});
      let occupied = 0;
      for await (const { files } of cloneDisks(plan)) {
        for (const file of files!) occupied += (await stat(file)).blocks * 512;
      }
      expect(occupied, type).toBeGreaterThan(0);
      expect(occupied, type).toBeLessThanOrEqual(plan.totals['bytes-needed']);
    }
  });

  it('writes hints from where things really are, whatever links led there', async () => {
    await mkdir(join(folder, 'real/lab'), { recursive: true });
    await symlink(join(folder, 'real/lab'), join(folder, 'link'));
    await symlink(join(folder, 'golden/golden.vmdk'), join(folder, 'alias.vmdk'));
    const [made] = await cloned(
      { bases: [join(folder, 'alias.vmdk')], into: join(folder, 'link'), names: ['x'] },
      { allow: [folder] },
    );
    expect(made).toMatchObject({
      path: join(folder, 'real/lab/x.vmdk'),
      hint: '../../golden/golden.vmdk',
      base: join(folder, 'golden/golden.vmdk'),
    });
  });

  it('does not follow a link that stands in the place of a clone', async () => {
    await mkdir(join(folder, 'lab'));
    await symlink('/nowhere/at/all', join(folder, 'lab/x.vmdk'));
    const request = { bases: [join(folder, 'golden/golden.vmdk')], into: join(folder, 'lab'), names: ['x'] };
    await expect(cloned(request, {})).rejects.toMatchObject({ code: 'target-exists' });
  });
});

/** Fails the `nth` such call of the run with a full disk; undoing then works. */
function failingStore(
  fs: FileStore,
  call: 'create' | 'write' | 'sync' | 'rename' | 'syncFolder' | 'makeFolder',
  nth: number,
): { store: FileStore; hasFailed: () => boolean } {
  let count = 0;
  let failed = false;
  const guarded =
    <A extends unknown[], R>(name: string, work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (name === call && count++ === nth) {
        failed = true;
        throw new VmdkError('io', 'no-space', `cannot ${name}: the file system is full`);
      }
      return work(...args);
    };
  const guardedFile = (file: WritableFile): WritableFile => ({
    ...file,
    write: guarded('write', (data: Uint8Array, at: number) => file.write(data, at)),
    sync: guarded('sync', () => file.sync()),
  });
  const store: FileStore = {
    ...fs,
    create: guarded('create', async (path: string) => guardedFile(await fs.create(path))),
    rename: guarded('rename', (from: string, to: string) => fs.rename(from, to)),
    syncFolder: guarded('syncFolder', (path: string) => fs.syncFolder(path)),
    makeFolder: guarded('makeFolder', (path: string) => fs.makeFolder(path)),
  };
  return { store, hasFailed: () => failed };
}

/** Calls `before` just before each change, with how many there were, what it is and to which path. */
function watchedStore(
  fs: FileStore,
  before: (count: number, what: string, path: string) => unknown,
): FileStore {
  let count = 0;
  const watched =
    <A extends [string, ...unknown[]], R>(what: string, work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      before(count++, what, args[0]);
      return work(...args);
    };
  return {
    ...fs,
    create: watched('create', (path: string) => fs.create(path)),
    rename: watched('rename', (from: string, to: string) => fs.rename(from, to)),
    makeFolder: watched('makeFolder', (path: string) => fs.makeFolder(path)),
    syncFolder: watched('syncFolder', (path: string) => fs.syncFolder(path)),
  };
}

/** Does `deed` once, when the first file of a clone is made. */
function interferingStore(fs: FileStore, deed: () => Promise<unknown>): FileStore {
  let done = false;
  return watchedStore(fs, (_, what, path) => {
    if (done || what !== 'create' || !path.includes('/made/')) return;
    done = true;
    void deed();
  });
}

/** A store whose disk is full for one file name. */
function breakingPath(fs: FileStore, name: string): FileStore {
  return {
    ...fs,
    create: async (path) => {
      if (path.endsWith(name)) throw new VmdkError('io', 'no-space', 'the file system is full', { path });
      return fs.create(path);
    },
  };
}

async function touch(fs: FileStore, path: string): Promise<void> {
  const file = await fs.open(path, 'update');
  await file.resize((await file.size()) + 512);
  await file.close();
}
