// Disks as createDisk leaves them in a store: they open, are all zeros, and a failed attempt leaves nothing.
import { Volume, createFsFromVolume } from 'memfs';
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { NEW_BASE_TYPES } from '../../src/operations/plan-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

const MIB = 2 ** 20;

describe('createDisk', () => {
  it.each(NEW_BASE_TYPES)(
    'makes a %s disk that opens, is as large as asked for, and reads as zeros',
    async (type) => {
      const fs = createMemoryFileStore();
      const capacity = bytes(5 * MIB + 512);
      const made = await createDisk('/x.vmdk', capacity, { fs, type });
      expect(made.createType).toBe(type);
      const chain = await openChain('/x.vmdk', 'read', { fs });
      expect(chain.capacity).toBe(capacity / 512);
      expect(chain.leaf.createType).toBe(type);
      expect(chain.leaf.descriptor.cid).toBe(made.cid);
      expect(chain.leaf.findings).toEqual([]);
      const content = Buffer.alloc(capacity, 1);
      await chain.read(sectorRange(0, capacity / 512), content);
      expect(content.equals(Buffer.alloc(capacity))).toBe(true);
      await chain.close();
    },
  );

  it('makes monolithicSparse with lsilogic unless told', async () => {
    const fs = createMemoryFileStore();
    expect((await createDisk('/x.vmdk', bytes(MIB), { fs })).createType).toBe('monolithicSparse');
    const chain = await openChain('/x.vmdk', 'read', { fs });
    expect(chain.leaf.descriptor.ddb.get('ddb.adaptertype')).toBe('lsilogic');
    await chain.close();
  });

  it('gives every disk its own CID, content id and uuid', async () => {
    const fs = createMemoryFileStore();
    const idsOf = async (path: string): Promise<unknown[]> => {
      const { cid } = await createDisk(path, bytes(MIB), { fs });
      const chain = await openChain(path, 'read', { fs });
      const { ddb } = chain.leaf.descriptor;
      await chain.close();
      expect(ddb.get('ddb.uuid')).toMatch(
        /^60 00 C2 9[0-9a-f]( [0-9a-f]{2}){4}-[0-9a-f]{2}( [0-9a-f]{2}){7}$/,
      );
      return [cid, ddb.get('ddb.longcontentid'), ddb.get('ddb.uuid')];
    };
    const [a, b] = [await idsOf('/a.vmdk'), await idsOf('/b.vmdk')];
    expect(a.filter((id) => b.includes(id))).toEqual([]);
  });

  it('works on memfs', async () => {
    const volume = Volume.fromJSON({ '/d/readme': '' });
    const fs = createFsFromVolume(volume).promises;
    await createDisk('/d/x.vmdk', bytes(MIB), { fs, type: 'twoGbMaxExtentSparse' });
    const chain = await openChain('/d/x.vmdk', 'read', { fs });
    expect(chain.capacity).toBe(2048);
    await chain.close();
  });

  it('refuses parts of sectors, and names the sizes on either side', async () => {
    const fs = createMemoryFileStore();
    const failure = createDisk('/x.vmdk', bytes(1000), { fs });
    await expect(failure).rejects.toThrow(
      '1000 bytes are not a multiple of 512\n  Disks are whole sectors: 512 or 1024 bytes.',
    );
    await expect(createDisk('/x.vmdk', bytes(100), { fs })).rejects.toThrow('whole sectors: 512 bytes.');
    expect(await fs.list('/')).toEqual([]);
  });

  it('leaves a file that exists as it was', async () => {
    const fs = createMemoryFileStore({ '/x-s001.vmdk': Buffer.from('mine') });
    const failure = createDisk('/x.vmdk', bytes(MIB), { fs, type: 'twoGbMaxExtentSparse' });
    await expect(failure).rejects.toMatchObject({ code: 'target-exists', context: { path: '/x-s001.vmdk' } });
    expect(await fs.list('/')).toEqual(['x-s001.vmdk']);
  });

  it('makes nothing in a folder that is missing', async () => {
    const fs = createMemoryFileStore();
    await expect(createDisk('/none/x.vmdk', bytes(MIB), { fs })).rejects.toMatchObject({
      code: 'file-missing',
    });
    expect(await fs.list('/')).toEqual([]);
  });

  it('makes nothing when aborted beforehand', async () => {
    const fs = createMemoryFileStore();
    const reason = new Error('never mind');
    await expect(createDisk('/x.vmdk', bytes(MIB), { fs, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    expect(await fs.list('/')).toEqual([]);
  });
});
