// Finds the zeros in a buffer at the speed of memory: Buffer.compare against zeros, 4 KiB at a time.

const STEP = 4096;
const ZEROS = Buffer.alloc(STEP);

/** True when every byte of `data` is zero. */
export function isZero(data: Uint8Array): boolean {
  for (let at = 0; at < data.length; at += STEP) {
    if (!zeroAt(data, at, Math.min(at + STEP, data.length))) return false;
  }
  return true;
}

/** Calls `found(start, end)` for each stretch that is not all zero, in bytes, cut at multiples of 4 KiB. */
export function eachNonZero(data: Uint8Array, found: (start: number, end: number) => void): void {
  let start = -1;
  for (let at = 0; at < data.length; at += STEP) {
    if (zeroAt(data, at, Math.min(at + STEP, data.length))) {
      if (start >= 0) found(start, at);
      start = -1;
    } else if (start < 0) {
      start = at;
    }
  }
  if (start >= 0) found(start, data.length);
}

function zeroAt(data: Uint8Array, start: number, end: number): boolean {
  const view = Buffer.from(data.buffer, data.byteOffset + start, end - start);
  return view.compare(ZEROS, 0, end - start) === 0;
}
