// A small datastore for tests of scanning: a golden machine with a snapshot, linked clones of it beside, a
// fixture in any store.
import { posix } from 'node:path';
import { writeBytes } from '../../src/block/byte-access.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Bytes } from '../../src/core/units.ts';
import { fixtureSpec } from '../../src/fixture/spec-builder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { fillByte, placeFixture } from './fixture-disks.ts';

export const MODEL_BYTES = bytes(1 << 20);

export async function makeFolders(store: FileStore, ...folders: readonly string[]): Promise<void> {
  for (const folder of folders) if (!(await store.exists(folder))) await store.makeFolder(folder);
}

export async function writeText(store: FileStore, path: string, text: string): Promise<void> {
  await store.replace(path, Buffer.from(text));
}

export function vmxText(name: string, disks: Readonly<Record<string, string>>, more = ''): string {
  const lines = Object.entries(disks).map(
    ([node, file]) => `${node}.present = "TRUE"\n${node}.fileName = "${file}"\n`,
  );
  return `.encoding = "UTF-8"\ndisplayName = "${name}"\nscsi0.present = "TRUE"\n${lines.join('')}${more}`;
}

/** One snapshot, uid 1, of one disk at scsi0:0. */
export function vmsdText(disk: string, more = ''): string {
  return [
    '.encoding = "UTF-8"',
    'snapshot.lastUID = "1"',
    'snapshot.current = "1"',
    'snapshot.numSnapshots = "1"',
    'snapshot0.uid = "1"',
    'snapshot0.filename = "golden-Snapshot1.vmsn"',
    'snapshot0.displayName = "ready"',
    'snapshot0.createTimeHigh = "388745"',
    'snapshot0.createTimeLow = "1991180826"',
    'snapshot0.numDisks = "1"',
    `snapshot0.disk0.fileName = "${disk}"`,
    'snapshot0.disk0.node = "scsi0:0"',
    more,
    '',
  ].join('\n');
}

/** Rolls the CID of a disk, as booting it by mistake does. */
export async function writeInto(store: FileStore, path: string): Promise<void> {
  const chain = await openChain(path, 'update', { fs: store });
  await writeBytes(chain, 4096 as Bytes, Buffer.alloc(512, 0xab));
  await chain.close();
}

const { spec: DATASTORE } = fixtureSpec('datastore')
  .disk('golden/golden', MODEL_BYTES, { createType: 'vmfs', writes: [fillByte(4096, 512, 0xab)] })
  .delta('golden/golden-000001', 'golden/golden')
  .delta('web-1/web-1', 'golden/golden')
  .delta('web-2/web-2', 'golden/golden');

/**
 * `root`/golden: golden.vmdk, a snapshot of it, and the delta the machine runs on; `root`/web-1 and `root`/web-2: linked
 * clones of the snapshot, each a machine with a snapshot database that says so.
 */
export async function makeDatastore(store: FileStore, root: string): Promise<void> {
  const at = (...parts: string[]): string => posix.join(root, ...parts);
  await makeFolders(store, root);
  await placeFixture(DATASTORE, root, store);
  await writeText(store, at('golden/golden.vmx'), vmxText('golden', { 'scsi0:0': 'golden-000001.vmdk' }));
  await writeText(store, at('golden/golden.vmsd'), vmsdText('golden.vmdk'));
  for (const name of ['web-1', 'web-2']) {
    await writeText(store, at(name, `${name}.vmx`), vmxText(name, { 'scsi0:0': `${name}.vmdk` }));
    await writeText(
      store,
      at(name, `${name}.vmsd`),
      `numCloneOf = "1"\ncloneOf0 = "../golden/golden.vmx"\nnumSentinels = "1"\nsentinel0 = "${name}.vmdk"\n`,
    );
  }
}

/** A descriptor whose extent is an empty file of zeros in no file: enough for a scan, which reads no sector. */
export function linkText(cid: string, parentCid = 'ffffffff', hint?: string): string {
  const parent = hint === undefined ? '' : `parentFileNameHint="${hint}"\n`;
  return `# Disk DescriptorFile\nversion=1\nCID=${cid}\nparentCID=${parentCid}\ncreateType="custom"\n${parent}RW 2048 ZERO\n`;
}

/** `count` links in `folder`: l0.vmdk is the base, each CID is its number plus one. */
export async function writeChain(store: FileStore, folder: string, count: number): Promise<void> {
  const cid = (link: number): string => (link + 1).toString(16).padStart(8, '0');
  for (let link = 0; link < count; link++) {
    const text = link === 0 ? linkText(cid(0)) : linkText(cid(link), cid(link - 1), `l${link - 1}.vmdk`);
    await writeText(store, posix.join(folder, `l${link}.vmdk`), text);
  }
}
