// A chain that lost its descriptors, put together again from what is beside it: the machine's files, its logs, names
// and sizes, and the CIDs of what is left. The result reads as before; what nothing proves is refused.
import { beforeEach, describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { recoverDisk } from '../../src/operations/recover.ts';
import { readLog } from '../../src/operations/recover-evidence.ts';
import { recoverFolder } from '../../src/operations/recover-folder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';

const CAPACITY = 3000;
/** Leaf first. */
const NAMES = ['vm-000002.vmdk', 'vm-000001.vmdk', 'vm.vmdk'] as const;

let fs: FileStore;
let content: Buffer;

async function whole(path: string): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all;
}

async function put(name: string, text: string): Promise<void> {
  const file = await fs.create(`/vm/${name}`);
  await file.write(Buffer.from(text), 0);
  await file.close();
}

async function write(name: string, at: number, seed: number): Promise<void> {
  const chain = await openChain(`/vm/${name}`, 'update', { fs });
  await chain.write(at as Sectors, pattern(40 * SECTOR_BYTES, seed));
  await chain.close();
}

beforeEach(async () => {
  fs = createMemoryFileStore();
  await fs.makeFolder('/vm');
  await createDisk('/vm/vm.vmdk', bytes(CAPACITY * SECTOR_BYTES), { fs, type: 'vmfs', thin: true });
  await write('vm.vmdk', 100, 1);
  await createDelta('/vm/vm-000001.vmdk', '/vm/vm.vmdk', { fs, type: 'vmfsSparse' });
  await write('vm-000001.vmdk', 500, 2);
  await createDelta('/vm/vm-000002.vmdk', '/vm/vm-000001.vmdk', { fs, type: 'vmfsSparse' });
  await write('vm-000002.vmdk', 120, 3);
  content = await whole('/vm/vm-000002.vmdk');
});

const lose = async (...names: string[]): Promise<void> => {
  for (const name of names) await fs.remove(`/vm/${name}`);
};

const VMX =
  'scsi0.present = "TRUE"\nscsi0.virtualDev = "buslogic"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "vm-000002.vmdk"\n';
const VMSD = `snapshot.current = "7"
snapshot.numSnapshots = "2"
snapshot0.uid = "3"
snapshot0.displayName = "first"
snapshot0.numDisks = "1"
snapshot0.disk0.fileName = "vm.vmdk"
snapshot0.disk0.node = "scsi0:0"
snapshot1.uid = "7"
snapshot1.parent = "3"
snapshot1.displayName = "second"
snapshot1.numDisks = "1"
snapshot1.disk0.fileName = "vm-000001.vmdk"
snapshot1.disk0.node = "scsi0:0"
`;

const linkLine = (thread: string, path: string, type: string, sectors = CAPACITY): string =>
  `2012-08-11T02:44:28.804Z| ${thread}| DISKLIB-LINK  : Opened '${path}' (0xa): ${type}, ${sectors} sectors / 1 MB.`;

const BEFORE = [
  ['vm-000001.vmdk', 'vmfsSparse'],
  ['vm-000002.vmdk', 'vmfsSparse'],
] as const;
const SINCE = [
  ['vm-000002.vmdk', 'vmfsSparse'],
  ['vm-000001.vmdk', 'vmfsSparse'],
  ['vm.vmdk', 'vmfs'],
] as const;

function logOf(links: readonly (readonly [string, string])[]): string {
  const lines = links.flatMap(([name, type]) => [
    linkLine('worker-1', `/vmfs/volumes/4e40/vm/${name}`, type),
    // Another thread opens another disk in between.
    linkLine('vmx', `/vmfs/volumes/4e40/other/other-00000${links.length}.vmdk`, 'vmfsSparse', 999),
  ]);
  return [...lines, '2012|worker-1| DISKLIB-LIB   : Opened "/x" (flags 0xa, type vmfs).', ''].join('\n');
}

