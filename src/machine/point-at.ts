// Which point of a machine is meant: the running one, or a snapshot by name, uid, index or time. Rule: a time is answered
// by the last state that is recorded at or before it, and the answer says what lies around it.
import { VmdkError } from '../core/errors.ts';
import type { Snapshot } from '../format/vmsd.ts';
import { assertUidsDiffer, findSnapshot, onlyOne, snapshotShown } from './find-snapshot.ts';
import type { Machine } from './machine.ts';

export interface MachinePoint {
  /** Undefined for the running point. */
  readonly snapshot?: Snapshot;
  /** What a time was answered by, and what comes after: one sentence. */
  readonly note?: string;
}

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/i;

/**
 * `running`; a snapshot's name, `uid:3` or 3, `index:0` (its place in the .vmsd), or a time with its zone
 * (`2022-11-28T15:00Z`, `2022-11-28 16:00+01:00`). A snapshot that is called so goes before everything else.
 * @throws VmdkError `snapshot-missing`, `snapshot-ambiguous`, `nothing-so-early`, each with what there is; `duplicate-uid`; `usage`
 * for a time without a zone.
 */
export function findPoint(machine: Machine, at: string): MachinePoint {
  const { snapshots } = machine.snapshots;
  if (!snapshots.some(({ displayName }) => displayName === at)) {
    if (at === 'running') return {};
    const index = /^index:(\d+)$/i.exec(at)?.[1];
    if (index !== undefined) return { snapshot: snapshotOfIndex(machine, Number(index)) };
    const time = TIME.exec(at);
    if (time !== null) return lastBefore(machine, microsOf(at, time), at);
  }
  return { snapshot: findSnapshot(machine, at) };
}

function snapshotOfIndex(machine: Machine, wanted: number): Snapshot {
  const { snapshots, vmsdPath } = machine;
  const found = snapshots.snapshots.find(({ index }) => index === wanted);
  if (found !== undefined) {
    assertUidsDiffer(machine, found.uid);
    return found;
  }
  throw new VmdkError('missing', 'snapshot-missing', 'the machine has no such snapshot', {
    path: vmsdPath,
    found: listed(
      snapshots.snapshots.map((each) => `index:${each.index} ${snapshotShown(each)}`),
      'no snapshots',
    ),
    expected: `snapshot${wanted}`,
  });
}

function lastBefore(machine: Machine, micros: bigint, at: string): MachinePoint {
  const { snapshots, vmsdPath } = machine;
  const dated = snapshots.snapshots
    .filter((each) => each.createdMicros !== undefined && each.createdMicros > 0n)
    .sort((a, b) => (a.createdMicros! < b.createdMicros! ? -1 : 1));
  const before = dated.filter(({ createdMicros }) => createdMicros! <= micros);
  const last = before.at(-1);
  if (last === undefined) {
    throw new VmdkError('missing', 'nothing-so-early', 'no state of the machine is recorded that early', {
      path: vmsdPath,
      found: listed(dated.map(snapshotShown)),
      expected: `a snapshot at or before ${at}`,
      hint: 'What was on the disks before the first snapshot is in it, as it was when that was taken.',
    });
  }
  const twins = before.filter(({ createdMicros }) => createdMicros === last.createdMicros);
  const snapshot = onlyOne(machine, twins, `several snapshots are the last by ${at}: they have one time`);
  const next = dated.find(({ createdMicros }) => createdMicros! > micros);
  const after =
    next === undefined
      ? 'no snapshot is later; what was written since is in the running point (--at running)'
      : `the next is ${snapshotShown(next)}`;
  return { snapshot, note: `${at}: answered by snapshot ${snapshotShown(snapshot)}; ${after}` };
}

function microsOf(at: string, [, day, clock, zone]: RegExpExecArray): bigint {
  if (clock === undefined || zone === undefined) {
    throw new VmdkError('usage', 'time-without-zone', `"${at}" may be many moments`, {
      hint:
        clock === undefined
          ? `Say the time and its zone: ${day}T00:00Z for its first moment, ${day}T23:59:59Z for its last.`
          : `Say its zone: ${day}T${clock}Z, or ${day}T${clock}+01:00.`,
    });
  }
  const millis = Date.parse(`${day}T${clock}${zone.toUpperCase()}`);
  if (Number.isNaN(millis)) {
    throw new VmdkError('usage', 'no-such-time', `there is no such time: "${at}"`);
  }
  // Date keeps milliseconds; a snapshot's time has microseconds.
  const digits = (/\.(\d+)/.exec(clock)?.[1] ?? '').padEnd(6, '0').slice(3, 6);
  return BigInt(millis) * 1000n + BigInt(digits);
}

function listed(shown: readonly string[], none = 'no snapshots with a time'): string {
  return shown.length === 0 ? none : shown.join(', ');
}
