// Work done under locks: all are taken before it begins, or none, and all are given back however it ends.
import type { Disk } from '../disk/disk.ts';
import type { FileStore } from '../storage/file-store.ts';
import { takeLock, type HeldLock, type TakeLockOptions } from '../storage/take-lock.ts';
import { inParallel } from './in-parallel.ts';

/**
 * Locks the files as VMware and QEMU lock them: a machine's .vmx, a disk's descriptor and its extents (`filesOfDisk`);
 * all of them or none. What is opened for update under them is opened with `locked: 'ignore'`: the locks are one's own.
 * @throws VmdkError `disk-locked` (refused), `file-missing`.
 */
export async function takeLocks(
  store: FileStore,
  paths: Iterable<string>,
  options: TakeLockOptions = {},
): Promise<{ release(): Promise<void> }> {
  // One file under two names is locked once; the name given matters, for a lock may lie beside a link.
  const files = new Map<string, string>();
  for (const path of paths) files.set((await store.resolve(path)).path, path);
  const held: HeldLock[] = [];
  const release = async (): Promise<void> => {
    const released = await Promise.allSettled(held.map((lock) => lock.release()));
    for (const one of released) if (one.status === 'rejected') throw one.reason;
  };
  try {
    await inParallel([...files.values()], async (path) => {
      held.push(await takeLock(store, path, options));
    });
  } catch (error) {
    // What went wrong first matters more than a lock that is left.
    await release().catch(() => {});
    throw error;
  }
  return { release };
}

/**
 * Runs `work` under `takeLocks`, and gives the locks back however it ends.
 * @throws VmdkError `disk-locked` (refused), `file-missing`; whatever `work` throws.
 */
export async function withLocks<T>(
  store: FileStore,
  paths: Iterable<string>,
  work: () => Promise<T>,
  options: TakeLockOptions = {},
): Promise<T> {
  const locks = await takeLocks(store, paths, options);
  let value: T;
  try {
    value = await work();
  } catch (error) {
    await locks.release().catch(() => {});
    throw error;
  }
  await locks.release();
  return value;
}

/** The files of one link that others lock: its descriptor and its extents. */
export function filesOfDisk({ path, extents }: Pick<Disk, 'path' | 'extents'>): string[] {
  return [...new Set([path, ...extents.flatMap(({ extent }) => extent.path ?? [])])];
}
