// Our locks as QEMU meets them: while we write, qemu-img and qemu-io refuse the disk; while they have it, we do; and
// nothing is left of ours when a write ends, is stopped, or its disk is missing.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { bytes } from '../../src/core/units.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { filesOfDisk, withLocks } from '../../src/operations/with-locks.ts';
import { openDisk } from '../../src/disk/open-disk.ts';
import { findLocks } from '../../src/storage/lock-state.ts';
import { createNodeFileStore } from '../../src/storage/node-file-store.ts';
import { buildCommand, COMMAND, vmdkit } from '../support/command.ts';
import { describeWithPeer } from '../support/peer-tools.ts';

const store = createNodeFileStore();

describeWithPeer(['qemu-img', 'qemu-io'], 'a lock of ours', ({ 'qemu-img': qemu, 'qemu-io': io }) => {
  const root = mkdtempSync(join(tmpdir(), 'vmdkit-locks-'));
  let folder: string;
  let disk: string;
  beforeAll(buildCommand);
  beforeEach(async () => {
    folder = mkdtempSync(join(root, 'vm-'));
    disk = join(folder, 'a.vmdk');
    await createDisk(disk, bytes(1 << 20), { type: 'monolithicSparse' });
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse', 'monolithicFlat'] as const)(
    'on a disk of %s keeps qemu-img and qemu-io away, and lets them in again',
    async (type) => {
      const path = join(folder, 'b.vmdk');
      await createDisk(path, bytes(1 << 20), { type });
      const link = await openDisk(path);
      await link.close();
      await withLocks(store, filesOfDisk(link), async () => {
        const read = await qemu.run(['info', path]);
        expect(read.stderr).toContain('lock');
        expect(read.code).not.toBe(0);
        const write = await io.run(['-c', 'write 0 512', path]);
        expect(write.stderr).toContain('lock');
        expect(write.code).not.toBe(0);
      });
      await qemu.ok(['info', path]);
      await io.ok(['-c', 'write 0 512', path]);
    },
  );

  it('that is shared lets qemu-img read and keeps qemu-io from writing', async () => {
    await withLocks(
      store,
      [disk],
      async () => {
        await qemu.ok(['info', disk]);
        expect((await io.run(['-c', 'write 0 512', disk])).code).not.toBe(0);
      },
      { mode: 'shared' },
    );
  });

  it('is refused while qemu-io writes', async () => {
    const child = spawn(io.path, [disk]);
    try {
      await until(async () => (await findLocks(store, disk)).length > 0);
      await expect(withLocks(store, [disk], async () => {})).rejects.toMatchObject({
        code: 'disk-locked',
        message: expect.stringContaining('qemu-io') as unknown,
      });
      expect(readdirSync(folder)).toEqual(['a.vmdk']);
    } finally {
      child.kill();
      await once(child, 'close');
    }
  });

  /** `vmdkit write` that has its locks and waits for data. */
  async function writing(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [COMMAND, 'write', disk, '--offset', '0']);
    await until(async () => {
      const kinds = (await findLocks(store, disk)).map(({ kind }) => kind);
      return kinds.includes('vmware-lck') && kinds.includes('qemu-ofd');
    });
    return child;
  }

  it('is held by "vmdkit write" until it ends', async () => {
    const child = await writing();
    expect((await qemu.run(['info', disk])).code).not.toBe(0);
    const second = await vmdkit(['write', disk, '--offset', '0', '--zero', '512']);
    expect(second.code).toBe(4);
    expect(second.stderr).toContain('a.vmdk.lck');
    child.stdin!.end('hello');
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(readdirSync(folder)).toEqual(['a.vmdk']);
    expect(await io.ok(['-r', '-c', 'read -v 0 5', disk])).toContain('hello');
  });

  it('is given back when "vmdkit write" is stopped, and cleared after it was killed', async () => {
    const stopped = await writing();
    stopped.kill('SIGINT');
    await once(stopped, 'close');
    expect(readdirSync(folder)).toEqual(['a.vmdk']);
    const killed = await writing();
    killed.kill('SIGKILL');
    await once(killed, 'close');
    expect(readdirSync(folder)).toEqual(['a.vmdk', 'a.vmdk.lck']);
    expect((await vmdkit(['write', disk, '--offset', '0', '--zero', '512'])).code).toBe(0);
    expect(readdirSync(folder)).toEqual(['a.vmdk']);
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tried = 0; tried < 400; tried++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('it did not come about within ten seconds');
}
