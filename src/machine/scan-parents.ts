// Who stands on whom: the parent of every delta, found by its hint as opening does, else by its CID among all disks of
// the scan. Rule: every disk is read once, and what a hint leads to outside the scanned folders only past the guard.
import { posix } from 'node:path';
import { MOST_LINKS, type PathMapping } from '../chain/chain-options.ts';
import { parentCandidates } from '../chain/parent-candidates.ts';
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { UNWRITTEN_CID } from '../format/content-id.ts';
import { inParallel } from '../operations/in-parallel.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import type { PathGuard } from '../storage/path-guard.ts';
import type { DiskPool } from './disk-pool.ts';
import type { DiskFacts } from './scan-disk.ts';
import { compare } from './scan-walk.ts';

export interface ParentLink {
  readonly parent?: DiskFacts;
  readonly foundBy?: 'hint' | 'cid';
  /** Whether the parent has the CID that is wanted. */
  readonly fits?: boolean;
  /** Without a fitting parent by the hint: disks with the CID and the size, likeliest first. */
  readonly candidates: readonly DiskFacts[];
  /** The way down from here led back: it was cut here. */
  readonly cycle?: boolean;
}

export interface ParentFinder {
  readonly pool: DiskPool;
  /** Lets hints lead anywhere in the scanned folders. */
  readonly guard: PathGuard;
  readonly pathMap: readonly PathMapping[];
  readonly task: TaskOptions;
}

/** Candidates that are kept for one delta. */
const MOST_CANDIDATES = 20;

interface ByHint {
  readonly fitting?: DiskFacts;
  /** The first disk where the hint leads, when none fits. */
  readonly other?: DiskFacts;
}

/** By identity; every delta of the pool has an entry, and the pool has grown by the disks that hints led to. */
export async function linkParents(finder: ParentFinder): Promise<ReadonlyMap<string, ParentLink>> {
  const byHint = new Map<string, ByHint>();
  for (;;) {
    // Disks outside lead to further ones: until nothing new comes up.
    const fresh = finder.pool.all().filter(({ delta, identity }) => delta && !byHint.has(identity));
    if (fresh.length === 0) break;
    await inParallel(fresh, async (disk) => {
      throwIfAborted(finder.task);
      byHint.set(disk.identity, await followHint(disk, finder));
    });
  }
  const disks = finder.pool.all();
  const links = chooseParents(disks, byHint);
  cutCycles(disks, links);
  return links;
}

async function followHint(child: DiskFacts, { pool, guard, pathMap }: ParentFinder): Promise<ByHint> {
  if (child.hint === undefined || child.hint === '') return {};
  let other: DiskFacts | undefined;
  for (const path of parentCandidates(child.hint, child.path, pathMap)) {
    const place = await placeIfAllowed(guard, path, child.path);
    if (place === undefined || place.identity === child.identity) continue;
    const disk = await pool.at(place);
    if (disk === undefined) continue;
    if (disk.cid === child.parentCid) return { fitting: disk };
    other ??= disk;
  }
  return other === undefined ? {} : { other };
}

/** Where a name leads from the file `by`; undefined for nothing that may be opened. */
async function placeIfAllowed(guard: PathGuard, path: string, by: string): Promise<ResolvedPath | undefined> {
  try {
    return await guard.assertParentAllowed(path, by);
  } catch (error) {
    if (isVmdkError(error) && error.kind !== 'usage') return undefined;
    throw error;
  }
}

/** A disk that may be somebody's parent, with the parts of its path that are compared often. */
interface Known {
  readonly disk: DiskFacts;
  readonly folder: string;
  readonly name: string;
  /** The last part of its own hint. */
  readonly parentName: string;
}

function chooseParents(
  disks: readonly DiskFacts[],
  byHint: ReadonlyMap<string, ByHint>,
): Map<string, ParentLink> {
  const byCid = new Map<string, Known[]>();
  for (const disk of [...disks].sort((a, b) => compare(a.path, b.path))) {
    if (disk.cid === undefined) continue;
    const { dir: folder, base: name } = posix.parse(disk.path);
    const known = { disk, folder, name, parentName: nameIn(disk.hint) };
    const key = `${disk.cid} ${disk.capacity}`;
    const group = byCid.get(key);
    if (group === undefined) byCid.set(key, [known]);
    else group.push(known);
  }
  const bottoms = bottomsOf(disks, byHint);
  const links = new Map<string, ParentLink>();
  for (const disk of disks) {
    if (!disk.delta) continue;
    const hint = byHint.get(disk.identity) ?? {};
    const group = byCid.get(`${disk.parentCid!} ${disk.capacity}`) ?? [];
    // What stands on the disk is never below it, itself included.
    const isAbove = ({ disk: known }: Known): boolean =>
      bottoms.get(known.identity) === disk.identity || isFreshAbove(known, disk, byHint);
    const withCid = hint.fitting === undefined ? group.filter((known) => !isAbove(known)) : [];
    links.set(disk.identity, choose(disk, hint, withCid));
  }
  return links;
}

