// How a chain is opened: as its disks are, and how parents are found and judged.
import type { Disk } from '../disk/disk.ts';
import type { OpenOptions } from '../disk/open-options.ts';

/**
 * Hints that begin with `from` are looked for under `to` first: `/vmfs/volumes/ds1` → `/mnt/ds1`, `[ds1]` → …. In
 * `from`, `*` is any one name; a `to` that ends with `/*` takes it over: `[*]` → `/mnt/*`.
 */
export interface PathMapping {
  readonly from: string;
  readonly to: string;
}

export interface ChainOptions extends OpenOptions {
  /** Tried before everything else, in order. */
  pathMap?: readonly PathMapping[] | undefined;
  /**
   * Go on when a parent's CID or capacity does not fit: what is read may never have been one disk's contents.
   * Default false: an error that names both numbers and both files.
   */
  acceptMismatch?: boolean | undefined;
  /**
   * Links of another chain that was opened to read with the same options: from the first that this chain stands on, it
   * goes on with them. They stay that chain's: keep it open as long as this one, and close both. Means nothing to a
   * chain that is opened to be written.
   */
  shared?: readonly Disk[] | undefined;
}

/** Links that are read; more is damage or an attack (ESXi's own hard stop). */
export const MOST_LINKS = 255;
/** Links that VMware supports (KB 1025279): more are read with a warning and never made. */
export const MOST_SUPPORTED_LINKS = 32;
