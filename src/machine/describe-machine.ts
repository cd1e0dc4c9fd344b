// A machine as plain data, for `info VM.vmx`: disks with their chains, snapshots, whom it is a clone of, locks, limits,
// findings. Rule: what is missing is described as missing; nothing throws here that openMachine let through.
import type { Finding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { NO_PARENT_CID, printCid } from '../format/content-id.ts';
import type { Snapshot } from '../format/vmsd.ts';
import { reasonOf, type Trouble } from '../operations/describe-disk.ts';
import type { LockFinding } from '../storage/lock-state.ts';
import { disksOf } from './find-snapshot.ts';
import { machineLimits, type MachineLimit } from './limits.ts';
import {
  linksElsewhere,
  type Machine,
  type MachineDisk,
  type MachineLink,
  type MachinePower,
  type NamedDisk,
} from './machine.ts';

/** Sizes in bytes. */
export interface MachineLinkReport {
  readonly filename: string;
  readonly 'create-type': string;
  /** 8 hex digits. */
  readonly cid?: string;
  /** Missing on a base. */
  readonly 'parent-cid'?: string;
  readonly 'virtual-size': number;
  /** Bytes that its files occupy. */
  readonly 'actual-size': number;
  /** Whether it is a disk of another machine, by its folder. */
  readonly outside: boolean;
}

export interface MachineDiskReport {
  /** `scsi0:0`. */
  readonly node: string;
  /** As the .vmx has it. */
  readonly file: string;
  /** Where it is; missing when it was not found or may not be opened. */
  readonly filename?: string;
  /** Whether it was found by its name alone. */
  readonly guessed?: boolean;
  readonly mode: string;
  /** Snapshots leave it out. */
  readonly independent: boolean;
  readonly 'device-type'?: string;
  readonly 'controller-type'?: string;
  readonly sharing?: string;
  readonly 'virtual-size'?: number;
  /** Of the whole chain. */
  readonly 'actual-size': number;
  /** Leaf first. */
  readonly chain: readonly MachineLinkReport[];
  readonly problem?: Trouble;
}

export interface MachineSnapshotReport {
  readonly uid: number;
  readonly parent?: number;
  readonly name: string;
  readonly description: string;
  /** ISO 8601 in UTC. */
  readonly created?: string;
  /** Whether it holds the memory of a running machine. */
  readonly memory: boolean;
  /** Whether the machine goes on from it. */
  readonly current: boolean;
  readonly disks: readonly { node: string; file: string; filename?: string; problem?: Trouble }[];
  /** The .vmx of linked clones, as written. */
  readonly clones: readonly string[];
}

export interface MachineReport {
  readonly schema: 'vmdkit-machine/v1';
  readonly filename: string;
  readonly name: string;
  readonly 'guest-os'?: string;
  readonly 'hardware-version'?: number;
  readonly firmware?: string;
  readonly annotation?: string;
  readonly 'uuid-bios'?: string;
  readonly 'uuid-location'?: string;
  readonly encoding: string;
  readonly encrypted: boolean;
  readonly 'virtual-tpm': boolean;
  readonly power: MachinePower;
  readonly files: {
    readonly vmsd?: string;
    readonly nvram?: string;
    readonly vmxf?: string;
    /** Where snapshots put their files. */
    readonly 'working-folder': string;
  };
  /** Bytes that all files of all chains occupy, each once. */
  readonly 'actual-size': number;
  readonly disks: readonly MachineDiskReport[];
  readonly removable: readonly { name: string; kind: 'floppy' | 'cdrom'; file: string }[];
  readonly networks: readonly { name: string; 'address-type'?: string; address?: string; network?: string }[];
  readonly 'current-snapshot'?: number;
  readonly snapshots: readonly MachineSnapshotReport[];
  readonly 'linked-clone': {
    readonly is: boolean;
    /** The .vmx of the source, as written. */
    readonly of: readonly string[];
    readonly sentinels: readonly string[];
    /** Disks of other machines that it stands on. */
    readonly bases: readonly string[];
  };
  readonly locks: readonly LockFinding[];
  readonly limits: readonly MachineLimit[];
  readonly findings: readonly Finding[];
}

export function describeMachine(machine: Machine): MachineReport {
  const { config, snapshots, vmsd, workingFolder } = machine;
  const links = new Map(machine.disks.flatMap(({ links: chain }) => chain.map((link) => [link.path, link])));
  const folders = [machine.folder, workingFolder];
  const bases = machine.disks.flatMap((disk) => linksElsewhere(disk, folders).map(({ path }) => path));
  const { currentUid } = snapshots;
  return {
    schema: 'vmdkit-machine/v1',
    filename: machine.path,
    name: machine.name,
    ...identity(machine),
    encoding: machine.vmx.encoding,
    encrypted: config.encrypted,
    'virtual-tpm': config.vtpm,
    power: machine.power,
    files: {
      ...(vmsd === undefined ? {} : { vmsd: machine.vmsdPath }),
      ...(machine.nvramPath === undefined ? {} : { nvram: machine.nvramPath }),
      ...(machine.vmxfPath === undefined ? {} : { vmxf: machine.vmxfPath }),
      'working-folder': workingFolder,
    },
    'actual-size': occupied([...links.values()]),
    disks: machine.disks.map((disk) => diskReport(machine, disk)),
    removable: config.removable.map(({ name, kind, fileName }) => ({ name, kind, file: fileName })),
    networks: networks(machine),
    ...(currentUid === undefined ? {} : { 'current-snapshot': currentUid }),
    snapshots: snapshots.snapshots.map((snapshot) => snapshotReport(machine, snapshot)),
    'linked-clone': {
      is: machine.isLinkedClone,
      of: snapshots.cloneOf,
      sentinels: snapshots.sentinels,
      bases: [...new Set(bases)],
    },
    locks: machine.locks,
    limits: machineLimits(machine),
    findings: machine.findings,
  };
}

type Identity = Pick<
  MachineReport,
  'guest-os' | 'hardware-version' | 'firmware' | 'annotation' | 'uuid-bios' | 'uuid-location'
>;

function identity({ config }: Machine): Identity {
  const said = {
    'guest-os': config.guestOs,
    'hardware-version': config.hardwareVersion,
    firmware: config.firmware,
    annotation: config.annotation,
    'uuid-bios': config.uuidBios,
    'uuid-location': config.uuidLocation,
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as Identity;
}

function networks({ config }: Machine): MachineReport['networks'] {
  return config.ethernets
    .filter(({ present }) => present)
    .map(({ index, addressType, address, generatedAddress, networkName }) => {
      const used = addressType === 'static' ? address : generatedAddress;
      return {
        name: `ethernet${index}`,
        ...(addressType === undefined ? {} : { 'address-type': addressType }),
        ...(used === undefined ? {} : { address: used }),
        ...(networkName === undefined ? {} : { network: networkName }),
      };
    });
}

function diskReport(machine: Machine, disk: MachineDisk): MachineDiskReport {
  const { device, node, fileName, path, links, guessed } = disk;
  const { mode, independent, deviceType, virtualDev, sharing } = device;
  const leaf = links[0];
  const elsewhere = new Set(linksElsewhere(disk, [machine.folder, machine.workingFolder]));
  return {
    node,
    file: fileName,
    ...(path === undefined ? {} : { filename: path }),
    ...(guessed === true ? { guessed } : {}),
    mode,
    independent,
    ...(deviceType === undefined ? {} : { 'device-type': deviceType }),
    ...(virtualDev === undefined ? {} : { 'controller-type': virtualDev }),
    ...(sharing === undefined ? {} : { sharing }),
    ...(leaf === undefined ? {} : { 'virtual-size': leaf.capacity * SECTOR_BYTES }),
    'actual-size': occupied(links),
    chain: links.map((link) => linkReport(link, elsewhere)),
    ...troubleOf(disk),
  };
}

function linkReport(link: MachineLink, elsewhere: ReadonlySet<MachineLink>): MachineLinkReport {
  const { path, createType, cid, parentCid, capacity } = link;
  const isDelta = parentCid !== undefined && parentCid !== NO_PARENT_CID;
  return {
    filename: path,
    'create-type': createType,
    ...(cid === undefined ? {} : { cid: printCid(cid) }),
    ...(isDelta ? { 'parent-cid': printCid(parentCid) } : {}),
    'virtual-size': capacity * SECTOR_BYTES,
    'actual-size': link.occupied,
    outside: elsewhere.has(link),
  };
}

function snapshotReport(machine: Machine, snapshot: Snapshot): MachineSnapshotReport {
  const { uid, parentUid, displayName, description, createdAt, type, clones } = snapshot;
  return {
    uid,
    ...(parentUid === undefined ? {} : { parent: parentUid }),
    name: displayName,
    description,
    ...(createdAt === undefined ? {} : { created: createdAt }),
    memory: type === '1',
    current: machine.snapshots.currentUid === uid,
    disks: disksOf(machine, snapshot).map((disk) => ({
      node: disk.node,
      file: disk.fileName,
      ...(disk.path === undefined ? {} : { filename: disk.path }),
      ...troubleOf(disk),
    })),
    clones,
  };
}

function troubleOf({ problem }: NamedDisk): { problem?: Trouble } {
  return problem === undefined ? {} : { problem: reasonOf(problem) };
}

function occupied(links: readonly MachineLink[]): number {
  return links.reduce((sum, link) => sum + link.occupied, 0);
}
