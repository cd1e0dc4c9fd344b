// What relinking is asked for with, and what it tells.
import type { ChainOptions, PathMapping } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Runs } from '../operations/run-owner.ts';

export interface RelinkRequest {
  /** Disks and machines below these are looked at; nothing else is changed. */
  readonly folders: readonly string[];
  /**
   * Places that moved, as files or folders: hints that lead to or below `from` are made to lead to `to`. Like `bases`,
   * it narrows the work to what it names.
   */
  readonly moved?: readonly PathMapping[] | undefined;
  /** Disks that moved, where they are now. */
  readonly bases?: readonly string[] | undefined;
  /** How hints are written; as each was unless given. */
  readonly hint?: 'relative' | 'absolute' | undefined;
  /** Relink what fits although other disks do not. Default false: all or nothing. */
  readonly keepGoing?: boolean | undefined;
}

export interface RelinkOptions
  extends TaskOptions, Pick<ChainOptions, 'fs' | 'allow' | 'confine' | 'pathMap' | 'locked'> {
  /** Tell what would be done, and do nothing. Default false. */
  dryRun?: boolean | undefined;
  /** Return only once everything would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Treat interrupted runs of other hosts as gone. */
  takeOver?: boolean | undefined;
  runs?: Runs | undefined;
}

/** A delta whose hint is written anew. */
export interface RelinkedDisk {
  readonly path: string;
  /** Real path of the disk that it stands on. */
  readonly parent: string;
  /** Eight hexadecimal digits: the parent's CID, and the delta's parentCID. */
  readonly cid: string;
  /** Empty when there was none. */
  readonly from: string;
  readonly to: string;
  /** Whether it was found where a map or `bases` say, or by its CID. */
  readonly found: 'map' | 'base' | 'hint' | 'cid';
}

/** A path in a snapshot database that named the old place. */
export interface RelinkedName {
  readonly path: string;
  /** `cloneOf0`, `sentinel0`, `snapshot0.clone0`. */
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

/** A disk whose hint is wrong and stays. */
export interface RelinkProblem {
  readonly path: string;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Disks that it might stand on. */
  readonly candidates: readonly string[];
}

export interface RelinkReport {
  readonly schema: 'vmdkit-relink/v1';
  readonly folders: readonly string[];
  /** True when nothing was done. */
  readonly 'dry-run': boolean;
  readonly disks: readonly RelinkedDisk[];
  readonly names: readonly RelinkedName[];
  readonly problems: readonly RelinkProblem[];
  /** Deltas that were looked at and are right as they are. */
  readonly unchanged: number;
  readonly notes: readonly string[];
}
