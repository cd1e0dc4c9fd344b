// One link of a chain: a descriptor and the extents it places one after the other. A disk knows whether it has a
// parent, never what is in it.
import type { GrainColumn, GrainTables } from '../block/grain-fold.ts';
import { readMapped } from '../block/read-runs.ts';
import { RunList } from '../block/run-list.ts';
import { assertWithin, sectorRange, type SectorRange } from '../block/sector-range.ts';
import { MAP_RUN_LIMIT, type SectorSource, type SectorTarget } from '../block/sector-source.ts';
import type { Finding } from '../core/finding.ts';
import type { Sectors } from '../core/units.ts';
import type { Extent } from '../extent/extent.ts';
import type { Descriptor, ExtentLine } from '../format/descriptor.ts';

/** An extent and where the disk has it. */
export interface PlacedExtent<E extends Extent = Extent> {
  /** First sector of the disk that it holds. */
  readonly start: Sectors;
  readonly extent: E;
  readonly line: ExtentLine;
}

export interface Disk extends SectorSource {
  /** Real path of the descriptor, or of the sparse file that holds it. */
  readonly path: string;
  /** Equal for two disks exactly when they are the same file. */
  readonly identity: string;
  readonly descriptor: Descriptor;
  /** Canonical spelling; `custom` when the descriptor's own word is not known. */
  readonly createType: string;
  /** True when the descriptor stands in the first extent's file. */
  readonly embedded: boolean;
  readonly extents: readonly PlacedExtent[];
  /** What reading has got past so far. */
  readonly findings: readonly Finding[];
}

export interface WritableDisk extends Disk, SectorTarget {
  /** The grain that holds `sector`, cut by the end of its extent: what must be written whole when it is new. */
  grainAt(sector: number): SectorRange;
  /** Makes whole grains read as zeros; `hidesParent` says that absent would not mean zeros. */
  zeroGrains(range: SectorRange, hidesParent: boolean): Promise<void>;
  /** The CID by now: rolled at the first write. */
  readonly cid: number;
}

/** The part of a SectorSource that follows from the placement of extents. */
export function placedSource(
  extents: readonly PlacedExtent[],
  capacity: Sectors,
): Pick<SectorSource, 'capacity' | 'map' | 'read' | 'tables'> {
  const source = {
    capacity,
    tables: placedTables(extents),
    async map(range: SectorRange): Promise<RunList> {
      assertWithin(range, capacity);
      const end = range.start + range.count;
      const first = extents[0]!;
      if (extents.length === 1 && first.start === 0) return first.extent.map(range);
      const runs = new RunList(range.start);
      let index = extentIndexAt(extents, range.start);
      while (runs.end < end && runs.length < MAP_RUN_LIMIT) {
        const { start, extent } = extents[index]!;
        const stop = Math.min(end, start + extent.capacity);
        runs.addAll(await extent.map(sectorRange(runs.end - start, stop - runs.end)));
        if (runs.end === start + extent.capacity) index++;
      }
      return runs;
    },
    read(range: SectorRange, into: Uint8Array): Promise<void> {
      return readMapped(source, range, into);
    },
  };
  return source;
}

/** The tables of all extents as one, where each extent has some and begins at a grain. */
function placedTables(extents: readonly PlacedExtent[]): GrainTables | undefined {
  const grainSize = extents[0]?.extent.tables?.grainSize;
  if (grainSize === undefined) return undefined;
  const fits = ({ start, extent }: PlacedExtent): boolean =>
    extent.tables?.grainSize === grainSize && start % grainSize === 0;
  if (!extents.every(fits)) return undefined;
  return {
    grainSize,
    async read(range) {
      const end = range.start + range.count;
      const found: GrainColumn[] = [];
      for (let at: number = range.start, index = extentIndexAt(extents, at); at < end; index++) {
        const { start, extent } = extents[index]!;
        const stop = Math.min(end, start + extent.capacity);
        const columns = await extent.tables!.read(sectorRange(at - start, stop - at));
        if (columns === undefined) {
          for (const column of found) column.done();
          return undefined;
        }
        for (const column of columns) found.push({ ...column, start: column.start + start });
        at = stop;
      }
      return found;
    },
  };
}

/** Index of the extent that holds `sector`. */
export function extentIndexAt(extents: readonly PlacedExtent[], sector: number): number {
  let low = 0;
  let high = extents.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (extents[middle]!.start <= sector) low = middle;
    else high = middle - 1;
  }
  return low;
}
