// The disks of a machine and of its snapshots, link by link. Rule: opened, looked at and closed; a disk that cannot be
// opened is described as far as it goes, with its problem.
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { showText } from '../format/plain-text.ts';
import type { Snapshot } from '../format/vmsd.ts';
import type { VmxDevice } from '../format/vmx.ts';
import { describeLinks } from '../operations/describe-chain.ts';
import type { DiskReport } from '../operations/describe-disk.ts';
import type { FileStore } from '../storage/file-store.ts';
import { locateDisk, WHERE_HINT, type Located, type MachinePlace } from './locate-files.ts';
import type { MachineDisk, MachineLink, NamedDisk } from './machine.ts';

/** Chains that are known, by the identity of each link: a snapshot's disk is a link of some chain already. */
export interface KnownChains {
  readonly machine: MachinePlace;
  readonly options: ChainOptions & TaskOptions;
  readonly below: Map<string, readonly MachineLink[]>;
  readonly findings: Finding[];
}

/** The hard disks that the machine has now. */
export async function readDisks(known: KnownChains, devices: readonly VmxDevice[]): Promise<MachineDisk[]> {
  const disks: MachineDisk[] = [];
  const located: { device: VmxDevice; fileName: string; found: Located }[] = [];
  for (const device of devices) {
    const { fileName, kind, present } = device;
    if (kind !== 'disk' || !present || fileName === undefined) continue;
    located.push({ device, fileName, found: await locateDisk(known.machine, fileName) });
  }
  for (const { device, fileName, found } of located) {
    const twin = located.find((other) => other.device !== device && isSameFile(other.found, found));
    const sure =
      twin === undefined || !('guessed' in found) || !found.guessed
        ? found
        : wrongGuess(known, fileName, twin.device);
    disks.push({ device, ...(await readDisk(known, device.node, fileName, sure)) });
  }
  return disks;
}

/** The disks of one snapshot; one that says no place gets that of the machine's disk that stands on it. */
export async function readSnapshotDisks(
  known: KnownChains,
  snapshot: Snapshot,
  current: readonly MachineDisk[],
): Promise<NamedDisk[]> {
  const disks: NamedDisk[] = [];
  for (const { node, fileName } of snapshot.disks) {
    const found = await locateDisk(known.machine, fileName);
    const disk = await readDisk(known, node, fileName, found);
    disks.push(node === '' ? { ...disk, node: placeOf(disk, current) } : disk);
  }
  return disks;
}

/** The place of the machine's disk that stands on this one, or on the same base; empty when there is none. */
function placeOf({ links }: NamedDisk, current: readonly MachineDisk[]): string {
  const [own, base] = [links[0]?.identity, links.at(-1)?.identity];
  const above = current.find((disk) => disk.links.some(({ identity }) => identity === own));
  return (
    (above ?? current.find((disk) => base !== undefined && disk.links.at(-1)?.identity === base))?.node ?? ''
  );
}

async function readDisk(
  known: KnownChains,
  node: string,
  fileName: string,
  found: Located,
): Promise<NamedDisk> {
  throwIfAborted(known.options);
  if ('problem' in found) return { node, fileName, links: [], problem: found.problem };
  const { place, guessed } = found;
  const disk = { node, fileName, path: place.path, ...(guessed ? { guessed } : {}) };
  const links = known.below.get(place.identity);
  if (links !== undefined) return { ...disk, links };
  return { ...disk, ...(await readChain(known, place.path)) };
}

async function readChain(
  { machine, options, below, findings }: KnownChains,
  path: string,
): Promise<{ links: readonly MachineLink[]; problem?: VmdkError }> {
  const { store } = machine.context;
  const open = { ...options, fs: store, onFinding: undefined };
  try {
    const chain = await openChain(path, 'read', open);
    try {
      const links: MachineLink[] = [];
      for (const link of chain.links) links.push(await linkOf(store, link));
      findings.push(...chain.findings);
      for (const [depth, { identity }] of links.entries()) below.set(identity, links.slice(depth));
      return { links };
    } finally {
      await chain.close();
    }
  } catch (problem) {
    if (!isVmdkError(problem)) throw problem;
    return { links: await brokenLinks(store, path, open), problem };
  }
}

async function linkOf(store: FileStore, disk: Disk): Promise<MachineLink> {
  const { path, identity, createType, capacity, extents } = disk;
  const { cid, parentCid, parentFileNameHint: hint } = disk.descriptor;
  const files = [...new Set([path, ...extents.flatMap(({ extent }) => extent.path ?? [])])];
  let occupied = 0;
  for (const file of files) occupied += (await store.resolve(file)).allocated;
  return {
    path,
    identity,
    createType,
    cid,
    parentCid,
    ...(hint === undefined ? {} : { hint }),
    capacity,
    files,
    occupied,
  };
}

/** What can be said of a chain that does not open. */
async function brokenLinks(store: FileStore, path: string, options: ChainOptions): Promise<MachineLink[]> {
  try {
    const { reports } = await describeLinks(path, options);
    return await Promise.all(reports.map((report) => linkOfReport(store, report)));
  } catch (error) {
    if (isVmdkError(error)) return [];
    throw error;
  }
}

async function linkOfReport(store: FileStore, report: DiskReport): Promise<MachineLink> {
  const { cid, 'parent-cid': parentCid, extents } = report['format-specific'].data;
  const hint = report['backing-filename'];
  const there = extents.filter(({ found }) => found === true).flatMap(({ filename }) => filename ?? []);
  return {
    path: report.filename,
    identity: (await store.resolve(report.filename)).identity,
    createType: report.type,
    cid,
    parentCid,
    ...(hint === undefined ? {} : { hint }),
    capacity: report['virtual-size'] / SECTOR_BYTES,
    files: [...new Set([report.filename, ...there])],
    occupied: report['actual-size'],
  };
}

function isSameFile(a: Located, b: Located): boolean {
  return 'place' in a && 'place' in b && a.place.identity === b.place.identity;
}

/** Disks on two datastores often bear one name: what is beside the .vmx is then the other disk. */
function wrongGuess({ machine }: KnownChains, fileName: string, other: VmxDevice): Located {
  return {
    problem: new VmdkError(
      'missing',
      'disk-missing',
      `the disk "${showText(fileName)}" of the machine is not there`,
      {
        path: machine.vmxPath,
        found: `only the disk of the same name that is ${other.node} already`,
        expected: 'a disk of its own',
        hint: WHERE_HINT,
      },
    ),
  };
}
