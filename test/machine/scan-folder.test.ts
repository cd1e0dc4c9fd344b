// What a scan finds below a folder: who stands on whom, machines and clones, space, and everything that is wrong.
import { posix } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Progress } from '../../src/core/task.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { chainOf, dependantsOf, diskAt } from '../../src/machine/forest.ts';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { buildMachine } from '../support/machine-model.ts';
import {
  linkText,
  makeDatastore,
  makeFolders,
  MODEL_BYTES,
  vmsdText,
  vmxText,
  writeChain,
  writeInto,
  writeText,
} from '../support/scan-model.ts';

let store: FileStore;

beforeEach(async () => {
  store = createMemoryFileStore();
  await makeDatastore(store, '/ds');
});

const names = (disks: readonly { path: string }[]): string[] => disks.map(({ path }) => posix.basename(path));

async function allocated(...paths: string[]): Promise<number> {
  let sum = 0;
  for (const path of paths) sum += (await store.resolve(path)).allocated;
  return sum;
}

describe('a scan of a datastore', () => {
  it('finds every disk, its parent and its children', async () => {
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.disks.map(({ path, parent, foundBy, fits }) => [path, parent, foundBy, fits])).toEqual([
      ['/ds/golden/golden-000001.vmdk', '/ds/golden/golden.vmdk', 'hint', true],
      ['/ds/golden/golden.vmdk', undefined, undefined, undefined],
      ['/ds/web-1/web-1.vmdk', '/ds/golden/golden.vmdk', 'hint', true],
      ['/ds/web-2/web-2.vmdk', '/ds/golden/golden.vmdk', 'hint', true],
    ]);
    const golden = diskAt(forest, '/ds/golden/golden.vmdk')!;
    expect(golden.children).toEqual([
      '/ds/golden/golden-000001.vmdk',
      '/ds/web-1/web-1.vmdk',
      '/ds/web-2/web-2.vmdk',
    ]);
    expect(golden.files).toEqual(['/ds/golden/golden.vmdk', '/ds/golden/golden-flat.vmdk']);
    expect(golden).toMatchObject({ delta: false, outside: false, links: 1, problems: [], capacity: 2048 });
    expect(names(dependantsOf(forest, golden.path))).toEqual([
      'golden-000001.vmdk',
      'web-1.vmdk',
      'web-2.vmdk',
    ]);
    expect(names(chainOf(forest, '/ds/web-1/web-1.vmdk'))).toEqual(['web-1.vmdk', 'golden.vmdk']);
    expect(forest).toMatchObject({
      roots: ['/ds'],
      orphans: [],
      brokenHints: [],
      changedBases: [],
      longChains: [],
      problems: [],
      skipped: [],
      complete: true,
    });
  });

  it('finds machines, their snapshots, and which of them are linked clones of what', async () => {
    const forest = await scanFolder('/ds', { fs: store });
    expect(
      forest.machines.map(({ name, linkedClone, sharedDisks }) => [name, linkedClone, sharedDisks]),
    ).toEqual([
      ['golden', false, []],
      ['web-1', true, ['/ds/golden/golden.vmdk']],
      ['web-2', true, ['/ds/golden/golden.vmdk']],
    ]);
    const [golden, web] = forest.machines;
    expect(golden!.disks).toEqual([
      { node: 'scsi0:0', fileName: 'golden-000001.vmdk', path: '/ds/golden/golden-000001.vmdk' },
    ]);
    expect(golden!.snapshots).toMatchObject([
      {
        uid: 1,
        name: 'ready',
        current: true,
        createdAt: expect.stringMatching(/^2022-11-28T15:24:12/),
        disks: [{ node: 'scsi0:0', path: '/ds/golden/golden.vmdk' }],
      },
    ]);
    expect(golden!.problems).toEqual([]);
    expect(web!.cloneOf).toEqual(['../golden/golden.vmx']);
    expect(diskAt(forest, '/ds/golden/golden.vmdk')!.uses).toEqual([
      { machine: '/ds/golden/golden.vmx', node: 'scsi0:0', snapshot: 1 },
    ]);
    expect(diskAt(forest, '/ds/web-2/web-2.vmdk')!.machines).toEqual(['/ds/web-2/web-2.vmx']);
  });

  it('knows a linked clone without a word in its snapshot database', async () => {
    await store.remove('/ds/web-1/web-1.vmsd');
    const { machines } = await scanFolder('/ds', { fs: store });
    expect(machines[1]).toMatchObject({ linkedClone: true, cloneOf: [] });
  });

  it('counts what deleting a disk and all that hangs on it frees, in allocated bytes', async () => {
    const forest = await scanFolder('/ds', { fs: store });
    const leaf = await allocated('/ds/web-1/web-1.vmdk', '/ds/web-1/web-1-delta.vmdk');
    expect(diskAt(forest, '/ds/web-1/web-1.vmdk')!.freeable).toBe(leaf);
    const all = await allocated(...forest.disks.flatMap(({ files }) => files));
    expect(diskAt(forest, '/ds/golden/golden.vmdk')!.freeable).toBe(all);
    expect(diskAt(forest, '/ds/golden/golden.vmdk')!.occupied).toBe(
      await allocated('/ds/golden/golden.vmdk', '/ds/golden/golden-flat.vmdk'),
    );
  });

  it('counts a file that two disks name for neither of them alone', async () => {
    const text = await textOf('/ds/golden/golden.vmdk');
    await writeText(store, '/ds/golden/twin.vmdk', text);
    const forest = await scanFolder('/ds', { fs: store });
    const twin = diskAt(forest, '/ds/golden/twin.vmdk')!;
    expect(twin.freeable).toBe(await allocated('/ds/golden/twin.vmdk'));
    expect(twin.occupied).toBeGreaterThan(twin.freeable);
  });

  it('reports progress and stops with the reason of the signal', async () => {
    const seen: Progress[] = [];
    await scanFolder('/ds', { fs: store, onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ phase: 'scanning', done: 4, total: 4, unit: 'files' });
    const controller = new AbortController();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(scanFolder('/ds', { fs: store, signal: controller.signal })).rejects.toBe(reason);
  });

  it('reads each descriptor once', async () => {
    const opened: string[] = [];
    const counting: FileStore = {
      ...store,
      open: ((path: string, mode: 'read') => {
        opened.push(path);
        return store.open(path, mode);
      }) as FileStore['open'],
    };
    const forest = await scanFolder('/ds', { fs: counting });
    expect(opened.filter((path) => path.endsWith('.vmdk')).sort()).toEqual(
      forest.disks.map(({ path }) => path),
    );
  });

  it('finds nothing wrong with a sound machine of three disks and a snapshot tree', async () => {
    const model = await buildMachine(store, '/ds/model');
    const forest = await scanFolder('/ds/model', { fs: store });
    expect(forest.disks.filter(({ links }) => links === 3)).toHaveLength(3);
    expect(forest.disks.flatMap(({ problems }) => problems)).toEqual([]);
    expect(forest).toMatchObject({ orphans: [], brokenHints: [], changedBases: [], problems: [] });
    const [machine, ...others] = forest.machines;
    expect(others).toEqual([]);
    expect(machine).toMatchObject({ path: model.vmxPath, linkedClone: false, problems: [] });
    expect(machine!.snapshots.map(({ disks }) => disks.length)).toEqual([3, 3, 3]);
    expect(forest.disks.every(({ machines }) => machines.length === 1)).toBe(true);
  });

  it('follows hints out of the folder to the base, and marks it as outside', async () => {
    const forest = await scanFolder('/ds/web-1', { fs: store });
    expect(forest.disks.map(({ path, outside }) => [path, outside])).toEqual([
      ['/ds/golden/golden.vmdk', true],
      ['/ds/web-1/web-1.vmdk', false],
    ]);
    expect(forest.machines[0]!.linkedClone).toBe(true);
  });
});

