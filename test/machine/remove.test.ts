// Removing clones on a datastore: exactly their own files go, and whatever a hostile .vmx names, nothing of others.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { removeClones } from '../../src/machine/remove.ts';
import type { RemoveOptions } from '../../src/machine/remove-types.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { recordSharers } from '../../src/machine/sharers.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { filesBelow, hashesBelow } from '../support/clone-bench.ts';
import { buildMachine } from '../support/machine-model.ts';
import { linkText, makeDatastore, makeFolders, vmsdText, vmxText, writeText } from '../support/scan-model.ts';

async function datastore(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeDatastore(store, '/ds');
  return store;
}

const run = (store: FileStore, targets: string | string[], options: RemoveOptions = {}) =>
  removeClones([targets].flat(), { fs: store, ...options });

async function refusal(store: FileStore, targets: string | string[], options: RemoveOptions = {}) {
  const before = await hashesBelow(store, '/ds');
  try {
    await run(store, targets, options);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    expect(await hashesBelow(store, '/ds')).toEqual(before);
    return error;
  }
  throw new Error('it was not refused');
}

/** Runs it and gives what is gone, relative to /ds; all else is byte for byte what it was, but for `changed`. */
async function gone(
  store: FileStore,
  targets: string | string[],
  { changed = [], ...options }: RemoveOptions & { changed?: string[] } = {},
): Promise<string[]> {
  const [files, before] = [await filesBelow(store, '/ds'), await hashesBelow(store, '/ds')];
  await run(store, targets, options);
  const [left, after] = [await filesBelow(store, '/ds'), await hashesBelow(store, '/ds')];
  expect(left.filter((path) => !files.includes(path))).toEqual([]);
  expect(Object.keys(after).filter((path) => after[path] !== before[path])).toEqual(changed);
  return files.filter((path) => !left.includes(path)).map((path) => path.slice(4));
}

