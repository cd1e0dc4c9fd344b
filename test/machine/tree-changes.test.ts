// What commit, rebase, consolidate, promote and shadow refuse, and what they leave in the files that change.
import { beforeEach, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import type { Progress } from '../../src/core/task.ts';
import { bytes, SECTOR_BYTES } from '../../src/core/units.ts';
import { lineageOf } from '../../src/format/lineage.ts';
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { consolidateDisk } from '../../src/machine/consolidate-disk.ts';
import { rewriteDescriptor } from '../../src/machine/descriptor-change.ts';
import { promoteDisk } from '../../src/machine/promote-disk.ts';
import { rebaseDisk } from '../../src/machine/rebase-disk.ts';
import { removeClones } from '../../src/machine/remove.ts';
import { findSharers } from '../../src/machine/sharers.ts';
import { shadowDisk } from '../../src/machine/shadow-disk.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { takeLock } from '../../src/storage/take-lock.ts';
import { contentOf, hashesBelow } from '../support/clone-bench.ts';
import { expectRefused as expectRefusedIn } from '../support/expect-refused.ts';
import { vmsdText, vmxText, writeText } from '../support/scan-model.ts';
import { ModelTree, TREE_SECTORS, type ModelDisk } from '../support/tree-model.ts';

let fs: FileStore;
let tree: ModelTree;
let base: ModelDisk;
let mid: ModelDisk;
let leaf: ModelDisk;
let side: ModelDisk;

/** base ← mid ← leaf and mid ← side. */
beforeEach(async () => {
  tree = await ModelTree.open(createMemoryFileStore());
  fs = tree.store;
  base = await tree.addBase(0);
  mid = await tree.addDelta(base, 11);
  leaf = await tree.addDelta(mid, 12);
  side = await tree.addDelta(mid, 18);
});

const descriptorOf = async (path: string) => {
  const disk = await openDisk(path, { fs });
  await disk.close();
  return disk.descriptor;
};

const expectRefused = (change: Promise<unknown>, code: string, ...names: string[]): Promise<void> =>
  expectRefusedIn(fs, '/t', () => change, code, ...names);

describe('a dry run', () => {
  it('tells what would be done, and writes nothing', async () => {
    const before = await hashesBelow(fs, '/t');
    const plan = await commitDisk(leaf.path, { fs, dryRun: true });
    expect(plan).toMatchObject({ action: 'commit', 'dry-run': true });
    expect(plan.written.map(({ path }) => path)).toEqual([mid.path, side.path, leaf.path]);
    expect(plan['bytes-needed']).toBeGreaterThan(0);
    expect(await hashesBelow(fs, '/t')).toEqual(before);
    const done = await commitDisk(leaf.path, { fs });
    expect(done).toEqual({ ...plan, 'dry-run': false });
  });
});

describe('a change that is stopped', () => {
  it.each(['commit', 'promote', 'shadow'])('leaves everything as it was: %s', async (verb) => {
    const before = await hashesBelow(fs, '/t');
    const stop = new AbortController();
    const reason = new Error('stopped');
    const options = { fs, signal: stop.signal, onProgress: () => stop.abort(reason) };
    const change = { commit: commitDisk, promote: promoteDisk, shadow: shadowDisk }[verb]!;
    await expect(change(leaf.path, { ...options, to: '/t/b/new.vmdk' })).rejects.toBe(reason);
    expect(await hashesBelow(fs, '/t')).toEqual(before);
  });
});

describe('commit', () => {
  it('gives the disk the CID of the delta, and keeps all else of the descriptors', async () => {
    const [old, delta] = [await descriptorOf(mid.path), await descriptorOf(leaf.path)];
    await rewriteDescriptor(fs, mid.path, { ddb: { 'ddb.toolsVersion': '11333' } });
    await commitDisk(leaf.path, { fs });
    const [now, empty, beside] = [
      await descriptorOf(mid.path),
      await descriptorOf(leaf.path),
      await descriptorOf(side.path),
    ];
    expect(now.cid).toBe(delta.cid);
    expect(now.parentCid).toBe(old.parentCid);
    expect(now.ddb.get('ddb.toolsversion')).toBe('11333');
    expect([empty.cid, empty.parentCid, beside.parentCid]).toEqual([delta.cid, delta.cid, delta.cid]);
    const chain = await openChain(leaf.path, 'read', { fs });
    const runs = await chain.leaf.map({ start: 0 as never, count: TREE_SECTORS as never });
    expect([runs.length, runs.isAbsentAt(0)]).toEqual([1, true]);
    await chain.close();
    for (const { path } of tree.disks) expect((await checkDisk(path, { fs })).verdict).toBe('sound');
  });

  it('copies nothing into a sibling that hides all that changes', async () => {
    // A sibling with all of the leaf's sectors of its own.
    const twin = { path: '/t/a/twin.vmdk', parent: mid, content: Buffer.from(mid.content) };
    await createDelta(twin.path, mid.path, { fs });
    const chain = await openChain(twin.path, 'update', { fs });
    await chain.write(0 as never, Buffer.alloc(TREE_SECTORS * SECTOR_BYTES, 5));
    await chain.close();
    const { written, changed } = await commitDisk(leaf.path, { fs });
    expect(written.map(({ path }) => path)).not.toContain(twin.path);
    expect(changed).toContain(twin.path);
    const now = await openChain(twin.path, 'read', { fs });
    await now.close();
  });

  it('refuses a disk that a machine or a snapshot names, and goes on when it is forced', async () => {
    await fs.makeFolder('/t/vm');
    await writeText(fs, '/t/vm/vm.vmx', vmxText('vm', { 'scsi0:0': `..${side.path.slice(2)}` }));
    await writeText(fs, '/t/vm/vm.vmsd', vmsdText(`..${mid.path.slice(2)}`));
    await expectRefused(
      commitDisk(leaf.path, { fs }),
      'disk-of-machine',
      '/t/vm/vm.vmx',
      'snapshot VM delete',
    );
    await expectRefused(commitDisk(side.path, { fs, remove: true, into: base.path }), 'disk-of-machine');
    await commitDisk(leaf.path, { fs, force: true });
    mid.content = leaf.content;
    await tree.verify();
  });

  it('refuses to leave a sibling behind that cannot be read, and names it', async () => {
    await rewriteDescriptor(fs, side.path, { parentCid: 0x1234 });
    await expectRefused(commitDisk(leaf.path, { fs }), 'base-has-children', side.path, 'parentCID');
    const before = await hashesBelow(fs, '/t');
    await commitDisk(leaf.path, { fs, force: true });
    expect((await hashesBelow(fs, '/t'))[side.path]).toBe(before[side.path]);
  });

  it('refuses to leave behind one that lost an extent, or whose parent may not be looked at from there', async () => {
    const split = mid.path.replace(/[^/]+$/, 'split.vmdk');
    await createDelta(split, mid.path, { fs, type: 'twoGbMaxExtentSparse' });
    await fs.remove(split.replace('.vmdk', '-s001.vmdk'));
    await expectRefused(
      commitDisk(leaf.path, { fs }),
      'base-has-children',
      `${split} (extent "split-s001.vmdk" is missing)`,
      '--force',
    );
    await fs.remove(split);
    for (const folder of ['/t/far', '/t/far/x', '/t/far/x/y']) await fs.makeFolder(folder);
    const far = '/t/far/x/y/far.vmdk';
    await createDelta(far, mid.path, { fs });
    const around = { fs, scan: ['/t/far'] };
    const folder = mid.path.replace(/\/[^/]+$/, '');
    await expectRefused(
      commitDisk(leaf.path, around),
      'base-has-children',
      `${far} (the parent of this delta cannot be found)`,
      `--allow ${folder}`,
      '--force',
    );
    const content = await contentOf(fs, far, [folder]);
    await commitDisk(leaf.path, { ...around, allow: [folder] });
    expect((await contentOf(fs, far, [folder])).equals(content)).toBe(true);
    const left = await hashesBelow(fs, '/t/far');
    mid.content = leaf.content;
    await tree.verify();
    const top = await tree.addDelta(leaf, 13);
    const { notes } = await commitDisk(top.path, { ...around, into: mid.path, force: true });
    expect(notes).toEqual([
      `${far} (the parent of this delta cannot be found) stands on ${mid.path} and is left to itself`,
    ]);
    expect(await hashesBelow(fs, '/t/far')).toEqual(left);
  });

  it('in place is refused where others would read what is written over', async () => {
    await expectRefused(commitDisk(leaf.path, { fs, inPlace: true }), 'base-has-children', side.path);
    const top = await tree.addDelta(leaf, 11);
    await commitDisk(top.path, { fs, inPlace: true });
    leaf.content = top.content;
    await tree.verify();
  });

  it('in place, stopped half-way, is found, keeps new deltas off the disk and the delta there, and is finished by the same again', async () => {
    const top = await tree.addDelta(leaf, 11);
    const stopped = new AbortController();
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'copying') stopped.abort(new Error('stopped'));
    };
    const options = { fs, inPlace: true, signal: stopped.signal, onProgress };
    await expect(commitDisk(top.path, options)).rejects.toThrow('stopped');
    expect((await contentOf(fs, top.path)).equals(top.content)).toBe(true);
    expect(
      (await checkDisk(leaf.path, { fs })).problems.map(({ severity, code }) => [severity, code]),
    ).toEqual([['error', 'DESC-HALF-MERGED']]);
    await expectRefused(createDelta('/t/a/new.vmdk', leaf.path, { fs }), 'half-merged', 'vmdkit commit');
    const removing = removeClones([top.path], { fs, force: true });
    await expectRefused(removing, 'half-merged', `${leaf.path} is between`, `vmdkit commit ${top.path}`);
    const both = await removeClones([top.path, leaf.path], { fs, dryRun: true });
    expect(both.disks).toEqual([top.path, leaf.path]);
    await commitDisk(top.path, { fs, inPlace: true });
    leaf.content = top.content;
    await tree.verify();
    expect((await checkDisk(leaf.path, { fs })).problems).toEqual([]);
    expect((await removeClones([top.path], { fs, dryRun: true })).disks).toEqual([top.path]);
  });

  it('makes no sense for a disk without a parent, nor into one that is not below', async () => {
    await expect(commitDisk(base.path, { fs })).rejects.toMatchObject({ kind: 'usage' });
    await expect(commitDisk(leaf.path, { fs, into: side.path })).rejects.toMatchObject({ kind: 'usage' });
  });
});