/**
 * Whether a delta that nobody wrote to leads to the disk by hints, also by such as fit no more, since the disk was written to: it
 * has the CID of the disk's own parent.
 */
function isFreshAbove(known: DiskFacts, disk: DiskFacts, byHint: ReadonlyMap<string, ByHint>): boolean {
  if (known.parentCid !== disk.parentCid) return false;
  let at = known.identity;
  for (let steps = 0; steps < MOST_LINKS; steps++) {
    const { fitting, other } = byHint.get(at) ?? {};
    const below = fitting ?? other;
    if (below === undefined) return false;
    if (below.identity === disk.identity) return true;
    at = below.identity;
  }
  return false;
}

/** Where the way down by fitting hints ends, by identity; a disk without such a hint is its own. */
function bottomsOf(
  disks: readonly DiskFacts[],
  byHint: ReadonlyMap<string, ByHint>,
): ReadonlyMap<string, string> {
  const bottoms = new Map<string, string>();
  for (const { identity } of disks) {
    const way = new Set<string>();
    let at = identity;
    while (!bottoms.has(at) && !way.has(at)) {
      way.add(at);
      at = byHint.get(at)?.fitting?.identity ?? at;
    }
    const bottom = bottoms.get(at) ?? at;
    for (const link of way) bottoms.set(link, bottom);
  }
  return bottoms;
}

/** As opening would: the hint, then the CID in the child's own folder; beyond that what the scan knows besides. */
function choose(child: DiskFacts, { fitting, other }: ByHint, withCid: readonly Known[]): ParentLink {
  if (fitting !== undefined) return { parent: fitting, foundBy: 'hint', fits: true, candidates: [] };
  const folder = posix.dirname(child.path);
  const candidates = firstOf(withCid, MOST_CANDIDATES, likelihood(child, folder, withCid));
  const near = withCid.filter((known) => known.folder === folder);
  const beside = firstOf(near, 2, likelihood(child, folder, near));
  if (beside.length === 1) return { parent: beside[0]!, foundBy: 'cid', fits: true, candidates };
  if (other !== undefined) return { parent: other, foundBy: 'hint', fits: false, candidates };
  if (candidates.length === 1) return { parent: candidates[0]!, foundBy: 'cid', fits: true, candidates };
  return { candidates };
}

/**
 * Deltas that nobody wrote to have their parent's CID too. One of the same parent as the child is a sibling, never its
 * parent; of the others, the disk itself is likelier than a delta of it, and what is named as in the hint likeliest.
 */
function likelihood(
  { parentCid, hint }: DiskFacts,
  folder: string,
  withCid: readonly Known[],
): (known: Known) => boolean {
  const name = nameIn(hint);
  // Every disk that nobody wrote to has this CID: far away it proves nothing.
  const nearOnly = parentCid === UNWRITTEN_CID;
  const isNamed = (known: Known): boolean => known.name === name;
  if (withCid.some(isNamed)) return isNamed;
  const isNear = (known: Known): boolean => !nearOnly || known.folder === folder;
  const isWritten = (known: Known): boolean => isNear(known) && known.disk.parentCid !== parentCid;
  if (withCid.some(isWritten)) return isWritten;
  return (known) => isNear(known) && known.parentName !== name;
}

/** The file's name in a hint of any style. */
function nameIn(hint = ''): string {
  return posix.basename(hint.replaceAll('\\', '/'));
}

/** A loop, since a folder may hold thousands of copies, and each of thousands of deltas asks. */
function firstOf(list: readonly Known[], most: number, wanted: (known: Known) => boolean): DiskFacts[] {
  const found: DiskFacts[] = [];
  for (const known of list) {
    if (!wanted(known)) continue;
    found.push(known.disk);
    if (found.length >= most) break;
  }
  return found;
}

/** Every disk has one way down, so that a circle is met by walking; it is cut at its first path. */
function cutCycles(disks: readonly DiskFacts[], links: Map<string, ParentLink>): void {
  const done = new Set<string>();
  for (const start of disks) {
    const way: DiskFacts[] = [];
    const onWay = new Map<string, number>();
    for (let at: DiskFacts | undefined = start; at !== undefined && !done.has(at.identity);) {
      const met = onWay.get(at.identity);
      if (met !== undefined) {
        const first = way.slice(met).sort((a, b) => compare(a.path, b.path))[0]!;
        links.set(first.identity, { candidates: [], cycle: true });
        break;
      }
      onWay.set(at.identity, way.length);
      way.push(at);
      at = links.get(at.identity)?.parent;
    }
    for (const { identity } of way) done.add(identity);
  }
}
