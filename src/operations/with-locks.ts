// Work done under locks: all are taken before it begins, or none, and all are given back however it ends.
import type { Disk } from '../disk/disk.ts';
import type { FileStore } from '../storage/file-store.ts';
import { takeLock, type HeldLock, type TakeLockOptions } from '../storage/take-lock.ts';
import { inParallel } from './in-parallel.ts';

/**
 * Runs `work` while the files are locked as VMware and QEMU lock them: a machine's .vmx, a disk's descriptor and its
 * extents (`filesOfDisk`). What `work` opens for update it opens with `locked: 'ignore'`: the locks are its own.
 * @throws VmdkError `disk-locked` (refused), `file-missing`; whatever `work` throws.
 */
export async function withLocks<T>(
  store: FileStore,
  paths: Iterable<string>,
  work: () => Promise<T>,
  options: TakeLockOptions = {},
): Promise<T> {
  // One file under two names is locked once; the name given matters, for a lock may lie beside a link.
  const files = new Map<string, string>();
  for (const path of paths) files.set((await store.resolve(path)).path, path);
  const held: HeldLock[] = [];
  let value: T;
  try {
    await inParallel([...files.values()], async (path) => {
      held.push(await takeLock(store, path, options));
    });
    value = await work();
  } catch (error) {
    // What went wrong first matters more than a lock that is left.
    await Promise.allSettled(held.map((lock) => lock.release()));
    throw error;
  }
  const released = await Promise.allSettled(held.map((lock) => lock.release()));
  for (const one of released) if (one.status === 'rejected') throw one.reason;
  return value;
}

/** The files of one link that others lock: its descriptor and its extents. */
export function filesOfDisk({ path, extents }: Pick<Disk, 'path' | 'extents'>): string[] {
  return [...new Set([path, ...extents.flatMap(({ extent }) => extent.path ?? [])])];
}
