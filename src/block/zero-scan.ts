// Finds the zeros in a buffer at the speed of memory: Buffer.compare against zeros, 4 KiB at a time, and only where a
// few bytes that are looked at first are all zero.

const STEP = 4096;
const ZEROS = Buffer.alloc(STEP);

/** Distance of the bytes that are looked at first: data is seldom zero at all of them. */
const GLANCE = 509;

/** True when every byte of `data` is zero. */
export function isZero(data: Uint8Array): boolean {
  const view = viewOf(data);
  for (let at = 0; at < view.length; at += STEP) {
    if (!zeroAt(view, at, Math.min(at + STEP, view.length))) return false;
  }
  return true;
}

/** Start and end of each stretch that is not all zero, in bytes, in order, cut at multiples of 4 KiB. */
export function nonZeroStretches(data: Uint8Array): [start: number, end: number][] {
  const view = viewOf(data);
  const found: [number, number][] = [];
  let start = -1;
  for (let at = 0; at < view.length; at += STEP) {
    if (zeroAt(view, at, Math.min(at + STEP, view.length))) {
      if (start >= 0) found.push([start, at]);
      start = -1;
    } else if (start < 0) {
      start = at;
    }
  }
  if (start >= 0) found.push([start, view.length]);
  return found;
}

/** Calls `found(start, end, zero)` for each stretch of grains of `grainBytes` that are alike: all zero, or none of them. */
export function eachGrainStretch(
  data: Uint8Array,
  grainBytes: number,
  found: (start: number, end: number, zero: boolean) => void,
): void {
  const view = viewOf(data);
  let start = 0;
  let kind: boolean | undefined;
  for (let at = 0; at < view.length; at += grainBytes) {
    const zero = allZero(view, at, Math.min(at + grainBytes, view.length));
    if (zero === kind) continue;
    if (kind !== undefined) found(start, at, kind);
    [start, kind] = [at, zero];
  }
  if (kind !== undefined) found(start, view.length, kind);
}

function allZero(view: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += STEP) if (!zeroAt(view, at, Math.min(at + STEP, end))) return false;
  return true;
}

function viewOf(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.length);
}

function zeroAt(view: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += GLANCE) if (view[at] !== 0) return false;
  return view.compare(ZEROS, 0, end - start, start, end) === 0;
}
