// Who else stands on a machine's links: disks and machines around it that none of its own names lead to. Found by
// scanning, since no file below knows who is above it. Rule: what a scan finds is believed, what it misses is not known.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import type { TaskOptions } from '../core/task.ts';
import type { LinkTree } from './link-tree.ts';
import type { Machine } from './machine.ts';
import { scanFolder } from './scan-folder.ts';

/** Paths of disks and machines by the identity of the link that they stand on. */
export type Strangers = ReadonlyMap<string, readonly string[]>;

/** Scans the folder that holds the machine's folder, which is the datastore as a rule, and its disks' own folders. */
export async function findStrangers(
  machine: Machine,
  { links }: LinkTree,
  options: Pick<ChainOptions, 'fs' | 'allow' | 'confine' | 'pathMap'> & TaskOptions,
): Promise<Strangers> {
  const { fs, allow, confine, pathMap, signal } = options;
  const forest = await scanFolder(
    foldersAround(
      machine,
      [...links.values()].map(({ path }) => path),
      confine,
    ),
    {
      fs,
      allow,
      confine,
      pathMap,
      signal,
    },
  );
  const found = new Map<string, string[]>();
  const note = (identity: string, who: string): void => {
    const known = found.get(identity) ?? [];
    if (!known.includes(who)) found.set(identity, [...known, who]);
  };
  for (const disk of forest.disks) {
    if (links.has(disk.identity)) {
      for (const vmx of disk.machines) if (vmx !== machine.path) note(disk.identity, vmx);
      continue;
    }
    const parent = disk.parent === undefined ? undefined : forest.byPath.get(disk.parent);
    if (parent !== undefined && links.has(parent.identity)) note(parent.identity, disk.path);
  }
  return found;
}

/** The folders to scan; none lies in another. */
function foldersAround(machine: Machine, paths: readonly string[], confine: string | undefined): string[] {
  const holder = posix.dirname(machine.folder);
  // Below `/` lies everything, and outside of `confine` nothing may be looked at.
  const around = holder === '/' || confine !== undefined ? machine.folder : holder;
  const folders = [...new Set([around, machine.folder, ...paths.map((path) => posix.dirname(path))])];
  return folders.filter(
    (folder) => !folders.some((other) => other !== folder && folder.startsWith(`${other}/`)),
  );
}
