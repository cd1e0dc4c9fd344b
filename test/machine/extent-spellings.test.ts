// Disks whose descriptors spell the names of their extents otherwise than VMware does: by a path, with backslashes, from a
// folder of their own. What counts is which file is meant, for every command that changes one.
import { posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import type { VmdkError } from '../../src/core/errors.ts';
import { bytes, type Sectors } from '../../src/core/units.ts';
import { commitDisk } from '../../src/machine/commit-disk.ts';
import { consolidateDisk } from '../../src/machine/consolidate-disk.ts';
import { rewriteDescriptor } from '../../src/machine/descriptor-change.ts';
import { resizeTree } from '../../src/machine/resize-tree.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { deleteSnapshot } from '../../src/machine/snapshot-delete.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { compactDisk } from '../../src/operations/compact-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { describeDisk } from '../../src/operations/describe-chain.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { buildMachine, readDisk, type MachineModel } from '../support/machine-model.ts';
import { memoryCopyOf } from '../support/memory-copy.ts';

const BESIDE = ['./', '.\\', '/t/a/', './sub/../'];
const BELOW = ['sub/', 'sub\\', './sub\\'];
const TYPES = ['twoGbMaxExtentSparse', 'monolithicFlat'] as const;
const BASE = '/t/a/base.vmdk';
const TOP = '/t/a/top.vmdk';

const made = new Map<string, FileStore>();

beforeAll(async () => {
  for (const type of TYPES) {
    const fs = createMemoryFileStore();
    for (const folder of ['/t', '/t/a']) await fs.makeFolder(folder);
    await createDisk(BASE, bytes(1 << 18), { fs, type });
    await write(fs, BASE, 0, 1);
    await createDelta(TOP, BASE, { fs });
    await write(fs, TOP, 40, 2);
    made.set(type, fs);
  }
});

async function contents(fs: FileStore, path: string): Promise<string> {
  return (await readDisk(fs, path)).toString('latin1');
}

async function write(fs: FileStore, path: string, at: number, seed: number): Promise<void> {
  const chain = await openChain(path, 'update', { fs });
  await chain.write(at as Sectors, pattern(100 * 512, seed));
  await chain.close();
}

/** Has the descriptor at `path` name its extents by `way`, and puts them there. */
async function respell(fs: FileStore, path: string, way: string): Promise<void> {
  const { extents } = (await openChain(path, 'read', { fs })).leaf;
  if (!(await fs.exists('/t/a/sub'))) await fs.makeFolder('/t/a/sub');
  const lines = extents.map(({ line }) => ({ ...line, fileName: `${way}${line.fileName}` }));
  for (const { extent } of extents) {
    if (!BELOW.includes(way)) continue;
    const to = posix.join('/t/a/sub', posix.basename(extent.path!));
    await fs.replace(to, await readWhole(fs, extent.path!));
    await fs.remove(extent.path!);
  }
  await rewriteDescriptor(fs, path, { extents: lines });
  expect((await readWhole(fs, path)).toString()).toContain(`"${way}base`);
}

async function spelled(type: string, way: string): Promise<{ fs: FileStore; base: string; top: string }> {
  const fs = await memoryCopyOf(made.get(type)!);
  const [base, top] = [await contents(fs, BASE), await contents(fs, TOP)];
  await respell(fs, BASE, way);
  expect(await contents(fs, TOP)).toBe(top);
  return { fs, base, top };
}

const ALL = TYPES.flatMap((type) => [...BESIDE, ...BELOW].map((way) => ({ type, way })));

describe.each(ALL)('a $type disk with its extents at $way', ({ type, way }) => {
  it('takes a commit, in place and made anew', async () => {
    for (const inPlace of [true, false]) {
      const { fs, top } = await spelled(type, way);
      await commitDisk(TOP, { fs, inPlace, remove: true });
      expect(await contents(fs, BASE)).toBe(top);
      expect((await checkDisk(BASE, { fs })).verdict).toBe('sound');
      const left = [...(await fs.list('/t/a')), ...(await fs.list('/t/a/sub'))];
      // One file for each extent and the descriptor, and the folder: nothing is left behind.
      expect(left.filter((name) => name.endsWith('.vmdk'))).toHaveLength(2);
    }
  });

  it('is compacted, given another size, described and checked', async () => {
    const { fs, base, top } = await spelled(type, way);
    await compactDisk(BASE, { fs });
    expect(await contents(fs, BASE)).toBe(base);
    expect((await checkDisk(BASE, { fs })).verdict).toBe('sound');
    expect((await planRepair(BASE, { fs })).files).toEqual([]);
    await resizeTree(BASE, bytes(1 << 19), { fs });
    expect((await contents(fs, TOP)).slice(0, top.length)).toBe(top);
    const { extents } = (await describeDisk(BASE, { fs }))['format-specific'].data;
    expect(extents.every(({ found }) => found === true)).toBe(true);
  });

  it('is merged with what stands on it', async () => {
    const { fs, top } = await spelled(type, way);
    await consolidateDisk(TOP, { fs });
    expect(await contents(fs, TOP)).toBe(top);
  });
});

it('a name in another case is not the file, and the error says which file there is', async () => {
  const fs = await memoryCopyOf(made.get('monolithicFlat')!);
  const text = (await readWhole(fs, BASE)).toString();
  await fs.replace(BASE, Buffer.from(text.replace('base-flat.vmdk', 'Base-Flat.VMDK')));
  const hint = "There is base-flat.vmdk, which differs in case alone: give one of them the other's spelling.";
  for (const mode of ['read', 'update'] as const)
    await expect(openChain(BASE, mode as 'read', { fs })).rejects.toMatchObject({
      code: 'extent-missing',
      context: { hint, path: BASE },
    });
  await fs.replace(BASE, Buffer.from(text.replace('base-flat.vmdk', 'other-flat.vmdk')));
  const bare = await openChain(BASE, 'read', { fs }).catch((error: unknown) => error);
  expect(bare).toMatchObject({ code: 'extent-missing' });
  expect((bare as VmdkError).context).not.toHaveProperty('hint');
});

describe('snapshots over disks that spell their extents by', () => {
  let model: MachineModel;
  let built: FileStore;

  beforeAll(async () => {
    built = createMemoryFileStore();
    for (const folder of ['/t', '/t/a']) await built.makeFolder(folder);
    model = await buildMachine(built, '/t/a', { name: 'base', sectors: 1024, snapshots: false });
    await createSnapshot(model.vmxPath, { name: 'one' }, { fs: built });
  });

  it.each(BESIDE)('%s are deleted, in place and made anew', async (way) => {
    for (const inPlace of [true, false]) {
      const fs = await memoryCopyOf(built);
      const before = new Map<string, string>();
      for (const node of model.nodes) {
        const base = model.diskAt('running', node);
        await respell(fs, base, way);
        const leaf = base.replace('.vmdk', '-000001.vmdk');
        await write(fs, leaf, 8, 5);
        before.set(base, await contents(fs, leaf));
      }
      await deleteSnapshot(model.vmxPath, 'one', { fs, inPlace });
      for (const [path, held] of before) {
        expect(await contents(fs, path)).toBe(held);
        expect((await checkDisk(path, { fs })).verdict).toBe('sound');
      }
      expect(
        (await fs.list('/t/a')).filter((name) => name.includes('00001') || name.startsWith('.')),
      ).toEqual([]);
    }
  });

  it.each(BELOW)('%s are deleted in place, and refused otherwise', async (way) => {
    const fs = await memoryCopyOf(built);
    const base = model.diskAt('running', 'sata0:1');
    await respell(fs, base, way);
    const leaf = base.replace('.vmdk', '-000001.vmdk');
    await write(fs, leaf, 8, 5);
    const held = await contents(fs, leaf);
    await expect(deleteSnapshot(model.vmxPath, 'one', { fs })).rejects.toThrow(
      /found the extent \/t\/a\/sub\/base_1-flat\.vmdk, expected .*; --in-place takes any/,
    );
    expect(await contents(fs, leaf)).toBe(held);
    await deleteSnapshot(model.vmxPath, 'one', { fs, inPlace: true });
    expect(await contents(fs, base)).toBe(held);
  });
});
