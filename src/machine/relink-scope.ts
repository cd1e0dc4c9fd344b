// What relinking looks at: the forest below the named folders, with the places besides where moved disks are. Rule:
// everything is read past the path guard, and only what lies below the named folders may be changed.
import { posix } from 'node:path';
import type { PathMapping } from '../chain/chain-options.ts';
import { isVmdkError, usageError } from '../core/errors.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard, type PathGuard } from '../storage/path-guard.ts';
import { diskAt, type Forest, type ForestDisk } from './forest.ts';
import type { RelinkOptions, RelinkRequest } from './relink-types.ts';
import { scanPlaces } from './scan-folder.ts';

export interface RelinkScope {
  readonly store: FileStore;
  readonly forest: Forest;
  /** Real paths; none lies in another. */
  readonly roots: readonly string[];
  readonly bases: readonly ForestDisk[];
  readonly moved: readonly PathMapping[];
  readonly pathMap: readonly PathMapping[];
  /** Lets names lead anywhere in what was scanned. */
  readonly guard: PathGuard;
  /** Disks with this CID and size, by `cid capacity`. */
  readonly byContent: ReadonlyMap<string, readonly ForestDisk[]>;
}

/** @throws VmdkError `usage` for a base that is no disk; errors of scanning. */
export async function openScope(
  store: FileStore,
  roots: readonly string[],
  { moved = [], bases = [] }: RelinkRequest,
  options: RelinkOptions,
): Promise<RelinkScope> {
  const { allow = [], confine, pathMap = [] } = options;
  const named = createPathGuard({ store, allow, confine });
  const places = await Promise.all(bases.map((path) => named.assertNamedAllowed(path)));
  const targets = await Promise.all(moved.map(({ to }) => placeOrUndefined(named, to.replace(/\/\*$/, ''))));
  const there = targets.filter((place) => place !== undefined);
  const folders = there.filter(({ kind }) => kind === 'folder').map(({ path }) => path);
  const files = [...places, ...there.filter(({ kind }) => kind === 'file')];
  const forest = await scanPlaces(
    outermost([...roots, ...folders]).map((path) => ({ path })),
    files,
    {
      fs: store,
      allow: [...allow],
      confine,
      pathMap,
      signal: options.signal,
      onProgress: options.onProgress,
    },
  );
  const found = places.map(({ path, identity }) => {
    const disk = diskAt(forest, path) ?? forest.disks.find((other) => other.identity === identity);
    if (disk === undefined) throw usageError(`${path} is no disk that others could stand on`);
    return disk;
  });
  const holders = [...found, ...there].map(({ path }) => posix.dirname(path)).filter((path) => path !== '/');
  const guard = createPathGuard({ store, allow: [...allow, ...roots, ...folders, ...holders], confine });
  return { store, forest, roots, bases: found, moved, pathMap, guard, byContent: contentsOf(forest) };
}

/** Whether a file may be changed. */
export function isInside(roots: readonly string[], path: string): boolean {
  return roots.some((root) => path.startsWith(root === '/' ? root : `${root}/`));
}

/** Folders of which none lies in another. */
export function outermost(folders: readonly string[]): string[] {
  const all = [...new Set(folders)];
  return all.filter((folder) => !all.some((other) => other !== folder && isInside([other], folder)));
}

export function contentKey(cid: number | undefined, capacity: number): string {
  return `${cid} ${capacity}`;
}

function contentsOf({ disks }: Forest): Map<string, ForestDisk[]> {
  const found = new Map<string, ForestDisk[]>();
  for (const disk of disks) {
    if (disk.cid === undefined) continue;
    const key = contentKey(disk.cid, disk.capacity);
    found.set(key, [...(found.get(key) ?? []), disk]);
  }
  return found;
}

async function placeOrUndefined(guard: PathGuard, path: string): Promise<ResolvedPath | undefined> {
  try {
    return await guard.assertNamedAllowed(path);
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}
