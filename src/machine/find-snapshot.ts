// Which snapshot is meant by a name or a uid. Rule: nothing is guessed; of several each is told with what tells it apart,
// and of two with one uid neither can be meant.
import { VmdkError } from '../core/errors.ts';
import { showText } from '../format/plain-text.ts';
import { childrenOf, type Snapshot } from '../format/vmsd.ts';
import type { Machine, NamedDisk } from './machine.ts';

type Database = Pick<Machine, 'snapshots' | 'vmsdPath'>;

/**
 * The snapshot with this name or uid; `uid:3` is always the uid.
 * @throws VmdkError `snapshot-missing`, which lists what there is; `snapshot-ambiguous`, which lists those that are meant
 * with their times and places in the tree; `duplicate-uid`.
 */
export function findSnapshot(machine: Database, nameOrUid: string): Snapshot {
  const { snapshots } = machine.snapshots;
  const explicit = /^uid:(\d+)$/i.exec(nameOrUid)?.[1];
  // One without a name is not what somebody means who gives none.
  const byName = explicit === undefined && nameOrUid !== '';
  const named = byName ? snapshots.filter(({ displayName }) => displayName === nameOrUid) : [];
  const numbered = snapshots.filter(({ uid }) => String(uid) === (explicit ?? nameOrUid));
  const fitting = [...new Set([...named, ...numbered])];
  if (fitting.length > 0)
    return onlyOne(machine, fitting, `more than one snapshot is meant by "${showText(nameOrUid)}"`);
  throw new VmdkError('missing', 'snapshot-missing', 'the machine has no such snapshot', {
    path: machine.vmsdPath,
    found: snapshots.length === 0 ? 'no snapshots' : snapshots.map(called).join(', '),
    expected: `"${showText(nameOrUid)}"`,
    hint: 'Names are compared exactly; a uid can be given as uid:3.',
  });
}

/** The one of `fitting` when it is one and its uid its own. @throws VmdkError `snapshot-ambiguous`, `duplicate-uid`. */
export function onlyOne(machine: Database, fitting: readonly Snapshot[], what: string): Snapshot {
  const [first] = fitting as readonly [Snapshot];
  if (fitting.every(({ uid }) => uid === first.uid)) {
    assertUidsDiffer(machine, first.uid);
    return first;
  }
  throw new VmdkError('usage', 'snapshot-ambiguous', what, {
    path: machine.vmsdPath,
    found: fitting.map(called).join(', '),
    expected: 'one snapshot',
    hint: [
      ...fitting.map((snapshot) => `${snapshotShown(snapshot)}, ${placeOf(machine, snapshot)}`),
      `Name the one that is meant by its uid, as in uid:${first.uid}.`,
    ].join('\n  '),
  });
}

/**
 * That every snapshot, or each with the uid `wanted`, can be told from the others: disks are looked up by uid.
 * @throws VmdkError `duplicate-uid` (corrupt).
 */
export function assertUidsDiffer(machine: Database, wanted?: number): void {
  const uids = machine.snapshots.snapshots.map(({ uid }) => uid).filter((uid) => uid === (wanted ?? uid));
  const twice = uids.find((uid, index) => uids.indexOf(uid) !== index);
  if (twice !== undefined) throw duplicateUid(machine, twice);
}

/** The disks of a snapshot, found or not; of one whose uid another has as well they are known by name only. */
export function disksOf(machine: Machine, { uid, disks }: Snapshot): readonly NamedDisk[] {
  const twins = machine.snapshots.snapshots.filter((other) => other.uid === uid);
  if (twins.length < 2) return machine.snapshotDisks.get(uid) ?? [];
  const problem = duplicateUid(machine, uid);
  return disks.map(({ node, fileName }) => ({ node, fileName, links: [], problem }));
}

function duplicateUid({ snapshots, vmsdPath }: Database, uid: number): VmdkError {
  const twins = snapshots.snapshots.filter((other) => other.uid === uid);
  const named = twins.map(({ index, displayName }) => `snapshot${index} "${showText(displayName)}"`);
  return new VmdkError('corrupt', 'duplicate-uid', 'two snapshots cannot be told from each other', {
    path: vmsdPath,
    field: 'uid',
    found: `${uid}, more than once: ${named.join(', ')}`,
    expected: 'a uid of its own for each snapshot',
    hint: [
      ...twins.map(
        ({ index, disks }) =>
          `snapshot${index} is on ${disks.map(({ fileName }) => showText(fileName)).join(', ') || 'no disks'}`,
      ),
      'To read one, name its disk. To change the machine, mend the .vmsd by hand: give one of them a number above snapshot.lastUID, and adapt the parents.',
    ].join('\n  '),
  });
}

/** `uid:2 "patched" of 2026-03-02T12:00:00.000Z` */
export function snapshotShown(snapshot: Snapshot): string {
  const { createdAt } = snapshot;
  return `${called(snapshot)}${createdAt === undefined ? '' : ` of ${createdAt}`}`;
}

function called({ uid, displayName }: Snapshot): string {
  return `uid:${uid} "${showText(displayName)}"`;
}

/** Where it is in the tree. */
function placeOf({ snapshots: database }: Database, { uid, parentUid }: Snapshot): string {
  const { snapshots, currentUid } = database;
  const parent = snapshots.find((other) => other.uid === parentUid);
  const from =
    parent !== undefined
      ? `below ${called(parent)}`
      : parentUid === undefined
        ? 'below none'
        : `below uid:${parentUid}, which is not there`;
  const above = childrenOf(database, uid).length;
  return [
    from,
    above === 0 ? 'with none below it' : `with ${above} below it`,
    ...(uid === currentUid ? ['the one that the machine goes on from'] : []),
  ].join(', ');
}
