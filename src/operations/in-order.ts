// Work on one item after the other with the next ones begun ahead. Rule: results come in the order of the items, and
// whatever was begun has ended when this ends.

/** What `work` makes of each item, `ahead` of them under way. */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  ahead: number,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const begun = work(item);
      // Its failure is met when its turn comes.
      begun.catch(() => {});
      underWay.push(begun);
      if (underWay.length >= ahead) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    await Promise.allSettled(underWay);
  }
}
