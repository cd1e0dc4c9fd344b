// Checks a disk and what it stands on: that the parent is there, is the one meant, is as large; with all links asked
// for, each of them, and the chain as a whole. It goes on past a parent that does not fit.
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { checkLink, type CheckedLink } from '../disk/check-link.ts';
import { openContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { NO_PARENT_CID, printCid } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { withoutPath } from '../grain/check-header.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { MOST_LINKS, MOST_SUPPORTED_LINKS, type ChainOptions } from './chain-options.ts';
import { findParent, type ChildLink, type ParentSearch } from './find-parent.ts';

export interface ChainCheckOptions extends ChainOptions, TaskOptions {
  /** Check every link of the chain, not the named disk alone. Default false. */
  readonly chain?: boolean | undefined;
  /** Inflate every compressed grain, which reads and proves all of it. Default false. */
  readonly deep?: boolean | undefined;
}

/**
 * Leaf first; one link unless `chain` is set.
 * @throws VmdkError when the named disk cannot be checked at all.
 */
export async function checkChain(path: string, options: ChainCheckOptions): Promise<CheckedLink[]> {
  const context = openContext({ ...options, onFinding: undefined });
  const linkOptions = { deep: options.deep ?? false, task: options };
  const place = await context.guard.assertNamedAllowed(path);
  const links = [await checkLink(context, place, linkOptions)];
  const above = new Map([[place.identity, place.path]]);
  const search = {
    context,
    pathMap: options.pathMap ?? [],
    allow: options.allow ?? [],
    acceptMismatch: false,
    above,
    searched: new Map(),
  };
  for (;;) {
    const child = links.at(-1)!;
    const parentPlace = await findParentNoting(child, search);
    if (parentPlace === undefined) break;
    if (options.chain !== true) {
      await judgeParentDescriptor(child, parentPlace, search);
      break;
    }
    if (links.length >= MOST_LINKS) {
      const message = () => `the chain has more than ${MOST_LINKS} links`;
      links[0]!.log.error('CHAIN-DEPTH', { path: links[0]!.path }, message);
      break;
    }
    above.set(parentPlace.identity, parentPlace.path);
    try {
      const parent = await checkLink(context, parentPlace, linkOptions);
      judgePair(child, parent.path, parent.descriptor?.cid, parent.capacity);
      links.push(parent);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      child.log.cannotCheck({ path: parentPlace.path }, () => withoutPath(error));
      break;
    }
  }
  judgeChain(links);
  return links;
}

/** The parent's place; undefined when there is none to look for, or none that can be taken. */
async function findParentNoting(link: CheckedLink, search: ParentSearch): Promise<ResolvedPath | undefined> {
  const { descriptor, path, log } = link;
  if (descriptor?.parentCid === undefined || descriptor.parentCid === NO_PARENT_CID) return undefined;
  const child: ChildLink = { path, descriptor };
  try {
    return await findParent(child, search);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    if (error.code === 'parent-cid-mismatch') return findAnyParent(child, search);
    const code = error.code === 'chain-cycle' ? 'CHAIN-CYCLE' : 'CHAIN-MISSING';
    if (error.kind === 'io') log.cannotCheck({ path }, () => withoutPath(error));
    else log.error(code, { path }, () => withCandidates(error));
    return undefined;
  }
}

/** The disk that stands where the parent should, although it is not the one meant: the pair is judged later. */
async function findAnyParent(child: ChildLink, search: ParentSearch): Promise<ResolvedPath | undefined> {
  try {
    return await findParent(child, { ...search, acceptMismatch: true });
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

async function judgeParentDescriptor(
  child: CheckedLink,
  place: ResolvedPath,
  { context }: ParentSearch,
): Promise<void> {
  let descriptor: Descriptor;
  try {
    const file = await context.store.open(place.path, 'read');
    try {
      ({ descriptor } = await readDescriptor(context, file));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    child.log.cannotCheck({ path: place.path }, () => withoutPath(error));
    return;
  }
  const capacity = descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0);
  judgePair(child, place.path, descriptor.cid, capacity);
}

function judgePair(
  child: CheckedLink,
  parentPath: string,
  cid: number | undefined,
  capacity: number | undefined,
): void {
  const { path, log, descriptor } = child;
  const wanted = descriptor!.parentCid!;
  if (cid !== wanted) {
    const found = cid === undefined ? 'no readable CID' : `CID ${printCid(cid)}`;
    log.error('CHAIN-CID', { path }, () => {
      return `parentCID is ${printCid(wanted)}, yet ${parentPath} has ${found}: it was changed since, or is another disk`;
    });
  }
  if (capacity === undefined || child.capacity === capacity) return;
  const message = () => `the disk has ${child.capacity} sectors, its parent ${parentPath} ${capacity}`;
  log.error('CHAIN-CAP', { path }, message);
}

function judgeChain(links: readonly CheckedLink[]): void {
  const { log, path } = links[0]!;
  if (links.length > MOST_SUPPORTED_LINKS) {
    const message = () => `the chain has ${links.length} links; VMware supports ${MOST_SUPPORTED_LINKS}`;
    log.warning('CHAIN-DEPTH', { path }, message);
  }
  const types = new Set(links.map(({ createType }) => createType));
  if (!types.has('vmfsSparse') || !types.has('seSparse')) return;
  const message = () =>
    'vmfsSparse and seSparse deltas are mixed in one chain, which VMware does not support';
  log.warning('CHAIN-MIX', { path }, message);
}

function withCandidates(error: VmdkError): string {
  const tried = (error.context.candidates ?? []).map(({ path, outcome }) => `${path} (${outcome})`);
  return tried.length === 0 ? withoutPath(error) : `${withoutPath(error)}; tried ${tried.join(', ')}`;
}
