// Who stands on a disk: found by scanning its surroundings, with the register of its folder saying where to look
// besides. Rule: a registered disk counts only when it was read and leads here, or when it may not be looked at.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { notAFile } from '../storage/store-errors.ts';
import { dependantsOf, type Forest, type ForestDisk } from './forest.ts';
import { nameFew } from './name-few.ts';
import { scanPlaces } from './scan-folder.ts';
import type { WalkRoot } from './scan-walk.ts';
import { readRegister, writeRegister, type Register } from './sharers-register.ts';

export interface SharerOptions extends TaskOptions, Pick<ChainOptions, 'allow' | 'confine' | 'pathMap'> {
  /** Folders that are scanned whole, besides the surroundings. */
  readonly scan?: readonly string[] | undefined;
}

export interface Sharers {
  /** The disk itself; undefined when what was named is none, or cannot be read. */
  readonly disk: ForestDisk | undefined;
  /** Real path of the disk asked about. */
  readonly path: string;
  /** Every disk that stands on it, nearest first. */
  readonly disks: readonly ForestDisk[];
  /** Registered disks that may not be looked at from here: nobody knows whether they still stand on it. */
  readonly unconfirmed: readonly { readonly path: string; readonly reason: string }[];
  /** Machines that use it, or a disk that stands on it. */
  readonly machines: readonly string[];
  /** What is odd about the register, and whether all was seen. */
  readonly notes: readonly string[];
  readonly forest: Forest;
}

/** Names looked at around a disk before giving up; a datastore of a thousand machines has fewer. */
const MOST_NAMES = 50_000;

/**
 * Looks through the folder of the disk and those in it, the folders beside it, `scan`, and where the register says:
 * everything that stands on the disk and opens without `allow`, and more. @throws VmdkError when the disk itself is not there.
 */
export async function findSharers(
  store: FileStore,
  path: string,
  options: SharerOptions = {},
): Promise<Sharers> {
  const { allow = [], confine, pathMap } = options;
  const named = createPathGuard({ store, allow, confine });
  const place = await named.assertNamedAllowed(path);
  if (place.kind !== 'file') throw notAFile(path, place.kind);
  const folder = posix.dirname(place.path);
  const roots = await surroundings(store, folder, options);
  const { register, problem } = await readRegister(store, folder);
  const guard = createPathGuard({ store, allow: [...allow, ...(options.scan ?? [])], confine });
  const { files, unconfirmed } = await registered(
    register.get(posix.basename(place.path)) ?? [],
    place,
    guard,
  );
  const forest = await scanPlaces(roots, [place, ...files], {
    fs: store,
    allow: [...allow],
    confine,
    pathMap,
    signal: options.signal,
    onProgress: options.onProgress,
    mostNames: MOST_NAMES,
  });
  const known = forest.disks.find(({ identity }) => identity === place.identity);
  const disks = known === undefined ? [] : dependantsOf(forest, known.path);
  const uses = [...(known?.machines ?? []), ...disks.flatMap(({ machines }) => machines)];
  const notes = [
    ...(problem === undefined ? [] : [`the register in ${folder} is not believed: ${problem}`]),
    ...(forest.complete ? [] : [`not all around ${place.path} was looked at: there are too many files`]),
  ];
  return { path: place.path, disk: known, disks, unconfirmed, machines: [...new Set(uses)], notes, forest };
}

/** @throws VmdkError `base-has-children` (refused) that names who stands on the disk. `verb` begins the message. */
export async function assertNoSharers(
  store: FileStore,
  path: string,
  verb: string,
  options: SharerOptions = {},
): Promise<Sharers> {
  const sharers = await findSharers(store, path, options);
  if (sharers.disks.length > 0 || sharers.unconfirmed.length > 0) throw hasChildren(verb, sharers);
  return sharers;
}

function hasChildren(verb: string, { path, disks, unconfirmed }: Sharers): VmdkError {
  const all = [
    ...disks.map((disk) => disk.path),
    ...unconfirmed.map((each) => `${each.path} (by the register; ${each.reason})`),
  ];
  const count = all.length === 1 ? '1 disk' : `${all.length} disks`;
  const look = unconfirmed.length > 0 ? ' Let it look at registered disks with --allow DIR.' : '';
  const breaks = disks.length > 0 ? 'would break the disks that stand on it' : 'may break what stands on it';
  return new VmdkError('refused', 'base-has-children', `${verb} ${breaks}`, {
    path,
    found: `${count}: ${nameFew(all)}`,
    expected: 'no disk that stands on it',
    hint: `Make a delta of it and work there (vmdkit create NEW --backing DISK), or pass --force to go ahead.${look}`,
  });
}

export interface Recorded {
  readonly path: string;
  /** Why the register was not written; the disks are found by scanning all the same. */
  readonly note?: string;
}

/** Adds disks to the register of the base's folder. Never fails: what could not be done is a note. */
export function recordSharers(
  store: FileStore,
  basePath: string,
  children: readonly string[],
): Promise<Recorded> {
  return changeRegister(store, basePath, async (known) => {
    const paths = await Promise.all(children.map((child) => realPathOf(store, child)));
    return [...new Set([...known, ...paths])];
  });
}

