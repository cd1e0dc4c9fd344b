// Many small jobs at once, a bounded number in flight. Rule: the first failure stops new jobs, and is thrown only once
// every job that had begun has ended, so that cleaning up meets nothing that still works.

/** Enough to keep a file system busy, few enough for the open files of one process. */
const WIDTH = 32;

/** Runs `job` on every item, in order of starting. @throws what the first failing job threw. */
export async function inParallel<T>(
  items: readonly T[],
  job: (item: T, index: number) => Promise<void>,
  width = WIDTH,
): Promise<void> {
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const work = async (): Promise<void> => {
    while (next < items.length && failure === undefined) {
      const index = next++;
      try {
        await job(items[index]!, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work));
  if (failure !== undefined) throw failure.error;
}