describe('removing a linked clone', () => {
  it('takes exactly its own files, and its folder when that is empty', async () => {
    const store = await datastore();
    for (const name of ['vmware.log', 'vmware-1.log', 'web-1.nvram', 'web-1.vmxf', 'web-1-1a2b3c4d.vswp'])
      await writeText(store, `/ds/web-1/${name}`, 'x');
    expect(await gone(store, '/ds/web-1/web-1.vmx', { force: true })).toEqual([
      'web-1/',
      'web-1/vmware-1.log',
      'web-1/vmware.log',
      'web-1/web-1-1a2b3c4d.vswp',
      'web-1/web-1-delta.vmdk',
      'web-1/web-1.nvram',
      'web-1/web-1.vmdk',
      'web-1/web-1.vmsd',
      'web-1/web-1.vmx',
      'web-1/web-1.vmxf',
    ]);
  });

  it('takes its snapshots too, down to the sentinel', async () => {
    const store = await datastore();
    await createSnapshot('/ds/web-1/web-1.vmx', { name: 'one' }, { fs: store });
    const report = await run(store, '/ds/web-1', { dryRun: true });
    expect(report.disks).toEqual(['/ds/web-1/web-1-000001.vmdk', '/ds/web-1/web-1.vmdk']);
    expect(report.kept).toEqual([{ path: '/ds/golden/golden.vmdk', reason: 'the clone only reads it' }]);
    expect(report.folders).toEqual(['/ds/web-1']);
    expect(await gone(store, '/ds/web-1')).toContain('web-1/web-1-000001-delta.vmdk');
  });

  it('keeps files that nobody knows, and the folder with them, and tells', async () => {
    const store = await datastore();
    await makeFolders(store, '/ds/web-1/notes', '/ds/web-1/empty');
    await writeText(store, '/ds/web-1/notes/todo.txt', 'x');
    await writeText(store, '/ds/web-1/orphan.vmdk', linkText('000000aa'));
    const report = await run(store, '/ds/web-1/web-1.vmx', { dryRun: true });
    const reason = 'it is not known to belong to it';
    expect(report.kept.filter(({ path }) => path.startsWith('/ds/web-1/'))).toEqual([
      { path: '/ds/web-1/notes/todo.txt', reason },
      { path: '/ds/web-1/orphan.vmdk', reason },
    ]);
    await run(store, '/ds/web-1/web-1.vmx');
    expect(await filesBelow(store, '/ds/web-1')).toEqual([
      '/ds/web-1/notes/',
      '/ds/web-1/notes/todo.txt',
      '/ds/web-1/orphan.vmdk',
    ]);
  });

  it('keeps what was forked for clones of its own, and says for whom', async () => {
    const store = await datastore();
    await makeFolders(store, '/ds/a', '/ds/b');
    await createDelta('/ds/a/a.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await createDelta('/ds/web-1/web-1-000001.vmdk', '/ds/web-1/web-1.vmdk', { fs: store });
    await createDelta('/ds/b/b.vmdk', '/ds/web-1/web-1-000001.vmdk', { fs: store });
    await createDelta('/ds/web-1/web-1-000002.vmdk', '/ds/web-1/web-1-000001.vmdk', { fs: store });
    await writeText(store, '/ds/web-1/web-1.vmx', vmxText('web-1', { 'scsi0:0': 'web-1-000002.vmdk' }));
    const report = await run(store, '/ds/web-1/web-1.vmx');
    const kept = report.kept.filter(({ path }) => path.startsWith('/ds/web-1/'));
    expect(Object.fromEntries(kept.map(({ path, reason }) => [path, reason]))).toEqual({
      '/ds/web-1/web-1-000001.vmdk': 'others stand on it: /ds/b/b.vmdk',
      '/ds/web-1/web-1-000001-delta.vmdk': 'it holds the data of web-1-000001.vmdk',
      '/ds/web-1/web-1.vmdk': 'others stand on it: /ds/a/a.vmdk, /ds/web-1/web-1-000001.vmdk',
      '/ds/web-1/web-1-delta.vmdk': 'it holds the data of web-1.vmdk',
    });
    const rest = ['/ds/a/a.vmdk', '/ds/b/b.vmdk', '/ds/web-1/web-1.vmdk', '/ds/web-1/web-1-000001.vmdk'];
    await run(store, rest);
    expect(await store.exists('/ds/web-1')).toBe(false);
  });

  it('makes its source forget it, in the snapshot database and in the register', async () => {
    const store = await datastore();
    const vmsd = '/ds/golden/golden.vmsd';
    const lines =
      'snapshot0.clone0 = "../web-1/web-1.vmx"\nsnapshot0.clone1 = "/ds/web-2/web-2.vmx"\nsnapshot0.numClones = "2"';
    await writeText(store, vmsd, vmsdText('golden.vmdk', lines));
    await recordSharers(store, '/ds/golden/golden.vmdk', ['/ds/web-1/web-1.vmdk', '/ds/web-2/web-2.vmdk']);
    const register = '/ds/golden/.vmdkit-sharers.json';
    await gone(store, '/ds/web-1/web-1.vmx', { changed: [register, vmsd] });
    const text = (await readWhole(store, vmsd)).toString();
    expect(text).toContain('snapshot0.clone0 = "/ds/web-2/web-2.vmx"\n');
    expect(text).toContain('snapshot0.numClones = "1"');
    expect(text).not.toContain('web-1');
    expect((await readWhole(store, register)).toString()).not.toContain('web-1');
    // Its source may go now, once the other has.
    await run(store, ['/ds/web-2/web-2.vmx', '/ds/golden/golden.vmx']);
    expect(await filesBelow(store, '/ds')).toEqual([]);
  });

  it('leaves the list of another snapshot alone that has the same uid', async () => {
    const store = await datastore();
    const vmsd = '/ds/golden/golden.vmsd';
    const twin = [
      'snapshot0.clone0 = "../web-2/web-2.vmx"',
      'snapshot0.numClones = "1"',
      'snapshot1.uid = "1"',
      'snapshot1.displayName = "twin"',
      'snapshot1.clone0 = "../web-1/web-1.vmx"',
      'snapshot1.numClones = "1"',
    ].join('\n');
    const text = vmsdText('golden.vmdk', twin).replace('numSnapshots = "1"', 'numSnapshots = "2"');
    await writeText(store, vmsd, text);
    const report = await run(store, '/ds/web-1/web-1.vmx');
    expect(report.forgotten).toEqual([{ path: vmsd, snapshot: 1, clone: '../web-1/web-1.vmx' }]);
    const gone = /snapshot1.clone0 = .*\n/;
    expect((await readWhole(store, vmsd)).toString()).toBe(
      text.replace(gone, '').replace('snapshot1.numClones = "1"', 'snapshot1.numClones = "0"'),
    );
  });

  it('removes a whole machine of three disks with all its snapshots', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds');
    await buildMachine(store, '/ds/vm');
    await run(store, '/ds/vm/golden.vmx');
    expect(await filesBelow(store, '/ds')).toEqual([]);
  });

  it('removes disks that were cloned alone, and the folder that was made for each', async () => {
    const store = await datastore();
    await makeFolders(store, '/ds/lab', '/ds/lab/a', '/ds/lab/files');
    for (const path of ['/ds/lab/a/a.vmdk', '/ds/lab/files/b.vmdk'])
      await createDelta(path, '/ds/golden/golden.vmdk', {
        fs: store,
        type: 'monolithicSparse',
        hint: 'absolute',
      });
    const options = { scan: ['/ds'] };
    expect(await gone(store, ['/ds/lab/a/a.vmdk', '/ds/lab/files/b.vmdk'], options)).toEqual([
      'lab/a/',
      'lab/a/a.vmdk',
      'lab/files/b.vmdk',
    ]);
  });
});

