// What everything that can take a while accepts as its last argument: a way to stop it and a way to watch it.

/** How far a task has come. Totals come from metadata, so they count what is moved, not the virtual size. */
export interface Progress {
  /** What is being done, in a word or two: `copying`, `hashing`, `cloning`. */
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'files' | 'clones';
}

export interface TaskOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Throws the signal's own reason, unwrapped, once it is aborted. */
export function throwIfAborted(task: TaskOptions | undefined): void {
  task?.signal?.throwIfAborted();
}

/** Waits so many milliseconds. Rejects at once with the signal's own reason when it is aborted meanwhile. */
export async function pause(ms: number, task: TaskOptions | undefined): Promise<void> {
  throwIfAborted(task);
  const signal = task?.signal;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
  throwIfAborted(task);
}
