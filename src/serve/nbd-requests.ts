// Which requests can be carried out at all: judged from the request and what was agreed on, before anything is done.
import type { ServedExport } from './export-types.ts';
import type { Attached } from './nbd-handshake.ts';
import type { NbdRequest } from './nbd-messages.ts';
import { COMMAND, COMMAND_FLAG, type NbdErrorName } from './nbd-protocol.ts';

/** Flags that may stand with each command; FUA may stand with all where writing is allowed. */
const FLAGS: Readonly<Record<number, number>> = {
  [COMMAND.read]: COMMAND_FLAG.df,
  [COMMAND.write]: 0,
  [COMMAND.flush]: 0,
  [COMMAND.trim]: 0,
  [COMMAND.cache]: 0,
  [COMMAND.writeZeroes]: COMMAND_FLAG.noHole | COMMAND_FLAG.fastZero,
  [COMMAND.blockStatus]: COMMAND_FLAG.reqOne,
};
const CHANGES: ReadonlySet<number> = new Set([COMMAND.write, COMMAND.trim, COMMAND.writeZeroes]);
const CARRIES: ReadonlySet<number> = new Set([COMMAND.read, COMMAND.write]);

export interface Refusal {
  readonly error: NbdErrorName;
  /** For people. */
  readonly text: string;
}

/** What is wrong with a request; undefined when it may be carried out. */
export function judgeRequest(
  { flags, type, offset, length }: NbdRequest,
  served: ServedExport,
  agreed: Pick<Attached, 'structured' | 'contexts'>,
  requestBytes: number,
): Refusal | undefined {
  const wrong = (error: NbdErrorName, text: string): Refusal => ({ error, text });
  const known = FLAGS[type];
  if (known === undefined) return wrong('EINVAL', `command ${type} is not known`);
  const writable = served.target !== undefined;
  if (CHANGES.has(type) && !writable) return wrong('EPERM', 'the export is read-only');
  const allowed = (writable ? known | COMMAND_FLAG.fua : known) & (agreed.structured ? -1 : ~COMMAND_FLAG.df);
  if ((flags & ~allowed) !== 0) return wrong('EINVAL', `flags ${flags} do not go with command ${type}`);
  if (type === COMMAND.flush) {
    return offset === 0 && length === 0 ? undefined : wrong('EINVAL', 'a flush has no offset and no length');
  }
  if (type === COMMAND.blockStatus) {
    if (agreed.contexts.length === 0) return wrong('EINVAL', 'no metadata context was agreed on');
    if (length === 0) return wrong('EINVAL', 'a status of nothing');
  }
  if (offset + length > served.size) {
    const code = CHANGES.has(type) && type !== COMMAND.trim ? 'ENOSPC' : 'EINVAL';
    return wrong(code, `the export ends at byte ${served.size}`);
  }
  if (CARRIES.has(type) && length > requestBytes) {
    return wrong('EINVAL', `at most ${requestBytes} bytes can be read or written at once`);
  }
  return undefined;
}
