// Deltas as createDelta leaves them: they open above their parent, read as it does, and leave it as it was.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { NEW_DELTA_TYPES } from '../../src/operations/plan-delta.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const CAPACITY = bytes(3 * 2 ** 20 + 512);
const SECTORS = CAPACITY / 512;

describe('createDelta', () => {
  it.each(NEW_DELTA_TYPES)('makes a %s delta that reads as its parent does', async (type) => {
    const fs = createMemoryFileStore();
    await createDisk('/base.vmdk', CAPACITY, { fs });
    const content = Buffer.alloc(CAPACITY).map((_, index) => (index * 7) & 0xff);
    const base = await openChain('/base.vmdk', 'update', { fs });
    await base.write(sectors(0), content);
    await base.close();
    const made = await createDelta('/d.vmdk', '/base.vmdk', { fs, type });
    expect(made).toMatchObject({ createType: type, parentFileNameHint: 'base.vmdk', capacity: SECTORS });
    const chain = await openChain('/d.vmdk', 'read', { fs });
    expect(chain.links.map(({ path }) => path)).toEqual(['/d.vmdk', '/base.vmdk']);
    const found = Buffer.alloc(CAPACITY);
    await chain.read(sectorRange(0, SECTORS), found);
    expect(found.equals(content)).toBe(true);
    expect(chain.leaf.findings).toEqual([]);
    await chain.close();
  });

  it('can be written when its type can, above a parent that stays as it was', async () => {
    for (const type of ['monolithicSparse', 'twoGbMaxExtentSparse', 'vmfsSparse']) {
      const fs = createMemoryFileStore();
      await createDisk('/base.vmdk', CAPACITY, { fs, type: 'vmfs' });
      await createDelta('/d.vmdk', '/base.vmdk', { fs, type });
      const chain = await openChain('/d.vmdk', 'update', { fs });
      await chain.write(sectors(SECTORS - 3), Buffer.alloc(1536, 7));
      await chain.close();
      const again = await openChain('/d.vmdk', 'read', { fs });
      const found = Buffer.alloc(4 * 512);
      await again.read(sectorRange(SECTORS - 4, 4), found);
      expect(found.equals(Buffer.concat([Buffer.alloc(512), Buffer.alloc(1536, 7)]))).toBe(true);
      await again.close();
    }
  });

  it('writes the hint as seen from the delta, whole, or as told', async () => {
    const fs = createMemoryFileStore();
    await fs.makeFolder('/ds');
    await fs.makeFolder('/ds/base');
    await fs.makeFolder('/ds/clones');
    await createDisk('/ds/base/base.vmdk', CAPACITY, { fs });
    const hintOf = async (name: string, hint?: string): Promise<string | undefined> =>
      (await createDelta(`/ds/clones/${name}.vmdk`, '/ds/base/base.vmdk', { fs, hint })).parentFileNameHint;
    expect(await hintOf('a')).toBe('../base/base.vmdk');
    expect(await hintOf('b', 'absolute')).toBe('/ds/base/base.vmdk');
    expect(await hintOf('c', '/vmfs/volumes/ds1/base/base.vmdk')).toBe('/vmfs/volumes/ds1/base/base.vmdk');
    for (const name of ['a', 'b', 'c'])
      await (await openChain(`/ds/clones/${name}.vmdk`, 'read', { fs })).close();
  });

  it('keeps a name in brackets from being read as a datastore', async () => {
    const fs = createMemoryFileStore();
    await createDisk('/[old] base.vmdk', CAPACITY, { fs });
    const made = await createDelta('/d.vmdk', '/[old] base.vmdk', { fs });
    expect(made.parentFileNameHint).toBe('./[old] base.vmdk');
    expect(made.notes).toEqual([]);
    const chain = await openChain('/d.vmdk', 'read', { fs });
    expect(chain.links[1]!.path).toBe('/[old] base.vmdk');
    await chain.close();
  });

  it('says so when readers will not follow the hint by themselves', async () => {
    const fs = createMemoryFileStore();
    for (const folder of ['/bases', '/vms', '/vms/a', '/vms/a/b']) await fs.makeFolder(folder);
    await createDisk('/bases/base.vmdk', CAPACITY, { fs });
    const path = '/vms/a/b/d.vmdk';
    const made = await createDelta(path, '/bases/base.vmdk', { fs });
    expect(made.notes).toEqual([
      "the parent lies outside the delta's surroundings: open it with --allow /bases",
    ]);
    await expect(openChain(path, 'read', { fs })).rejects.toThrow();
    await (await openChain(path, 'read', { fs, allow: ['/bases'] })).close();
    const elsewhere = await createDelta('/vms/a/b/e.vmdk', '/bases/base.vmdk', { fs, hint: 'nowhere.vmdk' });
    expect(elsewhere.notes[0]).toContain('does not lead to the parent');
    const allowed = await createDelta('/vms/a/b/f.vmdk', '/bases/base.vmdk', { fs, allow: ['/bases'] });
    expect(allowed.notes).toEqual([]);
  });

  it('makes 31 deltas on a base and refuses the 32nd', async () => {
    const fs = createMemoryFileStore();
    await createDisk('/0.vmdk', CAPACITY, { fs });
    for (let depth = 1; depth < 32; depth++)
      await createDelta(`/${depth}.vmdk`, `/${depth - 1}.vmdk`, { fs });
    await expect(createDelta('/32.vmdk', '/31.vmdk', { fs })).rejects.toMatchObject({
      kind: 'refused',
      code: 'chain-too-deep',
      context: { path: '/31.vmdk', found: '32 links' },
    });
    expect(await fs.exists('/32.vmdk')).toBe(false);
  });

  it('refuses a parent whose own parent has moved on', async () => {
    const fs = createMemoryFileStore();
    await createDisk('/base.vmdk', CAPACITY, { fs });
    await createDelta('/d1.vmdk', '/base.vmdk', { fs });
    const base = await openChain('/base.vmdk', 'update', { fs });
    await base.write(sectors(0), Buffer.alloc(512, 1));
    await base.close();
    await expect(createDelta('/d2.vmdk', '/d1.vmdk', { fs })).rejects.toMatchObject({ name: 'VmdkError' });
    expect(await fs.exists('/d2.vmdk')).toBe(false);
    const made = await createDelta('/d3.vmdk', '/base.vmdk', { fs });
    expect(made.parentCid).toBe(made.cid);
  });

  it('refuses to take the parent for the delta', async () => {
    const fs = createMemoryFileStore();
    await createDisk('/base.vmdk', CAPACITY, { fs });
    await expect(createDelta('/base.vmdk', '/base.vmdk', { fs })).rejects.toMatchObject({
      code: 'target-exists',
    });
    await (await openChain('/base.vmdk', 'read', { fs })).close();
  });

  it('makes nothing when aborted beforehand', async () => {
    const fs = createMemoryFileStore();
    await createDisk('/base.vmdk', CAPACITY, { fs });
    const reason = new Error('never mind');
    const signal = AbortSignal.abort(reason);
    await expect(createDelta('/d.vmdk', '/base.vmdk', { fs, signal })).rejects.toBe(reason);
    expect(await fs.list('/')).toEqual(['base.vmdk']);
  });
});