/** As it is, free of symbolic links; as named when it cannot be looked up. */
async function realPathOf(store: FileStore, path: string): Promise<string> {
  try {
    return (await store.resolve(path)).path;
  } catch (error) {
    if (isVmdkError(error)) return posix.resolve(path);
    throw error;
  }
}

/** Takes disks out of the register of the base's folder. Never fails. */
export function forgetSharers(
  store: FileStore,
  basePath: string,
  children: readonly string[],
): Promise<Recorded> {
  const gone = new Set(children);
  return changeRegister(store, basePath, async (known) => known.filter((path) => !gone.has(path)));
}

/**
 * Writes the registers of all folders of a forest anew. What they say of disks outside the scanned folders is kept.
 * Gives the folders that have one now, and notes on those that could not be written.
 */
export async function rebuildRegisters(
  store: FileStore,
  forest: Forest,
): Promise<{ written: string[]; notes: string[] }> {
  const folders = new Map<string, Map<string, readonly string[]>>();
  for (const { path, children, outside } of forest.disks) {
    if (outside) continue;
    const folder = posix.dirname(path);
    const register = folders.get(folder) ?? new Map<string, readonly string[]>();
    register.set(posix.basename(path), children);
    folders.set(folder, register);
  }
  const written: string[] = [];
  const notes: string[] = [];
  for (const [folder, found] of folders) {
    const { register: old, writable, problem } = await readRegister(store, folder);
    const fresh = new Map<string, readonly string[]>();
    for (const [name, children] of found) {
      const far = (old.get(name) ?? []).filter((path) => !isBelow(forest.roots, path));
      fresh.set(name, [...new Set([...children, ...far])]);
    }
    const wanted = [...fresh.values()].some((paths) => paths.length > 0);
    if (!wanted && old.size === 0 && problem === undefined) continue;
    if (!writable) {
      notes.push(`${folder}: the register is left as it is: ${problem}`);
      continue;
    }
    try {
      await writeRegister(store, folder, fresh);
      if (wanted) written.push(folder);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      notes.push(error.message.split('\n')[0]!);
    }
  }
  return { written, notes };
}

async function changeRegister(
  store: FileStore,
  basePath: string,
  change: (known: readonly string[]) => Promise<readonly string[]>,
): Promise<Recorded> {
  try {
    const { path } = await store.resolve(basePath);
    const folder = posix.dirname(path);
    const { register, writable, problem } = await readRegister(store, folder);
    if (!writable) return { path, note: `the register in ${folder} is left as it is: ${problem}` };
    const name = posix.basename(path);
    const known = register.get(name) ?? [];
    const wanted = await change(known);
    if (wanted.length !== known.length || problem !== undefined) {
      const changed: Register = new Map([...register, [name, wanted]]);
      await writeRegister(store, folder, changed);
    }
    return { path };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { path: basePath, note: `who stands on it is not recorded: ${error.message.split('\n')[0]!}` };
  }
}

/**
 * Its own folder with those in it, the folder that holds it with those beside it, and what else is asked for: a child
 * elsewhere may not lead here unless it is allowed to.
 */
export async function surroundings(
  store: FileStore,
  folder: string,
  { scan = [], confine }: SharerOptions,
): Promise<WalkRoot[]> {
  const roots: WalkRoot[] = [...scan.map((path) => ({ path })), { path: folder, depth: 1 }];
  const holder = posix.dirname(folder);
  // Below `/` lies everything; the guard draws the line there as well.
  if (holder === '/' || holder === folder) return roots;
  try {
    const { identity } = await store.resolve(holder);
    if (confine !== undefined && (await store.resolve(confine)).identity !== identity)
      await createPathGuard({ store, confine }).assertNamedAllowed(holder);
    await store.list(holder);
    return [...roots, { path: holder, depth: 1 }];
  } catch (error) {
    if (isVmdkError(error)) return roots;
    throw error;
  }
}

/** The registered disks that may be looked at and are there. */
export async function registered(
  paths: readonly string[],
  base: Pick<ResolvedPath, 'path'>,
  guard: ReturnType<typeof createPathGuard>,
): Promise<{ files: ResolvedPath[]; unconfirmed: { path: string; reason: string }[] }> {
  const files: ResolvedPath[] = [];
  const unconfirmed: { path: string; reason: string }[] = [];
  for (const path of paths) {
    try {
      files.push(await guard.assertParentAllowed(path, base.path));
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      // What is gone stands on nothing any more.
      if (error.code === 'outside-allowed-folders')
        unconfirmed.push({ path, reason: 'outside the folders that are looked into' });
      else if (error.kind === 'io') unconfirmed.push({ path, reason: 'it cannot be looked up' });
    }
  }
  return { files, unconfirmed };
}

function isBelow(roots: readonly string[], path: string): boolean {
  return roots.some((root) => root === '/' || path.startsWith(`${root}/`));
}
