// The second phase of a connection: requests in, replies out, many under way. Rule: nothing is taken from the socket
// that there is no room for, and a reply counts as under way until the system has taken it.
import type { BufferPool } from './buffer-pool.ts';
import type { ServedExport } from './export-types.ts';
import { blockStatus } from './nbd-contexts.ts';
import { errorNameOf, errorTextOf } from './nbd-errors.ts';
import type { Attached } from './nbd-handshake.ts';
import type { ByteBudget, NbdLimits } from './nbd-limits.ts';
import {
  decodeRequest,
  encodeError,
  encodeHole,
  encodeNone,
  encodeSimpleReply,
  encodeStatus,
  writeDataHeader,
  writeSimpleHeader,
  type NbdRequest,
} from './nbd-messages.ts';
import {
  CHUNK_HEADER_BYTES,
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  REQUEST_BYTES,
  SIMPLE_REPLY_BYTES,
} from './nbd-protocol.ts';
import { judgeRequest, type Refusal } from './nbd-requests.ts';
import type { NbdWire } from './nbd-wire.ts';
import {
  LARGEST_ZERO_WRITE,
  partsOf,
  readAt,
  readPart,
  type ReadPart,
  type ServedTarget,
} from './served-bytes.ts';

/** Room before the data of a reply for its header; a cache line. */
export const HEADER_ROOM = 64;
const DATA_HEADER_BYTES = CHUNK_HEADER_BYTES + 8;
/** Requests without data take memory as well. */
const LEAST_COST = 1024;
/** Two contexts with all the extents that a reply may tell. */
const STATUS_COST = 256 * 1024;
const CACHE_STEP = 2 ** 20;

export interface SessionHost {
  readonly limits: NbdLimits;
  readonly budget: ByteBudget;
  readonly pool: BufferPool;
  readonly target: ServedTarget | undefined;
  /** A request failed; the client has been told. */
  readonly onFailure: (error: unknown) => void;
}

/** What a session came to. */
export interface SessionEnd {
  /** Why it ended, for people; undefined when the client took leave. */
  readonly reason: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

interface Incoming {
  readonly request: NbdRequest;
  readonly cost: number;
  /** Undefined when the payload is passed over. */
  readonly data: Buffer | undefined;
  readonly room: Buffer | undefined;
  readonly refusal: Refusal | undefined;
  filled: number;
}

export class NbdSession {
  readonly #wire: NbdWire;
  readonly #served: ServedExport;
  readonly #attached: Attached;
  readonly #host: SessionHost;
  /** Read, and waiting for room. */
  #pending: NbdRequest | undefined;
  /** Its payload is coming. */
  #incoming: Incoming | undefined;
  #underWay = 0;
  #bytesUnderWay = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  #reason: string | undefined;
  /** No more requests are taken. */
  #over = false;
  #finish!: () => void;
  readonly #finished: Promise<void>;
  readonly #again = (): void => this.#pump();

  constructor(attached: Attached, host: SessionHost) {
    this.#attached = attached;
    this.#wire = attached.wire;
    this.#served = attached.served;
    this.#host = host;
    this.#finished = new Promise((resolve) => (this.#finish = resolve));
  }

