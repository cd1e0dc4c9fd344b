// Nobody else may have a disk open while we write to it: live locks of VMware and QEMU are obeyed, and one that
// looks dead is obeyed too until the caller says otherwise. Locks are read, never removed.
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { findLocks } from '../storage/lock-state.ts';

/** @throws VmdkError `disk-locked` when anyone has, or may have, one of `files` open. */
export async function assertNotLocked(store: FileStore, files: Iterable<string>): Promise<void> {
  for (const path of new Set(files)) {
    const [lock] = await findLocks(store, path);
    if (lock === undefined) continue;
    const who = lock.holder === '' ? '' : ` by ${lock.holder}`;
    const what = { live: 'a lock', stale: 'a lock left behind', unknown: 'what may be a lock' }[lock.state];
    throw new VmdkError('refused', 'disk-locked', 'the disk is in use and must not be written', {
      path,
      found: `${what}${who} at ${lock.path} (${lock.detail})`,
      expected: 'no lock',
      hint: 'Shut down the machine that uses it. If nobody does, pass --locked ignore; the lock itself is left alone.',
    });
  }
}
