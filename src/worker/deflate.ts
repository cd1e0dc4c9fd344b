// The only way into compression: off the main thread, on all cores. libdeflate does it, which is faster than zlib and
// makes less of the same; zlib does it where the threads are out of reach, as in a program that was joined into one file.
import { DeflateThreads } from './deflate-threads.ts';
import { createZlibDeflater } from './zlib-deflater.ts';

/** Makes a zlib stream (RFC 1950) of `data`, which must stay as it is until then. Many may be under way. */
export type DeflateWhole = (data: Uint8Array) => Promise<Buffer>;

/** Threads are slow to start, and serve whoever comes. */
const threads = new DeflateThreads(mostDeflatedBytes);

/**
 * Most bytes of the zlib stream of `length` bytes. Sources: zlib's compressBound, for the settings used here; libdeflate's
 * libdeflate_zlib_compress_bound: six bytes of frame, five for each stored block, at most one of these in 5,000 bytes.
 */
export function mostDeflatedBytes(length: number): number {
  const byZlib = length + (length >>> 12) + (length >>> 14) + (length >>> 25) + 13;
  const byLibdeflate = length + 5 * Math.max(Math.ceil(length / 5000), 1) + 6;
  return Math.max(byZlib, byLibdeflate);
}

/** `level` 1 to 9, as zlib counts. The same data gives the same stream, whichever thread makes it. */
export function createDeflater(level: number): DeflateWhole {
  let byZlib: DeflateWhole | undefined;
  return async (data) => (await threads.deflate(data, level)) ?? (byZlib ??= createZlibDeflater(level))(data);
}