  /** Serves until the client leaves or is dropped; resolves when nothing is under way any more. */
  async run(): Promise<SessionEnd> {
    this.#wire.onReadable = () => this.#pump();
    this.#pump();
    await this.#finished;
    this.#wire.end();
    const { target } = this.#host;
    try {
      // A client that leaves expects its writes to be there, whatever becomes of the server.
      if (this.#bytesWritten > 0 && target?.isDirty === true) await target.flush();
    } catch (error) {
      this.#host.onFailure(error);
    }
    return { reason: this.#reason, bytesRead: this.#bytesRead, bytesWritten: this.#bytesWritten };
  }

  /** The client is waited for in the middle of a request, or does not take its replies. */
  get isStuck(): boolean {
    if (this.#wire.socket.writableLength > 0) return true;
    // What waits for room waits for us.
    return this.#pending === undefined && (this.#incoming !== undefined || this.#wire.queue.length > 0);
  }

  get isIdle(): boolean {
    return this.#underWay === 0 && this.#incoming === undefined;
  }

  /** Takes no more requests; what is under way is answered. */
  finish(reason: string): void {
    this.#reason ??= reason;
    this.#stop();
  }

  /** Ends it for a reason; what is under way is finished first, its replies are lost. */
  drop(reason: string): void {
    this.#reason ??= reason;
    this.#stop();
    this.#wire.destroy();
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.budget.forget(this.#again);
    if (this.#incoming !== undefined) this.#forgetIncoming(this.#incoming);
    this.#pending = undefined;
    if (this.#underWay === 0) this.#finish();
  }

  #forgetIncoming(incoming: Incoming): void {
    this.#incoming = undefined;
    this.#release(incoming.cost, incoming.room);
  }

  /** Called by the socket: what goes wrong here, a bug, costs this client and nobody else. */
  #pump(): void {
    try {
      this.#takeRequests();
    } catch (error) {
      this.#host.onFailure(error);
      this.drop('a bug in vmdkit');
    }
  }

  /** Takes what the socket gave, as far as there is room. */
  #takeRequests(): void {
    while (!this.#over) {
      if (this.#incoming !== undefined) {
        if (!this.#receive(this.#incoming)) break;
      } else if (this.#pending !== undefined) {
        if (!this.#admit(this.#pending)) return;
      } else if (this.#wire.queue.length >= REQUEST_BYTES) {
        const request = decodeRequest(this.#wire.queue.take(REQUEST_BYTES));
        if (request === undefined) return this.drop('a request does not begin with its magic number');
        if (request.type === COMMAND.disconnect) return this.#stop();
        this.#pending = request;
      } else break;
    }
    if (this.#over) return;
    if (this.#wire.ended) {
      if (this.#incoming !== undefined || this.#wire.queue.length > 0)
        this.#reason = 'it left in the middle of a request';
      return this.#stop();
    }
    this.#wire.taken();
  }

  /** Begins a request if there is room for it; else it is called again when there may be. */
  #admit(request: NbdRequest): boolean {
    const { limits, budget } = this.#host;
    const refusal = judgeRequest(request, this.#served, this.#attached, limits.requestBytes);
    const cost = refusal === undefined ? costOf(request) : LEAST_COST;
    const crowded =
      this.#underWay >= limits.requests ||
      (this.#bytesUnderWay > 0 && this.#bytesUnderWay + cost > limits.clientBytes);
    // What comes meanwhile is queued, and then not read from the socket.
    if (crowded || !budget.take(cost, this.#bytesUnderWay, this.#again)) return false;
    this.#pending = undefined;
    this.#underWay++;
    this.#bytesUnderWay += cost;
    if (request.type === COMMAND.write) {
      const room = refusal === undefined ? this.#host.pool.take(request.length) : undefined;
      const data = room?.subarray(HEADER_ROOM, HEADER_ROOM + request.length);
      this.#incoming = { request, cost, data, room, refusal, filled: 0 };
      return true;
    }
    if (refusal !== undefined) this.#refuse(request, cost, undefined, refusal);
    else if (request.type === COMMAND.read) this.#read(request, cost);
    else void this.#carryOut(request, cost, undefined, undefined);
    return true;
  }

  /** Takes of a write's payload what is there; true once it is whole. */
  #receive(incoming: Incoming): boolean {
    const { queue } = this.#wire;
    const { request, cost, data, room, refusal } = incoming;
    incoming.filled +=
      data === undefined
        ? queue.skip(request.length - incoming.filled)
        : queue.takeInto(data, incoming.filled);
    if (incoming.filled < request.length) return false;
    this.#incoming = undefined;
    if (refusal !== undefined) this.#refuse(request, cost, room, refusal);
    else void this.#carryOut(request, cost, room, data);
    return true;
  }

  /** Everything but reads. */
  async #carryOut(
    request: NbdRequest,
    cost: number,
    room: Buffer | undefined,
    data: Buffer | undefined,
  ): Promise<void> {
    try {
      const replies = await this.#work(request, data);
      for (const reply of replies.slice(0, -1)) this.#wire.send(reply);
      this.#wire.send(replies.at(-1)!, () => this.#release(cost, room));
    } catch (error) {
      this.#fail(request, cost, room, error);
    }
  }

  async #work(request: NbdRequest, data: Buffer | undefined): Promise<Buffer[]> {
    const { flags, type, handle, offset, length } = request;
    const { target } = this.#host;
    if (type === COMMAND.blockStatus) return this.#status(request);
    if (type === COMMAND.cache) await this.#cache(offset, length);
    if (type === COMMAND.write) {
      await target!.write(offset, data!);
      this.#bytesWritten += length;
    }
    if (type === COMMAND.writeZeroes) {
      const allocate = (flags & COMMAND_FLAG.noHole) !== 0;
      const fast = (flags & COMMAND_FLAG.fastZero) !== 0;
      if (fast && (allocate || !(await target!.isZeroFast(offset, length)))) {
        return [this.#refusal(handle, { error: 'ENOTSUP', text: 'zeros would have to be written' })];
      }
      await target!.zero(offset, length, allocate);
      this.#bytesWritten += length;
    }
    if (type === COMMAND.trim) await target!.trim(offset, length);
    if (type === COMMAND.flush || (flags & COMMAND_FLAG.fua) !== 0) await target?.flush();
    return [this.#attached.structured ? encodeNone(handle) : encodeSimpleReply(handle)];
  }

  async #status({ handle, offset, length, flags }: NbdRequest): Promise<Buffer[]> {
    const { contexts } = this.#attached;
    const one = (flags & COMMAND_FLAG.reqOne) !== 0;
    const told = await blockStatus(this.#served.source, offset, length, contexts, one);
    const last = contexts.length - 1;
    return told.map((extents, index) => encodeStatus(handle, contexts[index]!.id, extents, index === last));
  }

  /** The system keeps what it has read. Nobody misses what is left when the client goes. */
  async #cache(offset: number, length: number): Promise<void> {
    const room = this.#host.pool.take(Math.min(length, CACHE_STEP));
    try {
      for (let done = 0; done < length && !this.#over; done += CACHE_STEP) {
        const step = Math.min(CACHE_STEP, length - done);
        await readAt(this.#served.source, offset + done, room.subarray(0, step));
      }
    } finally {
      this.#host.pool.give(room);
    }
  }

  #read(request: NbdRequest, cost: number): void {
    const { structured } = this.#attached;
    if (request.length === 0) {
      const { handle } = request;
      this.#wire.send(structured ? encodeNone(handle) : encodeSimpleReply(handle), () => this.#release(cost));
    } else if (structured && (request.flags & COMMAND_FLAG.df) === 0) void this.#readInParts(request, cost);
    else this.#readWhole(request, cost);
  }

  /** One reply with all bytes: header and data leave as one piece of memory. */
  #readWhole(request: NbdRequest, cost: number): void {
    const { handle, offset, length } = request;
    const room = this.#host.pool.take(length);
    const end = HEADER_ROOM + length;
    readAt(this.#served.source, offset, room.subarray(HEADER_ROOM, end)).then(
      () => {
        const from = HEADER_ROOM - (this.#attached.structured ? DATA_HEADER_BYTES : SIMPLE_REPLY_BYTES);
        const reply = room.subarray(from, end);
        if (this.#attached.structured) writeDataHeader(reply, handle, offset, length, true);
        else writeSimpleHeader(reply, handle, 0);
        this.#bytesRead += length;
        this.#wire.send(reply, () => this.#release(cost, room));
      },
      (error: unknown) => this.#fail(request, cost, room, error),
    );
  }

  /** Zeros are told, not sent. */
  async #readInParts(request: NbdRequest, cost: number): Promise<void> {
    const { handle, offset, length } = request;
    const rooms: Buffer[] = [];
    try {
      const found = await partsOf(this.#served.source, offset, length);
      if (found === undefined) return this.#readWhole(request, cost);
      const replies = await Promise.all(
        found.parts.map(async (part, index) => {
          const done = index === found.parts.length - 1;
          if (part.hole) return encodeHole(handle, part.offset, part.length, done);
          const room = this.#host.pool.take(part.length);
          rooms.push(room);
          await readPart(found.runs, part, room.subarray(HEADER_ROOM, HEADER_ROOM + part.length));
          return dataReply(room, handle, part, done);
        }),
      );
      this.#bytesRead += length;
      for (const reply of replies.slice(0, -1)) this.#wire.send(reply);
      this.#wire.send(replies.at(-1)!, () => this.#release(cost, ...rooms));
    } catch (error) {
      // Parts that are still being read write into their rooms: these are left to the garbage collector.
      this.#fail(request, cost, undefined, error);
    }
  }

  #fail(request: NbdRequest, cost: number, room: Buffer | undefined, error: unknown): void {
    this.#host.onFailure(error);
    this.#refuse(request, cost, room, { error: errorNameOf(error), text: errorTextOf(error) });
  }

  #refuse({ handle }: NbdRequest, cost: number, room: Buffer | undefined, refusal: Refusal): void {
    this.#wire.send(this.#refusal(handle, refusal), () => this.#release(cost, room));
  }

  #refusal(handle: bigint, { error, text }: Refusal): Buffer {
    if (this.#attached.structured) return encodeError(handle, error, text);
    return encodeSimpleReply(handle, NBD_ERROR[error]);
  }

  /** A request is over, its reply taken. */
  #release(cost: number, ...rooms: (Buffer | undefined)[]): void {
    for (const room of rooms) if (room !== undefined) this.#host.pool.give(room);
    this.#underWay--;
    this.#bytesUnderWay -= cost;
    this.#host.budget.give(cost);
    if (this.#over) {
      if (this.#underWay === 0) this.#finish();
    } else if (this.#pending !== undefined) this.#again();
  }
}

/** Bytes that a request and its reply take of memory. */
function costOf({ type, flags, length }: NbdRequest): number {
  if (type === COMMAND.blockStatus) return STATUS_COST;
  if (type === COMMAND.cache) return LEAST_COST + Math.min(length, CACHE_STEP);
  if (type === COMMAND.writeZeroes && (flags & COMMAND_FLAG.noHole) !== 0)
    return LEAST_COST + Math.min(length, LARGEST_ZERO_WRITE);
  return type === COMMAND.write || type === COMMAND.read ? LEAST_COST + length : LEAST_COST;
}

function dataReply(room: Buffer, handle: bigint, { offset, length }: ReadPart, done: boolean): Buffer {
  const reply = room.subarray(HEADER_ROOM - DATA_HEADER_BYTES, HEADER_ROOM + length);
  return writeDataHeader(reply, handle, offset, length, done);
}