describe('rebase', () => {
  it('does not touch what the new parent has alike', async () => {
    await fs.makeFolder('/t/copy');
    await shadowDisk(mid.path, { fs, to: '/t/copy/mid.vmdk' });
    const { written } = await rebaseDisk(leaf.path, { fs, backing: '/t/copy/mid.vmdk', unsafe: true });
    expect(written).toEqual([]);
    leaf.parent = { path: '/t/copy/mid.vmdk', parent: undefined, content: mid.content };
    tree.disks.push(leaf.parent);
    await tree.verify();
    const { disks } = await findSharers(fs, '/t/copy/mid.vmdk');
    expect(disks.map(({ path }) => path)).toEqual([leaf.path]);
  });

  it('unsafe mends a chain that does not open, also without its old parent', async () => {
    const top = await tree.addDelta(leaf, 11);
    const parent = await descriptorOf(mid.path);
    await rewriteDescriptor(fs, leaf.path, { parentCid: 0x1234, parentFileNameHint: 'gone.vmdk' });
    await expect(openChain(top.path, 'read', { fs })).rejects.toMatchObject({ kind: 'missing' });
    await rebaseDisk(leaf.path, { fs, backing: mid.path, unsafe: true });
    await tree.verify();
    expect((await descriptorOf(leaf.path)).parentCid).toBe(parent.cid);
    await expectRefused(
      rebaseDisk(leaf.path, { fs, backing: base.path, unsafe: true }),
      'base-has-children',
      top.path,
    );
  });

  it('refuses circles, other sizes, and chains that would become too deep', async () => {
    await expectRefused(rebaseDisk(mid.path, { fs, backing: side.path }), 'stands-on-itself', side.path);
    await createDisk('/t/a/small.vmdk', bytes(64 << 10), { fs });
    await expectRefused(rebaseDisk(leaf.path, { fs, backing: '/t/a/small.vmdk' }), 'backing-capacity');
    let top = side.path;
    for (let link = 4; link <= 32; link++) {
      await createDelta(`/t/b/l${link}.vmdk`, top, { fs });
      top = `/t/b/l${link}.vmdk`;
    }
    await expectRefused(
      rebaseDisk(leaf.path, { fs, backing: top }),
      'chain-too-deep',
      leaf.path,
      'vmdkit shadow',
    );
  });

  it('refuses a disk that is in use', async () => {
    const lock = await takeLock(fs, leaf.path);
    await expect(rebaseDisk(leaf.path, { fs, backing: base.path })).rejects.toMatchObject({
      code: 'disk-locked',
    });
    await lock.release();
    await rebaseDisk(leaf.path, { fs, backing: base.path });
    leaf.parent = base;
    await tree.verify();
  });
});

