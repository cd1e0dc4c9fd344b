// Compression by libdeflate, a few streams at a time to each of a few threads, over memory that is shared with them. Rule:
// a thread has one order at a time, and its memory is read before it gets the next.
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** The pieces of data that lie one behind the other in `input`; their streams are put so into `output`. */
export interface DeflateOrder {
  readonly level: number;
  readonly input: SharedArrayBuffer;
  readonly output: SharedArrayBuffer;
  /** Bytes of each piece. The answer is as many numbers: the bytes of each stream. */
  readonly lengths: readonly number[];
}

/** Enough of the usual grains for a thread that to hand them over does not count, few enough to share them out. */
const ORDER_PIECES = 16;
const ORDER_BYTES = 1 << 20;
/** Larger pieces are not for memory that a thread keeps. */
const MOST_BYTES = 1 << 24;
const MOST_THREADS = 8;
/** Threads with nothing to do end after this long. */
const IDLE_MS = 2000;

interface Job {
  readonly data: Uint8Array;
  readonly level: number;
  readonly resolve: (stream: Buffer | undefined) => void;
}

interface Thread {
  readonly worker: Worker;
  /** What it works on; none while it is idle. */
  jobs: readonly Job[];
  input: SharedArrayBuffer;
  output: SharedArrayBuffer;
}

export class DeflateThreads {
  readonly #most = Math.min(availableParallelism(), MOST_THREADS);
  #threads: Thread[] = [];
  #queue: Job[] = [];
  #usable = true;
  #handingOut = false;
  readonly #bound: (length: number) => number;
  readonly #program: string;
  #ending: NodeJS.Timeout | undefined;

  /** `bound`: most bytes of the stream of so many bytes. `program`: what `require` finds for this package. */
  constructor(bound: (length: number) => number, program = '#deflate-thread') {
    this.#bound = bound;
    this.#program = program;
  }

  /** The zlib stream of `data`, which must stay as it is until then; undefined where no thread can make it. Never rejects. */
  deflate(data: Uint8Array, level: number): Promise<Buffer | undefined> {
    if (!this.#usable || data.length > MOST_BYTES) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#queue.push({ data, level, resolve });
      if (this.#handingOut) return;
      this.#handingOut = true;
      // What is asked for in one go is handed out together.
      queueMicrotask(() => {
        this.#handingOut = false;
        this.#handOut();
      });
    });
  }

  #handOut(): void {
    clearTimeout(this.#ending);
    for (const thread of this.#threads) {
      if (this.#queue.length === 0) return;
      if (thread.jobs.length === 0) this.#give(thread);
    }
    while (this.#isThreadWanted()) {
      const thread = this.#begin();
      if (thread === undefined) return;
      this.#give(thread);
    }
  }

  /** One that has to start would come too late for the few pieces of a small disk. */
  #isThreadWanted(): boolean {
    const waiting = this.#queue.length;
    return this.#threads.length === 0
      ? waiting > 0
      : waiting > ORDER_PIECES && this.#threads.length < this.#most;
  }

  #begin(): Thread | undefined {
    try {
      const program = createRequire(import.meta.url).resolve(this.#program);
      const worker = new Worker(program, { execArgv: [] });
      const none = new SharedArrayBuffer(0);
      const thread: Thread = { worker, jobs: [], input: none, output: none };
      worker.on('message', (lengths: readonly number[]) => this.#take(thread, lengths));
      worker.on('error', () => this.#giveUp());
      this.#threads.push(thread);
      return thread;
    } catch {
      this.#giveUp();
      return undefined;
    }
  }

  #give(thread: Thread): void {
    const jobs = this.#nextJobs();
    const lengths = jobs.map(({ data }) => data.length);
    thread.input = withRoom(thread.input, sum(lengths));
    thread.output = withRoom(thread.output, sum(lengths.map(this.#bound)));
    thread.jobs = jobs;
    const into = new Uint8Array(thread.input);
    let at = 0;
    for (const { data } of jobs) {
      into.set(data, at);
      at += data.length;
    }
    const order: DeflateOrder = {
      level: jobs[0]!.level,
      input: thread.input,
      output: thread.output,
      lengths,
    };
    thread.worker.ref();
    thread.worker.postMessage(order);
  }

  /** Its share of what waits, of one level. */
  #nextJobs(): Job[] {
    const [first] = this.#queue;
    const share = Math.min(Math.ceil(this.#queue.length / this.#most), ORDER_PIECES);
    let count = 1;
    for (let bytes = first!.data.length; count < share; count++) {
      const { data, level } = this.#queue[count]!;
      bytes += data.length;
      if (bytes > ORDER_BYTES || level !== first!.level) break;
    }
    return this.#queue.splice(0, count);
  }

  #take(thread: Thread, lengths: readonly number[]): void {
    const streams = Buffer.from(new Uint8Array(thread.output, 0, sum(lengths)));
    const { jobs } = thread;
    thread.jobs = [];
    thread.worker.unref();
    let at = 0;
    for (const [index, length] of lengths.entries()) {
      jobs[index]!.resolve(streams.subarray(at, at + length));
      at += length;
    }
    this.#handOut();
    if (this.#threads.every((each) => each.jobs.length === 0)) {
      this.#ending = setTimeout(() => this.#end(), IDLE_MS).unref();
    }
  }

  /** There is no such program here, or it does not run: others are to do it, now and later. */
  #giveUp(): void {
    this.#usable = false;
    const left = [...this.#threads.flatMap(({ jobs }) => jobs), ...this.#queue];
    this.#queue = [];
    this.#end();
    for (const { resolve } of left) resolve(undefined);
  }

  #end(): void {
    for (const { worker } of this.#threads) void worker.terminate();
    this.#threads = [];
  }
}

function withRoom(buffer: SharedArrayBuffer, bytes: number): SharedArrayBuffer {
  return buffer.byteLength >= bytes ? buffer : new SharedArrayBuffer(Math.max(bytes, ORDER_BYTES));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
