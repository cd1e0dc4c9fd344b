// What clients may take of the server, all of it named, and the budget of bytes that they share.

export interface NbdLimits {
  /** Clients at once; the next one is refused until one leaves. */
  readonly connections: number;
  /** Longest read or write, bytes: what the protocol lets clients expect. */
  readonly requestBytes: number;
  /**
   * Bytes of requests and replies under way for one client, a single larger request aside; what is above waits. More
   * would not be faster: what is read should leave while the processor still has it in its cache.
   */
  readonly clientBytes: number;
  /** Bytes under way for all clients together. */
  readonly totalBytes: number;
  /** Requests under way for one client. */
  readonly requests: number;
  /** From connecting to the first request, ms. */
  readonly handshakeMs: number;
  /** A client that leaves half a request, or takes nothing of its replies, ms. */
  readonly stallMs: number;
  /** A client that asks for nothing, ms; 0 for no limit: a mounted disk may be silent for days. */
  readonly idleMs: number;
  /** For requests under way when the server ends, ms. */
  readonly closeMs: number;
}

const MIB = 2 ** 20;

export const NBD_LIMITS: NbdLimits = {
  connections: 128,
  requestBytes: 32 * MIB,
  clientBytes: 4 * MIB,
  totalBytes: 128 * MIB,
  requests: 256,
  handshakeMs: 30_000,
  stallMs: 60_000,
  idleMs: 0,
  closeMs: 10_000,
};

/** Each client may always have this much under way, so that those who hoard cannot stop the others. */
const ALWAYS = 2 ** 20;

/** Bytes under way, of all clients. */
export class ByteBudget {
  readonly #total: number;
  #used = 0;
  readonly #waiting = new Set<() => void>();

  constructor(total: number) {
    this.#total = total;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `count` for somebody who has `own` under way. False: `again` is called once there may be room. */
  take(count: number, own: number, again: () => void): boolean {
    // What others hold never keeps a client from one small request, nor anybody from a request when nothing is held.
    const room = this.#used === 0 || this.#used + count <= this.#total;
    if (!room && own + count > ALWAYS) {
      this.#waiting.add(again);
      return false;
    }
    this.#used += count;
    return true;
  }

  give(count: number): void {
    this.#used -= count;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const again of waiting) again();
  }

  forget(again: () => void): void {
    this.#waiting.delete(again);
  }
}