describe('what removing refuses', () => {
  it('refuses a machine whose disks others stand on, and names them', async () => {
    const store = await datastore();
    const error = await refusal(store, '/ds/golden/golden.vmx', { force: true });
    expect(error).toMatchObject({ kind: 'refused', code: 'disks-in-use' });
    expect(error.message).toBe(
      [
        '/ds/golden/golden.vmx: others need what would be removed: found /ds/web-1/web-1.vmdk needs /ds/golden/golden.vmdk, /ds/web-2/web-2.vmdk needs /ds/golden/golden.vmdk, expected nobody else',
        '  Remove those first, or name them too; or copy them out with vmdkit convert.',
      ].join('\n'),
    );
    // One of them is not enough.
    await refusal(store, ['/ds/golden/golden.vmx', '/ds/web-1/web-1.vmx']);
  });

  it('refuses a disk that a machine runs on, or that another disk stands on', async () => {
    const store = await datastore();
    expect((await refusal(store, '/ds/web-1/web-1.vmdk')).message).toContain('/ds/web-1/web-1.vmx needs');
    await makeFolders(store, '/ds/x');
    await createDelta('/ds/x/x.vmdk', '/ds/web-2/web-2.vmdk', { fs: store });
    expect((await refusal(store, '/ds/web-2/web-2.vmx')).message).toContain('/ds/x/x.vmdk needs');
  });

  it('refuses what only the register knows to be needed, until told to go on', async () => {
    const store = await datastore();
    await makeFolders(store, '/far', '/far/away');
    await recordSharers(store, '/ds/web-1/web-1.vmdk', ['/far/away/child.vmdk']);
    await writeText(store, '/far/away/child.vmdk', linkText('000000aa', '00000001', 'other.vmdk'));
    expect((await refusal(store, '/ds/web-1/web-1.vmx')).message).toContain(
      '/far/away/child.vmdk (by the register)',
    );
    // Looked at, it stands on something else.
    await run(store, '/ds/web-1/web-1.vmx', { allow: ['/far'], dryRun: true });
    await run(store, '/ds/web-1/web-1.vmx', { force: true });
  });

  it('refuses a base, a machine in use and a snapshot that lists clones', async () => {
    const store = await datastore();
    await writeText(store, '/ds/lone.vmdk', linkText('000000aa'));
    expect(await refusal(store, '/ds/lone.vmdk')).toMatchObject({ code: 'not-a-clone' });
    await makeFolders(store, '/ds/web-1/web-1.vmx.lck');
    await store.replace('/ds/web-1/web-1.vmx.lck/M00001.lck', Buffer.alloc(512, 0x20));
    expect((await refusal(store, '/ds/web-1/web-1.vmx')).kind).toBe('refused');
    await writeText(
      store,
      '/ds/web-2/web-2.vmsd',
      vmsdText('web-2.vmdk', 'snapshot0.clone0 = "../web-1/web-1.vmx"'),
    );
    expect(await refusal(store, '/ds/web-2/web-2.vmx')).toMatchObject({ code: 'snapshot-has-clones' });
  });
});

