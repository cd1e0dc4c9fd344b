// One client's socket: what came is queued until it is taken, what is sent leaves in few calls. Rule: while nobody
// takes what came, the socket is not read, so that the client waits and not our memory.
import type { Socket } from 'node:net';
import { ByteQueue } from './byte-queue.ts';

/** Beyond it the socket is not read on until somebody has taken. */
const ENOUGH_QUEUED = 256 * 1024;

/** The connection is over, by whomever; nothing that anybody did wrong. */
export class WireClosedError extends Error {
  override readonly name = 'WireClosedError';
}

export class NbdWire {
  readonly socket: Socket;
  readonly queue = new ByteQueue();
  /** Called when something came or the end was reached. */
  onReadable: () => void = () => {};
  /** No more will come. */
  ended = false;
  /** Nothing can be sent any more. */
  closed = false;
  /** Resolves once the socket is gone. */
  readonly whenClosed: Promise<void>;
  #corked = false;
  readonly #onData: (piece: Buffer) => void;
  readonly #onEnd: () => void;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#onData = (piece) => {
      this.queue.push(piece);
      if (this.queue.length > ENOUGH_QUEUED) socket.pause();
      this.onReadable();
    };
    this.#onEnd = () => {
      this.ended = true;
      this.onReadable();
    };
    this.whenClosed = new Promise((resolve) => {
      socket.once('close', () => {
        this.closed = true;
        this.#onEnd();
        resolve();
      });
    });
    // What is wrong with the socket ends in 'close' as well.
    socket.on('error', () => {});
    socket.on('end', this.#onEnd);
    socket.on('data', this.#onData);
  }

  /** The next `count` bytes, once they are there. @throws WireClosedError when they never come. */
  async read(count: number): Promise<Buffer> {
    while (this.queue.length < count) {
      if (this.ended) throw new WireClosedError('the client has gone');
      await this.#more();
    }
    const bytes = this.queue.take(count);
    this.#readOn();
    return bytes;
  }

  /** Drops the next `count` bytes as they come. */
  async skip(count: number): Promise<void> {
    let left = count - this.queue.skip(count);
    while (left > 0) {
      if (this.ended) throw new WireClosedError('the client has gone');
      await this.#more();
      left -= this.queue.skip(left);
    }
    this.#readOn();
  }

  /** After bytes were taken from the queue directly. */
  taken(): void {
    this.#readOn();
  }

  /** Sends, together with what else is sent in this turn of the event loop; `taken` once the system has it. */
  send(bytes: Uint8Array, taken?: () => void): void {
    if (this.closed || this.socket.destroyed) {
      taken?.();
      return;
    }
    if (!this.#corked) {
      this.#corked = true;
      this.socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.socket.uncork();
      });
    }
    this.socket.write(bytes, taken === undefined ? undefined : () => taken());
  }

  /** Sends, and waits until the system has taken it. */
  async sendAndWait(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.send(bytes, resolve));
    if (this.closed) throw new WireClosedError('the client has gone');
  }

  /** Stops looking at the socket, which somebody else takes over. */
  release(): Socket {
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onEnd);
    return this.socket;
  }

  /** Sends what is left, then closes. */
  end(): void {
    if (!this.socket.destroyed) this.socket.destroySoon();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #more(): Promise<void> {
    this.socket.resume();
    return new Promise((resolve) => {
      this.onReadable = () => {
        this.onReadable = () => {};
        resolve();
      };
    });
  }

  #readOn(): void {
    if (this.queue.length <= ENOUGH_QUEUED && this.socket.isPaused()) this.socket.resume();
  }
}