describe('consolidate', () => {
  it('keeps what others need, and refuses when that is everything', async () => {
    await expectRefused(consolidateDisk(leaf.path, { fs, above: base.path }), 'nothing-to-merge', side.path);
    const report = await consolidateDisk(leaf.path, { fs });
    expect(report.kept.map(({ path }) => path)).toEqual([mid.path]);
    // The base went into mid, which is a base now.
    expect(report.written.map(({ path }) => path)).toEqual([mid.path]);
    expect(await fs.exists(base.path)).toBe(false);
    mid.parent = undefined;
    tree.drop(base);
    await tree.verify();
  });
});

describe('promote', () => {
  it('makes a COWD delta a thin vmfs disk under its name, with the adapter of its base', async () => {
    const esx = await tree.addBase(4);
    const delta = await tree.addDelta(esx, 3);
    const [{ cid }, { ddb }] = [await descriptorOf(delta.path), await descriptorOf(esx.path)];
    await promoteDisk(delta.path, { fs });
    delta.parent = undefined;
    await tree.verify();
    const now = await descriptorOf(delta.path);
    expect(now).toMatchObject({ cid, createType: 'vmfs', parentFileNameHint: undefined });
    expect(now.ddb.get('ddb.adaptertype')).toBe(ddb.get('ddb.adaptertype'));
    expect(now.ddb.get('ddb.geometry.cylinders')).toBe(ddb.get('ddb.geometry.cylinders'));
    expect((await checkDisk(delta.path, { fs })).verdict).toBe('sound');
    const again = await promoteDisk(delta.path, { fs });
    expect([again.written, again.notes.length]).toEqual([[], 1]);
  });

  it.each(['monolithicFlat', 'twoGbMaxExtentSparse', 'streamOptimized'])('makes it %s', async (type) => {
    await promoteDisk(leaf.path, { fs, type });
    leaf.parent = undefined;
    await tree.verify();
    expect((await descriptorOf(leaf.path)).createType).toBe(type);
    expect((await checkDisk(leaf.path, { fs })).verdict).toBe('sound');
  });
});

