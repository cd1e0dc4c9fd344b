// Scans folders for disks and machines: every descriptor is read once, a bounded number at a time, and closed again.
// Rule: nothing is written, and nothing that lies there ends the scan; what is wrong becomes part of the answer.
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { classifyFileName } from '../format/file-names.ts';
import { inParallel } from '../operations/in-parallel.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { diskPool } from './disk-pool.ts';
import type { Forest } from './forest.ts';
import { buildForest } from './build-forest.ts';
import { diskReader, readDiskFacts, withoutPath, type DiskFacts, type DiskReader } from './scan-disk.ts';
import { readMachines } from './scan-machines.ts';
import { linkParents } from './scan-parents.ts';
import { walkFolders, type WalkOptions, type WalkRoot } from './scan-walk.ts';

export interface ScanOptions
  extends TaskOptions, Pick<ChainOptions, 'fs' | 'allow' | 'confine' | 'pathMap'>, WalkOptions {}

/** Extents of other disks by their names; looked into only when no disk names them. */
const EXTENT_ROLES = new Set(['flat', 'split-flat', 'split-sparse', 'delta', 'sesparse', 'rdm']);
const COMPANION_ROLES = new Set(['change-tracking', 'digest', 'partition-table']);

/**
 * What lies below `folders`: disks, machines, who stands on whom, and what is wrong. Hints may lead anywhere in these
 * folders, and beyond as far as `allow` says.
 * @throws VmdkError for a folder that is none; the reason of an abort.
 */
export async function scanFolder(
  folders: string | readonly string[],
  options: ScanOptions = {},
): Promise<Forest> {
  const named = typeof folders === 'string' ? [folders] : folders;
  const roots = named.map((path) => ({ path }));
  return scanPlaces(roots, [], options);
}

/** The same for folders that are entered only so far, and with single files besides, which the guard has allowed. */
export async function scanPlaces(
  roots: readonly WalkRoot[],
  files: readonly ResolvedPath[],
  options: ScanOptions,
): Promise<Forest> {
  const context = openContext({ fs: options.fs, allow: options.allow, confine: options.confine });
  const { store } = context;
  if (options.confine !== undefined)
    for (const { path } of roots) await assertConfined(context, options.confine, path);
  const walked = await walkFolders(store, roots, options);
  const walk = { ...walked, files: onceEach([...files, ...walked.files]) };
  const reader = diskReader(context);
  const { disks, notDisks, extents, problems } = await readDisks(walk.files, reader, files, options);
  const pool = diskPool(reader, disks, notDisks);
  const allow = [...(options.allow ?? []), ...walk.roots.filter((root) => root !== '/')];
  const guard = createPathGuard({ store, allow, confine: options.confine });
  const finder = { pool, guard, pathMap: options.pathMap ?? [], task: options };
  const machines = await readMachines(walk.files, { ...finder, context: { ...context, guard } });
  const links = await linkParents(finder);
  return buildForest({
    walk,
    pool,
    links,
    extents,
    machines: machines.machines,
    problems: [...walk.problems, ...problems, ...machines.problems],
  });
}

interface ReadDisks {
  /** In order of their paths. */
  readonly disks: readonly DiskFacts[];
  /** Identities of files that are none. */
  readonly notDisks: readonly string[];
  /** Extents that no disk names. */
  readonly extents: readonly ResolvedPath[];
  readonly problems: readonly Finding[];
}

async function readDisks(
  files: readonly ResolvedPath[],
  reader: DiskReader,
  named: readonly ResolvedPath[],
  task: TaskOptions,
): Promise<ReadDisks> {
  const isNamed = new Set(named.map(({ identity }) => identity));
  // What was named is a disk, whatever it is called.
  const roleOf = ({ path, identity }: ResolvedPath): string =>
    isNamed.has(identity) ? 'disk' : classifyFileName(path).role;
  const disksByName = files.filter(({ path, identity }) => /\.vmdk$/i.test(path) || isNamed.has(identity));
  const first = disksByName.filter(
    (file) => !EXTENT_ROLES.has(roleOf(file)) && !COMPANION_ROLES.has(roleOf(file)),
  );
  const later = disksByName.filter((file) => EXTENT_ROLES.has(roleOf(file)));
  const disks: DiskFacts[] = [];
  const failures: { readonly place: ResolvedPath; readonly error: VmdkError }[] = [];
  let done = 0;
  const readAll = (some: readonly ResolvedPath[], total: number): Promise<void> =>
    inParallel(some, async (place) => {
      throwIfAborted(task);
      try {
        disks.push(await readDiskFacts(reader, place));
      } catch (error) {
        if (!isVmdkError(error)) throw error;
        failures.push({ place, error });
      }
      task.onProgress?.({ phase: 'scanning', done: ++done, total, unit: 'files' });
    });
  await readAll(first, first.length);
  const claimed = new Set(disks.flatMap((disk) => disk.files.map(({ identity }) => identity)));
  // A disk may be called like an extent; what some disk names is one.
  const unnamed = later.filter(({ identity }) => !claimed.has(identity));
  await readAll(unnamed, first.length + unnamed.length);
  for (const disk of disks) for (const { identity } of disk.files) claimed.add(identity);
  const orphans = failures.filter(({ place, error }) => {
    return !claimed.has(place.identity) && isExtent(place, error);
  });
  const wrong = failures.filter(({ place, error }) => {
    return !claimed.has(place.identity) && !isExtent(place, error) && error.code !== 'file-missing';
  });
  return {
    disks: disks.sort((a, b) => (a.path < b.path ? -1 : 1)),
    notDisks: failures.map(({ place }) => place.identity),
    extents: orphans.map(({ place }) => place).sort((a, b) => (a.path < b.path ? -1 : 1)),
    problems: wrong.map(({ place, error }) => ({
      code: error.code.toUpperCase(),
      severity: 'warning',
      message: withoutPath(error, place.path),
      path: place.path,
      repairable: false,
    })),
  };
}

/** By its content, or by its name when it has no content that speaks for itself. */
function isExtent(place: ResolvedPath, { code }: VmdkError): boolean {
  if (code === 'bare-extent') return true;
  return code === 'not-a-vmdk' && EXTENT_ROLES.has(classifyFileName(place.path).role);
}

/** `confine` holds for folders as for disks, and is one itself. */
async function assertConfined({ store, guard }: OpenContext, confine: string, path: string): Promise<void> {
  const [folder, bounds] = [await store.resolve(path), await store.resolve(confine)];
  if (folder.identity !== bounds.identity) await guard.assertNamedAllowed(path);
}

/** Hard links are one file: its first path stands for it. */
function onceEach(files: readonly ResolvedPath[]): ResolvedPath[] {
  const seen = new Set<string>();
  return files.filter(({ identity }) => !seen.has(identity) && seen.add(identity));
}
