// A new flat extent: sector s stands at sector s. Where nothing is written there are holes, or zeros when the space is
// to be taken.
import { after, DONE } from '../core/settled.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { WritableFile } from '../storage/file-store.ts';
import type { ExtentBuilder } from './extent-builder.ts';

const ZEROS = new Uint8Array(1 << 20);
/** A block of file systems: smaller holes do not exist. */
const GRAIN = 8;

/** `fill`: the file occupies all of its length. */
export function buildFlat(file: WritableFile, sectors: number, fill: boolean): ExtentBuilder {
  let filled = 0;
  const fillTo = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += ZEROS.length) {
      await file.write(ZEROS.subarray(0, Math.min(ZEROS.length, to - at)), at);
    }
  };
  return {
    grainSize: GRAIN,
    write(start, data) {
      const at = start * SECTOR_BYTES;
      const from = filled;
      filled = at + data.length;
      const before = fill && from < at ? fillTo(from, at) : DONE;
      return after(before, () => file.write(data, at));
    },
    hide: (start, count) => fillTo(start * SECTOR_BYTES, (start + count) * SECTOR_BYTES),
    async finish() {
      const size = sectors * SECTOR_BYTES;
      if (fill) await fillTo(filled, size);
      await file.resize(size);
    },
  };
}
