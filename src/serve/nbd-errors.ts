// What a client is told of a failure: one of the protocol's few numbers, and a code. Rule: no path of this machine
// leaves it.
import { isVmdkError } from '../core/errors.ts';
import type { NbdErrorName } from './nbd-protocol.ts';

const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function errorNameOf(error: unknown): NbdErrorName {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && (NO_ROOM.has(at.code) || at.code === 'extent-full')) return 'ENOSPC';
  }
  return isVmdkError(error) && error.kind === 'refused' ? 'EPERM' : 'EIO';
}

export function errorTextOf(error: unknown): string {
  if (!isVmdkError(error)) return 'a bug in vmdkit';
  const { sector } = error.context;
  return sector === undefined ? error.code : `${error.code} (sector ${sector})`;
}
