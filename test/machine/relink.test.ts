// Relinking a datastore whose golden machine moved: every hint leads to the base again, each in its own style, and
// nothing but hints changes.
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../src/core/units.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { relink, planRelink } from '../../src/machine/relink.ts';
import type { RelinkOptions, RelinkRequest } from '../../src/machine/relink-types.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { contentOf, filesBelow, hashesBelow } from '../support/clone-bench.ts';
import {
  linkText,
  makeDatastore,
  makeFolders,
  MODEL_BYTES,
  writeChain,
  writeInto,
  writeText,
} from '../support/scan-model.ts';

const textOf = async (store: FileStore, path: string) => (await readWhole(store, path)).toString('latin1');

/** The datastore, with the golden machine moved to archive/. */
async function moved(): Promise<FileStore> {
  const store = createMemoryFileStore();
  await makeDatastore(store, '/ds');
  await store.makeFolder('/ds/archive');
  await store.rename('/ds/golden', '/ds/archive/golden');
  return store;
}

const run = (store: FileStore, request: Partial<RelinkRequest> = {}, options: RelinkOptions = {}) =>
  relink({ folders: ['/ds'], ...request }, { fs: store, ...options });

async function failureOf(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isVmdkError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('relinking', () => {
  it('finds a base that moved by its CID and writes all hints and paths anew', async () => {
    const store = await moved();
    const base = await contentOf(store, '/ds/archive/golden/golden.vmdk');
    const before = await hashesBelow(store, '/ds');
    const report = await run(store);
    expect(report.disks.map(({ path, from, to, found }) => ({ path, from, to, found }))).toEqual(
      [1, 2].map((n) => ({
        path: `/ds/web-${n}/web-${n}.vmdk`,
        from: '../golden/golden.vmdk',
        to: '../archive/golden/golden.vmdk',
        found: 'cid',
      })),
    );
    expect(report.names.map(({ path, key, to }) => ({ path, key, to }))).toEqual(
      [1, 2].map((n) => ({
        path: `/ds/web-${n}/web-${n}.vmsd`,
        key: 'cloneOf0',
        to: '../archive/golden/golden.vmx',
      })),
    );
    expect(report).toMatchObject({ unchanged: 1, problems: [] });
    expect((await contentOf(store, '/ds/web-1/web-1.vmdk')).equals(base)).toBe(true);
    const after = await hashesBelow(store, '/ds');
    const changed = Object.keys(before).filter((path) => before[path] !== after[path]);
    expect(changed).toEqual([
      '/ds/web-1/web-1.vmdk',
      '/ds/web-1/web-1.vmsd',
      '/ds/web-2/web-2.vmdk',
      '/ds/web-2/web-2.vmsd',
    ]);
    // The base's folder learns who stands on it; nothing else is new.
    expect(Object.keys(after).filter((path) => before[path] === undefined)).toEqual([
      '/ds/archive/golden/.vmdkit-sharers.json',
    ]);
    expect(await run(store)).toMatchObject({ disks: [], names: [], unchanged: 3 });
  });

  it('changes nothing of a disk but its hint, embedded or in a file of its own', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/a', '/ds/b', '/ds/old');
    await createDisk('/ds/old/base.vmdk', MODEL_BYTES, { fs: store });
    await createDelta('/ds/a/embedded.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'monolithicSparse' });
    await createDelta('/ds/b/apart.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'twoGbMaxExtentSparse' });
    for (const path of ['/ds/a/embedded.vmdk', '/ds/b/apart.vmdk']) await writeInto(store, path);
    const before = await Promise.all(
      ['/ds/a/embedded.vmdk', '/ds/b/apart.vmdk'].map((path) => textOf(store, path)),
    );
    const data = await textOf(store, '/ds/b/apart-s001.vmdk');
    await store.makeFolder('/ds/new');
    await store.rename('/ds/old/base.vmdk', '/ds/new/root.vmdk');
    await run(store);
    const after = await Promise.all(
      ['/ds/a/embedded.vmdk', '/ds/b/apart.vmdk'].map((path) => textOf(store, path)),
    );
    const line = 'parentFileNameHint="../old/base.vmdk"';
    const changed = 'parentFileNameHint="../new/root.vmdk"';
    expect(after).toEqual(before.map((text) => text.replace(line, changed)));
    expect(await textOf(store, '/ds/b/apart-s001.vmdk')).toBe(data);
  });

  it('keeps the style of each hint, unless told which', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/old', '/ds/a', '/ds/new');
    await writeText(store, '/ds/new/base.vmdk', linkText('00000001'));
    const hints = {
      relative: '../old/base.vmdk',
      absolute: '/ds/old/base.vmdk',
      windows: '..\\old\\base.vmdk',
    };
    for (const [name, hint] of Object.entries(hints))
      await writeText(store, `/ds/a/${name}.vmdk`, linkText('000000aa', '00000001', hint));
    const { disks } = await planRelink({ folders: ['/ds'] }, { fs: store }).then(({ report }) => report);
    expect(disks.map(({ to }) => to)).toEqual([
      '/ds/new/base.vmdk',
      '../new/base.vmdk',
      '..\\new\\base.vmdk',
    ]);
    const absolute = await run(store, { hint: 'absolute' });
    expect(new Set(absolute.disks.map(({ to }) => to))).toEqual(new Set(['/ds/new/base.vmdk']));
  });

  it('writes paths of an ESX host by the map that leads from there to here, or says that it cannot', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/mnt', '/mnt/ds1', '/mnt/ds1/new', '/mnt/ds1/a');
    await writeText(store, '/mnt/ds1/new/base.vmdk', linkText('00000001'));
    for (const [name, hint] of [
      ['host', '/vmfs/volumes/ds1/old/base.vmdk'],
      ['store', '[ds1] old/base.vmdk'],
    ])
      await writeText(store, `/mnt/ds1/a/${name}.vmdk`, linkText('000000aa', '00000001', hint));
    const request = { folders: ['/mnt/ds1'] };
    const blind = await failureOf(run(store, request));
    expect(blind).toMatchObject({ code: 'disks-do-not-fit', kind: 'refused' });
    expect(blind.message).toContain('it cannot be told how to name the parent');
    expect(blind.message).toContain('--hint relative');
    const pathMap = [
      { from: '/vmfs/volumes/*', to: '/mnt/*' },
      { from: '[*]', to: '/mnt/*' },
    ];
    const { disks } = await run(store, request, { pathMap });
    expect(disks.map(({ to }) => to)).toEqual(['/vmfs/volumes/ds1/new/base.vmdk', '[ds1] new/base.vmdk']);
    expect(await run(store, request, { pathMap })).toMatchObject({ disks: [], unchanged: 2 });
  });

  it('mends a base that was renamed although another disk has its name now', async () => {
    const store = createMemoryFileStore();
    await makeDatastore(store, '/ds');
    await store.rename('/ds/golden/golden.vmdk', '/ds/golden/golden-v1.vmdk');
    await createDisk('/ds/golden/golden.vmdk', MODEL_BYTES, { fs: store });
    const report = await run(store);
    expect(report.disks.map(({ path, to }) => `${path} ${to}`)).toEqual([
      '/ds/golden/golden-000001.vmdk golden-v1.vmdk',
      '/ds/web-1/web-1.vmdk ../golden/golden-v1.vmdk',
      '/ds/web-2/web-2.vmdk ../golden/golden-v1.vmdk',
    ]);
  });

  it('mends links in the middle of a chain, which are deltas themselves', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/c', '/ds/d');
    await writeChain(store, '/ds/c', 5);
    await store.rename('/ds/c/l2.vmdk', '/ds/d/middle.vmdk');
    const { disks } = await run(store);
    expect(disks.map(({ path, to }) => `${path} ${to}`)).toEqual([
      '/ds/c/l3.vmdk ../d/middle.vmdk',
      '/ds/d/middle.vmdk ../c/l1.vmdk',
    ]);
  });

  it('follows a map to a copy although the old place is still there', async () => {
    const store = createMemoryFileStore();
    await makeDatastore(store, '/ds');
    await makeFolders(store, '/ds/copy');
    for (const name of ['golden.vmdk', 'golden-flat.vmdk'])
      await store.replace(`/ds/copy/${name}`, await readWhole(store, `/ds/golden/${name}`));
    const map = [{ from: '/ds/golden', to: '/ds/copy' }];
    const { disks } = await run(store, { moved: map, folders: ['/ds/web-1'] });
    expect(disks.map(({ path, to, found }) => ({ path, to, found }))).toEqual([
      { path: '/ds/web-1/web-1.vmdk', to: '../copy/golden.vmdk', found: 'map' },
    ]);
    expect(await textOf(store, '/ds/web-2/web-2.vmdk')).toContain('"../golden/golden.vmdk"');
  });

  it('says so when a base is named that nothing was made over', async () => {
    const store = await moved();
    await createDisk('/ds/other.vmdk', (1 << 20) as Bytes, { fs: store });
    const { disks, notes } = await run(store, { bases: ['/ds/other.vmdk'] });
    expect(disks).toEqual([]);
    expect(notes[0]).toMatch(
      /^no delta here was made over \/ds\/other\.vmdk, which has CID [0-9a-f]{8} and 2048 sectors: was it written to since\?$/,
    );
  });

  it('takes a base from outside when it is named, and says how readers get there', async () => {
    const store = await moved();
    await makeFolders(store, '/far', '/far/away');
    for (const name of ['golden.vmdk', 'golden-flat.vmdk'])
      await store.rename(`/ds/archive/golden/${name}`, `/far/away/${name}`);
    expect((await failureOf(run(store))).message).toContain('no disk that was found is its parent');
    const report = await run(store, { bases: ['/far/away/golden.vmdk'] });
    expect(report.disks.map(({ to, found }) => `${found} ${to}`)).toEqual([
      'base ../../../far/away/golden.vmdk',
      'base ../../far/away/golden.vmdk',
      'base ../../far/away/golden.vmdk',
    ]);
    expect(report.notes).toEqual([
      '/far/away is outside the surroundings of some deltas: open these with --allow /far/away',
    ]);
    await contentOf(store, '/ds/web-1/web-1.vmdk', ['/far']);
  });

  it('fixes the clones that a snapshot lists once they moved themselves', async () => {
    const store = createMemoryFileStore();
    await makeDatastore(store, '/ds');
    const vmsd = '/ds/golden/golden.vmsd';
    await writeText(
      store,
      vmsd,
      `${await textOf(store, vmsd)}snapshot0.clone0 = "../web-1/web-1.vmx"\nsnapshot0.clone1 = "../web-2/web-2.vmx"\n`,
    );
    await makeFolders(store, '/ds/lab');
    await store.rename('/ds/web-1', '/ds/lab/web-1');
    const { names, disks } = await run(store);
    expect(disks.map(({ to }) => to)).toEqual(['../../golden/golden.vmdk']);
    expect(names).toEqual([
      { path: vmsd, key: 'snapshot0.clone0', from: '../web-1/web-1.vmx', to: '../lab/web-1/web-1.vmx' },
      {
        path: '/ds/lab/web-1/web-1.vmsd',
        key: 'cloneOf0',
        from: '../golden/golden.vmx',
        to: '../../golden/golden.vmx',
      },
    ]);
  });
});

