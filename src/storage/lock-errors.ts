// How a lock that is in the way is told: who holds it, where it lies, and the way out.
import { VmdkError } from '../core/errors.ts';
import type { LockFinding } from './lock-state.ts';

/** `path` is the file that must not be written. */
export function lockedError(path: string, lock: LockFinding): VmdkError {
  const who = lock.holder === '' ? '' : ` by ${lock.holder}`;
  const what = { live: 'a lock', stale: 'a lock left behind', unknown: 'what may be a lock' }[lock.state];
  return new VmdkError('refused', 'disk-locked', 'the disk is in use and must not be written', {
    path,
    found: `${what}${who} at ${lock.path} (${lock.detail})`,
    expected: 'no lock',
    hint: 'Shut down the machine that uses it. If nobody does, pass --locked ignore; the lock itself is left alone.',
  });
}
