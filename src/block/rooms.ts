// A few buffers for a stream of chunks, each chunk's for as long as it is under way. What is read and written without
// waiting has the first of them again and again: memory that the processor still has at hand.
import { allocateRoom } from '../core/room.ts';
import { DONE } from '../core/settled.ts';

export class Rooms {
  readonly #bytes: number;
  readonly #free: Buffer[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #unmade: number;
  #failure: { readonly error: unknown } | undefined;

  /** At most `count` rooms, each of `bytes`, made when they are first needed: fresh memory is slow. */
  constructor(count: number, bytes: number) {
    this.#unmade = count;
    this.#bytes = bytes;
  }

  /** A room that nobody uses; undefined when all are in use. @throws what work before has failed with. */
  get free(): Buffer | undefined {
    this.assertNoneFailed();
    const room = this.#free.pop();
    if (room !== undefined || this.#unmade === 0) return room;
    this.#unmade--;
    return allocateRoom(this.#bytes);
  }

  /** The next room that nobody uses any more. @throws what work before has failed with. */
  async nextFree(): Promise<Buffer> {
    for (;;) {
      const room = this.free;
      if (room !== undefined) return room;
      await Promise.race(this.#underWay);
    }
  }

  /** Does `work`, which has `room` until it is done. */
  use(room: Buffer, work: () => Promise<void>): void {
    const doing = work();
    if (doing === DONE) {
      this.#free.push(room);
      return;
    }
    const ended = doing
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => {
        this.#underWay.delete(ended);
        this.#free.push(room);
      });
    this.#underWay.add(ended);
  }

  /** Resolves once nothing is under way any more, failed or not. */
  async ended(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** @throws the first failure. */
  assertNoneFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
