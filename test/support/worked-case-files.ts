// The second disk of the worked case: a file system with a few letters, and a delta in which one of them was changed and
// one was added. Made by the tools of ext itself, so that sleuthkit and we read what neither made.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { inPartition, makeExt } from './file-system-images.ts';
import type { Peer } from './peer-tools.ts';

const BLOCK = 65_536;

/** `mail/mail.vmdk`, and the delta `mail/mail-000001.vmdk`, below `root`; what they are made of lies in `scratch`. */
export async function makeMailDisk(
  root: string,
  scratch: string,
  peers: Readonly<Record<'mke2fs' | 'debugfs', Peer>>,
): Promise<void> {
  const [tree, image] = [join(scratch, 'tree'), join(scratch, 'ext.img')];
  await mkdir(join(tree, 'letters'), { recursive: true });
  await writeFile(join(tree, 'letters/offer.txt'), 'We offer 100 a piece.\n');
  await writeFile(join(tree, 'letters/reply.txt'), 'We accept.\n');
  await makeExt(peers.mke2fs, image, tree, ['-t', 'ext4']);
  const before = await onDisk(image, scratch);
  const [offer, note] = [join(scratch, 'offer'), join(scratch, 'note')];
  await writeFile(offer, 'We offer 900 a piece.\n');
  await writeFile(note, 'Nobody will see.\n');
  for (const command of [
    'rm /letters/offer.txt',
    `write ${offer} /letters/offer.txt`,
    `write ${note} /letters/note.txt`,
  ]) {
    await peers.debugfs.ok(['-w', '-R', command, image]);
  }
  const after = await onDisk(image, scratch);
  const folder = join(root, 'mail');
  await mkdir(folder);
  const [base, leaf] = [join(folder, 'mail.vmdk'), join(folder, 'mail-000001.vmdk')];
  await createDisk(base, bytes(before.length), { durable: false });
  await writeBlocks(base, before, Buffer.alloc(before.length));
  await createDelta(leaf, base, { durable: false });
  await writeBlocks(leaf, after, before);
}

async function onDisk(image: string, scratch: string): Promise<Buffer> {
  const disk = join(scratch, 'disk.raw');
  await inPartition(image, disk);
  return readFile(disk);
}

/** What differs from `below`. */
async function writeBlocks(path: string, data: Buffer, below: Buffer): Promise<void> {
  const chain = await openChain(path, 'update');
  for (let at = 0; at < data.length; at += BLOCK) {
    const block = data.subarray(at, at + BLOCK);
    if (!block.equals(below.subarray(at, at + BLOCK))) await chain.write(sectors(at / 512), block);
  }
  await chain.close();
}
