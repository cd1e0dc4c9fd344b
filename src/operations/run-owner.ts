// Who works in a journal folder, and whether it still does. Rule: only a process that is known to be gone gives up
// its work; what cannot be told from here counts as running.
import { createNodeLockHost, thisMachine, type LockHost } from '../storage/node-lock-host.ts';
import type { RunOwner } from './journal.ts';

/** Judges owners as seen from one machine. */
export interface Runs {
  /** The owner of what this process begins. */
  readonly self: RunOwner;
  /** `unknown`: it began on another host. */
  stateOf(owner: RunOwner): 'running' | 'gone' | 'unknown';
}

/** The runs of this machine. */
export function localRuns(
  host: Pick<LockHost, 'process'> = createNodeLockHost(),
  pid: number = process.pid,
): Runs {
  const id = thisMachine().slice(0, 8);
  return {
    self: { host: id, pid, started: String(host.process(pid).started ?? 0) },
    stateOf(owner) {
      if (owner.host !== id) return 'unknown';
      const { alive, started } = host.process(owner.pid);
      if (!alive) return 'gone';
      // A start time that is not known is 0: then the number alone must do.
      const reused = started !== undefined && owner.started !== '0' && String(started) !== owner.started;
      return reused ? 'gone' : 'running';
    },
  };
}
