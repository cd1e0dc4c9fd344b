// The limits that machines on a shared base meet at VMware, each with its reason and what releases it. Rule: what files
// cannot tell (hosts, releases, the kind of datastore) is told as a condition, never guessed.
// Source: VMware KB 1025279, vSphere SDK guides 4.0 to 5.1, white paper on VMFS file locking (2012); format.md 7.5.
import { MOST_LINKS, MOST_SUPPORTED_LINKS } from '../chain/chain-options.ts';
import type { Machine, MachineDisk } from './machine.ts';

export interface MachineLimit {
  readonly code: 'chain-links' | 'hosts-per-base' | 'linked-group' | 'base-elsewhere';
  /** The most, where it is a number. */
  readonly most?: number;
  /** How many there are, where files can tell. */
  readonly found?: number;
  /** `near`: one more link is too much for some products; `depends`: on what files do not tell. */
  readonly state: 'fits' | 'near' | 'exceeded' | 'depends';
  readonly message: string;
  /** What it comes from. */
  readonly reason: string;
  /** What lifts it. */
  readonly release: string;
}

export interface LimitFacts {
  /** Links of the longest chain. */
  readonly links: number;
  /** Linked clones that are known to stand on the base; undefined when nobody counted. */
  readonly clones?: number | undefined;
  /** Whether other machines stand on the same disks, as far as is known. */
  readonly shared: boolean;
  /** virtualHW.version, which tells the oldest release that runs the machine. */
  readonly hardwareVersion?: number | undefined;
  /** Whether all bases are disks of Workstation or Fusion, which no cluster shares. */
  readonly hosted?: boolean | undefined;
  /** Whether the base is on another file system than what stands on it; undefined while it may yet be so. */
  readonly elsewhere?: boolean | undefined;
}

/** vCloud Director and Lab Manager stop here, two links before vSphere. */
const LAB_MANAGER_LINKS = 30;
const HOSTS_BEFORE_51 = 8;
const HOSTS_SINCE_51 = 32;
const GROUP_OF_VSPHERE_4 = 8;
/** The first that ESXi 5.1 brought, and the last that vSphere 4 knew. */
const HARDWARE_OF_51 = 9;
const HARDWARE_OF_4 = 7;
const HOSTED_TYPES = new Set([
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
]);

/** All four, whether met or not. */
export function limitsOf(facts: LimitFacts): MachineLimit[] {
  return [chainLimit(facts.links), hostLimit(facts), groupLimit(facts), elsewhereLimit(facts)];
}

/** The limits of a machine as it stands. */
export function machineLimits(machine: Machine): MachineLimit[] {
  const clones = machine.snapshots.snapshots.flatMap((snapshot) => snapshot.clones).length;
  const bases = machine.disks.flatMap(({ links }) => links.at(-1) ?? []);
  return limitsOf({
    links: Math.max(0, ...machine.disks.map(({ links }) => links.length)),
    clones: machine.isLinkedClone ? undefined : clones,
    shared: machine.isLinkedClone || clones > 0,
    hardwareVersion: machine.config.hardwareVersion,
    hosted: bases.length > 0 && bases.every(({ createType }) => HOSTED_TYPES.has(createType)),
    elsewhere: machine.disks.some(crossesFileSystems),
  });
}

export function chainLimit(links: number): MachineLimit {
  const state = links > MOST_SUPPORTED_LINKS ? 'exceeded' : links >= LAB_MANAGER_LINKS ? 'near' : 'fits';
  return {
    code: 'chain-links',
    most: MOST_SUPPORTED_LINKS,
    found: links,
    state,
    message: `the longest chain has ${links} ${links === 1 ? 'link' : 'links'}: VMware supports ${MOST_SUPPORTED_LINKS}, Lab Manager and vCloud Director ${LAB_MANAGER_LINKS}, and no host opens more than ${MOST_LINKS}`,
    reason: 'every link is one more file to open, and one more table to look into for each read',
    release: 'delete snapshots, which consolidates; or make one full copy and clone that',
  };
}

function hostLimit({ shared, hardwareVersion, hosted }: LimitFacts): MachineLimit {
  const new51 = hardwareVersion !== undefined && hardwareVersion >= HARDWARE_OF_51;
  const only = `hardware version ${hardwareVersion} runs on ESXi 5.1 and newer only, so the first does not apply`;
  const message = `on VMFS, ${HOSTS_BEFORE_51} hosts may use one base at a time before vSphere 5.1, and ${HOSTS_SINCE_51} since then (later as many as a cluster has); on NFS there is no limit${new51 ? `; ${only}` : ''}`;
  return {
    code: 'hosts-per-base',
    most: new51 ? HOSTS_SINCE_51 : HOSTS_BEFORE_51,
    state: shared && hosted !== true ? 'depends' : 'fits',
    message,
    reason:
      'the read-only lock on a file of VMFS has room for so many hosts; HA up to 5.0 did not know of it, and gave up after five tries on hosts that were too many',
    release: `hosts of 5.1 or newer with VMFS 5, an NFS datastore, clusters of ${HOSTS_BEFORE_51} hosts, or one full copy as a base for each group of hosts`,
  };
}

function groupLimit({ clones, shared, hardwareVersion, hosted }: LimitFacts): MachineLimit {
  const newer = hardwareVersion !== undefined && hardwareVersion > HARDWARE_OF_4;
  const most = GROUP_OF_VSPHERE_4;
  const small = clones !== undefined && clones <= most;
  return {
    code: 'linked-group',
    most,
    ...(clones === undefined ? {} : { found: clones }),
    state: !shared || newer || small || hosted === true ? 'fits' : 'depends',
    message: `vSphere 4 supports groups of ${most} linked machines on one base${newer ? `, and does not run hardware version ${hardwareVersion}` : '; later releases count hosts only'}`,
    reason:
      'the same lock of VMFS, counted by machine in the guide of that release: in the worst case each runs on a host of its own',
    release: 'vSphere 5 or newer; there, or on NFS, any number of machines may share a base',
  };
}

function elsewhereLimit({ elsewhere, shared }: LimitFacts): MachineLimit {
  return {
    code: 'base-elsewhere',
    state: (elsewhere ?? shared) ? 'depends' : 'fits',
    message:
      elsewhere === true
        ? 'the base is on other storage than what stands on it: each host that runs the machine must find it by the hint'
        : 'a base on local storage (an SSD in each host) with deltas on shared storage is possible, with absolute hints and an equal copy of the base on every host',
    reason:
      'a hint is a path as one host sees it; where the base is local, another host has no such file, and VMware does not know that copies are equal',
    release:
      'keep base and deltas on shared storage: only then are there vMotion, HA and DRS; a local base spreads the reads of many booting machines instead',
  };
}

/** Files are on one file system when the first part of their identities agrees, where a store gives two parts. */
function crossesFileSystems({ links }: MachineDisk): boolean {
  const systems = links
    .map(({ identity }) => /^(.+):[^:]+$/.exec(identity)?.[1])
    .filter((id) => id !== undefined);
  return new Set(systems).size > 1;
}
