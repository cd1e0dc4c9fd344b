// The one shape in the middle of the house: an extent, a disk and a chain are all a SectorSource, and what may be
// written is also a SectorTarget. To write is a different type: nothing below a leaf has a `write`.
import type { TaskOptions } from '../core/task.ts';
import type { Sectors } from '../core/units.ts';
import type { GrainTables } from './grain-fold.ts';
import type { RunList } from './run-list.ts';
import type { SectorRange } from './sector-range.ts';

/** Most runs one `map` answers; what is longer is answered as a prefix. Bounds memory, not meaning. */
export const MAP_RUN_LIMIT = 65_536;

export interface SectorSource {
  /** Sectors. */
  readonly capacity: Sectors;
  /**
   * What is where, from metadata alone. Covers a prefix of `range`: all of it, or about MAP_RUN_LIMIT runs,
   * and never nothing; ask again from its `end`.
   */
  map(range: SectorRange): Promise<RunList>;
  /** As `map`, from plans that are kept, where there are any: for many small ranges near one another. */
  plan?(range: SectorRange): Promise<RunList>;
  /** What `map` goes by, where that is grain tables that do not change: lets many links be folded at once. */
  readonly tables?: GrainTables | undefined;
  /** Fills `into` (exactly `range.count` sectors) with the contents; absent sectors read as zeros. */
  read(range: SectorRange, into: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** A source that keeps its plans. */
export interface PlannedSource extends SectorSource {
  plan(range: SectorRange): Promise<RunList>;
}

export interface SectorTarget extends SectorSource {
  /** Writes whole sectors from sector `start` on. Durable after `flush`. */
  write(start: Sectors, data: Uint8Array): Promise<void>;
  /** Makes `range` read as zeros, by metadata where that is possible. */
  zero(range: SectorRange): Promise<void>;
  /** Returns once everything written so far would survive a loss of power. */
  flush(task?: TaskOptions): Promise<void>;
}
