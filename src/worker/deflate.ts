// The only way into zlib for writing: off the main thread (libuv's pool runs several at once), one output buffer each.
import { deflate } from 'node:zlib';

/** Most bytes of the zlib stream of `length` bytes: zlib's own compressBound, for the settings used here. */
export function mostDeflatedBytes(length: number): number {
  return length + (length >>> 12) + (length >>> 14) + (length >>> 25) + 13;
}

/** A zlib stream (RFC 1950). `level` 1 to 9. `data` must stay as it is until then. */
export function deflateWhole(data: Uint8Array, level: number): Promise<Buffer> {
  const options = { level, chunkSize: Math.max(64, mostDeflatedBytes(data.length)) };
  return new Promise((resolve, reject) => {
    deflate(data, options, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
