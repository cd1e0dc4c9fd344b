// What the servers serve, as types: a table of exports, what each can do, and how they are asked for.
import type { SectorRange } from '../block/sector-range.ts';
import type { PlannedSource, SectorTarget } from '../block/sector-source.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import type { VmdkError } from '../core/errors.ts';
import type { Bytes } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';

export interface WritableTarget extends SectorTarget {
  plan: PlannedSource['plan'];
  /** The grain that holds `sector`. */
  grainAt(sector: number): SectorRange;
  /** Whole grains of what lies below can be hidden without writing zeros. */
  readonly hidesByMetadata: boolean;
}

export interface ServedExport {
  readonly name: string;
  /** For people. */
  readonly description: string;
  readonly size: Bytes;
  /** Real path of its top link. */
  readonly path: string;
  /** Top first. */
  readonly links: readonly Disk[];
  readonly source: PlannedSource;
  /** Only of what may be written. */
  readonly target?: WritableTarget;
}

/** Exports by name. */
export interface ExportTable {
  /** In the order they are listed; the first is the default one. */
  readonly exports: readonly ServedExport[];
  /** An export by its name; the default one for an empty name. */
  find(name: string): ServedExport | undefined;
}

export interface ExportSet extends ExportTable {
  /** Points that could not be opened, each with the reason. */
  readonly problems: readonly { readonly point: ExportPoint; readonly error: VmdkError }[];
  /** Makes what was written durable, closes every file, gives locks back and removes temporary overlays. */
  close(): Promise<void>;
}

/** A disk as somebody names it. */
export interface ExportPoint {
  readonly path: string;
  /** A name besides that of its file. */
  readonly name?: string;
  /** For people: `scsi0:0 at snapshot "patched"`. */
  readonly description?: string;
  /** Never written, whatever is asked for: a snapshot. */
  readonly frozen?: boolean;
  /** May be missing or broken: then it is a problem of the set, not an error. */
  readonly optional?: boolean;
}

/** A file of the user's, made when it is missing and gone on with when it is there; or one that is thrown away. */
export type OverlayPlace = 'temporary' | { readonly file: string };

export interface ServeOptions extends Omit<ChainOptions, 'locked'> {
  /** Write into the disks themselves. Locks are taken as `withLocks` does. */
  write?: boolean | undefined;
  /** Write into deltas above the disks, which stay as they are. */
  overlay?: OverlayPlace | undefined;
  /** Where the folder for temporary overlays is made. Default: the system's. */
  temporaryFolder?: string | undefined;
  /** Files that are locked besides, when the disks are written: the .vmx of their machine. */
  lockAlso?: readonly string[] | undefined;
  /** Locks of others: `refuse` (default), or `ignore` them. */
  locked?: 'refuse' | 'ignore' | undefined;
}
