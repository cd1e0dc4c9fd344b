// When the links of a machine's disks were written, as its snapshots tell. Rule: a snapshot's time is when its disks
// stopped being written, and when the deltas above them began.
import { isMachinePath, type Machine } from '../machine/machine.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError } from '../core/errors.ts';
import type { Snapshot } from '../format/vmsd.ts';
import type { CommandContext } from './context.ts';
import { machinesBeside, nodeOf } from './points.ts';

export interface LinkTimes {
  /** The first snapshot that has this link as its disk: nothing was written to it since. */
  readonly frozenBy?: Snapshot;
  /** The first snapshot that has the link below as its disk: all of this one was written since. */
  readonly begunBy?: Snapshot;
  /** It is what the machine runs on. */
  readonly running: boolean;
}

/** By identity of the link; empty for links that the machine does not know. */
export function linkTimes(machine: Machine): ReadonlyMap<string, LinkTimes> {
  const frozen = new Map<string, Snapshot>();
  const inOrder = [...machine.snapshots.snapshots].sort((a, b) =>
    (a.createdMicros ?? 0n) < (b.createdMicros ?? 0n) ? -1 : 1,
  );
  for (const snapshot of inOrder) {
    for (const { links } of machine.snapshotDisks.get(snapshot.uid) ?? []) {
      const own = links[0]?.identity;
      if (own !== undefined && !frozen.has(own)) frozen.set(own, snapshot);
    }
  }
  const times = new Map<string, LinkTimes>();
  const all = [...machine.disks, ...[...machine.snapshotDisks.values()].flat()];
  const running = new Set(machine.disks.flatMap(({ links }) => links[0]?.identity ?? []));
  for (const { links } of all) {
    for (const [depth, { identity }] of links.entries()) {
      const below = links[depth + 1]?.identity;
      const [frozenBy, begunBy] = [frozen.get(identity), below === undefined ? undefined : frozen.get(below)];
      times.set(identity, {
        ...(frozenBy === undefined ? {} : { frozenBy }),
        ...(begunBy === undefined ? {} : { begunBy }),
        running: running.has(identity),
      });
    }
  }
  return times;
}

/** The machine that a path names, or the first beside a disk that has it; undefined when there is none. */
export async function machineOf(
  path: string,
  options: ChainOptions,
  context: CommandContext,
): Promise<Machine | undefined> {
  const { openMachine } = await import('../machine/open-machine.ts');
  const opening = { ...options, onFinding: undefined, signal: context.signal };
  if (isMachinePath(path)) return openMachine(path, opening);
  const { path: real, identity } = await context.store.resolve(path);
  for (const vmx of await machinesBeside(real, context)) {
    try {
      const machine = await openMachine(vmx, opening);
      if (nodeOf(machine, identity) !== undefined) return machine;
    } catch (error) {
      // What stands beside a disk need not be whole to let the disk be examined.
      if (!isVmdkError(error)) throw error;
      context.warn(`${vmx}: ${error.message.split('\n')[0]!}`);
    }
  }
  return undefined;
}
