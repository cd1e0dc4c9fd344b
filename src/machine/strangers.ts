// Who else stands on a machine's links: disks and machines around it that none of its own names lead to. Found by
// scanning and by the registers of sharers, since no file below knows who is above it. Rule: what a scan finds is
// believed; what is registered and cannot be looked at counts.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import type { Forest } from './forest.ts';
import type { LinkTree } from './link-tree.ts';
import type { Machine } from './machine.ts';
import { scanPlaces } from './scan-folder.ts';
import type { WalkRoot } from './scan-walk.ts';
import { readRegister } from './sharers-register.ts';
import { registered } from './sharers.ts';

export interface Strangers {
  /** Paths of disks and machines by the identity of the link that they stand on. */
  readonly of: ReadonlyMap<string, readonly string[]>;
  /** False when there was more around than is looked at. */
  readonly complete: boolean;
}

/** Names looked at around a machine; a datastore of a thousand machines has fewer. */
const MOST_NAMES = 200_000;

/** Looks into the folders of all links and of their neighbours, two levels deep. */
export async function findStrangers(
  store: FileStore,
  machine: Machine,
  { links }: LinkTree,
  options: Pick<ChainOptions, 'allow' | 'confine' | 'pathMap'> & TaskOptions,
): Promise<Strangers> {
  const { allow, confine, pathMap, signal } = options;
  const found = new Map<string, string[]>();
  const note = (identity: string, who: string): void => {
    const known = found.get(identity) ?? [];
    if (!known.includes(who)) found.set(identity, [...known, who]);
  };
  const guard = createPathGuard({ store, allow, confine });
  const files: ResolvedPath[] = [];
  for (const { path, identity } of links.values()) {
    const { register } = await readRegister(store, posix.dirname(path));
    const known = await registered(register.get(posix.basename(path)) ?? [], { path }, guard);
    files.push(...known.files);
    for (const one of known.unconfirmed) note(identity, `${one.path} (by the register; ${one.reason})`);
  }
  const folders = new Set([machine.folder, ...[...links.values()].map(({ path }) => posix.dirname(path))]);
  const roots = await rootsAround(store, folders, confine);
  const scan = { fs: store, allow, confine, pathMap, signal, mostNames: MOST_NAMES };
  const forest = await scanPlaces(roots, files, scan);
  noteForest(forest, machine, links, note);
  return { of: found, complete: forest.complete };
}

function noteForest(
  forest: Forest,
  machine: Machine,
  links: LinkTree['links'],
  note: (identity: string, who: string) => void,
): void {
  for (const disk of forest.disks) {
    if (links.has(disk.identity)) {
      for (const vmx of disk.machines) if (vmx !== machine.path) note(disk.identity, vmx);
      continue;
    }
    const parent = disk.parent === undefined ? undefined : forest.byPath.get(disk.parent);
    if (parent !== undefined && links.has(parent.identity)) note(parent.identity, disk.path);
  }
}

/** Each folder, and the folder that holds it where that is not the whole file system and may be looked at. */
async function rootsAround(
  store: FileStore,
  folders: ReadonlySet<string>,
  confine: string | undefined,
): Promise<WalkRoot[]> {
  const roots = new Map<string, WalkRoot>();
  for (const folder of folders) {
    roots.set(folder, { path: folder, depth: 2 });
    const holder = posix.dirname(folder);
    if (holder === '/' || roots.has(holder) || !(await mayBeListed(store, holder, confine))) continue;
    roots.set(holder, { path: holder, depth: 2 });
  }
  return [...roots.values()];
}

async function mayBeListed(store: FileStore, folder: string, confine: string | undefined): Promise<boolean> {
  try {
    if (confine !== undefined && (await store.resolve(confine)).path !== folder)
      await createPathGuard({ store, confine }).assertNamedAllowed(folder);
    await store.list(folder);
    return true;
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}
