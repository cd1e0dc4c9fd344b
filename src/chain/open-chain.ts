// Opens a chain, leaf first: each link is proved against the one above before the next is looked for. Only the leaf of
// a chain opened for `update` can be written; the links below have no way to be.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Disk, WritableDisk } from '../disk/disk.ts';
import { openDiskIn } from '../disk/open-disk.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { openWritableDiskIn } from '../disk/open-writable-disk.ts';
import type { Extent } from '../extent/extent.ts';
import { lostExtent } from '../extent/lost-extent.ts';
import { printCid, NO_PARENT_CID } from '../format/content-id.ts';
import { MOST_LINKS, MOST_SUPPORTED_LINKS, type ChainOptions } from './chain-options.ts';
import { MergedSource, type Chain } from './chain.ts';
import { findOpenParent, type FoundParent } from './find-parent.ts';
import { LeafOverBelow } from './leaf-over-below.ts';
import { assertLeafApart } from './leaf-apart.ts';
import { LeafWriter, type WritableChain } from './writable-chain.ts';

/**
 * Opens the disk at `path` and everything below it. Any link of a chain can be opened as the leaf.
 * @throws VmdkError; nothing stays open. Close the chain to close every link.
 */
export async function openChain(path: string, mode: 'read', options?: ChainOptions): Promise<Chain>;
export async function openChain(path: string, mode: 'update', options?: ChainOptions): Promise<WritableChain>;
export async function openChain(
  path: string,
  mode: 'read' | 'update',
  options: ChainOptions = {},
): Promise<Chain | WritableChain> {
  const findings: Finding[] = [];
  const context = openContext(options);
  const note = (finding: Finding): void => {
    findings.push(finding);
    context.onFinding(finding);
  };
  const place = await context.guard.assertNamedAllowed(path);
  if (mode === 'read') {
    const leaf = await openDiskIn(context, place);
    const { links, lost } = await openBelow(context, leaf, options, note);
    return { ...readingChain(links, findings, lost), close: () => closeAll(ownOf(links, options)) };
  }
  const leaf = await openWritableDiskIn(context, place, path);
  const { links } = await openBelow(context, leaf, { ...options, shared: undefined }, note);
  try {
    await assertLeafApart(context.store, leaf, links.slice(1));
  } catch (error) {
    await closeAll(links);
    throw error;
  }
  return writableChain(leaf, links, findings);
}

/** What stands for a parent that is not there. */
interface LostParent {
  readonly extent: Extent;
  readonly error: VmdkError;
}

function readingChain(links: readonly Disk[], findings: readonly Finding[], lost?: LostParent): Chain {
  const merged = new MergedSource(lost === undefined ? links : [...links, lost.extent]);
  return {
    ...(lost === undefined ? {} : { lostParent: lost.error }),
    links,
    leaf: links[0]!,
    findings,
    capacity: merged.capacity,
    map: (range) => merged.map(range),
    plan: (range) => merged.plan(range),
    read: (range, into) => merged.read(range, into),
    close: () => closeAll(links),
  };
}

function writableChain(
  leaf: WritableDisk,
  links: readonly Disk[],
  findings: readonly Finding[],
): WritableChain {
  const below = links.length > 1 ? new MergedSource(links.slice(1)) : undefined;
  const merged = new LeafOverBelow(leaf, below);
  const writer = new LeafWriter(leaf, merged);
  return {
    ...readingChain(links, findings),
    leaf,
    map: (range) => merged.map(range),
    plan: (range) => merged.map(range),
    read: (range, into) => merged.read(range, into),
    write: (start, data) => writer.write(start, data),
    zero: (range) => writer.zero(range),
    flush: () => leaf.flush(),
  };
}

