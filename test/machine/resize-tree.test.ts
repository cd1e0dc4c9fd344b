// A whole tree at another size: every disk reads as before, with zeros behind, or without the end that was zeros; nobody
// is left with a parent of another size, also when the power goes.
import { describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Bytes, type Sectors } from '../../src/core/units.ts';
import { resizeTree } from '../../src/machine/resize-tree.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import { settleAround } from '../../src/operations/settle-around.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { createCrashStore } from '../support/crash-store.ts';

/** Ends within a grain. */
const CAPACITY = 1500;
const DISKS = ['/ds/vm/base.vmdk', '/ds/vm/mid.vmdk', '/ds/vm/leaf.vmdk', '/ds/clone/side.vmdk'] as const;

async function contents(fs: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all;
}

async function write(fs: FileStore, path: string, at: number, count: number, seed: number): Promise<void> {
  const chain = await openChain(path, 'update', { fs });
  if (seed === 0) await chain.zero({ start: at as Sectors, count: count as Sectors });
  else await chain.write(at as Sectors, pattern(count * SECTOR_BYTES, seed));
  await chain.close();
}

/** base <- mid <- leaf, and side on mid in another folder. */
async function makeTree(fs: FileStore, base: string, delta: string): Promise<Map<string, Buffer>> {
  for (const folder of ['/ds', '/ds/vm', '/ds/clone']) await fs.makeFolder(folder);
  const split = (type: string) => (type.startsWith('twoGb') ? { splitSectors: 1024 } : {});
  await createDisk('/ds/vm/base.vmdk', bytes(CAPACITY * SECTOR_BYTES), { fs, type: base, ...split(base) });
  await write(fs, '/ds/vm/base.vmdk', 0, 300, 1);
  await write(fs, '/ds/vm/base.vmdk', 1024, 200, 2);
  await createDelta('/ds/vm/mid.vmdk', '/ds/vm/base.vmdk', { fs, type: delta, ...split(delta) });
  await write(fs, '/ds/vm/mid.vmdk', 100, 50, 3);
  await write(fs, '/ds/vm/mid.vmdk', 128, 128, 0);
  await createDelta('/ds/vm/leaf.vmdk', '/ds/vm/mid.vmdk', { fs, type: delta, ...split(delta) });
  await write(fs, '/ds/vm/leaf.vmdk', 1100, 30, 4);
  await createDelta('/ds/clone/side.vmdk', '/ds/vm/mid.vmdk', { fs, type: 'monolithicSparse' });
  await write(fs, '/ds/clone/side.vmdk', 10, 10, 5);
  const before = new Map<string, Buffer>();
  for (const path of DISKS) before.set(path, await contents(fs, path));
  return before;
}

async function expectTree(fs: FileStore, before: Map<string, Buffer>, sectors: number): Promise<void> {
  for (const [path, content] of before) {
    const expected = Buffer.alloc(sectors * SECTOR_BYTES);
    content.copy(expected);
    expect({ path, same: (await contents(fs, path)).equals(expected) }).toEqual({ path, same: true });
    const { verdict, problems } = await checkDisk(path, { fs, chain: true });
    expect({ path, verdict, problems }).toMatchObject({ path, verdict: 'sound' });
  }
}

const size = (sectors: number): Bytes => bytes(sectors * SECTOR_BYTES);

describe('resizeTree', () => {
  it.each([
    ['monolithicSparse', 'monolithicSparse'],
    ['vmfs', 'vmfsSparse'],
    ['monolithicFlat', 'twoGbMaxExtentSparse'],
    ['twoGbMaxExtentFlat', 'monolithicSparse'],
    ['twoGbMaxExtentSparse', 'vmfsSparse'],
  ])('grows and shrinks %s with %s deltas, asked for any disk of it', async (base, delta) => {
    const fs = createMemoryFileStore();
    const before = await makeTree(fs, base, delta);
    const { disks } = await resizeTree('/ds/vm/leaf.vmdk', size(5000), { fs });
    expect(disks.map(({ path }) => path).sort()).toEqual([...DISKS].sort());
    await expectTree(fs, before, 5000);
    await resizeTree('/ds/clone/side.vmdk', size(1300), { fs, shrink: true });
    await expectTree(fs, before, 1300);
    expect((await fs.list('/ds/vm')).filter((name) => name.startsWith('.vmdkit-change'))).toEqual([]);
    expect((await resizeTree('/ds/vm/base.vmdk', size(1300), { fs })).disks).toEqual([]);
  });

  it('cuts nothing off that any disk of the tree has data in', async () => {
    const fs = createMemoryFileStore();
    const before = await makeTree(fs, 'vmfs', 'monolithicSparse');
    await write(fs, '/ds/clone/side.vmdk', 1400, 10, 6);
    before.set('/ds/clone/side.vmdk', await contents(fs, '/ds/clone/side.vmdk'));
    const work = (options: object) => resizeTree('/ds/vm/leaf.vmdk', size(1300), { fs, ...options });
    await expect(work({})).rejects.toMatchObject({ code: 'shrink-not-asked' });
    await expect(work({ shrink: true })).rejects.toMatchObject({
      code: 'tail-in-use',
      context: { path: '/ds/clone/side.vmdk', sector: 1400 },
    });
    await expectTree(fs, before, CAPACITY);
  });

  it('refuses while a machine of the tree may run', async () => {
    const fs = createMemoryFileStore();
    const before = await makeTree(fs, 'vmfs', 'vmfsSparse');
    const vmx = await fs.create('/ds/clone/clone.vmx');
    const text =
      'scsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "side.vmdk"\ncleanShutdown = "FALSE"\n';
    await vmx.write(Buffer.from(text), 0);
    await vmx.close();
    const work = (options: object) => resizeTree('/ds/vm/base.vmdk', size(5000), { fs, ...options });
    await expect(work({})).rejects.toMatchObject({
      code: 'machine-unclean',
      context: { path: '/ds/clone/clone.vmx' },
    });
    await expectTree(fs, before, CAPACITY);
    await work({ force: true });
    await expectTree(fs, before, 5000);
  });

  it.each([
    ['vmfs', 'vmfsSparse', 2600, {}],
    ['monolithicFlat', 'monolithicSparse', 1300, { shrink: true }],
  ])('is whole or not at all when the power goes: %s, %s', async (base, delta, sectors, options) => {
    for (let cut = 0; ; cut += 29) {
      const fs = await createCrashStore();
      const before = await makeTree(fs, base, delta);
      fs.settle();
      fs.crashAt(cut);
      const failed = await resizeTree('/ds/vm/leaf.vmdk', size(sectors), { fs, ...options }).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failed === undefined) break;
      for await (const found of fs.afterCrash(cut, 2)) {
        const runs = { self: localRuns().self, stateOf: () => 'gone' as const };
        await settleAround(found, '/ds/vm/base.vmdk', { runs });
        await settleAround(found, '/ds/clone/side.vmdk', { runs });
        const now = (await contents(found, '/ds/vm/leaf.vmdk')).length / SECTOR_BYTES;
        expect([CAPACITY, sectors]).toContain(now);
        for (const [path, content] of before) {
          const expected = Buffer.alloc(now * SECTOR_BYTES);
          content.copy(expected);
          expect({ cut, path, same: (await contents(found, path)).equals(expected) }).toEqual({
            cut,
            path,
            same: true,
          });
        }
      }
    }
  });
});
