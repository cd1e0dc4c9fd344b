// Finds the files of disks and machines below folders. Rule: nothing found here stops the search: symbolic links are
// not followed, so that no way is endless, and what is special or cannot be read is told and passed by.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { inParallel } from '../operations/in-parallel.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import type { SkippedPath } from './forest.ts';

/** A folder to begin at, and how many levels of folders below it are entered (default all); 0 is itself alone. */
export interface WalkRoot {
  readonly path: string;
  readonly depth?: number;
}

export interface WalkOptions extends TaskOptions {
  /** Names that are looked at, in all. */
  readonly mostNames?: number | undefined;
}

export interface Walk {
  /** Real paths of the folders that were named. */
  readonly roots: readonly string[];
  /** Regular files that may belong to a disk or a machine, in order of their paths. */
  readonly files: readonly ResolvedPath[];
  readonly skipped: readonly SkippedPath[];
  readonly problems: readonly Finding[];
  readonly complete: boolean;
}

const MOST_NAMES = 1_000_000;
/** What is passed by is told up to here; a folder of links must not fill the memory. */
const MOST_SKIPPED = 1000;
const INTERESTING = /\.(vmdk|vmx|vmtx|vmsd|vmsn)$/i;
/** Locks of VMware are folders. */
const LOCKS = /\.lck$/i;
const OWN_RUNS = /^\.(?:vmdkit-|convert-[0-9a-f]{8}-)/;
/** Copies of everything as it was, kept by the storage: they would stand beside every disk with the same CID. */
const STORAGE_SNAPSHOTS = new Set(['.snapshot', '.snapshots', '.zfs', '~snapshot']);

interface Search {
  readonly store: FileStore;
  readonly options: WalkOptions;
  /** Levels that were entered below each folder, by identity: one met again with more to go is looked into again. */
  readonly seen: Map<string, number>;
  readonly files: ResolvedPath[];
  readonly skipped: SkippedPath[];
  readonly problems: Finding[];
  names: number;
  complete: boolean;
}

/** @throws VmdkError only for a root that is no folder, or cannot be listed; the reason of an abort. */
export async function walkFolders(
  store: FileStore,
  roots: readonly WalkRoot[],
  options: WalkOptions = {},
): Promise<Walk> {
  const search: Search = {
    store,
    options,
    seen: new Map(),
    files: [],
    skipped: [],
    problems: [],
    names: 0,
    complete: true,
  };
  const folders: Folder[] = [];
  for (const { path, depth = Infinity } of roots)
    folders.push({ path: (await rootAt(store, path)).path, root: true, depth });
  await walkLevels(search, folders);
  onceEach(search);
  search.files.sort((a, b) => compare(a.path, b.path));
  search.skipped.sort((a, b) => compare(a.path, b.path));
  const { files, skipped, problems, complete } = search;
  return { roots: [...new Set(folders.map(({ path }) => path))], files, skipped, problems, complete };
}

/** A folder that was looked into twice gives everything in it twice. */
function onceEach({ files, skipped }: Search): void {
  for (const list of [files, skipped] as { path: string }[][]) {
    const once = new Map(list.map((item) => [item.path, item]));
    if (once.size < list.length) list.splice(0, list.length, ...once.values());
  }
}

interface Folder {
  readonly path: string;
  readonly root: boolean;
  /** Levels that may still be entered. */
  readonly depth: number;
}

async function walkLevels(search: Search, first: readonly Folder[]): Promise<void> {
  let level = first;
  let listed = 0;
  while (level.length > 0) {
    const next: Folder[] = [];
    await inParallel(
      level,
      async (folder) => {
        throwIfAborted(search.options);
        const below = await lookInto(search, folder);
        for (const path of below) next.push({ path, root: false, depth: folder.depth - 1 });
        const total = listed + level.length;
        search.options.onProgress?.({ phase: 'listing', done: ++listed, total, unit: 'files' });
      },
      8,
    );
    level = next;
  }
}

/** Lists one folder; gives the folders in it that are to be entered. */
async function lookInto(search: Search, folder: Folder): Promise<string[]> {
  const enter = folder.depth > 0;
  let names: string[];
  try {
    const { identity } = await search.store.resolve(folder.path);
    if ((search.seen.get(identity) ?? -1) >= folder.depth) return [];
    search.seen.set(identity, folder.depth);
    names = await search.store.list(folder.path);
  } catch (error) {
    if (!isVmdkError(error) || (folder.root && error.code !== 'file-missing')) throw error;
    noteUnreadable(search, folder.path, error);
    return [];
  }
  const folders: string[] = [];
  const wanted = names.filter((name) => enter || INTERESTING.test(name));
  const most = search.options.mostNames ?? MOST_NAMES;
  const left = Math.max(0, most - search.names);
  if (wanted.length > left) search.complete = false;
  search.names += Math.min(wanted.length, left);
  await inParallel(
    wanted.slice(0, left),
    async (name) => {
      const place = await placeOf(search, folder.path, name);
      if (place === undefined) return;
      if (place.kind === 'file') {
        if (INTERESTING.test(name)) search.files.push(place);
      } else if (place.kind === 'folder') {
        if (enter && mayEnter(search, place.path, name)) folders.push(place.path);
      } else skip(search, place.path, `a ${place.kind}, which is never opened`);
    },
    8,
  );
  return folders;
}

/** What the name leads to; undefined for a symbolic link, and for what is gone meanwhile. */
async function placeOf(search: Search, folder: string, name: string): Promise<ResolvedPath | undefined> {
  const path = posix.join(folder, name);
  try {
    const place = await search.store.resolve(path);
    if (place.path === path) return place;
    skip(search, path, 'a symbolic link: what it leads to counts only under its own name');
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    if (error.code === 'file-missing') skip(search, path, 'leads nowhere');
    else if (error.code === 'symbolic-link-loop') skip(search, path, 'symbolic links that lead in a circle');
    else noteUnreadable(search, path, error);
  }
  return undefined;
}

function mayEnter(search: Search, path: string, name: string): boolean {
  if (LOCKS.test(name)) return false;
  if (OWN_RUNS.test(name)) {
    skip(search, path, 'what a run of vmdkit is making, or left behind: the next run there settles it');
    return false;
  }
  if (!STORAGE_SNAPSHOTS.has(name.toLowerCase())) return true;
  skip(search, path, 'snapshots of the storage: copies of the disks, not the disks');
  return false;
}

function skip({ skipped }: Search, path: string, reason: string): void {
  if (skipped.length < MOST_SKIPPED) skipped.push({ path, reason });
}

function noteUnreadable({ problems }: Search, path: string, error: VmdkError): void {
  if (problems.length >= MOST_SKIPPED) return;
  const message = `not looked into: ${error.message.replace(`${path}: `, '').split('\n')[0]!}`;
  problems.push({ code: 'SCAN-UNREADABLE', severity: 'warning', message, path, repairable: false });
}

async function rootAt(store: FileStore, root: string): Promise<ResolvedPath> {
  const place = await store.resolve(root);
  if (place.kind === 'folder') return place;
  throw new VmdkError('unsupported', 'not-a-folder', 'a folder is scanned, not a file', {
    path: root,
    found: `a ${place.kind}`,
    expected: 'a folder',
    hint: 'For one disk: vmdkit chain DISK, or vmdkit scan --who-uses DISK.',
  });
}

/** Code unit order: the same everywhere, whatever the locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
