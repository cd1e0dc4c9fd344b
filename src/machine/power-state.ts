// Whether a machine may be running, judged from outside: locks, swap files, what the .vmx says. Rule: what cannot be
// told counts as running, and nothing of it is ever removed.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { VmxReading } from '../format/vmx.ts';
import { showText } from '../format/plain-text.ts';
import type { FileStore } from '../storage/file-store.ts';
import { findLocks, isDeadMark, type FindLocksOptions, type LockFinding } from '../storage/lock-state.ts';
import type { MachineDisk, MachinePower } from './machine.ts';

export interface LookAtPower {
  readonly store: FileStore;
  /** Real path. */
  readonly vmxPath: string;
  /** As the user named it: through a link, a lock may lie beside the link. */
  readonly namedPath: string;
  readonly config: VmxReading;
  readonly disks: readonly MachineDisk[];
  readonly workingFolder: string;
  readonly options: FindLocksOptions;
}

/** The state, and the locks on the .vmx and on every file of the disks. */
export async function lookAtPower(look: LookAtPower): Promise<{ power: MachinePower; locks: LockFinding[] }> {
  const { store, namedPath, disks, options } = look;
  const own = await locksOf(store, namedPath, options);
  const leaves = new Set(disks.flatMap(({ links }) => links[0]?.files ?? []));
  for (const file of leaves) own.push(...(await locksOf(store, file, options)));
  const below = new Set(disks.flatMap(({ links }) => links.slice(1).flatMap(({ files }) => files)));
  const others: LockFinding[] = [];
  for (const file of below) if (!leaves.has(file)) others.push(...(await locksOf(store, file, options)));
  return { power: await judge(look, own), locks: [...own, ...others] };
}

async function judge(look: LookAtPower, own: readonly LockFinding[]): Promise<MachinePower> {
  const { config } = look;
  const exclusive = own.filter(({ mode }) => mode === 'exclusive');
  const held = exclusive.filter(({ state }) => state !== 'stale');
  if (held.length > 0) return { state: 'running', reasons: held.map(lockReason) };
  if (config.suspendFile !== undefined) {
    return { state: 'suspended', reasons: [`checkpoint.vmState is "${showText(config.suspendFile)}"`] };
  }
  const reasons = exclusive.filter((lock) => !isDeadMark(lock)).map(lockReason);
  for (const name of await swapFiles(look))
    reasons.push(`the swap file ${showText(name)}, which a clean shutdown removes`);
  for (const { node, redo, present } of config.devices) {
    if (present && redo !== undefined)
      reasons.push(`${node}.redo = "${showText(redo)}", a log of writes that are not in the disk yet`);
  }
  if (config.cleanShutdown === false) reasons.push('cleanShutdown = "FALSE" in the .vmx');
  return reasons.length === 0 ? { state: 'off', reasons } : { state: 'unclean', reasons };
}

function lockReason({ holder, path, state, detail }: LockFinding): string {
  const what = { live: 'a lock', unknown: 'what may be a lock', stale: 'a lock left behind' }[state];
  return `${what}${holder === '' ? '' : ` by ${holder}`} at ${path} (${detail})`;
}

/** Swap of this machine's: `NAME-1a2b3c4d.vswp`, `vmx-NAME-….vswp`. */
async function swapFiles({ store, vmxPath, workingFolder }: LookAtPower): Promise<string[]> {
  const stem = posix.basename(vmxPath).replace(/\.[^.]*$/, '');
  const found: string[] = [];
  for (const folder of new Set([posix.dirname(vmxPath), workingFolder])) {
    try {
      const names = await store.list(folder);
      const swap = names.filter((name) => /\.vswp$/i.test(name));
      found.push(
        ...swap.filter((name) =>
          [stem, `vmx-${stem}`].some((start) => name.startsWith(`${start}-`) || name === `${start}.vswp`),
        ),
      );
    } catch (error) {
      if (!isVmdkError(error)) throw error;
    }
  }
  return [...new Set(found)].sort();
}

async function locksOf(store: FileStore, path: string, options: FindLocksOptions): Promise<LockFinding[]> {
  try {
    return [...(await findLocks(store, path, options))];
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return [];
    throw error;
  }
}
