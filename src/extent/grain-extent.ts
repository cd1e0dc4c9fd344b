// The reading half that all extents with grains share: map by the grain tables, read by the map.
import { readMapped } from '../block/read-runs.ts';
import { RunList } from '../block/run-list.ts';
import { VmdkError } from '../core/errors.ts';
import type { Sectors } from '../core/units.ts';
import type { GrainMap } from '../grain/grain-map.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import type { Extent, ExtentKind } from './extent.ts';

export function grainExtent(
  kind: ExtentKind,
  file: RandomAccessFile,
  grains: GrainMap,
  capacity: Sectors,
  header: Extent['header'],
): Extent {
  const extent: Extent = {
    kind,
    path: file.path,
    capacity,
    grainSize: grains.grainSize as Sectors,
    header,
    async map(range) {
      const runs = new RunList(range.start);
      await grains.addRuns(range, runs);
      return runs;
    },
    read: (range, into) => readMapped(extent, range, into),
    close: () => file.close(),
  };
  return extent;
}

/**
 * An extent's capacity by its header and by its line in the descriptor: equal, or the header rounded up to a grain
 * (VirtualBox writes the last split extent so). Returns what the guest sees.
 * @throws VmdkError `capacity-mismatch`.
 */
export function agreedCapacity(
  path: string,
  headerCapacity: number,
  grainSize: number,
  lineSectors: number | undefined,
): Sectors {
  if (lineSectors === undefined) return headerCapacity as Sectors;
  if (headerCapacity >= lineSectors && headerCapacity < lineSectors + grainSize)
    return lineSectors as Sectors;
  throw new VmdkError('corrupt', 'capacity-mismatch', 'header and descriptor disagree about the size', {
    path,
    field: 'capacity',
    found: `${headerCapacity} sectors in the header`,
    expected: `${lineSectors} sectors by the extent line`,
  });
}
