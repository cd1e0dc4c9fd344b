// The machines that the walk-throughs in docs/ work on: of the size that people have, in a few MiB of real files. Made by
// our own engine; only the times and the contents are made up.
import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, sectors } from '../../src/core/units.ts';
import { printDictionary } from '../../src/format/dictionary.ts';
import { composeDictionary } from '../../src/format/edit-dictionary.ts';
import { createSnapshot } from '../../src/machine/snapshot-create.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import { pattern } from './chain-model.ts';

export interface WalkMachine {
  readonly name: string;
  /** The folder on the datastore that holds the machine's; the datastore itself unless given. */
  readonly place?: string;
  /** By place: `scsi0:0`. */
  readonly disks: Readonly<Record<string, WalkDisk>>;
  /** Taken one after the other, a day apart. */
  readonly snapshots?: readonly string[];
  /** Links of the chain of each disk, where nobody recorded how they came to be. */
  readonly links?: number;
  readonly hardwareVersion?: number;
  readonly vmx?: readonly (readonly [string, string])[];
}

export interface WalkDisk {
  readonly size: number;
  readonly type: CreateDiskOptions;
  /** Bytes that the guest has written, in pieces all over the disk. */
  readonly written: number;
}

const GiB = 2 ** 30;
const MiB = 2 ** 20;
const THIN: CreateDiskOptions = { type: 'vmfs', thin: true };
const SPLIT: CreateDiskOptions = { type: 'twoGbMaxExtentSparse' };
const system = (mebibytes: number): WalkDisk => ({ size: 16 * GiB, type: THIN, written: mebibytes * MiB });
const data = (mebibytes: number): WalkDisk => ({ size: 40 * GiB, type: THIN, written: mebibytes * MiB });

/** 2026-03-01T12:00:00Z */
const FIRST_SNAPSHOT = 1_772_366_400_000_000n;
const DAY = 86_400_000_000n;
const PIECES = 8;

/** What there is before each walk-through begins, by the name of its file. */
export const WALK_MACHINES: Readonly<Record<string, readonly WalkMachine[]>> = {
  'vsphere-linked-vms': [{ name: 'golden', disks: { 'scsi0:0': system(24), 'sata0:1': data(16) } }],
  'new-linkedclone': ['xp', 'w2003', 'w2008'].map((name) => ({
    name,
    disks: { 'scsi0:0': system(16) },
    snapshots: ['ready'],
  })),
  'shell-and-perl-scripts': [
    {
      name: 'golden',
      disks: {
        'scsi0:0': system(16),
        'sata0:1': { size: 4 * GiB, type: { type: 'monolithicFlat' }, written: 8 * MiB },
        'nvme0:0': data(8),
      },
      vmx: [
        ['ide1:0.present', 'TRUE'],
        ['ide1:0.deviceType', 'cdrom-image'],
        ['ide1:0.fileName', '/vmfs/volumes/iso/debian.iso'],
      ],
    },
    {
      name: 'asleep',
      disks: { 'scsi0:0': system(8) },
      vmx: [['checkpoint.vmState', 'asleep-9f3c.vmss']],
    },
    { name: 'deep', disks: { 'scsi0:0': system(8) }, links: 31 },
  ],
  'by-hand': [
    {
      name: 'Windows XP',
      disks: { 'ide0:0': { size: 8 * GiB, type: SPLIT, written: 16 * MiB } },
      hardwareVersion: 7,
      vmx: [
        ['ide1:0.present', 'TRUE'],
        ['ide1:0.deviceType', 'cdrom-image'],
        ['ide1:0.fileName', 'tools.iso'],
        ['floppy0.fileName', 'drivers.flp'],
      ],
    },
  ],
  'lab-manager-trees': [
    { name: 'library', place: 'lm', disks: { 'scsi0:0': system(24) } },
    { name: 'workspace', disks: { 'scsi0:0': system(16) }, links: 32 },
  ],
  'piped-script-action': [{ name: 'golden', disks: { 'scsi0:0': system(16) }, snapshots: ['ready'] }],
};

