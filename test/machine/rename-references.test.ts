// A disk that machines name gets another name, and the lines of their .vmx and .vmsd with it: all others stay byte for
// byte, machines that may run are left alone, and the machine opens as before.
import { beforeEach, describe, expect, it } from 'vitest';
import { bytes, SECTOR_BYTES } from '../../src/core/units.ts';
import { openMachine } from '../../src/machine/open-machine.ts';
import { renameDisk } from '../../src/machine/rename-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { localRuns } from '../../src/operations/run-owner.ts';
import { settleAround } from '../../src/operations/settle-around.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { createCrashStore } from '../support/crash-store.ts';

const VMX = `.encoding = "UTF-8"\r
displayName = "web"\r
scsi0.present = "TRUE"\r
scsi0:0.present = "TRUE"\r
scsi0:0.fileName   =   "web-000001.vmdk"\r
scsi0:1.present = "TRUE"\r
scsi0:1.fileName = "other.vmdk"\r
# a note\r
`;
const VMSD = `.encoding = "UTF-8"
snapshot.lastUID = "1"
snapshot.current = "1"
snapshot.numSnapshots = "1"
snapshot0.uid = "1"
snapshot0.displayName = "web.vmdk is not a name here"
snapshot0.numDisks = "1"
snapshot0.disk0.fileName = "web.vmdk"
snapshot0.disk0.node = "scsi0:0"
sentinel0 = "web.vmdk"
`;

async function put(fs: FileStore, path: string, text: string): Promise<void> {
  const file = await fs.create(path);
  await file.write(Buffer.from(text), 0);
  await file.close();
}

const text = async (fs: FileStore, path: string): Promise<string> => (await readWhole(fs, path)).toString();

async function makeMachine(fs: FileStore): Promise<void> {
  for (const folder of ['/ds', '/ds/web', '/ds/store']) await fs.makeFolder(folder);
  for (const name of ['web', 'other'])
    await createDisk(`/ds/web/${name}.vmdk`, bytes(2048 * SECTOR_BYTES), { fs, type: 'vmfs', thin: true });
  await createDelta('/ds/web/web-000001.vmdk', '/ds/web/web.vmdk', { fs, type: 'vmfsSparse' });
  await put(fs, '/ds/web/web.vmx', VMX);
  await put(fs, '/ds/web/web.vmsd', VMSD);
}

let fs: FileStore;
beforeEach(async () => {
  fs = createMemoryFileStore();
  await makeMachine(fs);
});

async function expectWhole(store: FileStore): Promise<void> {
  const { findings, disks, snapshotDisks } = await openMachine('/ds/web/web.vmx', { fs: store });
  expect(findings).toEqual([]);
  expect(disks.map(({ links }) => links.length)).toEqual([2, 1]);
  expect([...snapshotDisks.values()].flat().every(({ problem }) => problem === undefined)).toBe(true);
}

describe('renaming a disk that a machine names', () => {
  it.each([
    ['/ds/web/system.vmdk', 'system.vmdk'],
    ['/ds/store/web.vmdk', '/ds/store/web.vmdk'],
  ])('takes its snapshot and its sentinel to %s', async (to, spelled) => {
    const { references, relinked } = await renameDisk('/ds/web/web.vmdk', to, { fs });
    expect(await text(fs, '/ds/web/web.vmx')).toBe(VMX);
    expect(await text(fs, '/ds/web/web.vmsd')).toBe(
      VMSD.replace('fileName = "web.vmdk"', `fileName = "${spelled}"`).replace(
        'l0 = "web.vmdk"',
        `l0 = "${spelled}"`,
      ),
    );
    expect(references.map(({ name }) => name)).toEqual(['snapshot0.disk0.fileName', 'sentinel0']);
    expect(relinked).toHaveLength(1);
    await expectWhole(fs);
  });

  it('takes its running disk', async () => {
    await renameDisk('/ds/web/web-000001.vmdk', '/ds/web/run.vmdk', { fs });
    expect(await text(fs, '/ds/web/web.vmx')).toBe(VMX.replace('web-000001.vmdk', 'run.vmdk'));
    expect(await text(fs, '/ds/web/web.vmsd')).toBe(VMSD);
    await expectWhole(fs);
  });

  it('tells beforehand, and changes nothing then', async () => {
    const before = await fs.list('/ds/web');
    const told = await renameDisk('/ds/web/web.vmdk', '/ds/web/new.vmdk', { fs, dryRun: true });
    expect(told.references).toHaveLength(2);
    expect(told.files).toHaveLength(2);
    expect(await fs.list('/ds/web')).toEqual(before);
    expect(await text(fs, '/ds/web/web.vmsd')).toBe(VMSD);
    await put(fs, '/ds/web/new-flat.vmdk', 'x');
    const taken = renameDisk('/ds/web/web.vmdk', '/ds/web/new.vmdk', { fs, dryRun: true });
    await expect(taken).rejects.toMatchObject({ code: 'target-exists' });
  });

  it.each([
    ['machine-suspended', 'checkpoint.vmState = "web.vmss"\n', false],
    ['machine-unclean', 'cleanShutdown = "FALSE"\n', true],
  ])('is refused while it is not off: %s', async (code, line, forced) => {
    await fs.replace('/ds/web/web.vmx', Buffer.from(VMX + line));
    const rename = (force: boolean) => renameDisk('/ds/web/web.vmdk', '/ds/web/new.vmdk', { fs, force });
    await expect(rename(false)).rejects.toMatchObject({ code, context: { path: '/ds/web/web.vmx' } });
    expect(await text(fs, '/ds/web/web.vmsd')).toBe(VMSD);
    if (forced) await rename(true);
    else await expect(rename(true)).rejects.toMatchObject({ code });
  });

  it('is whole or not at all when the power goes', async () => {
    for (let cut = 0; ; cut += 11) {
      const crash = await createCrashStore();
      await makeMachine(crash);
      crash.settle();
      crash.crashAt(cut);
      const failed = await renameDisk('/ds/web/web.vmdk', '/ds/web/new.vmdk', { fs: crash }).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failed === undefined) break;
      for await (const found of crash.afterCrash(cut, 3)) {
        const runs = { self: localRuns().self, stateOf: () => 'gone' as const };
        await settleAround(found, '/ds/web/web.vmdk', { runs });
        await expectWhole(found);
      }
    }
  });
});
