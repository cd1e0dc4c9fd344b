// A stretch of a disk: start + count, in sectors, always.
import type { Sectors } from '../core/units.ts';

export interface SectorRange {
  readonly start: Sectors;
  readonly count: Sectors;
}

/** A range from plain numbers that are known to be good. */
export function sectorRange(start: number, count: number): SectorRange {
  return { start: start as Sectors, count: count as Sectors };
}

/** @throws RangeError when the range does not lie within `capacity`. */
export function assertWithin(range: SectorRange, capacity: Sectors): void {
  const ok =
    Number.isSafeInteger(range.start) &&
    Number.isSafeInteger(range.count) &&
    range.start >= 0 &&
    range.count >= 0 &&
    range.start + range.count <= capacity;
  if (!ok) {
    throw new RangeError(
      `sectors ${range.start} + ${range.count} do not lie within a disk of ${capacity} sectors`,
    );
  }
}
