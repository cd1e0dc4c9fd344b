// Data and holes of an open file, as the file system tells them. Never claims a hole past the end of the file:
// who reads there must meet the error, not zeros.
import { fs } from './node-fs.ts';
import type { FileStretch } from './file-store.ts';
import type { Natives } from './natives.ts';

/** Stretches one call answers at most: a file of a million holes is asked in pieces. */
const MAX_STRETCHES = 4096;

/** A prefix of `[start, start + length)` within the file; undefined past its end or where the system cannot tell. */
export function findStretches(
  natives: Natives,
  fd: number,
  start: number,
  length: number,
): readonly FileStretch[] | undefined {
  const end = Math.min(start + length, fs.fstatSync(fd).size);
  const stretches: FileStretch[] = [];
  try {
    for (let at = start; at < end && stretches.length < MAX_STRETCHES;) {
      const data = Math.min(natives.seekData(fd, at) ?? end, end);
      if (data > at) stretches.push({ start: at, length: data - at, data: false });
      if (data >= end) break;
      const hole = Math.min(natives.seekHole(fd, data) ?? end, end);
      // Somebody changed the file between the two calls: what is known so far still holds.
      if (hole <= data) break;
      stretches.push({ start: data, length: hole - data, data: true });
      at = hole;
    }
  } catch {
    return undefined;
  }
  return stretches.length === 0 ? undefined : stretches;
}
