// What a scan has read, before it is put together: all that the forest is made of.
import type { Finding } from '../core/finding.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import type { DiskPool } from './disk-pool.ts';
import type { MachineFacts } from './scan-machines.ts';
import type { ParentLink } from './scan-parents.ts';
import type { Walk } from './scan-walk.ts';

export interface ScanResults {
  readonly walk: Walk;
  readonly pool: DiskPool;
  readonly links: ReadonlyMap<string, ParentLink>;
  /** Extents that no disk names. */
  readonly extents: readonly ResolvedPath[];
  readonly machines: readonly MachineFacts[];
  readonly problems: readonly Finding[];
}