describe('createDelta on the real file system', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmdkit-create-'));
    await mkdir(join(folder, 'base'));
    await mkdir(join(folder, 'clones'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('changes neither bytes nor times of any file of the parent, nor of its folder', async () => {
    const base = join(folder, 'base/base.vmdk');
    await createDisk(base, CAPACITY, { type: 'twoGbMaxExtentSparse' });
    const files = [join(folder, 'base'), base, join(folder, 'base/base-s001.vmdk')];
    const look = () =>
      Promise.all(
        files.map(async (path) => {
          const { mtimeNs, ctimeNs, size } = await stat(path, { bigint: true });
          const content = path === files[0] ? await readdir(path) : await readFile(path, 'latin1');
          return { path, mtimeNs, ctimeNs, size, content };
        }),
      );
    const before = await look();
    for (const type of NEW_DELTA_TYPES)
      await createDelta(join(folder, `clones/${type}.vmdk`), base, { type });
    expect(await look()).toEqual(before);
  });

  it('sees the parent from where the folder really is, not from a link to it', async () => {
    await mkdir(join(folder, 'far/away'), { recursive: true });
    await mkdir(join(folder, 'far/base'));
    await symlink(join(folder, 'far/away'), join(folder, 'here'));
    const base = join(folder, 'far/base/base.vmdk');
    await createDisk(base, CAPACITY);
    const made = await createDelta(join(folder, 'here/d.vmdk'), base);
    expect(made.parentFileNameHint).toBe('../base/base.vmdk');
    await (await openChain(join(folder, 'here/d.vmdk'), 'read')).close();
  });

  it('refuses a target that is a link to nothing', async () => {
    const base = join(folder, 'base/base.vmdk');
    await createDisk(base, CAPACITY);
    await symlink(join(folder, 'nothing'), join(folder, 'clones/d.vmdk'));
    await expect(createDelta(join(folder, 'clones/d.vmdk'), base)).rejects.toMatchObject({
      code: 'target-exists',
    });
    await expect(stat(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
