// Which fields of a header `info` shows, under the names it shows them by.
import type { SparseHeader } from '../format/sparse-header.ts';
import type { Extent } from './extent.ts';

/** The fields of a hosted sparse header. */
export function shownFields(header: SparseHeader): Extent['header'] {
  return {
    version: header.version,
    flags: header.flags,
    capacity: header.capacity,
    'grain-size': header.grainSize,
    'grain-directory': header.gdOffset ?? 'at the end',
    ...(header.rgdOffset === undefined ? {} : { 'redundant-grain-directory': header.rgdOffset }),
    overhead: header.overHead,
    'unclean-shutdown': header.uncleanShutdown,
    compressed: header.compressed,
  };
}
