// Nobody else may have a disk open while we write to it: live locks of VMware and QEMU are obeyed, and one that
// looks dead is obeyed too until the caller says otherwise. Locks are read, never removed.
import type { FileStore } from '../storage/file-store.ts';
import { lockedError } from '../storage/lock-errors.ts';
import { findLocks } from '../storage/lock-state.ts';

/** @throws VmdkError `disk-locked` when anyone has, or may have, one of `files` open. */
export async function assertNotLocked(store: FileStore, files: Iterable<string>): Promise<void> {
  for (const path of new Set(files)) {
    const [lock] = await findLocks(store, path);
    if (lock !== undefined) throw lockedError(path, lock);
  }
}
