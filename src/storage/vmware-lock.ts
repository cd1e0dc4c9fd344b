// The member files of a VMware lock folder, `<file>.lck/Mddddd.lck`: their text and whether their owner still
// lives. Layout and rules after open-vm-tools' fileLockPrimitive.c.

/** A member file is exactly this long, padded with NULs. */
export const MEMBER_BYTES = 512;

export interface LockMember {
  /** Opaque: equal texts mean the same machine. */
  readonly machineId: string;
  /** On Linux `pid-starttime(name)`. */
  readonly executionId: string;
  readonly exclusive: boolean;
  /** Lamport's: who comes later has a higher one. */
  readonly number?: number;
}

/** What is known of a process on this machine. */
export interface KnownProcess {
  readonly alive: boolean;
  /** In the unit of the execution id's start time. */
  readonly started?: number | undefined;
}

/** Parses a member file; undefined when it is damaged, which VMware itself would delete. */
export function parseLockMember(bytes: Uint8Array): LockMember | undefined {
  if (bytes.length !== MEMBER_BYTES) return undefined;
  const end = bytes.indexOf(0);
  const text = new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
  const [machineId, executionId, number, type] = text.split(' ').filter((field) => field !== '');
  if (machineId === undefined || executionId === undefined || number === undefined) return undefined;
  if (!/^\d+$/.test(number) || (type !== 'X' && type !== 'S')) return undefined;
  return { machineId, executionId, exclusive: type === 'X', number: Number(number) };
}

/**
 * The text of a member file. `number` orders those who wait; `folder` is the lock folder, whose checksum tells the
 * owner that it was not moved.
 */
export function encodeLockMember(member: Required<LockMember> & { folder: string }): Buffer {
  const { machineId, executionId, exclusive, number, folder } = member;
  const checksum = pathChecksum(folder);
  const text = `${machineId} ${executionId} ${number} ${exclusive ? 'X' : 'S'} [ lc=${checksum}`;
  const bytes = Buffer.alloc(MEMBER_BYTES);
  bytes.write(text);
  return bytes;
}

/** DJB2 over the bytes of the path. */
function pathChecksum(path: string): number {
  return Buffer.from(path).reduce((hash, byte) => (Math.imul(hash, 33) + byte) >>> 0, 5381);
}

/**
 * Whether the owner of `member` still runs. Only a process known to be gone makes a lock stale; what cannot be
 * judged from here is `unknown`. The checksum of the folder's path (`lc=`) tells only its own owner anything.
 */
export function judgeLockMember(
  member: LockMember,
  machineId: string | undefined,
  processOf: (pid: number) => KnownProcess,
): { state: 'live' | 'stale' | 'unknown'; detail: string } {
  if (machineId === undefined)
    return { state: 'unknown', detail: 'it is not known whether the lock is of this machine' };
  if (member.machineId !== machineId) return { state: 'unknown', detail: 'the lock is of another machine' };
  const [, pidText, startText] = /^(\d+)-(\d+)(?:\(.*\))?$/.exec(member.executionId) ?? [];
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return { state: 'live', detail: 'its process cannot be told' };
  const { alive, started } = processOf(pid);
  if (!alive) return { state: 'stale', detail: `process ${pid} of this machine is gone` };
  const then = Number(startText);
  // 0 stands for a start time that was not known.
  if (started !== undefined && then !== 0 && then !== started) {
    return { state: 'stale', detail: `process ${pid} of this machine is gone, its number used again` };
  }
  return { state: 'live', detail: `process ${pid} of this machine holds it` };
}
