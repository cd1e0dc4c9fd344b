// What guarding a base is asked for with, and what it tells.
import type { ChainOptions } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Runs } from '../operations/run-owner.ts';

export interface GuardOptions
  extends
    TaskOptions,
    Pick<ChainOptions, 'fs' | 'allow' | 'confine' | 'pathMap' | 'noAccess' | 'journal' | 'locked'> {
  /** Folders to look through for what stands on the base, besides its surroundings. */
  readonly scan?: readonly string[] | undefined;
  /** Record anew what is guarded already; guard a disk that a machine runs on itself; restore the CID over changes that no disk shows. */
  readonly force?: boolean | undefined;
  readonly durable?: boolean | undefined;
  readonly takeOver?: boolean | undefined;
  readonly runs?: Runs | undefined;
  /** ISO 8601; the clock unless given. */
  readonly now?: string | undefined;
}

/** Sectors of the disk. */
export interface GuardRange {
  readonly start: number;
  readonly count: number;
}

/** A disk that stands on the base, and whether it sees what changed there. */
export interface GuardedChild {
  readonly path: string;
  /** Changed sectors that it shows; none when its own data or that of disks below it hides them. */
  readonly sectors: number;
  /** Why that could not be told; it counts as affected then. */
  readonly problem?: string;
}

/**
 * `as-recorded`: nothing changed. `cid-rolled`: the contents are the same and the CID is not, as after a start that
 * wrote nothing. `changed-unseen`: contents changed where every disk above has its own. `changed`: some disk shows it.
 */
export type GuardVerdict = 'as-recorded' | 'cid-rolled' | 'changed-unseen' | 'changed';

export interface GuardReport {
  readonly schema: 'vmdkit-guard/v1';
  readonly action: 'set' | 'check' | 'release' | 'restore-cid';
  /** Real path of the base. */
  readonly filename: string;
  /** The file that holds the fingerprint. */
  readonly fingerprint: string;
  /** When it was recorded. */
  readonly recorded: string;
  /** Eight hexadecimal digits: as the descriptor has it now. */
  readonly cid: string;
  readonly 'recorded-cid': string;
  /** Of check and restore-cid. */
  readonly verdict?: GuardVerdict;
  /** Stretches of the disk in which something changed, to the nearest piece. */
  readonly changed: readonly GuardRange[];
  /** Bytes to which places are told. */
  readonly 'chunk-size': number;
  /** What stands on it, nearest first. */
  readonly children: readonly GuardedChild[];
  readonly 'read-only': boolean;
  readonly notes: readonly string[];
}
