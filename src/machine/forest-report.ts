// A forest as the JSON document that `scan` prints: sizes in bytes, CIDs as 8 hex digits. Its schema is
// docs/schemas/scan.v1.json.
import type { Finding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { printCid } from '../format/content-id.ts';
import type { Forest, ForestDisk, ForestMachine, MachineDiskUse } from './forest.ts';

export interface ScannedDisk {
  readonly filename: string;
  readonly 'create-type': string;
  readonly cid?: string;
  /** Only of a delta. */
  readonly 'parent-cid'?: string;
  readonly hint?: string;
  readonly 'virtual-size': number;
  /** Bytes that its own files occupy. */
  readonly 'actual-size': number;
  /** Bytes that deleting it with everything that stands on it would free. */
  readonly 'freeable-size': number;
  readonly files: readonly string[];
  readonly outside: boolean;
  readonly links: number;
  readonly parent?: string;
  readonly 'found-by'?: 'hint' | 'cid';
  readonly 'parent-fits'?: boolean;
  readonly children: readonly string[];
  readonly 'used-by': readonly {
    readonly machine: string;
    readonly node: string;
    readonly snapshot?: number;
  }[];
  readonly findings: readonly Finding[];
}

export interface ScannedMachineDisk {
  readonly node: string;
  /** As the machine names it. */
  readonly name: string;
  /** Missing when no disk is found there. */
  readonly filename?: string;
}

export interface ScannedMachine {
  readonly filename: string;
  readonly name: string;
  readonly template: boolean;
  readonly 'linked-clone': boolean;
  readonly 'clone-of': readonly string[];
  readonly 'shared-disks': readonly string[];
  readonly disks: readonly ScannedMachineDisk[];
  readonly snapshots: readonly {
    readonly uid: number;
    readonly name: string;
    readonly parent?: number;
    readonly current: boolean;
    readonly created?: string;
    readonly disks: readonly ScannedMachineDisk[];
    readonly clones: readonly string[];
  }[];
  readonly findings: readonly Finding[];
}

export interface ScanReport {
  readonly schema: 'vmdkit-scan/v1';
  readonly folders: readonly string[];
  /** False when a limit ended the scan before everything was seen. */
  readonly complete: boolean;
  readonly disks: readonly ScannedDisk[];
  readonly machines: readonly ScannedMachine[];
  readonly orphans: readonly {
    readonly kind: 'delta' | 'disk' | 'extent' | 'snapshot';
    readonly filename: string;
    readonly 'freeable-size': number;
    readonly message: string;
  }[];
  readonly 'broken-hints': readonly {
    readonly filename: string;
    readonly hint: string;
    readonly candidates: readonly { readonly filename: string; readonly hint: string }[];
  }[];
  readonly 'changed-bases': readonly {
    readonly filename: string;
    readonly cid?: string;
    readonly children: readonly { readonly filename: string; readonly 'expected-cid': string }[];
    readonly candidates: readonly string[];
  }[];
  readonly 'long-chains': readonly {
    readonly filename: string;
    readonly links: number;
    readonly severity: 'error' | 'warning';
    readonly advice: string;
  }[];
  readonly findings: readonly Finding[];
  readonly skipped: readonly { readonly filename: string; readonly reason: string }[];
  readonly totals: {
    readonly disks: number;
    readonly deltas: number;
    readonly machines: number;
    readonly 'linked-clones': number;
    readonly 'actual-size': number;
    readonly 'orphaned-size': number;
  };
}

export function scanReport(forest: Forest): ScanReport {
  return {
    schema: 'vmdkit-scan/v1',
    folders: forest.roots,
    complete: forest.complete,
    disks: forest.disks.map(scannedDisk),
    machines: forest.machines.map(scannedMachine),
    orphans: forest.orphans.map(({ kind, path, freeable, message }) => {
      return { kind, filename: path, 'freeable-size': freeable, message };
    }),
    'broken-hints': forest.brokenHints.map(({ path, hint, candidates }) => ({
      filename: path,
      hint,
      candidates: candidates.map((candidate) => ({ filename: candidate.path, hint: candidate.hint })),
    })),
    'changed-bases': forest.changedBases.map(({ path, cid, children, candidates }) => ({
      filename: path,
      ...(cid === undefined ? {} : { cid: printCid(cid) }),
      children: children.map((child) => {
        return { filename: child.path, 'expected-cid': printCid(child.expected) };
      }),
      candidates,
    })),
    'long-chains': forest.longChains.map(({ path, ...chain }) => ({ filename: path, ...chain })),
    findings: forest.problems,
    skipped: forest.skipped.map(({ path, reason }) => ({ filename: path, reason })),
    totals: totalsOf(forest),
  };
}

export function totalsOf({ disks, machines, occupied, orphans }: Forest): ScanReport['totals'] {
  return {
    disks: disks.length,
    deltas: disks.filter(({ delta }) => delta).length,
    machines: machines.length,
    'linked-clones': machines.filter(({ linkedClone }) => linkedClone).length,
    'actual-size': occupied,
    'orphaned-size': orphans.reduce((sum, { freeable }) => sum + freeable, 0),
  };
}

function scannedDisk(disk: ForestDisk): ScannedDisk {
  const { cid, parentCid, hint, parent, foundBy, fits } = disk;
  return {
    filename: disk.path,
    'create-type': disk.createType,
    ...(cid === undefined ? {} : { cid: printCid(cid) }),
    ...(disk.delta && parentCid !== undefined ? { 'parent-cid': printCid(parentCid) } : {}),
    ...(hint === undefined ? {} : { hint }),
    'virtual-size': disk.capacity * SECTOR_BYTES,
    'actual-size': disk.occupied,
    'freeable-size': disk.freeable,
    files: disk.files,
    outside: disk.outside,
    links: disk.links,
    ...(parent === undefined ? {} : { parent }),
    ...(foundBy === undefined ? {} : { 'found-by': foundBy }),
    ...(fits === undefined ? {} : { 'parent-fits': fits }),
    children: disk.children,
    'used-by': disk.uses,
    findings: disk.problems,
  };
}

function scannedMachine(machine: ForestMachine): ScannedMachine {
  return {
    filename: machine.path,
    name: machine.name,
    template: machine.template,
    'linked-clone': machine.linkedClone,
    'clone-of': machine.cloneOf,
    'shared-disks': machine.sharedDisks,
    disks: machine.disks.map(machineDisk),
    snapshots: machine.snapshots.map(({ uid, name, parentUid, current, createdAt, disks, clones }) => ({
      uid,
      name,
      ...(parentUid === undefined ? {} : { parent: parentUid }),
      current,
      ...(createdAt === undefined ? {} : { created: createdAt }),
      disks: disks.map(machineDisk),
      clones,
    })),
    findings: machine.problems,
  };
}

function machineDisk({ node, fileName, path }: MachineDiskUse): ScannedMachineDisk {
  return { node, name: fileName, ...(path === undefined ? {} : { filename: path }) };
}