describe('a hostile machine', () => {
  const evil = async (
    store: FileStore,
    folder: string,
    disk: string,
    more = '',
    vmsd?: string,
  ): Promise<void> => {
    await makeFolders(store, folder);
    await writeText(store, posix.join(folder, 'evil.vmx'), vmxText('evil', { 'scsi0:0': disk }, more));
    if (vmsd !== undefined) await writeText(store, posix.join(folder, 'evil.vmsd'), vmsd);
  };

  it.each([
    ['relative', '../golden/golden.vmdk'],
    ['absolute', '/ds/golden/golden.vmdk'],
    ['of a datastore', '[ds] golden/golden.vmdk'],
    ['by its flat extent', '../golden/golden-flat.vmdk'],
  ])('that names the base as its own disk (%s) takes nothing of it', async (_, disk) => {
    const store = await datastore();
    await evil(store, '/ds/evil', disk, '', vmsdText(disk));
    expect(await gone(store, '/ds/evil/evil.vmx')).toEqual(['evil/', 'evil/evil.vmsd', 'evil/evil.vmx']);
  });

  it('that names files of others as its companions takes none of them', async () => {
    const store = await datastore();
    const more =
      'nvram = "../golden/golden.nvram"\nextendedConfigFile = "precious.txt"\ncheckpoint.vmState = "../golden/golden.vmss"\n';
    await evil(store, '/ds/evil', 'none.vmdk', more);
    for (const path of ['golden/golden.nvram', 'golden/golden.vmss', 'evil/precious.txt'])
      await writeText(store, `/ds/${path}`, 'x');
    expect(await gone(store, '/ds/evil/evil.vmx')).toEqual(['evil/evil.vmx']);
  });

  it('in the folder of another takes nothing that the other names', async () => {
    const store = await datastore();
    await writeText(store, '/ds/golden/golden.nvram', 'x');
    await writeText(store, '/ds/golden/vmware.log', 'x');
    const vmx = await readWhole(store, '/ds/golden/golden.vmx');
    await store.replace(
      '/ds/golden/golden.vmx',
      Buffer.concat([vmx, Buffer.from('nvram = "golden.nvram"\n')]),
    );
    await evil(store, '/ds/golden', 'none.vmdk', 'nvram = "golden.nvram"\n');
    expect(await gone(store, '/ds/golden/evil.vmx')).toEqual(['golden/evil.vmx']);
    await evil(store, '/ds/golden', 'golden-000001.vmdk');
    expect((await refusal(store, '/ds/golden/evil.vmx')).message).toContain('/ds/golden/golden.vmx needs');
  });

  it('in the folder that holds all machines owns none of their disks', async () => {
    const store = await datastore();
    await evil(store, '/ds', 'web-1/web-1.vmdk');
    expect(await gone(store, '/ds/evil.vmx')).toEqual(['evil.vmx']);
  });

  it('with a disk made of the extents of another disk is refused', async () => {
    const store = await datastore();
    const text = linkText('000000aa').replace('ZERO', 'FLAT "golden-flat.vmdk" 0');
    await writeText(store, '/ds/golden/trap.vmdk', text);
    await evil(store, '/ds/golden', 'trap.vmdk');
    expect((await refusal(store, '/ds/golden/evil.vmx')).message).toContain(
      '/ds/golden/golden.vmdk (by /ds/golden/golden-flat.vmdk) needs /ds/golden/trap.vmdk',
    );
  });

  it('with a disk made of some other file leaves that file', async () => {
    const store = await datastore();
    await evil(store, '/ds/evil', 'disk.vmdk');
    await writeText(store, '/ds/evil/thesis.doc', 'x'.repeat(512));
    await writeText(
      store,
      '/ds/evil/disk.vmdk',
      linkText('000000aa').replace('2048 ZERO', '1 FLAT "thesis.doc" 0'),
    );
    expect(await gone(store, '/ds/evil/evil.vmx')).toEqual(['evil/disk.vmdk', 'evil/evil.vmx']);
  });
});
