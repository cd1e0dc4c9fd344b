// A disk that somebody else has open is not written; reading it goes on.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

async function lockedDisk(lockOf: string) {
  const fs = createMemoryFileStore();
  await fs.makeFolder('/vm');
  await createDisk('/vm/a.vmdk', bytes(1 << 20), { fs, type: 'monolithicFlat' });
  await fs.makeFolder(`/vm/${lockOf}.lck`);
  const member = await fs.create(`/vm/${lockOf}.lck/M12345.lck`);
  const text = Buffer.alloc(512);
  text.write('uuid=11 22 4711-99(vmx) 1 X lc=1');
  await member.write(text, 0);
  await member.close();
  return fs;
}

describe('a locked disk', () => {
  for (const file of ['a.vmdk', 'a-flat.vmdk']) {
    it(`is refused for writing when ${file} is locked, naming the lock`, async () => {
      const fs = await lockedDisk(file);
      await expect(openChain('/vm/a.vmdk', 'update', { fs })).rejects.toMatchObject({
        code: 'disk-locked',
        kind: 'refused',
        message: expect.stringContaining(`/vm/${file}.lck`) as string,
      });
    });
  }

  it('is still read, and written when the caller ignores the lock, which stays', async () => {
    const fs = await lockedDisk('a.vmdk');
    await (await openChain('/vm/a.vmdk', 'read', { fs })).close();
    await (await openChain('/vm/a.vmdk', 'update', { fs, locked: 'ignore' })).close();
    expect(await fs.list('/vm/a.vmdk.lck')).toEqual(['M12345.lck']);
  });
});
