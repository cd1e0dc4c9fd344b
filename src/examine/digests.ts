// Digests of bytes that come in order, several at once. Rule: zeros that nobody has to read are told by their number.
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { allocateRoom } from '../core/room.ts';
import { usageError } from '../core/errors.ts';
import { HashThreads } from '../worker/hash-threads.ts';

export const ALGORITHMS = ['md5', 'sha1', 'sha256', 'sha512'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Hexadecimal digests by algorithm, in the order they were asked for. */
export type DigestSet = Readonly<Partial<Record<Algorithm, string>>>;

/** Bytes of one buffer that is filled and handed in. */
export const ROOM_BYTES = 1 << 20;
/** Buffers: those being read into, and as many to be hashed meanwhile. */
export const ROOMS = 12;
/** Below this, starting a thread takes longer than the digest. */
const WORTH_THREADS = 64 << 20;
const ZEROS = Buffer.alloc(ROOM_BYTES);

export interface Room {
  readonly bytes: Uint8Array;
}

/** One pass over bytes. */
export interface Digester {
  /** A buffer of ROOM_BYTES nobody uses; waits until there is one. */
  room(): Promise<Room>;
  /** The next `length` bytes, in a room that came from here and goes back to it. */
  take(room: Room, length: number): void;
  /** So many zeros come next. */
  zeros(bytes: number): void;
  digests(): Promise<DigestSet>;
  close(): Promise<void>;
}

/** `SHA-256` and `sha256` are the same. @throws VmdkError `usage`. */
export function parseAlgorithm(text: string): Algorithm {
  const name = text.toLowerCase().replace('-', '');
  const found = ALGORITHMS.find((algorithm) => algorithm === name);
  if (found !== undefined) return found;
  throw usageError(`there is no hash "${text}" here`, `Known are ${ALGORITHMS.join(', ')}.`);
}

/** `bytes` is about how much will come: several digests of much are computed in threads of their own. */
export function createDigester(algorithms: readonly Algorithm[], bytes: number): Digester {
  const threads = algorithms.length > 1 && bytes >= WORTH_THREADS && availableParallelism() > 1;
  return threads ? inThreads(algorithms) : inPlace(algorithms);
}

function inPlace(algorithms: readonly Algorithm[]): Digester {
  const hashes = algorithms.map((algorithm) => createHash(algorithm));
  const free: Room[] = [];
  return {
    room: () => Promise.resolve(free.pop() ?? { bytes: allocateRoom(ROOM_BYTES) }),
    take(room, length) {
      for (const hash of hashes) hash.update(room.bytes.subarray(0, length));
      free.push(room);
    },
    zeros(bytes) {
      for (const hash of hashes) eachZeros(bytes, (piece) => hash.update(piece));
    },
    digests: () =>
      Promise.resolve(
        named(
          algorithms,
          hashes.map((hash) => hash.digest('hex')),
        ),
      ),
    close: () => Promise.resolve(),
  };
}

function inThreads(algorithms: readonly Algorithm[]): Digester {
  const threads = new HashThreads(algorithms, ROOMS, ROOM_BYTES);
  const known = new Map<Room, Awaited<ReturnType<HashThreads['room']>>>();
  return {
    async room() {
      const room = await threads.room();
      known.set(room, room);
      return room;
    },
    take: (room, length) => threads.take(known.get(room)!, length),
    zeros: (bytes) => threads.zeros(bytes),
    digests: async () => named(algorithms, await threads.digests()),
    close: () => threads.close(),
  };
}

/** `bytes` zeros as pieces of one buffer. */
export function eachZeros(bytes: number, visit: (piece: Buffer) => void): void {
  for (let left = bytes; left > 0; left -= ZEROS.length) {
    visit(left < ZEROS.length ? ZEROS.subarray(0, left) : ZEROS);
  }
}

export function named(algorithms: readonly Algorithm[], digests: readonly string[]): DigestSet {
  return Object.fromEntries(algorithms.map((algorithm, index) => [algorithm, digests[index]!]));
}
