// What the changes of a tree of disks are asked for with (commit, rebase, consolidate, promote, shadow), and what they tell.
import type { ChainOptions } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { RandomBytes } from '../format/content-id.ts';
import type { SettleOptions } from '../operations/settle-changes.ts';

export interface TreeOptions
  extends
    TaskOptions,
    SettleOptions,
    Pick<
      ChainOptions,
      'fs' | 'allow' | 'confine' | 'pathMap' | 'noAccess' | 'journal' | 'locked' | 'onFinding'
    > {
  /** Folders to look through for what stands on the disks, besides their surroundings. */
  readonly scan?: readonly string[] | undefined;
  /** Tell what would be done, and do nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /**
   * Go on although a machine knows the disk whose content changes, or although disks stand there that cannot be read.
   * What can be read is never broken. Default false.
   */
  readonly force?: boolean | undefined;
  /** Note in the registers of sharers who stands on whom now. Default true. */
  readonly register?: boolean | undefined;
  /** Return only once everything would survive a loss of power. Default true. */
  readonly durable?: boolean | undefined;
  readonly random?: RandomBytes | undefined;
}

/** A disk whose files are made anew. */
export interface WrittenDisk {
  readonly path: string;
  readonly 'create-type': string;
  /** Data that it has to hold, from metadata alone: at most, in bytes. */
  readonly bytes: number;
}

/** A disk that stands on another one, or on the same one with another CID, and reads as before. */
export interface ReparentedDisk {
  readonly path: string;
  readonly parent: string;
  /** parentFileNameHint as it is then. */
  readonly hint: string;
}

export interface KeptDisk {
  readonly path: string;
  readonly reason: string;
}

export type TreeAction = 'commit' | 'rebase' | 'consolidate' | 'promote' | 'shadow';

export interface TreeReport {
  readonly schema: 'vmdkit-tree/v1';
  readonly action: TreeAction;
  /** Real path of the disk that was named. */
  readonly disk: string;
  /** True when nothing was done. */
  readonly 'dry-run': boolean;
  readonly written: readonly WrittenDisk[];
  readonly moved: readonly ReparentedDisk[];
  /** Links that could not be merged, and why. */
  readonly kept: readonly KeptDisk[];
  /** Files. */
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Free space that it takes while it runs, at most. */
  readonly 'bytes-needed': number;
  /** What is free once it is done, less what new files take: may be negative, and more where grains turn out to be equal. */
  readonly 'bytes-freed': number;
  readonly notes: readonly string[];
}
