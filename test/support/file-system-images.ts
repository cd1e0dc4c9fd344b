// File systems made by the tools that everybody makes them with, filled from a folder, and put into a partition.
import { mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mbrSector } from './partition-tables.ts';
import type { Peer } from './peer-tools.ts';
import { fileBytes } from './buffer-disk.ts';

/** Where the partition starts that `inPartition` makes, in sectors. */
export const PARTITION_START = 2048;

/** Files of many kinds: empty, small, in pieces, with holes, deep, with names that need care. */
export async function makeTree(folder: string): Promise<void> {
  await mkdir(join(folder, 'etc/deep/deeper'), { recursive: true });
  await mkdir(join(folder, 'many'));
  await writeFile(join(folder, 'etc/hosts'), '127.0.0.1 localhost\n');
  await writeFile(join(folder, 'etc/deep/deeper/file'), 'deep\n');
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, 'small.bin'), fileBytes(100, 1));
  await writeFile(join(folder, 'large.bin'), fileBytes(1_500_004, 2));
  await writeFile(join(folder, 'A long name with Cases.Text'), 'x'.repeat(700));
  await writeFile(join(folder, 'Käse, Brot und Öl.txt'), 'Käse\n');
  for (let index = 0; index < 60; index++) {
    await writeFile(join(folder, 'many', `file number ${index}.txt`), `${index}\n`);
  }
}

/** What FAT cannot hold: holes and links. */
export async function addUnixFiles(folder: string): Promise<void> {
  const sparse = join(folder, 'sparse');
  await writeFile(sparse, 'begin');
  await truncate(sparse, 900_000);
  await writeFile(sparse, fileBytes(4096, 3), { flag: 'a' });
  await symlink('hosts', join(folder, 'etc/link'));
  await symlink('x'.repeat(90), join(folder, 'etc/long link'));
}

/** An ext file system in `path` with the files of `tree`. */
export async function makeExt(
  mke2fs: Peer,
  path: string,
  tree: string,
  options: readonly string[],
): Promise<void> {
  await mke2fs.ok(['-q', '-F', '-L', 'test', '-d', tree, ...options, path, '8M']);
}

/** A FAT file system in `path` with the files of `tree`. */
export async function makeFat(
  peers: Readonly<Record<'mkfs.fat' | 'mcopy', Peer>>,
  path: string,
  tree: string,
  bits: 12 | 16 | 32,
): Promise<void> {
  const kib = { 12: 4096, 16: 16_384, 32: 34_816 }[bits];
  const perCluster = { 12: 2, 16: 1, 32: 1 }[bits];
  await peers['mkfs.fat'].ok([
    '-F',
    String(bits),
    '-s',
    String(perCluster),
    '-n',
    'TEST',
    '-C',
    path,
    String(kib),
  ]);
  const files = (await readdir(tree)).map((name) => join(tree, name));
  await peers.mcopy.ok(['-s', '-Q', '-i', path, ...files, '::/'], {
    env: { MTOOLS_SKIP_CHECK: '1', LC_ALL: 'C.UTF-8' },
  });
}

/** A disk with one partition that holds `image`. */
export async function inPartition(image: string, disk: string, type = 0x83): Promise<void> {
  const { size } = await stat(image);
  const front = Buffer.alloc(PARTITION_START * 512);
  front.set(mbrSector([{ type, start: PARTITION_START, count: size / 512 }]));
  await writeFile(disk, Buffer.concat([front, await readFile(image)]));
}
