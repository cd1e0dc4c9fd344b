// The evidence of the worked case in docs/: a machine with two snapshots and a linked clone of the first, a partition
// table on its disk, and file times as they would be. Made by our own engine; only contents and times are made up.
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { printDictionary } from '../../src/format/dictionary.ts';
import { composeDictionary } from '../../src/format/edit-dictionary.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { pattern } from './chain-model.ts';

const MIB = 1 << 20;
const HOURS = 3_600_000;
/** 2026-03-01T12:00:00Z, and a day later. */
const INSTALLED = Date.UTC(2026, 2, 1, 12);
const AUDIT = Date.UTC(2026, 2, 2, 12);

/** `web/web.vmx`, and `desk/desk.vmx` that stands on its first snapshot, below `root`. */
export async function makeWorkedCase(root: string): Promise<void> {
  const [web, desk] = [join(root, 'web'), join(root, 'desk')];
  await mkdir(web);
  await mkdir(desk);
  const base = join(web, 'web.vmdk');
  await createDisk(base, bytes(64 * MIB), { durable: false });
  await write(base, 0, partitionTable());
  await write(base, 2 * MIB, pattern(3 * MIB, 1));
  const vmx = join(web, 'web.vmx');
  await writeMachine(vmx, 'web', 'web.vmdk');
  await snapshot(vmx, 'installed', INSTALLED);
  await write(join(web, 'web-000001.vmdk'), 3 * MIB, pattern(256 << 10, 2));
  await snapshot(vmx, 'before the audit', AUDIT);
  await write(join(web, 'web-000002.vmdk'), 2 * MIB + (64 << 10), pattern(128 << 10, 3));
  const clone = join(desk, 'desk.vmdk');
  await createDelta(clone, base, { durable: false });
  await write(clone, 4 * MIB, pattern(64 << 10, 4));
  await writeMachine(join(desk, 'desk.vmx'), 'desk', 'desk.vmdk');
  await writeFile(join(web, 'vmware.log'), LOG.join('\n'));
  await setTimes(web, 'web.vmdk', INSTALLED);
  await setTimes(web, 'web-000001.vmdk', AUDIT);
  for (const name of await readdir(web))
    if (!/^web(?:-000001)?\.vmdk$/.test(name)) await setTimes(web, name, AUDIT + 6 * HOURS);
  for (const name of await readdir(desk)) await setTimes(desk, name, AUDIT + 8 * HOURS);
}

const LOG = [
  '2026-03-01T08:00:00.000Z| vmx| I005: Log for VMware Workstation pid=812 version=17.5.0',
  '2026-03-01T08:00:01.250Z| vmx| I005: DISK: OPEN scsi0:0 web.vmdk persistent',
  '2026-03-01T08:00:01.500Z| vcpu-0| I005: Guest: all is well',
  '2026-03-01T12:00:00.100Z| vmx| I005: SnapshotVMX_TakeSnapshot start: installed',
  '2026-03-02T12:00:00.100Z| vmx| I005: SnapshotVMX_TakeSnapshot start: before the audit',
  '2026-03-02T17:59:00.000Z| vmx| I005: VMX exit (0).',
  '',
];

async function snapshot(vmx: string, name: string, at: number): Promise<void> {
  await createSnapshot(vmx, { name }, { nowMicros: BigInt(at) * 1000n, durable: false });
}

async function write(path: string, at: number, data: Buffer): Promise<void> {
  const chain = await openChain(path, 'update');
  await chain.write(sectors(at / 512), data);
  await chain.close();
}

async function setTimes(folder: string, name: string, at: number): Promise<void> {
  await utimes(join(folder, name), new Date(at), new Date(at));
}

async function writeMachine(vmx: string, name: string, disk: string): Promise<void> {
  const lines: [string, string][] = [
    ['config.version', '8'],
    ['virtualHW.version', '19'],
    ['displayName', name],
    ['guestOS', 'debian11-64'],
    ['scsi0.present', 'TRUE'],
    ['scsi0.virtualDev', 'lsilogic'],
    ['scsi0:0.present', 'TRUE'],
    ['scsi0:0.fileName', disk],
    ['cleanShutdown', 'TRUE'],
  ];
  await writeFile(vmx, printDictionary(composeDictionary(lines, { path: vmx })));
}

/** One partition for Linux, from sector 2048 to the end. */
function partitionTable(): Buffer {
  const sector = Buffer.alloc(512);
  sector.set([0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff], 446);
  sector.writeUInt32LE(2048, 454);
  sector.writeUInt32LE(64 * 2048 - 2048, 458);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}
