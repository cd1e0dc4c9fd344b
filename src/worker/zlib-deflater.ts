// Compression by zlib: off the main thread, a few compressors that serve again and again.
import { constants, createDeflate, type Deflate } from 'node:zlib';
import { createStatePool } from './state-pool.ts';

/** Output is cut from buffers of this size. */
const CHUNK_BYTES = 1 << 18;

/** `level` 1 to 9. Holds memory while it is referred to, nothing else. */
export function createZlibDeflater(level: number): (data: Uint8Array) => Promise<Buffer> {
  const pool = createStatePool(() => new Compressor(level));
  return (data) => pool.use((compressor) => compressor.deflate(data));
}

/** One zlib state; one stream at a time. */
class Compressor {
  readonly #zlib: Deflate;
  #fail: (error: Error) => void = () => {};

  constructor(level: number) {
    // All of a stream is taken at once, at its end: no mark may make zlib wait for a reader before. Each write is a whole
    // stream: zlib is told with it that it is the last, and not in a call of its own.
    const flush = constants.Z_FINISH;
    const options = { level, flush, chunkSize: CHUNK_BYTES, readableHighWaterMark: Number.MAX_SAFE_INTEGER };
    this.#zlib = createDeflate(options);
    this.#zlib.on('error', (error) => this.#fail(error));
  }

  deflate(data: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#zlib.write(data, () => {
        // A read gives all that there is, or one buffer of it: that depends on Node.
        const parts: Buffer[] = [];
        for (let part; (part = this.#zlib.read() as Buffer | null) !== null;) parts.push(part);
        this.#zlib.reset();
        resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
      });
    });
  }
}