describe('shadow', () => {
  it('goes on from a chain that cannot grow, and remembers it', async () => {
    let top = leaf.path;
    for (let link = 4; link <= 32; link++) {
      await createDelta(`/t/b/l${link}.vmdk`, top, { fs });
      top = `/t/b/l${link}.vmdk`;
    }
    await expect(createDelta('/t/b/l33.vmdk', top, { fs })).rejects.toMatchObject({ code: 'chain-too-deep' });
    const to = '/t/c/new-base.vmdk';
    await shadowDisk(top, { fs, to, move: [top], clones: ['/t/b/clone.vmdk'] });
    await createDelta('/t/b/l33.vmdk', top, { fs });
    const chain = await openChain('/t/b/l33.vmdk', 'read', { fs });
    expect(chain.links.map(({ path }) => path)).toEqual(['/t/b/l33.vmdk', top, to]);
    await chain.close();
    const { cid } = await descriptorOf(leaf.path);
    expect(lineageOf(await descriptorOf(to))).toEqual({
      path: '../b/l32.vmdk',
      cid: cid!.toString(16).padStart(8, '0'),
    });
    const clone = await openChain('/t/b/clone.vmdk', 'read', { fs });
    expect(clone.links).toHaveLength(2);
    await clone.close();
    await expectRefused(shadowDisk(top, { fs, to }), 'target-exists', to);
  });
});
