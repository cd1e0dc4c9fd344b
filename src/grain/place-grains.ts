// What all writers of grains share: sectors that have a place are overwritten there, new grains come whole and go to
// the end of the file, so that whatever a free pointer or a leak claims, no grain is ever overwritten by another.
import { RunList } from '../block/run-list.ts';
import { sectorRange } from '../block/sector-range.ts';
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import type { WritableFile } from '../storage/file-store.ts';
import type { GrainMap } from './grain-map.ts';

/** Table entries are 32-bit sector numbers. */
const FILE_LIMIT_SECTORS = 2 ** 32;

interface PlacedGrains extends GrainMap {
  readonly header: { readonly capacity: number };
  /** Sectors of the file, all that is reserved included. */
  fileSectors: number;
}

/**
 * Writes `data` from sector `start` on. Every stretch without a place is stored at the end of the file, in whole grains
 * (the last may end with the extent), and then given to `point`: its first grain, how many, and where they are.
 */
export async function writeByMap(
  file: WritableFile,
  grains: PlacedGrains,
  start: number,
  data: Uint8Array,
  point: (first: number, count: number, place: number) => Promise<void>,
): Promise<void> {
  const end = start + data.length / SECTOR_BYTES;
  let at = start;
  while (at < end) {
    const runs = new RunList(at);
    await grains.addRuns(sectorRange(at, end - at), runs);
    for (let index = 0; index < runs.length; index++) {
      const from = runs.startAt(index);
      const part = data.subarray((from - start) * SECTOR_BYTES, (runs.endAt(index) - start) * SECTOR_BYTES);
      if (runs.isDataAt(index)) {
        await file.write(part, runs.offsetAt(index));
        continue;
      }
      // Grains stand on multiples of their size (VMware, Virtual Disk Format 5.0).
      const whole = wholeGrains(grains, from, part);
      const count = whole.length / SECTOR_BYTES / grains.grainSize;
      const place = reserveAtEnd(file, grains, count * grains.grainSize, grains.grainSize);
      await file.write(whole, place * SECTOR_BYTES);
      await point(from / grains.grainSize, count, place);
    }
    at = runs.end;
  }
}

/** Takes `sectors` at the end of the file. @throws VmdkError `extent-full` past 2 TiB. */
export function reserveAtEnd(
  file: WritableFile,
  grains: PlacedGrains,
  sectors: number,
  alignment: number,
): number {
  const place = roundUp(grains.fileSectors, alignment);
  if (place + sectors > FILE_LIMIT_SECTORS) {
    throw new VmdkError('unsupported', 'extent-full', 'the file of a sparse extent cannot grow past 2 TiB', {
      path: file.path,
      offset: place * SECTOR_BYTES,
      found: `${place + sectors} sectors`,
      expected: `at most ${FILE_LIMIT_SECTORS} sectors`,
    });
  }
  grains.fileSectors = place + sectors;
  return place;
}

/** The last grain of an extent is stored whole, so that the file ends on a grain. */
function wholeGrains({ grainSize, header }: PlacedGrains, start: number, data: Uint8Array): Uint8Array {
  const end = start + data.length / SECTOR_BYTES;
  if (start % grainSize !== 0 || (end % grainSize !== 0 && end < header.capacity)) {
    throw new RangeError(`sectors ${start} to ${end} are not whole grains of ${grainSize} sectors`);
  }
  const short = ceilDiv(end - start, grainSize) * grainSize * SECTOR_BYTES - data.length;
  return short === 0 ? data : Buffer.concat([data, Buffer.alloc(short)]);
}
