// The limits that linked clones meet at VMware, each with its reason and what releases it. Rule: what cannot be seen
// from files (hosts, releases, the kind of datastore) is told as a condition, never guessed.
// Source: VMware KB 1025279, vSphere SDK guides 4.0 to 5.1, white paper on VMFS file locking (2012); format.md 7.5.
import { MOST_LINKS, MOST_SUPPORTED_LINKS } from '../chain/chain-options.ts';

export interface MachineLimit {
  /** `chain-links`, `hosts-per-base`, `linked-group`, `base-elsewhere`. */
  readonly code: string;
  /** The most, where it is a number. */
  readonly most?: number;
  /** How many there are, where files can tell. */
  readonly found?: number;
  /** Whether `found` is above what VMware supports, or near it. */
  readonly state: 'fits' | 'near' | 'exceeded' | 'depends';
  readonly message: string;
  /** What it comes from. */
  readonly reason: string;
  /** What lifts it. */
  readonly release: string;
}

/** vCloud Director and Lab Manager stop here, two links before vSphere. */
const NEAR_LINKS = 30;
const GROUP_OF_VSPHERE_4 = 8;

/** What a reader should know of chains of `links` disks that `clones` linked clones stand on. */
export function limitsOfClones(links: number, clones: number): MachineLimit[] {
  return [chainLimit(links), hostLimit(), groupLimit(clones), elsewhereLimit()];
}

export function chainLimit(links: number): MachineLimit {
  const state = links > MOST_SUPPORTED_LINKS ? 'exceeded' : links > NEAR_LINKS ? 'near' : 'fits';
  return {
    code: 'chain-links',
    most: MOST_SUPPORTED_LINKS,
    found: links,
    state,
    message: `the longest chain has ${links} links: VMware supports ${MOST_SUPPORTED_LINKS}, vCloud Director and Lab Manager ${NEAR_LINKS}, and no host opens more than ${MOST_LINKS}`,
    reason: 'every link is one more file to open, and one more table to look into for each read',
    release: 'consolidate snapshots, or clone --full once and clone that copy',
  };
}

function hostLimit(): MachineLimit {
  return {
    code: 'hosts-per-base',
    state: 'depends',
    message:
      'on VMFS at most 8 hosts may run machines on one base before vSphere 5.1, then 32 (64 since 6.0); on NFS there is no limit',
    reason:
      'a read-only lock on one VMFS file can be shared by so many hosts; HA before 5.1 did not know of it',
    release:
      'newer hosts, an NFS datastore, clusters of that size, or one full copy as a base for each group of hosts',
  };
}

function groupLimit(clones: number): MachineLimit {
  return {
    code: 'linked-group',
    most: GROUP_OF_VSPHERE_4,
    found: clones,
    state: clones > GROUP_OF_VSPHERE_4 ? 'depends' : 'fits',
    message: `vSphere 4 supports groups of ${GROUP_OF_VSPHERE_4} machines on one base; later releases count hosts only`,
    reason: 'the lock of VMFS again, counted by machine as the guide of that release has it',
    release: 'vSphere 5 or newer',
  };
}

function elsewhereLimit(): MachineLimit {
  return {
    code: 'base-elsewhere',
    state: 'depends',
    message:
      'a base on storage of one host (a local SSD) with clones on shared storage works, with --hint absolute',
    reason: 'the hint must lead to the base on every host that runs a clone',
    release: 'the same path to a copy of the base on every host; vMotion and HA need shared storage for both',
  };
}
