// What snapshots of a machine are asked for with, and what is told of them. Keys of reports are those of the JSON.
import type { ChainOptions } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Runs } from '../operations/run-owner.ts';
import type { FindLocksOptions } from '../storage/lock-state.ts';

export interface SnapshotOptions
  extends TaskOptions, Omit<ChainOptions, 'acceptMismatch' | 'dropChangeTracking' | 'locked'> {
  /** Tell what would be done, and do nothing. Default false. */
  dryRun?: boolean | undefined;
  /** Go on where it is not certain that the machine is off; what else it accepts is said by each verb. */
  force?: boolean | undefined;
  /**
   * Delete, consolidate: merge into a base where it stands, which takes no copy of it. Stopped in the middle, every
   * point reads as it should, and consolidating again finishes the work. Default false: merges are made aside.
   */
  inPlace?: boolean | undefined;
  /** Return only once everything would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Treat interrupted runs of other hosts as gone. */
  takeOver?: boolean | undefined;
  /** Who runs what; this machine's processes unless given. */
  runs?: Runs | undefined;
  /** How locks are judged and taken; as this machine sees them unless given. */
  locks?: FindLocksOptions | undefined;
  /** Now, in microseconds since 1970; the clock unless given. */
  nowMicros?: bigint | undefined;
  /** For content ids; `crypto.randomBytes` unless given. */
  random?: ((count: number) => Uint8Array) | undefined;
}

export interface SnapshotReport {
  readonly schema: 'vmdkit-snapshot/v1';
  readonly action: 'create' | 'revert' | 'delete' | 'rename' | 'consolidate';
  /** Real path of the .vmx. */
  readonly machine: string;
  /** True when nothing was done. */
  readonly 'dry-run': boolean;
  readonly snapshots: readonly NamedSnapshot[];
  /** Where a disk of the running machine is now another file. */
  readonly disks: readonly MovedDisk[];
  readonly merged: readonly MergedLinks[];
  readonly kept: readonly KeptLink[];
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Bytes that new files take while the work is done. */
  readonly 'bytes-needed': number;
  /** Bytes that are free once it is done, less what the new files take. */
  readonly 'bytes-freed': number;
  readonly notes: readonly string[];
}

export interface NamedSnapshot {
  readonly uid: number;
  readonly name: string;
}

export interface MovedDisk {
  /** `scsi0:0`. */
  readonly node: string;
  readonly from: string;
  readonly to: string;
}

export interface MergedLinks {
  /** The disk that holds everything now. */
  readonly into: string;
  /** The disks that are gone. */
  readonly from: readonly string[];
  /** Bytes of contents that were moved. */
  readonly bytes: number;
}

export interface KeptLink {
  readonly path: string;
  readonly reason: string;
}
