// Stopping a task: the caller's own reason comes through, unwrapped.
import { expect, it } from 'vitest';
import { throwIfAborted } from '../../src/core/task.ts';

it('an aborted task throws the reason itself', () => {
  const stopper = new AbortController();
  const reason = { any: 'thing' };
  throwIfAborted({ signal: stopper.signal });
  stopper.abort(reason);
  let thrown: unknown;
  try {
    throwIfAborted({ signal: stopper.signal });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBe(reason);
});

it('a task without a signal, or no task at all, goes on', () => {
  expect(() => throwIfAborted({})).not.toThrow();
  expect(() => throwIfAborted(undefined)).not.toThrow();
});
