// A renamed disk holds what it held, and so does everything that stands on it, in whatever folder.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { wholeOf } from '../../src/block/read-runs.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import { settleAround } from '../../src/operations/settle-around.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { withMount } from '../support/mounted-store.ts';
import { createCrashStore } from '../support/crash-store.ts';

async function contents(fs: FileStore, path: string): Promise<string> {
  const chain = await openChain(path, 'read', { fs });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all.toString('latin1');
}

/** Its hint, and what it calls its first extent. */
async function ownWords(fs: FileStore, path: string): Promise<(string | undefined)[]> {
  const chain = await openChain(path, 'read', { fs });
  const { leaf } = chain;
  await chain.close();
  return [leaf.descriptor.parentFileNameHint, leaf.descriptor.extents[0]!.fileName];
}

/** /vms/base/{base,mid}.vmdk and two children of mid: one beside it, one in /vms/lab. */
async function makeTree(fs: FileStore, type: string): Promise<void> {
  for (const folder of ['/vms', '/vms/base', '/vms/lab', '/vms/other']) await fs.makeFolder(folder);
  await createDisk('/vms/base/base.vmdk', bytes(1 << 20), { fs });
  const base = await openChain('/vms/base/base.vmdk', 'update', { fs });
  await base.write(0 as Sectors, pattern(100 * SECTOR_BYTES, 3));
  await base.close();
  await createDelta('/vms/base/mid.vmdk', '/vms/base/base.vmdk', { fs, type });
  const mid = await openChain('/vms/base/mid.vmdk', 'update', { fs });
  await mid.write(300 as Sectors, pattern(100 * SECTOR_BYTES, 4));
  await mid.close();
  await createDelta('/vms/base/a.vmdk', '/vms/base/mid.vmdk', { fs });
  await createDelta('/vms/lab/b.vmdk', '/vms/base/mid.vmdk', { fs });
}

