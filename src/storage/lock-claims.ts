// Claims: before it draws a number in a lock folder, vmdkit says in the name of a file beside the entries who it is. So the
// next one can tell what a vmdkit left there that was killed before it could write its name into an entry. VMware takes the
// file for litter, which it may delete. Rule: an empty claim says no more than that its holder was about to enter; one with
// content says that the entry of its number is the holder's.
import type { LockHost } from './node-lock-host.ts';

export interface LockClaim {
  readonly name: string;
  /** The machine as its locks name it. */
  readonly machineId: string;
  readonly executionId: string;
  /** Of the number that is drawn. */
  readonly digits: string;
}

/** `PID-START(vmdkit)`, as VMware writes it. */
export function executionIdOf(host: LockHost): string {
  const { pid = process.pid } = host;
  return `${pid}-${host.process(pid).started ?? 0}(vmdkit)`;
}

/** What vmdkit calls the machine in its locks. */
export function machineIdOf({ id }: LockHost): string {
  return id ?? 'vmdkit=unknown';
}

export function claimName(host: LockHost, digits: string): string {
  const machine = machineIdOf(host).replace(/^vmdkit=/, '');
  return `vmdkit-${machine}-${executionIdOf(host).replace('(vmdkit)', '')}-${digits}.claim`;
}

export function parseClaim(name: string): LockClaim | undefined {
  const [, machine, process, digits] = /^vmdkit-(\w+)-(\d+-\d+)-(\d{5})\.claim$/.exec(name) ?? [];
  if (machine === undefined) return undefined;
  return { name, machineId: `vmdkit=${machine}`, executionId: `${process}(vmdkit)`, digits: digits! };
}

/** Whether a vmdkit of this machine made it whose process is known to be gone. */
export function isOwnAndGone(
  host: LockHost,
  { machineId, executionId }: Pick<LockClaim, 'machineId' | 'executionId'>,
): boolean {
  if (host.id === undefined || machineId !== host.id) return false;
  const [, pid, started] = /^(\d+)-(\d+)\(vmdkit\)$/.exec(executionId) ?? [];
  if (pid === undefined) return false;
  const { alive, started: now } = host.process(Number(pid));
  // A start time that is not known is 0: then the number alone must do.
  return !alive || (now !== undefined && started !== '0' && String(now) !== started);
}
