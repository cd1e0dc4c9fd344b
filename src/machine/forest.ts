// What lies below a folder, as plain data: disks and who stands on whom, the machines that use them, and what is
// wrong. Rule: a disk has at most one parent here and no way leads in a circle, whatever the files say.
import { posix } from 'node:path';
import type { Finding } from '../core/finding.ts';

/** A machine's use of a disk: as it runs, or as it was at a snapshot. */
export interface DiskUse {
  /** Path of the machine's .vmx. */
  readonly machine: string;
  /** `scsi0:0` */
  readonly node: string;
  /** The snapshot's number; undefined for the running point. */
  readonly snapshot?: number;
}

export interface ForestDisk {
  /** Real path of the descriptor. */
  readonly path: string;
  /** Equal for two paths exactly when they are the same file. */
  readonly identity: string;
  readonly createType: string;
  readonly cid: number | undefined;
  /** Undefined when it cannot be read; ffffffff on a base. */
  readonly parentCid: number | undefined;
  readonly hint?: string;
  /** The disk that was being merged into this one where it stands, when that was stopped: until it is finished, it is needed. */
  readonly merging?: string;
  /** In sectors. */
  readonly capacity: number;
  /** Bytes that its own files occupy. */
  readonly occupied: number;
  /** Real paths of its files, the descriptor first; files that are missing are left out. */
  readonly files: readonly string[];
  /** Not below a folder that was scanned: another disk led here. */
  readonly outside: boolean;
  readonly delta: boolean;
  readonly parent?: string;
  /** How the parent was found; by its CID where the hint does not lead to it. */
  readonly foundBy?: 'hint' | 'cid';
  /** Whether the parent still has the CID this delta was made over; only with a parent. */
  readonly fits?: boolean;
  /** Paths, in order. */
  readonly children: readonly string[];
  /** Machines that name this very disk, running or at a snapshot. */
  readonly machines: readonly string[];
  readonly uses: readonly DiskUse[];
  /** Links from here down to the base, itself included, as far as they are known. */
  readonly links: number;
  readonly problems: readonly Finding[];
  /** Bytes that would be free again were it deleted with everything that hangs on it. */
  readonly freeable: number;
}

export interface ForestSnapshot {
  readonly uid: number;
  readonly name: string;
  readonly parentUid?: number;
  readonly current: boolean;
  readonly createdAt?: string;
  readonly disks: readonly MachineDiskUse[];
  /** .vmx paths of linked clones, as the snapshot database names them. */
  readonly clones: readonly string[];
}

export interface MachineDiskUse {
  readonly node: string;
  readonly fileName: string;
  /** The disk of the forest; undefined when it is not there. */
  readonly path?: string;
}

export interface ForestMachine {
  /** Real path of the .vmx, or .vmtx. */
  readonly path: string;
  /** Its display name, or the file's name. */
  readonly name: string;
  readonly template: boolean;
  /** At the running point. */
  readonly disks: readonly MachineDiskUse[];
  readonly snapshots: readonly ForestSnapshot[];
  /** Machines it is a linked clone of, as its own snapshot database says. */
  readonly cloneOf: readonly string[];
  /** Links that its disks read and that belong to others; empty unless it is a linked clone. */
  readonly sharedDisks: readonly string[];
  readonly linkedClone: boolean;
  readonly problems: readonly Finding[];
}

/** Something that nothing uses. */
export interface Orphan {
  readonly kind: 'delta' | 'disk' | 'extent' | 'snapshot';
  readonly path: string;
  /** Bytes that deleting it would free. */
  readonly freeable: number;
  readonly message: string;
}

export interface HintCandidate {
  readonly path: string;
  /** The hint that would mend the delta. */
  readonly hint: string;
}

export interface BrokenHint {
  readonly path: string;
  readonly hint: string;
  /** Disks with the wanted CID and size, likeliest first; one alone is the parent. */
  readonly candidates: readonly HintCandidate[];
}

/** A disk whose content id is not the one its children were made over: it was written to. */
export interface ChangedBase {
  readonly path: string;
  readonly cid: number | undefined;
  readonly children: readonly { readonly path: string; readonly expected: number }[];
  /** Disks that have the CID the children want: copies of the base as it was. */
  readonly candidates: readonly string[];
}

export interface LongChain {
  /** The leaf. */
  readonly path: string;
  readonly links: number;
  readonly severity: 'error' | 'warning';
  readonly advice: string;
}

export interface SkippedPath {
  readonly path: string;
  readonly reason: string;
}

export interface Forest {
  /** The folders that were scanned, real paths. */
  readonly roots: readonly string[];
  /** In order of their paths. */
  readonly disks: readonly ForestDisk[];
  readonly byPath: ReadonlyMap<string, ForestDisk>;
  /** Bytes that all files of all disks occupy, each file counted once. */
  readonly occupied: number;
  readonly machines: readonly ForestMachine[];
  readonly orphans: readonly Orphan[];
  readonly brokenHints: readonly BrokenHint[];
  readonly changedBases: readonly ChangedBase[];
  readonly longChains: readonly LongChain[];
  /** About files that are no disk although they look like one, and about folders that could not be read. */
  readonly problems: readonly Finding[];
  /** What was passed by on purpose: symbolic links, special files, snapshots of the storage. */
  readonly skipped: readonly SkippedPath[];
  /** False when a limit ended the scan before everything was seen. */
  readonly complete: boolean;
}

/** The disk at a path as the forest knows it (real path). */
export function diskAt(forest: Forest, path: string): ForestDisk | undefined {
  return forest.byPath.get(path);
}

/** Every disk that stands on this one, however far up, nearest first; empty for what nobody stands on. */
export function dependantsOf(forest: Forest, diskPath: string): readonly ForestDisk[] {
  const found: ForestDisk[] = [];
  const waiting = [...(diskAt(forest, diskPath)?.children ?? [])];
  for (let at = 0; at < waiting.length; at++) {
    const disk = diskAt(forest, waiting[at]!)!;
    found.push(disk);
    for (const child of disk.children) waiting.push(child);
  }
  return found;
}

/** The disk and all disks below it, leaf first, as far as they are known. */
export function chainOf(forest: Forest, diskPath: string): readonly ForestDisk[] {
  const links: ForestDisk[] = [];
  for (let disk = diskAt(forest, diskPath); disk !== undefined;) {
    links.push(disk);
    disk = disk.parent === undefined ? undefined : diskAt(forest, disk.parent);
  }
  return links;
}

/** A disk that would mend a hint, seen from the folder of the delta. */
export function candidateFor(folder: string, path: string): HintCandidate {
  return { path, hint: posix.relative(folder, path) };
}