/** Makes it in the datastore `folder`. */
export async function makeWalkMachine(folder: string, machine: WalkMachine): Promise<void> {
  const { name, place = '', disks, snapshots = [], links = 1 } = machine;
  const own = join(folder, place, name);
  await mkdir(own, { recursive: true });
  for (const [index, disk] of Object.values(disks).entries()) {
    await makeDisk(join(own, fileOf(name, index)), disk);
    for (let link = 1; link < links; link++) {
      const [path, parent] = [deltaOf(name, index, link), deltaOf(name, index, link - 1)];
      await createDelta(join(own, path), join(own, parent), { durable: false });
    }
  }
  const vmx = join(own, `${name}.vmx`);
  await writeFile(vmx, printDictionary(composeDictionary(linesOf(machine), { path: vmx })));
  await writeFile(join(own, `${name}.nvram`), pattern(17 * 512, 7));
  await writeFile(join(own, `${name}.vmsd`), '');
  for (const [index, snapshot] of snapshots.entries()) {
    await createSnapshot(
      vmx,
      { name: snapshot },
      { nowMicros: FIRST_SNAPSHOT + BigInt(index) * DAY, durable: false },
    );
    for (const disk of Object.keys(disks).keys())
      await writeInto(join(own, deltaOf(name, disk, index + 1)), MiB, 3);
  }
}

function fileOf(name: string, index: number): string {
  return index === 0 ? `${name}.vmdk` : `${name}_${index}.vmdk`;
}

function deltaOf(name: string, index: number, number: number): string {
  const suffix = number === 0 ? '' : `-${String(number).padStart(6, '0')}`;
  return fileOf(name, index).replace(/\.vmdk$/, `${suffix}.vmdk`);
}

async function makeDisk(path: string, { size, type, written }: WalkDisk): Promise<void> {
  await createDisk(path, bytes(size), { ...type, durable: false });
  await writeInto(path, written, 1);
}

async function writeInto(path: string, written: number, seed: number): Promise<void> {
  const chain = await openChain(path, 'update');
  const piece = written / PIECES;
  const step = Math.floor(chain.capacity / PIECES / 2048) * 2048;
  for (let index = 0; index < PIECES; index++)
    await chain.write(sectors(index * step), pattern(piece, seed + index));
  await chain.close();
}

function linesOf({
  name,
  disks,
  hardwareVersion = 19,
  links = 1,
  vmx = [],
}: WalkMachine): [string, string][] {
  const lines = new Map([
    ['config.version', '8'],
    ['virtualHW.version', String(hardwareVersion)],
    ['displayName', name],
    ['guestOS', 'debian11-64'],
    ['memsize', '2048'],
    ['nvram', `${name}.nvram`],
    ['uuid.bios', '56 4d 11 22 33 44 55 66-77 88 99 aa bb 27 c4 8b'],
    ['uuid.location', '56 4d 11 22 33 44 55 66-77 88 99 aa bb 27 c4 8b'],
    ['ethernet0.present', 'TRUE'],
    ['ethernet0.networkName', 'VM Network'],
    ['ethernet0.addressType', 'generated'],
    ['ethernet0.generatedAddress', '00:0c:29:27:c4:8b'],
    ['ethernet0.generatedAddressOffset', '0'],
    ['sched.swap.derivedName', `/vmfs/volumes/ds1/${name}/${name}-1a2b3c4d.vswp`],
    ['cleanShutdown', 'TRUE'],
  ]);
  for (const [index, node] of Object.keys(disks).entries()) {
    lines.set(`${node.slice(0, -2)}.present`, 'TRUE');
    if (node.startsWith('scsi')) lines.set(`${node.slice(0, -2)}.virtualDev`, 'pvscsi');
    lines.set(`${node}.present`, 'TRUE');
    lines.set(`${node}.fileName`, deltaOf(name, index, links - 1));
  }
  for (const [key, value] of vmx) lines.set(key, value);
  return [...lines];
}
