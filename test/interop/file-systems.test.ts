// `vmdkit ls` and `cat --file` beside fls, tsk_recover and icat, on file systems that mke2fs, mkfs.fat and mtools made.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile as readWhole, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { isVmdkError } from '../../src/core/errors.ts';
import { chooseFileSystem, findFileSystems } from '../../src/examine/find-file-systems.ts';
import { readFile } from '../../src/examine/read-file.ts';
import { walkFiles } from '../../src/examine/walk-files.ts';
import { bufferTarget } from '../support/buffer-disk.ts';
import { temporaryFolder } from '../support/command.ts';
import {
  addUnixFiles,
  inPartition,
  makeExt,
  makeFat,
  makeTree,
  PARTITION_START,
} from '../support/file-system-images.ts';
import { describeWithPeer } from '../support/peer-tools.ts';
import { seededNumbers } from '../support/qemu-images.ts';
import { diskOfRaw } from '../support/raw-disk.ts';

const PEERS = ['fls', 'icat', 'tsk_recover', 'mke2fs', 'mkfs.fat', 'mcopy'] as const;

interface Seen {
  readonly kind: string;
  readonly inode: number;
  readonly sha256: string | undefined;
}

describeWithPeer(PEERS, 'files beside fls, tsk_recover and icat', (peers) => {
  let folder: string;
  let remove: () => Promise<void>;
  let tree: string;
  let unixTree: string;

  beforeAll(async () => {
    ({ folder, remove } = await temporaryFolder());
    [tree, unixTree] = [join(folder, 'tree'), join(folder, 'unix')];
    for (const each of [tree, unixTree]) {
      await mkdir(each);
      await makeTree(each);
    }
    await addUnixFiles(unixTree);
  });
  afterAll(() => remove());

  const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

  const seenByUs = async (disk: string): Promise<Map<string, Seen>> => {
    const chain = await openChain(disk, 'read');
    try {
      const { fileSystem } = chooseFileSystem(disk, await findFileSystems(disk, chain), undefined);
      const seen = new Map<string, Seen>();
      for await (const { path, node } of walkFiles(fileSystem)) {
        const hash = createHash('sha256');
        if (node.kind === 'file') {
          for await (const piece of readFile(chain, fileSystem, node)) hash.update(piece);
        }
        const letter = { file: 'r', folder: 'd', link: 'l' }[node.kind as string] ?? node.kind;
        const content = node.kind === 'file' ? hash.digest('hex') : undefined;
        seen.set(path.slice(1), { kind: letter, inode: node.inode, sha256: content });
      }
      return seen;
    } finally {
      await chain.close();
    }
  };

  /** Deleted entries, and those that sleuthkit makes up, are left out. */
  const seenByThem = async (raw: string): Promise<Map<string, Seen>> => {
    const listing = await peers.fls.ok(['-r', '-p', '-o', String(PARTITION_START), raw]);
    const seen = new Map<string, Seen>();
    for (const line of listing.trimEnd().split('\n')) {
      const [, kind = '', inode = '', path = ''] = /^.\/(.) (\d+)(?:-\S+)?:\t(.*)$/.exec(line) ?? [];
      if (kind === '' || kind === 'V' || kind === 'v' || path.startsWith('$') || /Volume Label/.test(line))
        continue;
      seen.set(path, { kind, inode: Number(inode), sha256: undefined });
    }
    const contents = await contentsOf(raw);
    for (const [path, entry] of seen) {
      if (entry.kind !== 'r') continue;
      // It takes no empty file out.
      const content = contents.get(path) ?? (await printed(raw, entry.inode));
      seen.set(path, { ...entry, sha256: sha256(content) });
    }
    return seen;
  };

  /** Every file that tsk_recover takes out, by path. */
  const contentsOf = async (raw: string): Promise<Map<string, Buffer>> => {
    const out = `${raw}.files`;
    const args = ['-a', '-o', String(PARTITION_START), raw, out];
    await peers.tsk_recover.ok(args, { env: { LC_ALL: 'C.UTF-8' } });
    const contents = new Map<string, Buffer>();
    for (const name of await readdir(out, { recursive: true })) {
      const path = join(out, name);
      if ((await stat(path)).isFile()) contents.set(name, await readWhole(path));
    }
    return contents;
  };

  const printed = (raw: string, inode: number): Promise<string> =>
    peers.icat.ok(['-o', String(PARTITION_START), raw, String(inode)]);

  const compare = async (image: string): Promise<void> => {
    const raw = `${image}.disk`;
    await inPartition(image, raw);
    const [ours, theirs] = [await seenByUs(await diskOfRaw(raw)), await seenByThem(raw)];
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
    expect(theirs.size).toBeGreaterThan(65);
    for (const [path, seen] of theirs) expect({ path, ...ours.get(path)! }).toEqual({ path, ...seen });
  };

  it.each([
    ['ext2 with blocks of 1 KiB and small inodes', ['-t', 'ext2', '-b', '1024', '-I', '128']],
    ['ext3', ['-t', 'ext3']],
    ['ext4', ['-t', 'ext4', '-b', '4096']],
    ['ext4 with files in inodes', ['-t', 'ext4', '-O', 'inline_data', '-I', '256']],
    [
      'ext4 with descriptors spread over the groups',
      ['-t', 'ext4', '-b', '1024', '-O', 'meta_bg,^resize_inode'],
    ],
  ])('agree on %s', async (name, options) => {
    const image = join(folder, `${name.replaceAll(' ', '-')}.img`);
    await makeExt(peers.mke2fs, image, unixTree, options);
    await compare(image);
  });

  it.each([12, 16, 32] as const)('agree on FAT%i', async (bits) => {
    const image = join(folder, `fat${bits}.img`);
    await makeFat(peers, image, tree, bits);
    await compare(image);
  });

  it('read ext4 with clusters of blocks, which sleuthkit does not', async () => {
    const image = join(folder, 'bigalloc.img');
    await makeExt(peers.mke2fs, image, unixTree, ['-t', 'ext4', '-b', '1024', '-O', 'bigalloc']);
    const seen = await seenByUs(await diskOfRaw(image));
    const content = await readWhole(join(unixTree, 'large.bin'));
    expect(seen.get('large.bin')).toMatchObject({ kind: 'r', sha256: sha256(content) });
    const sparse = await readWhole(join(unixTree, 'sparse'));
    expect(seen.get('sparse')).toMatchObject({ kind: 'r', sha256: sha256(sparse) });
  });

  it.each(['ext4', 'ext2', 'fat16'])('end with an answer or a named error on damaged %s', async (kind) => {
    const image = join(folder, `damaged-${kind}.img`);
    if (kind === 'fat16') await makeFat(peers, image, tree, 16);
    else await makeExt(peers.mke2fs, image, unixTree, ['-t', kind]);
    const sound = await readWhole(image);
    const next = seededNumbers(kind.length + 7);
    const outcomes = { read: 0, refused: 0, problems: 0 };
    for (let round = 0; round < 25; round++) {
      const bytes = Buffer.from(sound);
      // Mostly where structures stand: the front, and wherever a folder has an entry.
      for (let hit = 0; hit < 1 + next(400); hit++) {
        const at = next(3) === 0 ? next(bytes.length) : next(400_000);
        bytes[at] = next(2) === 0 ? 0xff : next(256);
      }
      const source = bufferTarget(bytes.length / 512, bytes);
      const { volumes } = await findFileSystems('/d', source);
      const { fileSystem, problem } = volumes[0]!;
      if (fileSystem === undefined) {
        expect(isVmdkError(problem)).toBe(true);
        outcomes.refused++;
        continue;
      }
      outcomes.read++;
      const onProblem = (): void => void outcomes.problems++;
      for await (const { node } of walkFiles(fileSystem, fileSystem.root, '', { onProblem, most: 5000 })) {
        try {
          await fileSystem.contents(node);
        } catch (error) {
          if (!isVmdkError(error)) throw error;
          outcomes.problems++;
        }
      }
    }
    expect(outcomes.read).toBeGreaterThan(0);
    expect(outcomes.read + outcomes.refused).toBe(25);
  });
});