/** All links, leaf first. Closes what it was given and what it opened when it fails. */
async function openBelow(
  context: OpenContext,
  leaf: Disk,
  options: ChainOptions,
  note: (finding: Finding) => void,
): Promise<{ links: Disk[]; lost: LostParent | undefined }> {
  let lost: LostParent | undefined;
  const links = [leaf];
  const above = new Map([[leaf.identity, leaf.path]]);
  const acceptMismatch = options.acceptMismatch ?? false;
  const search = {
    context,
    pathMap: options.pathMap ?? [],
    allow: options.allow ?? [],
    acceptMismatch,
    above,
    searched: new Map(),
  };
  try {
    for (;;) {
      const child = links[links.length - 1]!;
      if (child.descriptor.parentCid === NO_PARENT_CID) break;
      if (links.length >= MOST_LINKS) throw tooDeep(leaf.path);
      const found = await findOpenParent(child, search).catch((error: unknown) => {
        if (!isVmdkError(error, 'parent-missing', 'parent-cid-mismatch')) throw error;
        return error;
      });
      if (found instanceof VmdkError) {
        if (context.damaged === 'refuse') throw found;
        lost = {
          extent: lostExtent(child.capacity, child.path, found, context.damaged),
          error: found,
        };
        break;
      }
      for (const parent of await linksFrom(found, context, options.shared)) {
        const over = links[links.length - 1]!;
        links.push(parent);
        above.set(parent.identity, parent.path);
        judgeLink(over, parent, acceptMismatch, note);
      }
    }
    if (links.length > MOST_LINKS) throw tooDeep(leaf.path);
  } catch (error) {
    await closeAll(ownOf(links, options));
    throw error;
  }
  judgeChain(links, note);
  return { links, lost };
}

/** The links that are this chain's to close. */
function ownOf(links: readonly Disk[], { shared = [] }: ChainOptions): Disk[] {
  return links.filter((link) => !shared.includes(link));
}

/** The parent that was found, opened; with all below it, where it is open already. */
async function linksFrom(
  { place, opened }: FoundParent,
  context: OpenContext,
  shared: readonly Disk[] = [],
): Promise<readonly Disk[]> {
  const first = shared.findIndex((link) => link.identity === place.identity);
  if (first < 0) return [await openDiskIn(context, place, opened)];
  await opened?.file.close();
  return shared.slice(first);
}

function judgeLink(child: Disk, parent: Disk, accept: boolean, note: (finding: Finding) => void): void {
  if (child.descriptor.parentCid !== parent.descriptor.cid) {
    note({
      code: 'CHAIN-CID',
      severity: 'error',
      message: `CID ${printCid(parent.descriptor.cid ?? NO_PARENT_CID)} of ${parent.path} is not the parentCID ${printCid(child.descriptor.parentCid!)}: accepted by request`,
      path: child.path,
      repairable: false,
    });
  }
  if (child.capacity === parent.capacity) return;
  if (!accept) {
    throw new VmdkError('corrupt', 'chain-capacity-mismatch', 'a delta and its parent differ in size', {
      path: child.path,
      field: 'capacity',
      found: `${child.capacity} sectors`,
      expected: `${parent.capacity} sectors as in ${parent.path}`,
      hint: 'Pass --accept-mismatch to read on: past the end of a smaller parent there are zeros.',
    });
  }
  note({
    code: 'CHAIN-CAP',
    severity: 'error',
    message: `${child.capacity} sectors over ${parent.capacity} sectors of ${parent.path}: accepted by request`,
    path: child.path,
    repairable: false,
  });
}

function judgeChain(links: readonly Disk[], note: (finding: Finding) => void): void {
  const leaf = links[0]!;
  if (links.length > MOST_SUPPORTED_LINKS) {
    const message = `the chain has ${links.length} links; VMware supports ${MOST_SUPPORTED_LINKS}`;
    note({ code: 'CHAIN-DEPTH', severity: 'warning', message, path: leaf.path, repairable: false });
  }
  const types = new Set(links.map(({ createType }) => createType));
  if (types.has('vmfsSparse') && types.has('seSparse')) {
    const message = 'vmfsSparse and seSparse deltas are mixed in one chain, which VMware does not support';
    note({ code: 'CHAIN-MIX', severity: 'warning', message, path: leaf.path, repairable: false });
  }
}

function tooDeep(path: string): VmdkError {
  return new VmdkError('corrupt', 'chain-too-deep', 'the chain has too many links', {
    path,
    found: `more than ${MOST_LINKS} links`,
    expected: `at most ${MOST_LINKS}`,
  });
}

async function closeAll(links: readonly Disk[]): Promise<void> {
  const outcomes = await Promise.allSettled(links.map((link) => link.close()));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
