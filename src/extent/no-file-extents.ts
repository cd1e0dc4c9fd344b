// Extents without a file: ZERO reads as zeros, never as the parent; NOACCESS has no defined contents, so reading it
// is an error unless the caller asked for zeros.
import { RunList, type DataOrigin } from '../block/run-list.ts';
import { readMapped } from '../block/read-runs.ts';
import { VmdkError } from '../core/errors.ts';
import type { Sectors } from '../core/units.ts';
import type { Extent } from './extent.ts';

export function zeroExtent(capacity: Sectors): Extent {
  const extent: Extent = {
    kind: 'zero',
    path: undefined,
    capacity,
    grainSize: 1 as Sectors,
    header: {},
    map(range) {
      const runs = new RunList(range.start);
      runs.addZero(range.count);
      return Promise.resolve(runs);
    },
    read: (range, into) => readMapped(extent, range, into),
    close: () => Promise.resolve(),
  };
  return extent;
}

/** `line` is the extent line in the descriptor at `path`, for the message. */
export function noAccessExtent(capacity: Sectors, path: string, line: number): Extent {
  const origin: DataOrigin = {
    path,
    compressed: false,
    read: () =>
      Promise.reject(
        new VmdkError(
          'refused',
          'extent-not-accessible',
          'the extent is marked NOACCESS: it has no contents',
          {
            path,
            line,
            hint: 'Pass --noaccess zeros (library: noAccess: "zeros") to read zeros in its place.',
          },
        ),
      ),
  };
  const extent: Extent = {
    kind: 'no-access',
    path: undefined,
    capacity,
    grainSize: 1 as Sectors,
    header: {},
    map(range) {
      const runs = new RunList(range.start);
      runs.addData(range.count, origin, 0);
      return Promise.resolve(runs);
    },
    read: (range, into) => readMapped(extent, range, into),
    close: () => Promise.resolve(),
  };
  return extent;
}
