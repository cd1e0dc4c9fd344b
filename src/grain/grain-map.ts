// What every kind of extent with grains offers: where each grain is, from its tables alone.
import type { RunList } from '../block/run-list.ts';
import type { SectorRange } from '../block/sector-range.ts';

export interface GrainMap {
  /** Sectors. */
  readonly grainSize: number;
  /** Adds the runs of `range` to `into`, whose end is the start of the range, until it is full enough. */
  addRuns(range: SectorRange, into: RunList): Promise<void>;
}
