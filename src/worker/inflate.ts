// The only way into zlib for reading: bounded output, off the main thread (libuv's pool runs several at once). It is
// loaded with the first grain: most disks have none that is compressed.

/** Inflates a zlib stream (RFC 1950). Rejects when the result would be longer than `limit` bytes. */
export function inflateWithin(data: Uint8Array, limit: number): Promise<Buffer> {
  // chunkSize just above the limit: one output buffer, and one byte too many is noticed.
  const { inflate } = process.getBuiltinModule('node:zlib');
  const options = { chunkSize: Math.max(64, limit + 1), maxOutputLength: limit };
  return new Promise((resolve, reject) => {
    inflate(data, options, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
