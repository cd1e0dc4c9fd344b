// FLAT and VMFS: sector s of the extent is sector `offset + s` of the file. A flat file is never probed for a
// format of its own. Holes that the file system can show are zeros by metadata.
import { readMapped } from '../block/read-runs.ts';
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { plainOrigin, type Extent, type WritableExtent } from './extent.ts';
import { lostOrigin, type InPlaceOfLost } from './lost-extent.ts';

const LARGEST_ZERO_WRITE = 1 << 20;

/**
 * @throws VmdkError `extent-too-short` when the file ends before the extent does; with `damaged: 'open'` only what lies
 * behind the end of the file is lost.
 */
export async function openFlatExtent(
  file: RandomAccessFile,
  capacity: Sectors,
  offset: Sectors,
  { damaged = 'refuse' }: { damaged?: 'refuse' | InPlaceOfLost } = {},
): Promise<Extent> {
  const needed = (offset + capacity) * SECTOR_BYTES;
  const found = await file.size();
  if (found >= needed) return flatExtent(file, capacity, offset);
  const tooShort = new VmdkError(
    'corrupt',
    'extent-too-short',
    'the flat extent is shorter than its descriptor says',
    {
      path: file.path,
      found: `${found} bytes`,
      expected: `${needed} bytes (${capacity} sectors from sector ${offset})`,
      hint: 'The file was cut short or is still being copied.',
    },
  );
  if (damaged === 'refuse') throw tooShort;
  const there = Math.max(0, Math.floor(found / SECTOR_BYTES) - offset) as Sectors;
  const whole = flatExtent(file, there, offset);
  const beyond = lostOrigin(file.path, tooShort, damaged);
  const extent: Extent = {
    ...whole,
    capacity,
    async map(range) {
      const within = Math.min(range.count, there - range.start);
      if (within > 0) return whole.map(sectorRange(range.start, within));
      const runs = new RunList(range.start);
      runs.addData(range.count, beyond, (offset + range.start) * SECTOR_BYTES);
      return runs;
    },
    read: (range, into) => readMapped(extent, range, into),
  };
  return extent;
}

function flatExtent(file: RandomAccessFile, capacity: Sectors, offset: Sectors): Extent {
  const origin = plainOrigin(file);
  const extent: Extent = {
    kind: 'flat',
    path: file.path,
    capacity,
    grainSize: 1 as Sectors,
    header: {},
    async map(range) {
      const runs = new RunList(range.start);
      const from = (offset + range.start) * SECTOR_BYTES;
      const stretches = await file.stretches?.(from, range.count * SECTOR_BYTES);
      if (stretches === undefined) {
        runs.addData(range.count, origin, from);
        return runs;
      }
      for (const stretch of stretches) {
        // A hole that ends within a sector: the sector has data.
        const end = stretch.start + stretch.length - from;
        const sectors = stretch.data ? Math.ceil(end / SECTOR_BYTES) : Math.floor(end / SECTOR_BYTES);
        const count = Math.min(sectors, range.count) - (runs.end - range.start);
        if (stretch.data) runs.addData(count, origin, from + (runs.end - range.start) * SECTOR_BYTES);
        else runs.addZero(count);
      }
      if (runs.length === 0) runs.addData(range.count, origin, from);
      return runs;
    },
    read(range: SectorRange, into: Uint8Array) {
      return readMapped(extent, range, into);
    },
    close: () => file.close(),
  };
  return extent;
}

export async function openWritableFlatExtent(
  file: WritableFile,
  capacity: Sectors,
  offset: Sectors,
): Promise<WritableExtent> {
  const extent = await openFlatExtent(file, capacity, offset);
  let begun = false;
  const writable: WritableExtent = {
    ...extent,
    unclean: false,
    read: (range, into) => readMapped(extent, range, into),
    write: (start, data) => file.write(data, (offset + start) * SECTOR_BYTES),
    async zero(range) {
      const zeros = Buffer.alloc(Math.min(range.count * SECTOR_BYTES, LARGEST_ZERO_WRITE));
      const step = zeros.length / SECTOR_BYTES;
      let at: number = range.start;
      while (at < range.start + range.count) {
        const runs = await extent.map(sectorRange(at, range.start + range.count - at));
        for (let index = 0; index < runs.length; index++) {
          // Holes are zeros already: filling them would only take space.
          if (!runs.isDataAt(index)) continue;
          for (let sector = runs.startAt(index); sector < runs.endAt(index); sector += step) {
            const count = Math.min(step, runs.endAt(index) - sector);
            await file.write(zeros.subarray(0, count * SECTOR_BYTES), (offset + sector) * SECTOR_BYTES);
          }
        }
        at = runs.end;
      }
    },
    begin() {
      begun = true;
      return Promise.resolve();
    },
    flush: () => file.sync(),
    async close() {
      try {
        if (begun) await file.sync();
      } finally {
        await file.close();
      }
    },
  };
  return writable;
}
