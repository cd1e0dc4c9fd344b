// Contents as Node streams: backpressure is theirs, reading ahead is ours. Bytes at both ends may be unaligned. Node's
// module is loaded with the first stream: who reads by sectors never waits for it.
import type { Readable, Writable } from 'node:stream';
import { allocateRoom } from '../core/room.ts';
import { SECTOR_BYTES, type Bytes } from '../core/units.ts';
import { readBytes, readsAsZeros, writeBytes } from './byte-access.ts';
import type { SectorSource, SectorTarget } from './sector-source.ts';

const CHUNK_BYTES = 1 << 20;

export interface ReadStreamOptions {
  /** First byte; 0 unless given. */
  start?: number | undefined;
  /** Byte after the last; the end of the disk unless given. */
  end?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** The contents from `start` to `end`, in chunks of at most 1 MiB. Does not close the source. */
export function createReadStream(source: SectorSource, options: ReadStreamOptions = {}): Readable {
  const size = source.capacity * SECTOR_BYTES;
  const end = options.end ?? size;
  let at = options.start ?? 0;
  if (!(at >= 0 && at <= end && end <= size)) {
    throw new RangeError(`bytes ${at} to ${end} do not lie within a disk of ${size} bytes`);
  }
  // One chunk is always being read while another is being consumed.
  let ahead: Promise<Buffer> | undefined;
  const readNext = (): Promise<Buffer> | undefined => {
    if (at >= end) return undefined;
    const length = Math.min(CHUNK_BYTES - (at % CHUNK_BYTES), end - at);
    const reading = readChunk(source, at as Bytes, length);
    reading.catch(() => undefined);
    at += length;
    return reading;
  };
  const streams = process.getBuiltinModule('node:stream');
  return new streams.Readable({
    // Node joins what it has buffered into one chunk: it gets the next only when it has none.
    highWaterMark: 1,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    read() {
      const current = ahead ?? readNext();
      ahead = current === undefined ? undefined : readNext();
      if (current === undefined) {
        this.push(null);
        return;
      }
      current.then(
        (chunk) => this.push(chunk),
        (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    },
  });
}

/** A new piece of memory each time, for it is the reader's to keep. Zeros cost next to nothing: the system has them ready. */
async function readChunk(source: SectorSource, at: Bytes, length: number): Promise<Buffer> {
  if (await readsAsZeros(source, at, length)) return Buffer.alloc(length);
  const chunk = allocateRoom(length);
  await readBytes(source, at, chunk);
  return chunk;
}

export interface WriteStreamOptions {
  /** Where the first byte goes; 0 unless given. */
  start?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Writes what it is given from `start` on, and flushes at the end. Does not close the target. */
export function createWriteStream(target: SectorTarget, options: WriteStreamOptions = {}): Writable {
  let at = options.start ?? 0;
  let gathered: Buffer[] = [];
  let length = 0;
  // Small pieces become one write that ends on a sector, so that no sector is read back to be completed.
  const write = async (all: boolean): Promise<void> => {
    const data = gathered.length === 1 ? gathered[0]! : Buffer.concat(gathered);
    const usable = all ? length : Math.max(0, length - ((at + length) % SECTOR_BYTES));
    gathered = usable < length ? [Buffer.from(data.subarray(usable))] : [];
    length -= usable;
    const from = at;
    at += usable;
    await writeBytes(target, from as Bytes, data.subarray(0, usable));
  };
  const streams = process.getBuiltinModule('node:stream');
  return new streams.Writable({
    highWaterMark: 2 * CHUNK_BYTES,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    write(chunk: Buffer, _encoding, tell) {
      length += chunk.length;
      const full = length >= CHUNK_BYTES;
      // Once called back, the caller may use its buffer again: what waits longer than that is copied.
      gathered.push(full ? chunk : Buffer.from(chunk));
      if (full) write(false).then(() => tell(), tell);
      else tell();
    },
    final(tell) {
      write(true)
        .then(() => target.flush())
        .then(() => tell(), tell);
    },
  });
}
