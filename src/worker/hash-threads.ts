// Digests computed side by side, one thread for each algorithm, over memory that all of them share. Rule: a buffer is
// handed out again only when every thread has taken it in.
import { Worker } from 'node:worker_threads';

/** A buffer to be filled and handed in, in order. */
export interface SharedRoom {
  readonly index: number;
  readonly bytes: Uint8Array;
}

interface Shared {
  readonly buffers: readonly SharedArrayBuffer[];
  readonly algorithm: string;
}

type Order = { room: number; length: number } | { zeros: number } | 'digest';
type Answer = { taken: number } | { digest: string };

/**
 * A program in a string, since a file of its own would have to be found from the sources as well as from the bundle.
 * It hashes what it is told, in the order it is told.
 */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const rooms = workerData.buffers.map((buffer) => new Uint8Array(buffer));
const zeros = Buffer.alloc(1 << 20);
const hash = createHash(workerData.algorithm);
parentPort.on('message', (order) => {
  if (order === 'digest') {
    parentPort.postMessage({ digest: hash.digest('hex') });
  } else if (order.zeros !== undefined) {
    for (let left = order.zeros; left > 0; left -= zeros.length) {
      hash.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
    }
  } else {
    hash.update(rooms[order.room].subarray(0, order.length));
    parentPort.postMessage({ taken: order.room });
  }
});
`;

interface Waiting {
  resolve(room: SharedRoom): void;
  reject(error: Error): void;
}

interface Lane {
  readonly worker: Worker;
  readonly digest: Promise<string>;
}

export class HashThreads {
  readonly #rooms: readonly SharedRoom[];
  readonly #lanes: readonly Lane[];
  readonly #free: SharedRoom[];
  readonly #waiting: Waiting[] = [];
  #failure: Error | undefined;
  /** Threads that have yet to take in each room. */
  readonly #pending: number[];

  constructor(algorithms: readonly string[], rooms: number, roomBytes: number) {
    const buffers = Array.from({ length: rooms }, () => new SharedArrayBuffer(roomBytes));
    this.#rooms = buffers.map((buffer, index) => ({ index, bytes: new Uint8Array(buffer) }));
    this.#free = [...this.#rooms];
    this.#pending = buffers.map(() => 0);
    this.#lanes = algorithms.map((algorithm) => this.#begin({ buffers, algorithm }));
  }

  /** A buffer nobody uses; waits until there is one. */
  room(): Promise<SharedRoom> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const room = this.#free.pop();
    if (room !== undefined) return Promise.resolve(room);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Hands in the first `length` bytes of a room, which is the threads' from here on. */
  take(room: SharedRoom, length: number): void {
    this.#pending[room.index] = this.#lanes.length;
    this.#tell({ room: room.index, length });
  }

  zeros(bytes: number): void {
    this.#tell({ zeros: bytes });
  }

  /** Hexadecimal, in the order of the algorithms. */
  digests(): Promise<string[]> {
    this.#tell('digest');
    return Promise.all(this.#lanes.map(({ digest }) => digest));
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(({ worker }) => worker.terminate()));
  }

  #begin(workerData: Shared): Lane {
    const worker = new Worker(PROGRAM, { eval: true, workerData });
    const digest = new Promise<string>((resolve, reject) => {
      worker.on('error', (error) => {
        this.#failure = error;
        reject(error);
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      });
      worker.on('message', (answer: Answer) => {
        if ('digest' in answer) resolve(answer.digest);
        else this.#release(answer.taken);
      });
    });
    // Met by `digests`; after a failure elsewhere nobody asks for it.
    digest.catch(() => undefined);
    return { worker, digest };
  }

  #release(index: number): void {
    this.#pending[index]!--;
    if (this.#pending[index]! > 0) return;
    const room = this.#rooms[index]!;
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(room);
    else next.resolve(room);
  }

  #tell(order: Order): void {
    for (const { worker } of this.#lanes) worker.postMessage(order);
  }
}
