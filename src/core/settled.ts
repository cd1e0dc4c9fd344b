// Work that is over before its caller could wait for it. A call that blocked for a few microseconds has nothing left to
// wait for; promises, microtasks and the memory for them would cost more than the call. Rule: `DONE` is an answer as any
// other promise; whoever knows it by name may go on at once, and whoever does not awaits it.

/** The answer of what has been done already, with success. */
export const DONE: Promise<void> = Promise.resolve();

/** Does `rest` after `work`: at once where there is nothing to wait for. */
export function after(work: Promise<void>, rest: () => Promise<void>): Promise<void> {
  return work === DONE ? rest() : work.then(rest);
}

/** Does `work` with one item after the other, each begun once the one before is done. */
export function eachInTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let index = 0; index < items.length; index++) {
    const doing = work(items[index]!);
    if (doing !== DONE) return goOn(items, index + 1, doing, work);
  }
  return DONE;
}

async function goOn<T>(
  items: readonly T[],
  next: number,
  doing: Promise<void>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  await doing;
  for (let index = next; index < items.length; index++) await work(items[index]!);
}

/** Resolves once all have ended, also when one has failed: until then their memory is in use. Fails as the first that did. */
export function allOf(work: readonly Promise<void>[]): Promise<void> {
  const waited = work.filter((each) => each !== DONE);
  if (waited.length === 0) return DONE;
  return waited.length === 1 ? waited[0]! : settle(waited);
}

async function settle(work: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(work);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
