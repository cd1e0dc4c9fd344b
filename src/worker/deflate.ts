// The only way into zlib for writing: off the main thread, a few compressors that serve again and again. A new one for
// each grain would cost a quarter of a megabyte of fresh memory, and more time than many a grain takes.
import { constants, createDeflate, type Deflate } from 'node:zlib';

/** As many as libuv has threads for them. */
const COMPRESSORS = 4;
/** Output is cut from buffers of this size. */
const CHUNK_BYTES = 1 << 18;

/** Most bytes of the zlib stream of `length` bytes: zlib's own compressBound, for the settings used here. */
export function mostDeflatedBytes(length: number): number {
  return length + (length >>> 12) + (length >>> 14) + (length >>> 25) + 13;
}

/** Makes a zlib stream (RFC 1950) of `data`, which must stay as it is until then. Many may be under way. */
export type DeflateWhole = (data: Uint8Array) => Promise<Buffer>;

/** `level` 1 to 9, as zlib counts. Holds memory while it is referred to, nothing else. */
export function createDeflater(level: number): DeflateWhole {
  const idle: Compressor[] = [];
  const waiting: ((compressor: Compressor) => void)[] = [];
  let made = 0;
  const take = (): Compressor | Promise<Compressor> => {
    const free = idle.pop();
    if (free !== undefined) return free;
    if (made === COMPRESSORS) return new Promise((resolve) => waiting.push(resolve));
    made++;
    return new Compressor(level);
  };
  const giveBack = (compressor: Compressor): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(compressor);
    else next(compressor);
  };
  return async (data) => {
    const compressor = await take();
    try {
      const stream = await compressor.deflate(data);
      giveBack(compressor);
      return stream;
    } catch (error) {
      giveBack(new Compressor(level));
      throw error;
    }
  };
}

/** One zlib state; one stream at a time. */
class Compressor {
  readonly #zlib: Deflate;
  #fail: (error: Error) => void = () => {};

  constructor(level: number) {
    // All of a stream is taken at once, at its end: no mark may make zlib wait for a reader before.
    const options = { level, chunkSize: CHUNK_BYTES, readableHighWaterMark: Number.MAX_SAFE_INTEGER };
    this.#zlib = createDeflate(options);
    this.#zlib.on('error', (error) => this.#fail(error));
  }

  deflate(data: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#zlib.write(data);
      this.#zlib.flush(constants.Z_FINISH, () => {
        const stream = this.#zlib.read() as Buffer;
        this.#zlib.reset();
        resolve(stream);
      });
    });
  }
}
