// The disks of a machine as points with names: `scsi0:0` for the running point, `SNAPSHOT/scsi0:0` for a snapshot's.
// Pure; what is missing stays in the list, to be told when somebody wants it.
import { showText } from '../format/plain-text.ts';
import type { Snapshot } from '../format/vmsd.ts';
import { disksOf } from './find-snapshot.ts';
import type { Machine, NamedDisk } from './machine.ts';

export interface DiskPoint {
  readonly name: string;
  /** Real path where the disk was found, else as the machine names it. */
  readonly path: string;
  /** For people: `scsi0:0 at snapshot "patched" (uid 3)`. */
  readonly description: string;
  /** A snapshot's: nobody writes to it. */
  readonly frozen: boolean;
  /** The disk may be missing or broken. */
  readonly optional: true;
}

/** Running disks first, then the snapshots' in the order of the .vmsd; every name begins with `prefix`. */
export function diskPointsOf(machine: Machine, prefix = ''): DiskPoint[] {
  const point = (disk: NamedDisk, name: string, at: string, frozen: boolean): DiskPoint => ({
    name: `${prefix}${name}`,
    path: disk.path ?? disk.fileName,
    description: `${disk.node}${at}`,
    frozen,
    optional: true,
  });
  const running = machine.disks.map((disk) => point(disk, disk.node, '', false));
  const { snapshots } = machine.snapshots;
  const frozen = snapshots.flatMap((snapshot) => {
    const name = snapshotName(snapshot, snapshots);
    const at = ` at snapshot "${showText(snapshot.displayName)}" (uid ${snapshot.uid})`;
    const disks = disksOf(machine, snapshot);
    return disks.map((disk) => point(disk, `${name}/${disk.node}`, at, true));
  });
  return [...running, ...frozen];
}

/** What `snapshot` takes as well: the name where it is the only one of that name, else the uid. */
function snapshotName({ displayName, uid }: Snapshot, all: readonly Snapshot[]): string {
  const alone = all.filter((other) => other.displayName === displayName).length === 1;
  return alone && displayName !== '' && !/\p{Cc}/u.test(displayName) ? displayName : `uid:${uid}`;
}
