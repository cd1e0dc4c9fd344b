// Folders made to stop a scan, or to lead it astray: links in circles, special files, what cannot be read, descriptors
// that lie, and very many disks. On the real file system where memory has no such things.
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dependantsOf, diskAt } from '../../src/machine/forest.ts';
import { scanFolder } from '../../src/machine/scan-folder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { linkText, makeFolders, vmxText, writeChain, writeText } from '../support/scan-model.ts';

describe('a scan of a real folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmdkit-scan-'));
    await mkdir(join(folder, 'ds'));
    await writeFile(join(folder, 'ds/base.vmdk'), linkText('00000001'));
  });
  afterEach(async () => {
    await chmod(join(folder, 'ds/closed'), 0o700).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  });
  const at = (...parts: string[]): string => join(folder, 'ds', ...parts);

  it('passes by links in circles, links out, links to nothing, FIFOs and storage snapshots', async () => {
    await mkdir(at('sub'));
    await mkdir(at('.snapshot'));
    await writeFile(at('.snapshot/base.vmdk'), linkText('00000001'));
    await mkdir(join(folder, 'outside'));
    await writeFile(join(folder, 'outside/secret.vmdk'), linkText('00000002'));
    await symlink('..', at('sub/up'));
    await symlink('self.vmdk', at('self.vmdk'));
    await symlink(join(folder, 'outside'), at('out'));
    await symlink(join(folder, 'outside/secret.vmdk'), at('link.vmdk'));
    await symlink('nothing', at('dangling.vmdk'));
    execFileSync('sh', ['-c', 'mkfifo "$0"', at('pipe.vmdk')]);
    await writeFile(at('child.vmdk'), linkText('00000003', '00000002', '../outside/secret.vmdk'));
    const forest = await scanFolder(at());
    expect(forest.disks.map(({ path, outside }) => [path, outside])).toEqual([
      [at('base.vmdk'), false],
      [at('child.vmdk'), false],
      [join(folder, 'outside/secret.vmdk'), true],
    ]);
    expect(
      Object.fromEntries(forest.skipped.map(({ path, reason }) => [path, reason.split(/[:,]/)[0]])),
    ).toEqual({
      [at('.snapshot')]: 'snapshots of the storage',
      [at('dangling.vmdk')]: 'leads nowhere',
      [at('link.vmdk')]: 'a symbolic link',
      [at('out')]: 'a symbolic link',
      [at('pipe.vmdk')]: 'a fifo',
      [at('self.vmdk')]: 'symbolic links that lead in a circle',
      [at('sub/up')]: 'a symbolic link',
    });
    expect(forest.problems).toEqual([]);
  });

  it('tells what it may not read, and goes on', async () => {
    await mkdir(at('closed'));
    await chmod(at('closed'), 0);
    const forest = await scanFolder(at());
    expect(forest.disks).toHaveLength(1);
    // Root reads everything.
    if (process.getuid?.() !== 0) {
      expect(forest.problems).toMatchObject([{ code: 'SCAN-UNREADABLE', path: at('closed') }]);
    }
  });

  it('scans two thousand real disks in moments', async () => {
    await mkdir(at('many'));
    const text = linkText('00000001', '00000001', '../base.vmdk');
    const children = Array.from({ length: 2000 }, (_, child) => at(`many/c${child}.vmdk`));
    await Promise.all(children.map((path) => writeFile(path, text)));
    const began = performance.now();
    const forest = await scanFolder(at());
    // About a second; twenty would be a search of the folder for each disk.
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(forest.disks).toHaveLength(2001);
    expect(dependantsOf(forest, at('base.vmdk'))).toHaveLength(2000);
  });

  it('stays within --confine', async () => {
    await mkdir(join(folder, 'outside'));
    await writeFile(join(folder, 'outside/parent.vmdk'), linkText('00000002'));
    await writeFile(at('child.vmdk'), linkText('00000003', '00000002', '../outside/parent.vmdk'));
    const forest = await scanFolder(at(), { confine: at() });
    expect(forest.disks.map(({ path }) => path)).toEqual([at('base.vmdk'), at('child.vmdk')]);
    await expect(scanFolder(join(folder, 'outside'), { confine: at() })).rejects.toMatchObject({
      code: 'outside-allowed-folders',
    });
  });
});

