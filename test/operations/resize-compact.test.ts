// Disks of another size, and compacted ones, hold what they held: against buffers, for every writable type, and with the
// power cut at any moment.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { compactDisk } from '../../src/operations/compact-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import { resizeDisk } from '../../src/operations/resize-disk.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import { settleAround } from '../../src/operations/settle-around.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { hashFile, pattern } from '../support/chain-model.ts';
import { createCrashStore, isPowerCut } from '../support/crash-store.ts';

const TYPES: readonly CreateDiskOptions[] = [
  { type: 'monolithicSparse' },
  { type: 'monolithicSparse', grainSize: 16 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 1024 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 1024 },
  { type: 'vmfs', thin: true },
];

async function put(store: FileStore, path: string, content: Buffer, at: number, count: number, seed: number) {
  const chain = await openChain(path, 'update', { fs: store });
  const capacity = content.length / SECTOR_BYTES;
  const start = at % capacity;
  const data = pattern(Math.min(count, capacity - start) * SECTOR_BYTES, seed);
  if (seed === 0) data.fill(0);
  await chain.write(start as Sectors, data);
  await chain.close();
  data.copy(content, start * SECTOR_BYTES);
}

async function contents(store: FileStore, path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs: store });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all;
}

async function expectSound(store: FileStore, path: string, content: Buffer): Promise<void> {
  expect((await contents(store, path)).equals(content)).toBe(true);
  const { verdict } = await checkDisk(path, { fs: store });
  expect(verdict).toBe('sound');
  expect((await store.list('/disks')).filter((name) => name.startsWith('.'))).toEqual([]);
}

const step = fc.record({
  at: fc.nat(4000),
  count: fc.integer({ min: 1, max: 300 }),
  seed: fc.nat(5),
  size: fc.integer({ min: 1, max: 4000 }),
});

