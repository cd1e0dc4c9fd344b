// What a damaged disk has lost, as far as it is known without reading: an extent that cannot be opened, the end of a
// file that was cut short, a parent that is gone. Rule: it is data that nobody can read, never zeros.
import { readMapped } from '../block/read-runs.ts';
import { RunList, type DataOrigin } from '../block/run-list.ts';
import type { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { Extent } from './extent.ts';

/** What reading gives in the place of what is lost: the error, or a byte that stands for each. */
export type InPlaceOfLost = 'open' | { readonly fill: number };

/** Stands for the data of `path` that cannot be read, for the reason given. */
export function lostOrigin(path: string, error: VmdkError, instead: InPlaceOfLost): DataOrigin {
  const read: DataOrigin['read'] =
    instead === 'open'
      ? () => Promise.reject(error)
      : (into) => {
          into.fill(instead.fill);
          return Promise.resolve();
        };
  return { path, compressed: false, lost: error, read };
}

/** The extent, with all that it does not hold from sector `from` on lost, for the reason that `origin` has. */
export function lostFrom(extent: Extent, from: number, origin: DataOrigin): Extent {
  const partly: Extent = {
    ...extent,
    async map(range) {
      const known = await extent.map(range);
      const runs = new RunList(known.start);
      for (let index = 0; index < known.length; index++) {
        const [start, end] = [known.startAt(index), known.endAt(index)];
        const lost = known.isAbsentAt(index) ? Math.max(start, from) : end;
        if (start < lost) runs.addPart(known, index, start, Math.min(lost, end) - start);
        if (lost < end) runs.addData(end - lost, origin, lost * SECTOR_BYTES);
      }
      return runs;
    },
    read: (range, into) => readMapped(partly, range, into),
  };
  return partly;
}

/** An extent of which nothing can be read. */
export function lostExtent(
  capacity: Sectors,
  path: string,
  error: VmdkError,
  instead: InPlaceOfLost,
): Extent {
  const origin = lostOrigin(path, error, instead);
  const extent: Extent = {
    kind: 'no-access',
    path: undefined,
    capacity,
    grainSize: 1 as Sectors,
    header: {},
    map(range) {
      const runs = new RunList(range.start);
      runs.addData(range.count, origin, range.start * SECTOR_BYTES);
      return Promise.resolve(runs);
    },
    read: (range, into) => readMapped(extent, range, into),
    close: () => Promise.resolve(),
  };
  return extent;
}
