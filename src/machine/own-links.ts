// Which disks are a machine's own, to be removed with it: from each disk that it names downwards, to its sentinel or to
// the first that is another's. Rule: what lies outside its folder is never its own, whatever its .vmx says.
import { posix } from 'node:path';
import type { Forest, ForestDisk } from './forest.ts';
import type { Machine } from './machine.ts';
import type { KeptFile } from './remove-types.ts';

export interface OwnLinks {
  /** In order of meeting them: leaves first. */
  readonly disks: readonly ForestDisk[];
  readonly kept: readonly KeptFile[];
  /** Disks that are its own and could not be read, so that nothing is known of them. */
  readonly unread: readonly string[];
}

export function ownLinks(machine: Machine, forest: Forest, removed: ReadonlySet<string>): OwnLinks {
  const byIdentity = new Map(forest.disks.map((disk) => [disk.identity, disk]));
  const named = [...machine.disks, ...[...machine.snapshotDisks.values()].flat()];
  const names = new Set(named.flatMap(({ links }) => links.slice(0, 1).map(({ identity }) => identity)));
  const sentinels = machine.snapshots.sentinels.map((name) =>
    posix.resolve(machine.folder, name.replaceAll('\\', '/')),
  );
  const own = new Map<string, ForestDisk>();
  const kept = new Map<string, string>();
  const unread: string[] = [];
  for (const { path, links } of named) {
    if (path !== undefined && links.length === 0) {
      if (isOwnPlace(machine, forest, path)) unread.push(path);
      else kept.set(path, OUTSIDE);
    }
    for (const [depth, link] of links.entries()) {
      const disk = byIdentity.get(link.identity);
      const reason =
        disk === undefined || !isOwnPlace(machine, forest, link.path)
          ? OUTSIDE
          : depth === 0 || names.has(link.identity)
            ? undefined
            : whyNotOwn(machine, disk, forest, removed);
      if (reason !== undefined) {
        kept.set(link.path, reason);
        break;
      }
      own.set(link.identity, disk!);
      if (!sentinels.includes(link.path)) continue;
      // The sentinel is the clone's lowest disk.
      const below = links[depth + 1];
      if (below !== undefined && !names.has(below.identity)) kept.set(below.path, 'the clone only reads it');
      break;
    }
  }
  for (const { path } of own.values()) kept.delete(path);
  return {
    disks: [...own.values()],
    kept: [...kept].map(([path, reason]) => ({ path, reason })),
    unread,
  };
}

const OUTSIDE = 'it is not in the folder of the machine';

/** Below the machine's folder, and in no folder of another machine. */
export function isOwnPlace({ folder }: Machine, { machines }: Forest, path: string): boolean {
  if (!path.startsWith(`${folder}/`)) return false;
  for (let at = posix.dirname(path); at !== folder; at = posix.dirname(at))
    if (machines.some((other) => posix.dirname(other.path) === at)) return false;
  return true;
}

/** Of a disk below one that the machine names, in its own folder. */
function whyNotOwn(
  machine: Machine,
  disk: ForestDisk,
  forest: Forest,
  removed: ReadonlySet<string>,
): string | undefined {
  const others = disk.machines.filter((vmx) => vmx !== machine.path && !removed.has(vmx));
  if (others.length > 0) return `it is a disk of ${others.join(', ')}`;
  if (machine.snapshots.cloneOf.length === 0) return undefined;
  // The first shared disk is where a linked clone ends that has no sentinel.
  const mine = new Set(
    [...machine.disks, ...[...machine.snapshotDisks.values()].flat()].flatMap(({ links }) =>
      links.map((link) => link.path),
    ),
  );
  const strangers = disk.children.filter((child) => !mine.has(child));
  return strangers.length === 0 ? undefined : `others stand on it: ${strangers.join(', ')}`;
}