describe('resize and compact', () => {
  for (const type of TYPES) {
    it(`leave what a plain buffer has: ${JSON.stringify(type)}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
          const store = createMemoryFileStore();
          await store.makeFolder('/disks');
          let content = Buffer.alloc(1500 * SECTOR_BYTES);
          await createDisk('/disks/a.vmdk', bytes(content.length), { ...type, fs: store });
          for (const { at, count, seed, size } of steps) {
            await put(store, '/disks/a.vmdk', content, at, count, seed);
            const { after } = await resizeDisk('/disks/a.vmdk', bytes(size * SECTOR_BYTES), {
              fs: store,
              shrink: true,
              force: true,
            });
            const next = Buffer.alloc(size * SECTOR_BYTES);
            content.copy(next);
            content = next;
            expect(after).toBe(content.length);
            await expectSound(store, '/disks/a.vmdk', content);
            await put(store, '/disks/a.vmdk', content, at, count, seed);
            await compactDisk('/disks/a.vmdk', { fs: store });
            await expectSound(store, '/disks/a.vmdk', content);
          }
        }),
        { numRuns: 8, seed: 4103 },
      );
    });
  }

  it('grow past the end of a split disk with further extents, and take them away again', async () => {
    const store = createMemoryFileStore();
    await store.makeFolder('/disks');
    await createDisk('/disks/a.vmdk', bytes(64 << 20), { type: 'twoGbMaxExtentSparse', fs: store });
    const content = Buffer.alloc(64 << 20);
    await put(store, '/disks/a.vmdk', content, 100_000, 50, 3);
    await resizeDisk('/disks/a.vmdk', bytes(5 * 2 ** 30), { fs: store });
    expect((await store.list('/disks')).sort()).toEqual([
      'a-s001.vmdk',
      'a-s002.vmdk',
      'a-s003.vmdk',
      'a.vmdk',
    ]);
    await resizeDisk('/disks/a.vmdk', bytes(64 << 20), { fs: store, shrink: true });
    expect((await store.list('/disks')).sort()).toEqual(['a-s001.vmdk', 'a.vmdk']);
    await expectSound(store, '/disks/a.vmdk', content);
  });
});

describe('resize', () => {
  it('refuses what would lose data or break a chain, and changes nothing', async () => {
    const store = createMemoryFileStore();
    await store.makeFolder('/disks');
    await createDisk('/disks/a.vmdk', bytes(1 << 20), { fs: store });
    await put(store, '/disks/a.vmdk', Buffer.alloc(1 << 20), 1999, 1, 3);
    await createDelta('/disks/d.vmdk', '/disks/a.vmdk', { fs: store });
    const before = await hashFile(store, '/disks/a.vmdk');
    const resize = (path: string, size: number, shrink = false) =>
      resizeDisk(path, bytes(size), { fs: store, shrink });
    await expect(resize('/disks/d.vmdk', 2 << 20)).rejects.toMatchObject({ code: 'delta-has-parents-size' });
    await expect(resize('/disks/a.vmdk', 1 << 19)).rejects.toMatchObject({ code: 'shrink-not-asked' });
    await expect(resize('/disks/a.vmdk', 1 << 19, true)).rejects.toMatchObject({
      code: 'tail-in-use',
      kind: 'refused',
      context: { sector: 1999 },
    });
    await expect(resize('/disks/a.vmdk', 1000)).rejects.toMatchObject({ kind: 'usage' });
    expect(await hashFile(store, '/disks/a.vmdk')).toBe(before);
    const shrunk = await resize('/disks/a.vmdk', 1_000_000 - (1_000_000 % 512) + 512 * 100, true);
    expect(shrunk.after).toBeLessThan(1 << (20 + 1));
  });
});

describe('compact', () => {
  it('drops zeros and what the parent has, hides what it must, and leaves children and CIDs as they were', async () => {
    for (const type of ['monolithicSparse', 'vmfsSparse', 'twoGbMaxExtentSparse']) {
      const store = createMemoryFileStore();
      await store.makeFolder('/disks');
      const content = Buffer.alloc(2 << 20);
      await createDisk('/disks/base.vmdk', bytes(2 << 20), { fs: store });
      await put(store, '/disks/base.vmdk', content, 0, 1024, 3);
      await createDelta('/disks/mid.vmdk', '/disks/base.vmdk', { fs: store, type });
      await put(store, '/disks/mid.vmdk', content, 0, 256, 3);
      await put(store, '/disks/mid.vmdk', content, 256, 256, 4);
      await put(store, '/disks/mid.vmdk', content, 512, 256, 0);
      await put(store, '/disks/mid.vmdk', content, 2048, 512, 0);
      const mid = Buffer.from(content);
      await createDelta('/disks/leaf.vmdk', '/disks/mid.vmdk', { fs: store });
      await put(store, '/disks/leaf.vmdk', content, 3000, 10, 5);
      const others = await Promise.all(
        ['/disks/base.vmdk', '/disks/leaf.vmdk'].map((path) => hashFile(store, path)),
      );
      const { before, after, dropped } = await compactDisk('/disks/mid.vmdk', { fs: store });
      expect(after).toBeLessThan(before);
      // A quarter of its data is the base's, and half of it zeros over nothing.
      expect(dropped).toBeGreaterThanOrEqual((256 + 512) * SECTOR_BYTES);
      await expectSound(store, '/disks/mid.vmdk', mid);
      await expectSound(store, '/disks/leaf.vmdk', content);
      expect(
        await Promise.all(['/disks/base.vmdk', '/disks/leaf.vmdk'].map((path) => hashFile(store, path))),
      ).toEqual(others);
    }
  });
});

describe('compact, where grains are partly zero', () => {
  it('takes no space for the zeros, as an old file with holes takes none', async () => {
    const store = createMemoryFileStore();
    await store.makeFolder('/disks');
    const content = Buffer.alloc(4 << 20);
    await createDisk('/disks/a.vmdk', bytes(content.length), { fs: store, grainSize: 2048 });
    for (const at of [0, 2048, 6000]) await put(store, '/disks/a.vmdk', content, at, 8, 3);
    const { before, after, dropped } = await compactDisk('/disks/a.vmdk', { fs: store });
    expect(dropped).toBe(0);
    expect(after).toBeLessThan(before / 2);
    await expectSound(store, '/disks/a.vmdk', content);
  });
});

describe('with the power cut at any moment', () => {
  it.each(['monolithicSparse', 'monolithicFlat'])('a %s disk is the old one or the new one', async (type) => {
    const works = [
      {
        size: 2 << 20,
        run: (fs: FileStore, locked: 'refuse' | 'ignore' = 'refuse') =>
          resizeDisk('/disks/a.vmdk', bytes(2 << 20), { fs, locked }),
      },
      {
        size: 1 << 20,
        run: (fs: FileStore, locked: 'refuse' | 'ignore' = 'refuse') =>
          compactDisk('/disks/a.vmdk', { fs, locked }),
      },
    ];
    for (const { size, run } of works) {
      for (let cut = 0; ; cut += 5) {
        const store = await createCrashStore();
        await store.makeFolder('/disks');
        const content = Buffer.alloc(1 << 20);
        await createDisk('/disks/a.vmdk', bytes(1 << 20), { fs: store, type });
        await put(store, '/disks/a.vmdk', content, 10, 200, 3);
        store.settle();
        store.crashAt(cut);
        const failed = await run(store).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failed === undefined) break;
        expect(
          isPowerCut(failed) ||
            (failed as { code?: string }).code === 'not-undone' ||
            (failed as { code?: string }).code === 'not-finished',
        ).toBe(true);
        for await (const found of store.afterCrash(cut, 3)) {
          await settleAround(found, '/disks/a.vmdk', {
            runs: { self: localRuns().self, stateOf: () => 'gone' },
          });
          const now = await contents(found, '/disks/a.vmdk');
          expect([1 << 20, size]).toContain(now.length);
          expect(now.subarray(0, 1 << 20).equals(content)).toBe(true);
          // The process that held the lock is this one, and lives.
          await run(found, 'ignore');
          expect((await contents(found, '/disks/a.vmdk')).length).toBe(size);
        }
      }
    }
  });
});
