// What removing clones is asked for with, and what it tells.
import type { ChainOptions } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Runs } from '../operations/run-owner.ts';

export interface RemoveOptions
  extends TaskOptions, Pick<ChainOptions, 'fs' | 'allow' | 'confine' | 'pathMap' | 'locked'> {
  /** Tell what would be done, and do nothing. Default false. */
  dryRun?: boolean | undefined;
  /** Folders to look through for what stands on the disks, besides their surroundings. */
  scan?: readonly string[] | undefined;
  /**
   * Remove a machine of which it is not certain that it is off, a disk that is no delta, and what only somebody out of
   * sight might stand on. What is known to stand on a disk is never overridden.
   */
  force?: boolean | undefined;
  /** Return only once everything would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Treat interrupted runs of other hosts as gone. */
  takeOver?: boolean | undefined;
  runs?: Runs | undefined;
}

export interface KeptFile {
  readonly path: string;
  readonly reason: string;
}

/** A machine that listed what is removed as its clone. */
export interface ForgottenClone {
  /** The .vmsd. */
  readonly path: string;
  readonly snapshot: number;
  /** As it was written there. */
  readonly clone: string;
}

export interface RemoveReport {
  readonly schema: 'vmdkit-remove/v1';
  /** True when nothing was done. */
  readonly 'dry-run': boolean;
  /** Real paths of the .vmx files that go. */
  readonly machines: readonly string[];
  /** Real paths of the disks that go, snapshots' ones too. */
  readonly disks: readonly string[];
  /** All files that go. */
  readonly files: readonly string[];
  /** Folders that are empty then, and go too. */
  readonly folders: readonly string[];
  /** What lies in the folders or below the disks, and stays. */
  readonly kept: readonly KeptFile[];
  readonly forgotten: readonly ForgottenClone[];
  readonly 'bytes-freed': number;
  readonly notes: readonly string[];
}