describe('a scan of what is broken', () => {
  it('names the disk whose CID would mend a hint', async () => {
    await makeFolders(store, '/ds/moved');
    await store.rename('/ds/golden/golden.vmdk', '/ds/moved/base.vmdk');
    await store.rename('/ds/golden/golden-flat.vmdk', '/ds/moved/golden-flat.vmdk');
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.brokenHints).toEqual(
      ['golden/golden-000001', 'web-1/web-1', 'web-2/web-2'].map((name) => ({
        path: `/ds/${name}.vmdk`,
        hint: name.startsWith('golden') ? 'golden.vmdk' : '../golden/golden.vmdk',
        candidates: [{ path: '/ds/moved/base.vmdk', hint: '../moved/base.vmdk' }],
      })),
    );
    expect(diskAt(forest, '/ds/web-1/web-1.vmdk')).toMatchObject({
      parent: '/ds/moved/base.vmdk',
      foundBy: 'cid',
      problems: [{ code: 'HINT-BROKEN' }],
    });
    expect(dependantsOf(forest, '/ds/moved/base.vmdk')).toHaveLength(3);
  });

  it('offers every copy, and takes none for the parent, when several fit', async () => {
    const text = await textOf('/ds/golden/golden.vmdk');
    await makeFolders(store, '/ds/a', '/ds/b');
    for (const folder of ['a', 'b']) {
      await writeText(store, `/ds/${folder}/copy.vmdk`, text);
      await writeText(store, `/ds/${folder}/golden-flat.vmdk`, '');
    }
    await store.remove('/ds/golden/golden.vmdk');
    const forest = await scanFolder('/ds', { fs: store });
    const broken = forest.brokenHints.find(({ path }) => path === '/ds/web-1/web-1.vmdk')!;
    expect(broken.candidates.map(({ path }) => path)).toEqual(['/ds/a/copy.vmdk', '/ds/b/copy.vmdk']);
    expect(diskAt(forest, '/ds/web-1/web-1.vmdk')!.parent).toBeUndefined();
    expect(diskAt(forest, '/ds/web-1/web-1.vmdk')!.problems).toMatchObject([{ code: 'CHAIN-MISSING' }]);
  });

  it('never takes a sibling that nobody wrote to for the parent', async () => {
    await store.remove('/ds/golden/golden.vmdk');
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.brokenHints.map(({ candidates }) => candidates)).toEqual([[], [], []]);
  });

  it('takes a delta that nobody wrote to for the parent where the disk below it is elsewhere', async () => {
    await makeFolders(store, '/mid');
    await writeText(store, '/mid/mid.vmdk', linkText('00000007', '00000007', 'base.vmdk'));
    await writeText(store, '/mid/top.vmdk', linkText('00000008', '00000007', 'renamed.vmdk'));
    await writeText(store, '/mid/sibling.vmdk', linkText('00000007', '00000007', 'renamed.vmdk'));
    const forest = await scanFolder('/mid', { fs: store });
    expect(diskAt(forest, '/mid/top.vmdk')!.parent).toBe('/mid/mid.vmdk');
  });

  it('never takes for the parent what stands on the disk itself', async () => {
    await makeFolders(store, '/up');
    await writeText(store, '/up/low.vmdk', linkText('00000007', '00000007', 'gone.vmdk'));
    await writeText(store, '/up/high.vmdk', linkText('00000007', '00000007', 'low.vmdk'));
    const forest = await scanFolder('/up', { fs: store });
    expect(forest.disks.map(({ path, parent }) => [path, parent])).toEqual([
      ['/up/high.vmdk', '/up/low.vmdk'],
      ['/up/low.vmdk', undefined],
    ]);
    expect(forest.brokenHints).toEqual([{ path: '/up/low.vmdk', hint: 'gone.vmdk', candidates: [] }]);
  });

  it('takes the CID of disks nobody wrote to for no proof, but in the same folder', async () => {
    await makeFolders(store, '/fresh', '/fresh/a', '/fresh/b');
    await writeText(store, '/fresh/a/child.vmdk', linkText('00000005', 'fffffffe', 'gone.vmdk'));
    await writeText(store, '/fresh/b/new.vmdk', linkText('fffffffe'));
    expect((await scanFolder('/fresh', { fs: store })).brokenHints).toMatchObject([{ candidates: [] }]);
    await writeText(store, '/fresh/a/near.vmdk', linkText('fffffffe'));
    expect(diskAt(await scanFolder('/fresh', { fs: store }), '/fresh/a/child.vmdk')!.parent).toBe(
      '/fresh/a/near.vmdk',
    );
  });

  it('tells a base that was booted by mistake, and a copy of it as it was', async () => {
    await makeFolders(store, '/ds/backup');
    await writeText(store, '/ds/backup/golden.vmdk', await textOf('/ds/golden/golden.vmdk'));
    await writeText(store, '/ds/backup/golden-flat.vmdk', '');
    const before = (await scanFolder('/ds', { fs: store })).byPath.get('/ds/golden/golden.vmdk')!.cid!;
    await writeInto(store, '/ds/golden/golden.vmdk');
    const forest = await scanFolder('/ds', { fs: store });
    const golden = diskAt(forest, '/ds/golden/golden.vmdk')!;
    expect(golden.cid).not.toBe(before);
    expect(forest.changedBases).toEqual([
      {
        path: golden.path,
        cid: golden.cid,
        children: golden.children.map((path) => ({ path, expected: before })),
        candidates: ['/ds/backup/golden.vmdk'],
      },
    ]);
    expect(golden.children).toHaveLength(3);
    expect(diskAt(forest, '/ds/web-1/web-1.vmdk')).toMatchObject({
      fits: false,
      problems: [{ code: 'CHAIN-CID' }],
    });
  });

  it('takes no delta of a changed base for a copy of it as it was', async () => {
    // Nothing is written to it: it has the CID that everything below it had.
    await createDelta('/ds/web-1/web-1-000001.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await writeInto(store, '/ds/golden/golden.vmdk');
    const { changedBases } = await scanFolder('/ds', { fs: store });
    expect(changedBases).toMatchObject([{ path: '/ds/golden/golden.vmdk', candidates: [] }]);
  });

  it('takes a fork that linked clones hold for no snapshot that was forgotten', async () => {
    await createDelta('/ds/web-1/web-1-000001.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await writeText(store, '/ds/web-1/web-1.vmx', vmxText('web-1', { 'scsi0:0': 'web-1-000001.vmdk' }));
    const problems = async () => {
      const { machines } = await scanFolder('/ds', { fs: store });
      return machines.flatMap((machine) => machine.problems.map(({ code, severity }) => [code, severity]));
    };
    expect(await problems()).toEqual([['SNAPSHOT-UNRECORDED', 'warning']]);
    await createDelta('/ds/web-2/other.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    expect(await problems()).toEqual([['SNAPSHOT-UNRECORDED', 'info']]);
  });

  it('finds deltas, disks and extents that nothing refers to', async () => {
    await createDelta('/ds/web-1/web-1-000001.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await createDisk('/ds/web-2/old.vmdk', MODEL_BYTES, { fs: store });
    await writeText(store, '/ds/web-2/lost-flat.vmdk', 'x'.repeat(5000));
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.orphans.map(({ kind, path }) => [kind, path])).toEqual([
      ['delta', '/ds/web-1/web-1-000001.vmdk'],
      ['extent', '/ds/web-2/lost-flat.vmdk'],
      ['disk', '/ds/web-2/old.vmdk'],
    ]);
    for (const { path, freeable } of forest.orphans) {
      const files = diskAt(forest, path)?.files ?? [path];
      expect(freeable).toBe(await allocated(...files));
    }
  });

  it('finds whole chains that nothing refers to, and adds up what they hold', async () => {
    await createDelta('/ds/web-1/a.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await createDelta('/ds/web-1/b.vmdk', '/ds/web-1/a.vmdk', { fs: store });
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.orphans.map(({ path, message }) => [path, message])).toEqual([
      ['/ds/web-1/a.vmdk', 'only disks that nothing refers to stand on it'],
      ['/ds/web-1/b.vmdk', 'no machine, no snapshot and no other disk refers to it'],
    ]);
    expect(forest.orphans.reduce((sum, { freeable }) => sum + freeable, 0)).toBe(
      diskAt(forest, '/ds/web-1/a.vmdk')!.freeable,
    );
  });

  it('calls no disk an orphan where there is no machine that could refer to it', async () => {
    for (const name of ['golden', 'web-1', 'web-2']) {
      await store.remove(`/ds/${name}/${name}.vmx`);
      await store.remove(`/ds/${name}/${name}.vmsd`);
    }
    expect((await scanFolder('/ds', { fs: store })).orphans).toEqual([]);
  });

  it('finds snapshots whose disks are gone, databases and states of nobody, and deltas that no snapshot records', async () => {
    await writeText(store, '/ds/golden/golden.vmsd', vmsdText('gone.vmdk'));
    await writeText(store, '/ds/golden/golden-Snapshot1.vmsn', 'state');
    await writeText(store, '/ds/golden/golden-Snapshot7.vmsn', 'state');
    await makeFolders(store, '/ds/left');
    await writeText(store, '/ds/left/left.vmsd', vmsdText('left.vmdk'));
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.orphans.map(({ kind, path, message }) => [kind, path, message])).toEqual([
      [
        'snapshot',
        '/ds/golden/golden-Snapshot7.vmsn',
        'the state of a snapshot that no machine here records',
      ],
      ['snapshot', '/ds/golden/golden.vmx', expect.stringContaining('"gone.vmdk"')],
      ['snapshot', '/ds/left/left.vmsd', 'a snapshot database of no machine here'],
    ]);
    expect(forest.machines[0]!.problems).toMatchObject([{ code: 'SNAPSHOT-UNRECORDED' }]);
  });

  it('tells a machine whose disk is missing', async () => {
    await writeText(store, '/ds/web-1/web-1.vmx', vmxText('web', { 'scsi0:0': 'nowhere.vmdk' }));
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.machines[1]!.problems).toMatchObject([{ code: 'MACHINE-DISK', severity: 'error' }]);
    expect(forest.orphans).toMatchObject([{ kind: 'delta', path: '/ds/web-1/web-1.vmdk' }]);
  });

  it('warns of a machine that runs on a disk others stand on, unless it is a template', async () => {
    await writeText(store, '/ds/golden/golden.vmx', vmxText('golden', { 'scsi0:0': 'golden.vmdk' }));
    const { machines } = await scanFolder('/ds', { fs: store });
    expect(machines[0]!.problems).toMatchObject([
      { code: 'MACHINE-ON-BASE', message: expect.stringContaining('3 disks stand on it') },
    ]);
    await store.rename('/ds/golden/golden.vmx', '/ds/golden/golden.vmtx');
    expect((await scanFolder('/ds', { fs: store })).machines[0]).toMatchObject({
      template: true,
      problems: [],
    });
  });

  it('warns of chains past 30 links, and more so past 32', async () => {
    const severities: unknown[] = [];
    for (const links of [30, 31, 32, 33, 256]) {
      const deep = createMemoryFileStore();
      await makeFolders(deep, '/deep');
      await writeChain(deep, '/deep', links);
      const { longChains, problems, disks } = await scanFolder('/deep', { fs: deep });
      expect(problems).toEqual([]);
      expect(disks.flatMap((disk) => disk.problems)).toEqual([]);
      severities.push(longChains.map((chain) => [chain.path, chain.links, chain.severity]));
      if (links > 30) expect(longChains[0]!.advice).toContain(links > 255 ? '255' : '32');
    }
    expect(severities).toEqual([
      [],
      [['/deep/l30.vmdk', 31, 'warning']],
      [['/deep/l31.vmdk', 32, 'warning']],
      [['/deep/l32.vmdk', 33, 'error']],
      [['/deep/l255.vmdk', 256, 'error']],
    ]);
  });
});

/** One byte, one character: an embedded descriptor keeps its place. */
async function textOf(path: string): Promise<string> {
  const file = await store.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.readExactly(bytes, 0);
  await file.close();
  return bytes.toString('latin1');
}