describe('renameDisk', () => {
  it.each(['./', '.\\\\', '/vms/base/'])(
    'takes an extent beside the descriptor that is named by %s',
    async (way) => {
      const fs = createMemoryFileStore();
      await makeTree(fs, 'vmfsSparse');
      const before = await contents(fs, '/vms/lab/b.vmdk');
      const text = (await readWhole(fs, '/vms/base/mid.vmdk')).toString('latin1');
      await fs.replace(
        '/vms/base/mid.vmdk',
        Buffer.from(text.replace('"mid-delta', `"${way}mid-delta`), 'latin1'),
      );
      expect(await contents(fs, '/vms/lab/b.vmdk')).toBe(before);
      await renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', { fs });
      expect(await contents(fs, '/vms/lab/b.vmdk')).toBe(before);
      expect(await fs.list('/vms/other')).toEqual(expect.arrayContaining(['new-delta.vmdk', 'new.vmdk']));
      expect((await readWhole(fs, '/vms/other/new.vmdk')).toString()).toContain(
        'VMFSSPARSE "new-delta.vmdk"',
      );
    },
  );

  for (const type of ['monolithicSparse', 'vmfsSparse', 'twoGbMaxExtentSparse']) {
    it.each(['/vms/base/new.vmdk', '/vms/other/mid.vmdk'])(
      `takes all of a ${type} delta to %s, and its children follow`,
      async (to) => {
        const fs = createMemoryFileStore();
        await makeTree(fs, type);
        const before = await contents(fs, '/vms/lab/b.vmdk');
        const { relinked, files } = await renameDisk('/vms/base/mid.vmdk', to, { fs });
        expect(relinked.map(({ path }) => path).sort()).toEqual(['/vms/base/a.vmdk', '/vms/lab/b.vmdk']);
        expect(files).toHaveLength(type === 'monolithicSparse' ? 1 : 2);
        for (const path of [to, '/vms/base/a.vmdk', '/vms/lab/b.vmdk'])
          expect(await contents(fs, path)).toBe(before);
        const left = (await fs.list('/vms/base')).filter(
          (name) => name.startsWith('mid') || name.startsWith('.vmdkit-change'),
        );
        expect(left).toEqual([]);
        const chain = await openChain(to, 'read', { fs });
        const stem = to.slice(to.lastIndexOf('/') + 1, -'.vmdk'.length);
        for (const { fileName } of chain.leaf.descriptor.extents)
          expect(fileName).toMatch(new RegExp(`^${stem}[.-]`));
        await chain.close();
      },
    );
  }

  it('leaves a disk that is guarded where it is', async () => {
    const fs = createMemoryFileStore();
    await makeTree(fs, 'vmfsSparse');
    await (await fs.create('/vms/base/mid.vmdk.guard')).close();
    await expect(renameDisk('/vms/base/mid.vmdk', '/vms/base/new.vmdk', { fs })).rejects.toMatchObject({
      code: 'disk-guarded',
    });
  });

  it("takes nobody else's place, and no name that is none", async () => {
    const fs = createMemoryFileStore();
    await makeTree(fs, 'vmfsSparse');
    await expect(renameDisk('/vms/base/mid.vmdk', '/vms/base/a.vmdk', { fs })).rejects.toMatchObject({
      kind: 'refused',
    });
    await expect(renameDisk('/vms/base/mid.vmdk', '/vms/lab/../base/mid.vmdk', { fs })).rejects.toMatchObject(
      { kind: 'usage' },
    );
    await expect(renameDisk('/vms/base/mid.vmdk', '/vms/other', { fs })).rejects.toMatchObject({
      kind: 'usage',
    });
    expect(await contents(fs, '/vms/lab/b.vmdk')).toBe(await contents(fs, '/vms/base/a.vmdk'));
  });

  it.each(['monolithicSparse', 'vmfsSparse'])(
    'changes nothing when the folder is on another file system: %s',
    async (type) => {
      const fs = withMount(createMemoryFileStore(), '/vms/other');
      await makeTree(fs, type);
      const before = await fs.list('/vms/base');
      for (const dryRun of [true, false])
        await expect(
          renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', { fs, dryRun }),
        ).rejects.toMatchObject({
          kind: 'refused',
          code: 'other-file-system',
          context: { path: '/vms/other' },
        });
      expect(await fs.list('/vms/base')).toEqual(before);
      expect(await fs.list('/vms/other')).toEqual([]);
    },
  );

  it.each(['monolithicSparse', 'vmfsSparse'])(
    'is taken back where an older version left it at the border of a file system: %s',
    async (type) => {
      const fs = createMemoryFileStore();
      await makeTree(fs, type);
      const names = await fs.list('/vms/base');
      const before = await contents(fs, '/vms/lab/b.vmdk');
      const disk = await readWhole(fs, '/vms/base/mid.vmdk');
      // It did not look for the border, and the failure had no name.
      const mounted = withMount(fs, '/vms/other', { told: false });
      const rename = (from: string, to: string): Promise<void> =>
        mounted.rename(from, to).catch(() => Promise.reject(new Error('EXDEV')));
      const old = { ...mounted, rename };
      await expect(
        renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', { fs: old }),
      ).rejects.toMatchObject({ code: 'not-finished' });
      expect(await fs.exists('/vms/base/mid.vmdk')).toBe(false);
      // Whatever comes next to that folder settles it, here the same command.
      await expect(
        renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', { fs: withMount(fs, '/vms/other') }),
      ).rejects.toMatchObject({ kind: 'refused', code: 'other-file-system' });
      expect((await fs.list('/vms/base')).sort()).toEqual(names.sort());
      expect(await fs.list('/vms/other')).toEqual([]);
      for (const path of ['/vms/base/mid.vmdk', '/vms/base/a.vmdk', '/vms/lab/b.vmdk'])
        expect(await contents(fs, path)).toBe(before);
      expect((await readWhole(fs, '/vms/base/mid.vmdk')).equals(disk)).toBe(true);
    },
  );

  it.each(['monolithicSparse', 'vmfsSparse'])(
    'leaves every byte as it was where only a rename finds another mount: %s',
    async (type) => {
      const fs = createMemoryFileStore();
      await makeTree(fs, type);
      const names = ['base', 'mid', 'a'].map((name) => `/vms/base/${name}.vmdk`);
      const before = await Promise.all(names.map((name) => readWhole(fs, name)));
      await expect(
        renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', {
          fs: withMount(fs, '/vms/other', { told: false }),
        }),
      ).rejects.toMatchObject({ kind: 'refused', code: 'other-file-system' });
      for (const [index, name] of names.entries())
        expect((await readWhole(fs, name)).equals(before[index]!), name).toBe(true);
    },
  );

  it('refuses a name for which the text inside the disk has no room, before anything is moved', async () => {
    const fs = createMemoryFileStore();
    await makeTree(fs, 'monolithicSparse');
    const line = `#${' '.repeat(99)}\n`;
    const file = await fs.open('/vms/base/mid.vmdk', 'update');
    const text = Buffer.alloc(20 * SECTOR_BYTES);
    await file.readExactly(text, SECTOR_BYTES);
    let end = text.indexOf(0);
    for (; end + line.length < text.length - 30; end += line.length) text.write(line, end);
    await file.write(text, SECTOR_BYTES);
    await file.close();
    const before = await fs.list('/vms/base');
    await expect(
      renameDisk('/vms/base/mid.vmdk', `/vms/other/${'n'.repeat(200)}.vmdk`, { fs }),
    ).rejects.toMatchObject({ code: 'descriptor-too-full' });
    expect(await fs.list('/vms/base')).toEqual(before);
  });

  it.each(['monolithicSparse', 'vmfsSparse'])(
    'is whole or not at all when the power goes: %s',
    async (type) => {
      const rest = type === 'vmfsSparse' ? '-delta.vmdk' : '.vmdk';
      for (let cut = 0; ; cut += 7) {
        const fs = await createCrashStore();
        await makeTree(fs, type);
        const before = await contents(fs, '/vms/lab/b.vmdk');
        fs.settle();
        fs.crashAt(cut);
        const failed = await renameDisk('/vms/base/mid.vmdk', '/vms/other/new.vmdk', { fs }).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failed === undefined) break;
        for await (const found of fs.afterCrash(cut, 3)) {
          const runs = { self: localRuns().self, stateOf: () => 'gone' as const };
          await settleAround(found, '/vms/base/mid.vmdk', { runs });
          expect(await contents(found, '/vms/lab/b.vmdk')).toBe(before);
          expect(await contents(found, '/vms/base/a.vmdk')).toBe(before);
          const moved = await found.exists('/vms/other/new.vmdk');
          expect(await ownWords(found, moved ? '/vms/other/new.vmdk' : '/vms/base/mid.vmdk')).toEqual(
            moved ? ['../base/base.vmdk', `new${rest}`] : ['base.vmdk', `mid${rest}`],
          );
        }
      }
    },
  );
});