describe('what relinking refuses', () => {
  it('changes nothing when one disk does not fit, and the others with keepGoing', async () => {
    const store = await moved();
    await writeText(store, '/ds/lone.vmdk', linkText('000000aa', '00000bad', 'gone.vmdk'));
    const before = await hashesBelow(store, '/ds');
    const error = await failureOf(run(store));
    expect(error).toMatchObject({ kind: 'refused', code: 'disks-do-not-fit' });
    expect(error.message).toBe(
      [
        '/ds: not all of the deltas here can be relinked: found 1 of 3 that fit nowhere, expected a parent for each',
        '  tried /ds/lone.vmdk: no disk that was found is its parent: found the hint "gone.vmdk", expected a disk of 2048 sectors with CID 00000bad',
        '  Say where it is with --base FILE, or name its folder too. Or relink the others alone with --keep-going. Nothing was changed.',
      ].join('\n'),
    );
    expect(await hashesBelow(store, '/ds')).toEqual(before);
    const report = await run(store, { keepGoing: true });
    expect(report.disks).toHaveLength(2);
    expect(report.problems).toMatchObject([{ path: '/ds/lone.vmdk', code: 'parent-missing' }]);
  });

  it.each([
    ['another CID', linkText('00000002'), 'parent-cid-mismatch'],
    ['another size', linkText('00000001').replace('2048', '4096'), 'parent-capacity-mismatch'],
    ['the delta itself above it', linkText('00000001', '000000aa', '../a/delta.vmdk'), 'chain-cycle'],
  ])('is not led to a base with %s, not by a map either', async (_, base, code) => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/a', '/ds/new');
    await writeText(store, '/ds/a/delta.vmdk', linkText('000000aa', '00000001', '../old/base.vmdk'));
    await writeText(store, '/ds/new/base.vmdk', base);
    const map = [{ from: '../old', to: '/ds/new' }];
    const { report } = await planRelink({ folders: ['/ds'], moved: map }, { fs: store });
    expect(report.problems).toMatchObject([{ path: '/ds/a/delta.vmdk', code }]);
    await failureOf(run(store, { moved: map }));
    expect(await textOf(store, '/ds/a/delta.vmdk')).toContain('../old/base.vmdk');
  });

  it('does not choose between two disks that both fit, until one is named', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/a', '/ds/n1', '/ds/n2');
    await writeText(store, '/ds/a/delta.vmdk', linkText('000000aa', '00000001', '../old/base.vmdk'));
    for (const at of ['n1', 'n2']) await writeText(store, `/ds/${at}/base.vmdk`, linkText('00000001'));
    const { report } = await planRelink({ folders: ['/ds'] }, { fs: store });
    expect(report.problems).toMatchObject([
      { code: 'parent-ambiguous', candidates: ['/ds/n1/base.vmdk', '/ds/n2/base.vmdk'] },
    ]);
    const { disks } = await run(store, { bases: ['/ds/n2/base.vmdk'] });
    expect(disks).toMatchObject([{ to: '../n2/base.vmdk', found: 'base' }]);
  });

  it('refuses an embedded descriptor without room before anything is changed', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/old', '/ds/a', '/ds/b');
    await createDisk('/ds/old/base.vmdk', MODEL_BYTES, { fs: store });
    await createDelta('/ds/a/delta.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'monolithicSparse' });
    await createDelta('/ds/b/delta.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'twoGbMaxExtentSparse' });
    // Its text fills its place but for a few bytes.
    const file = await store.open('/ds/a/delta.vmdk', 'update');
    const header = Buffer.alloc(512);
    await file.readExactly(header, 0);
    const at = Number(header.readBigUInt64LE(28)) * 512;
    const text = Buffer.alloc(Number(header.readBigUInt64LE(36)) * 512);
    await file.readExactly(text, at);
    const end = text.indexOf(0);
    text.fill('#', end, text.length - 4);
    await file.write(text, at);
    await file.close();
    const far = '/ds/a-folder-with-quite-a-long-name';
    await makeFolders(store, far);
    await store.rename('/ds/old/base.vmdk', `${far}/base.vmdk`);
    const before = await hashesBelow(store, '/ds');
    const error = await failureOf(run(store));
    expect(error.message).toContain('the embedded descriptor has no room for the change');
    expect(await hashesBelow(store, '/ds')).toEqual(before);
  });

  it('refuses an embedded descriptor that may not be written before anything is changed', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/old', '/ds/a', '/ds/b', '/ds/new');
    await createDisk('/ds/old/base.vmdk', MODEL_BYTES, { fs: store });
    await createDelta('/ds/a/text.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'twoGbMaxExtentSparse' });
    await createDelta('/ds/b/embedded.vmdk', '/ds/old/base.vmdk', { fs: store, type: 'monolithicSparse' });
    await store.rename('/ds/old/base.vmdk', '/ds/new/base.vmdk');
    await store.changeMode!('/ds/b/embedded.vmdk', () => 0o444);
    const before = await hashesBelow(store, '/ds');
    expect(await failureOf(run(store))).toMatchObject({ code: 'file-not-writable' });
    expect(await hashesBelow(store, '/ds')).toEqual(before);
  });

  it('refuses disks that others have locked', async () => {
    const store = await moved();
    await makeFolders(store, '/ds/web-2/web-2.vmdk.lck');
    await store.replace('/ds/web-2/web-2.vmdk.lck/M00001.lck', Buffer.alloc(512, 0x20));
    const before = await hashesBelow(store, '/ds');
    expect(await failureOf(run(store))).toMatchObject({ code: 'disk-locked' });
    expect(await hashesBelow(store, '/ds')).toEqual(before);
    expect((await run(store, {}, { locked: 'ignore' })).disks).toHaveLength(2);
  });

  it('writes nothing in a dry run', async () => {
    const store = await moved();
    const before = await filesBelow(store, '/ds');
    const report = await run(store, {}, { dryRun: true });
    expect(report).toMatchObject({ 'dry-run': true, disks: [{}, {}], names: [{}, {}] });
    expect(await filesBelow(store, '/ds')).toEqual(before);
    expect(await textOf(store, '/ds/web-1/web-1.vmdk')).toContain('../golden/golden.vmdk');
  });

  it('touches nothing outside the named folders, whoever stands there', async () => {
    const store = await moved();
    const before = await hashesBelow(store, '/ds');
    const { disks } = await run(store, { folders: ['/ds/web-1'], bases: ['/ds/archive/golden/golden.vmdk'] });
    expect(disks.map(({ path }) => path)).toEqual(['/ds/web-1/web-1.vmdk']);
    const after = await hashesBelow(store, '/ds');
    expect(after['/ds/web-2/web-2.vmdk']).toBe(before['/ds/web-2/web-2.vmdk']);
  });
});
