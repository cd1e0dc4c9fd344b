// The only way into zlib for reading: bounded output, off the main thread, a few inflaters that serve again and again.
// Node's module is loaded with the first grain: most disks have none that is compressed.
import type { Inflate } from 'node:zlib';
import { createStatePool } from './state-pool.ts';

/** Output is cut from buffers of this size: four usual grains. */
const CHUNK_BYTES = 1 << 18;

const pool = createStatePool(() => new Inflater());

/**
 * Inflates a zlib stream (RFC 1950); bytes of `data` behind its end mean nothing. `take` is handed the result, which is
 * overwritten once it returns. Rejects when the stream is damaged, is cut short, or holds more than `limit` bytes.
 */
export function inflateWithin<T>(data: Uint8Array, limit: number, take: (inflated: Buffer) => T): Promise<T> {
  return pool.use((inflater) => inflater.inflate(data, limit, take));
}

/**
 * Node fills its buffer to the end before it takes a new one. What is in it has been taken: begun anew, the same memory
 * serves all grains, and fresh memory takes nearly as long as inflating into it. A Node without this field goes on as ever.
 */
function useAgain(zlib: Inflate): void {
  (zlib as { _outOffset?: number })._outOffset = 0;
}

/** One zlib state; one stream at a time, none after one that failed. */
class Inflater {
  #zlib: Inflate | undefined;
  #parts: Buffer[] = [];
  #room = 0;
  #fail: (error: Error) => void = () => {};

  inflate<T>(data: Uint8Array, limit: number, take: (inflated: Buffer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const zlib = (this.#zlib ??= this.#open());
      this.#parts = [];
      this.#room = limit;
      this.#fail = reject;
      const before = zlib.bytesWritten;
      zlib.write(data, (error) => {
        if (error) return reject(error);
        if (this.#room < 0) return reject(new RangeError('the stream holds more than it may'));
        // Hands over, as 'data', what is still buffered.
        zlib.read();
        // Behind bytes that belong to no stream nothing can follow.
        if (zlib.bytesWritten - before < data.length) this.#close();
        else zlib.reset();
        const [first] = this.#parts;
        try {
          resolve(take(this.#parts.length === 1 ? first! : Buffer.concat(this.#parts)));
        } catch (thrown) {
          reject(thrown as Error);
        }
        useAgain(zlib);
      });
    });
  }

  #open(): Inflate {
    const { constants, createInflate } = process.getBuiltinModule('node:zlib');
    // Each write is a whole stream: one that is cut short is then an error.
    const zlib = createInflate({ chunkSize: CHUNK_BYTES, flush: constants.Z_FINISH });
    zlib.on('error', (error) => this.#fail(error));
    zlib.on('data', (part: Buffer) => {
      this.#parts.push(part);
      this.#room -= part.length;
      if (this.#room < 0) zlib.destroy();
    });
    return zlib;
  }

  #close(): void {
    this.#zlib?.destroy();
    this.#zlib = undefined;
  }
}
