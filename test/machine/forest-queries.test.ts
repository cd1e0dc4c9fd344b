// Is a machine a linked clone? By what its disks stand on, by what it says, and by where its chain ends in the air.
import { beforeEach, describe, expect, it } from 'vitest';
import { isLinkedClone } from '../../src/machine/forest-queries.ts';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { linkText, makeDatastore, makeFolders, vmxText, writeText } from '../support/scan-model.ts';

let store: FileStore;
beforeEach(async () => {
  store = createMemoryFileStore();
  await makeDatastore(store, '/ds');
});

const answer = async (vmx: string) => isLinkedClone(await scanFolder('/ds', { fs: store }), vmx);

describe('a machine', () => {
  it('that stands on its own disks alone is no clone, also with snapshots', async () => {
    expect(await answer('/ds/golden/golden.vmx')).toMatchObject({ linkedClone: false, reasons: [] });
  });

  it('that stands on disks of another is one', async () => {
    await store.remove('/ds/web-1/web-1.vmsd');
    expect((await answer('/ds/web-1/web-1.vmx')).reasons).toEqual(['it stands on /ds/golden/golden.vmdk']);
  });

  it('that says so is one', async () => {
    expect((await answer('/ds/web-1/web-1.vmx')).reasons[0]).toBe(
      'its snapshot database says: a clone of "../golden/golden.vmx"',
    );
  });

  it('whose base is gone is one by where its hint leads', async () => {
    await makeFolders(store, '/ds/lone');
    await writeText(store, '/ds/lone/lone.vmx', vmxText('lone', { 'scsi0:0': 'lone.vmdk' }));
    await writeText(
      store,
      '/ds/lone/lone.vmdk',
      linkText('00000001', '00000002', '/vmfs/volumes/x/gold/gold.vmdk'),
    );
    expect((await answer('/ds/lone/lone.vmx')).reasons).toEqual([
      '/ds/lone/lone.vmdk stands on "/vmfs/volumes/x/gold/gold.vmdk", which is not here',
    ]);
    await writeText(
      store,
      '/ds/lone/lone.vmdk',
      linkText('00000001', '00000002', '/vmfs/volumes/x/lone/base.vmdk'),
    );
    expect((await answer('/ds/lone/lone.vmx')).linkedClone).toBe(false);
  });

  it('that was not found is an error', async () => {
    await expect(answer('/ds/none.vmx')).rejects.toMatchObject({ code: 'machine-not-found' });
  });
});