describe('a scan of hostile descriptors', () => {
  it('refuses a root that is no folder, and finds nothing in an empty one', async () => {
    const store = createMemoryFileStore({ '/ds/a.vmdk': Buffer.from(linkText('00000001')) });
    await expect(scanFolder('/ds/a.vmdk', { fs: store })).rejects.toMatchObject({ code: 'not-a-folder' });
    await expect(scanFolder('/nowhere', { fs: store })).rejects.toMatchObject({ code: 'file-missing' });
    await makeFolders(store, '/empty');
    expect((await scanFolder('/empty', { fs: store })).disks).toEqual([]);
  });

  it('cuts chains that lead back to themselves', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds');
    await writeText(store, '/ds/self.vmdk', linkText('00000001', '00000001', 'self.vmdk'));
    await writeText(store, '/ds/a.vmdk', linkText('0000000a', '0000000b', 'b.vmdk'));
    await writeText(store, '/ds/b.vmdk', linkText('0000000b', '0000000c', 'c.vmdk'));
    await writeText(store, '/ds/c.vmdk', linkText('0000000c', '0000000a', 'a.vmdk'));
    const forest = await scanFolder('/ds', { fs: store });
    const codes = forest.disks.map(({ path, problems }) => [path, problems.map(({ code }) => code)]);
    expect(codes).toEqual([
      ['/ds/a.vmdk', ['CHAIN-CYCLE']],
      ['/ds/b.vmdk', []],
      ['/ds/c.vmdk', []],
      ['/ds/self.vmdk', ['CHAIN-MISSING']],
    ]);
    expect(dependantsOf(forest, '/ds/a.vmdk').map(({ path }) => path)).toEqual(['/ds/c.vmdk', '/ds/b.vmdk']);
  });

  it('survives files of every wrong kind, and says which they are', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/folder.vmdk', '/ds/locked.vmdk.lck');
    await writeText(store, '/ds/empty.vmdk', '');
    await writeText(store, '/ds/noise.vmdk', '\0\x01\x02'.repeat(1000));
    await writeText(store, '/ds/locked.vmdk.lck/x.vmdk', linkText('00000001'));
    await writeText(store, '/ds/long.vmdk', `${linkText('00000001')}${'# x\n'.repeat(300_000)}`);
    await writeText(
      store,
      '/ds/many.vmdk',
      linkText('00000002') + 'RW 1 FLAT "../../etc/passwd" 0\n'.repeat(50),
    );
    await writeText(store, '/ds/broken.vmx', '\0\0\0\x01binary');
    await writeText(
      store,
      '/ds/odd.vmx',
      vmxText('odd', { 'scsi0:0': '/etc/shadow', 'scsi0:1': '../../../x.vmdk' }),
    );
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.problems.map(({ path, code }) => [path, code])).toEqual([
      ['/ds/broken.vmx', 'MACHINE-UNREADABLE'],
      ['/ds/empty.vmdk', 'NOT-A-VMDK'],
      ['/ds/long.vmdk', 'DESCRIPTOR-TOO-LARGE'],
      ['/ds/noise.vmdk', 'NOT-A-VMDK'],
    ]);
    expect(diskAt(forest, '/ds/many.vmdk')!.files).toEqual(['/ds/many.vmdk']);
    expect(diskAt(forest, '/ds/many.vmdk')!.problems.map(({ code }) => code)).toEqual([
      'OUTSIDE-ALLOWED-FOLDERS',
    ]);
    expect(forest.machines[0]!.disks.map(({ path }) => path)).toEqual([undefined, undefined]);
  });

  it('reads a long but lawful descriptor in full', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds');
    await writeText(store, '/ds/long.vmdk', linkText('00000001') + '# comment\n'.repeat(20_000));
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.disks).toMatchObject([{ path: '/ds/long.vmdk', cid: 1 }]);
  });

  it('looks for so many extents and machine disks and no more, and says so', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds');
    const extents = Array.from({ length: 4100 }, (_, index) => `RW 1 FLAT "e${index}" 0\n`).join('');
    await writeText(store, '/ds/a.vmdk', linkText('00000001') + extents);
    const snapshots = Array.from({ length: 2100 }, (_, index) => {
      return `snapshot${index}.uid = "${index + 1}"\nsnapshot${index}.numDisks = "1"\nsnapshot${index}.disk0.fileName = "d${index}.vmdk"\n`;
    });
    await writeText(store, '/ds/m.vmx', vmxText('m', { 'scsi0:0': 'a.vmdk' }));
    await writeText(store, '/ds/m.vmsd', snapshots.join(''));
    const forest = await scanFolder('/ds', { fs: store });
    expect(forest.disks[0]!.problems.map(({ code }) => code)).toContain('SCAN-EXTENTS');
    expect(forest.machines[0]!.snapshots).toHaveLength(2100);
    expect(forest.machines[0]!.disks).toMatchObject([{ path: '/ds/a.vmdk' }]);
  });

  it('ends when there are more names than it may look at, and says so', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds');
    await writeChain(store, '/ds', 10);
    const forest = await scanFolder('/ds', { fs: store, mostNames: 4 });
    expect(forest).toMatchObject({ complete: false });
    expect(forest.disks.length).toBeLessThanOrEqual(4);
  });

  it('scans long chains and wide trees at a cost for each disk, not for each pair', async () => {
    const store = createMemoryFileStore();
    await makeFolders(store, '/ds', '/ds/chain', '/ds/star');
    await writeChain(store, '/ds/chain', 300);
    await writeText(store, '/ds/star/base.vmdk', linkText('abcdef01'));
    for (let child = 0; child < 400; child++) {
      await writeText(store, `/ds/star/c${child}.vmdk`, linkText('abcdef01', 'abcdef01', 'base.vmdk'));
    }
    let looked = 0;
    const counting: FileStore = {
      ...store,
      resolve: (path) => {
        looked++;
        return store.resolve(path);
      },
    };
    const forest = await scanFolder('/ds', { fs: counting });
    expect(looked).toBeLessThan(701 * 8);
    expect(forest.disks).toHaveLength(701);
    expect(dependantsOf(forest, '/ds/star/base.vmdk')).toHaveLength(400);
    expect(diskAt(forest, '/ds/chain/l299.vmdk')!.links).toBe(300);
    expect(forest.brokenHints).toEqual([]);
  });
});