describe('all descriptors of a chain', () => {
  it.each<[string, () => Promise<void>, string]>([
    [
      'the snapshots of the machine',
      async () => {
        await put('vm.vmx', VMX);
        await put('vm.vmsd', VMSD);
      },
      'vm.vmsd',
    ],
    [
      'the latest of its logs',
      async () => {
        await put('vmware-1.log', logOf(BEFORE));
        await put('vmware.log', logOf(SINCE));
      },
      'vmware.log:3',
    ],
    [
      'the highest of the numbers that ESX gave its logs',
      async () => {
        await put('vmware-9.log', logOf(BEFORE));
        await put('vmware-10.log', logOf(SINCE));
      },
      'vmware-10.log:3',
    ],
    [
      'the lowest of the numbers that Workstation gave its logs',
      async () => {
        await put('vmware-1.log', logOf(BEFORE));
        await put('vmware-0.log', logOf(SINCE));
      },
      'vmware-0.log:3',
    ],
    [
      'the times in its logs, before their numbers',
      async () => {
        await put('vmware-1.log', logOf(SINCE).replaceAll('02:44:28.804Z', '02:44:28.804-07:00'));
        await put('vmware-2.log', logOf(BEFORE));
      },
      'vmware-1.log:3',
    ],
  ])('come back by %s', async (_, tell, by) => {
    await tell();
    await lose(...NAMES);
    const { disks } = await recoverFolder('/vm', { fs });
    expect(disks.map(({ filename }) => filename)).toEqual([
      '/vm/vm.vmdk',
      '/vm/vm-000001.vmdk',
      '/vm/vm-000002.vmdk',
    ]);
    expect(disks[2]).toMatchObject({ parent: '/vm/vm-000001.vmdk', 'parent-by': by });
    expect((await whole('/vm/vm-000002.vmdk')).equals(content)).toBe(true);
  });

  it('come back by names and sizes alone only one after the other, as far as one disk fits', async () => {
    await lose(...NAMES);
    const { disks, lost } = await recoverFolder('/vm', { fs });
    // Both deltas could stand on the base.
    expect(disks.map(({ filename }) => filename)).toEqual(['/vm/vm.vmdk']);
    expect(lost.filter(({ what }) => what.includes('not recovered'))).toHaveLength(2);
    await recoverDisk(['/vm/vm-000001-delta.vmdk'], '/vm/vm-000001.vmdk', { fs, parent: '/vm/vm.vmdk' });
    const { disks: rest } = await recoverFolder('/vm', { fs });
    expect(rest).toMatchObject([
      { parent: '/vm/vm-000001.vmdk', 'parent-by': expect.stringContaining('size') as string },
    ]);
    expect((await whole('/vm/vm-000002.vmdk')).equals(content)).toBe(true);
  });

  it('have the adapter that the machine has', async () => {
    await put('vm.vmx', VMX);
    await put('vm.vmsd', VMSD);
    await lose('vm.vmdk');
    await recoverDisk(['/vm/vm-flat.vmdk'], '/vm/vm.vmdk', { fs });
    const chain = await openChain('/vm/vm.vmdk', 'read', { fs });
    expect(chain.leaf.descriptor.ddb.get('ddb.adaptertype')).toBe('buslogic');
    await chain.close();
  });
});

describe('one link', () => {
  it.each(NAMES)('%s finds its place between those that are left', async (name) => {
    await lose(name);
    const extent = name === 'vm.vmdk' ? 'vm-flat.vmdk' : name.replace('.vmdk', '-delta.vmdk');
    // Nothing stands on the leaf, and only one disk is below it; in the middle the child's CID is known.
    await recoverDisk([`/vm/${extent}`], `/vm/${name}`, { fs });
    expect((await whole('/vm/vm-000002.vmdk')).equals(content)).toBe(true);
  });

  it('gets the CID fffffffe back, which disks above were made over', async () => {
    for (const [name, key] of [
      ['vm.vmdk', 'CID'],
      ['vm-000001.vmdk', 'parentCID'],
    ] as const) {
      const file = await fs.open(`/vm/${name}`, 'update');
      const text = Buffer.alloc(await file.size());
      await file.readExactly(text, 0);
      await file.write(
        Buffer.from(text.toString().replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=fffffffe`)),
        0,
      );
      await file.close();
    }
    await lose('vm.vmdk');
    const report = await recoverDisk(['/vm/vm-flat.vmdk'], '/vm/vm.vmdk', { fs });
    expect(report.cid).toBe('fffffffe');
    expect((await whole('/vm/vm-000002.vmdk')).equals(content)).toBe(true);
  });

  it('is refused where what is said does not agree, fits no disk, or leads to one that is lost too', async () => {
    await put('vm.vmx', VMX);
    await put('vm.vmsd', VMSD);
    await put(
      'vmware.log',
      logOf([
        ['vm-000002.vmdk', 'vmfsSparse'],
        ['vm.vmdk', 'vmfs'],
      ]),
    );
    await lose('vm-000002.vmdk');
    const recover = (options = {}) =>
      recoverDisk(['/vm/vm-000002-delta.vmdk'], '/vm/vm-000002.vmdk', { fs, ...options });
    await expect(recover()).rejects.toMatchObject({
      code: 'parent-unknown',
      context: { found: 'vm-000001.vmdk (vm.vmsd), vm.vmdk (vmware.log:3)' },
    });
    await lose('vmware.log', 'vm-000001.vmdk');
    await expect(recover()).rejects.toMatchObject({ code: 'parent-missing' });
    expect(await fs.exists('/vm/vm-000002.vmdk')).toBe(false);
    expect((await recover({ parent: 'none' })).parent).toBeUndefined();
  });

  it('of a hosted snapshot is never made a disk of its own', async () => {
    await createDelta('/vm/vm-000003.vmdk', '/vm/vm-000002.vmdk', { fs, type: 'twoGbMaxExtentSparse' });
    await lose('vm-000003.vmdk', 'vm-000001.vmdk');
    const work = recoverDisk(['/vm/vm-000003-s001.vmdk'], '/vm/vm-000003.vmdk', { fs });
    await expect(work).rejects.toMatchObject({ code: 'parent-unknown' });
  });
});

it('reads who stands on whom from the complaint about a content id', () => {
  const line =
    'vmx| DISKLIB-LINK : DiskLinkIsAttachPossible: Content ID mismatch (parentCID fffffffe != ffffffde) /v/4e/sql/sql-000002.vmdk /v/4e/sql/sql-000001.vmdk.';
  expect(readLog(line, 'vmware.log')).toEqual([
    { child: 'sql-000002.vmdk', parent: 'sql-000001.vmdk', by: 'vmware.log:1' },
  ]);
});
