// A few zlib states that serve again and again. A new one for each grain would cost a quarter of a megabyte of fresh
// memory, and more time than many a grain takes.

/** Twice as many as libuv has threads for them: a thread that has ended one finds the next, and need not be woken. */
const STATES = 8;

/** Lends states, at most eight at a time; the others wait. */
export interface StatePool<S> {
  /** Runs `work` with a state that nobody else has. A state is not used again once `work` has failed with it. */
  use<T>(work: (state: S) => Promise<T>): Promise<T>;
}

export function createStatePool<S>(make: () => S): StatePool<S> {
  const idle: S[] = [];
  const waiting: ((state: S) => void)[] = [];
  let made = 0;
  const take = (): S | Promise<S> => {
    const free = idle.pop();
    if (free !== undefined) return free;
    if (made === STATES) return new Promise((resolve) => waiting.push(resolve));
    made++;
    return make();
  };
  const giveBack = (state: S): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(state);
    else next(state);
  };
  return {
    async use(work) {
      const state = await take();
      try {
        const result = await work(state);
        giveBack(state);
        return result;
      } catch (error) {
        giveBack(make());
        throw error;
      }
    },
  };
}
