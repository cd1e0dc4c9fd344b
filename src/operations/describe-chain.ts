// A chain as plain data, link by link, also when it is broken: every link that can be looked at is described, then
// what stops the chain. Rule: it judges exactly as opening does, and says how each parent was found.
import { MOST_LINKS, type ChainOptions } from '../chain/chain-options.ts';
import { findParent, type ParentSearch } from '../chain/find-parent.ts';
import { openChain } from '../chain/open-chain.ts';
import { parentCandidates } from '../chain/parent-candidates.ts';
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { NO_PARENT_CID, printCid } from '../format/content-id.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { basename, dirname, join } from '../storage/place-names.ts';
import { findingOf, inspectDisk, reasonOf, type DiskReport, type InspectedDisk } from './describe-disk.ts';

/** How the file of a link was found. */
export type FoundBy = 'named' | 'path-map' | 'hint' | 'same-folder' | 'neighbour-folder' | 'cid-search';

/** One link. Sizes in bytes; CIDs as 8 hex digits. */
export interface LinkReport {
  /** 0 is the leaf. */
  readonly depth: number;
  readonly filename: string;
  readonly 'found-by': FoundBy;
  readonly 'create-type': string;
  readonly cid?: string;
  /** Missing on a base. */
  readonly 'parent-cid'?: string;
  /** Whether the parent's CID is the one this link was made over; missing on a base and where no parent was found. */
  readonly 'parent-fits'?: boolean;
  /** The parent hint, as written. */
  readonly hint?: string;
  readonly 'virtual-size': number;
  readonly 'actual-size': number;
  readonly 'cluster-size'?: number;
  readonly readable: boolean;
  readonly findings: readonly Finding[];
}

export interface ChainReport {
  readonly schema: 'vmdkit-chain/v1';
  readonly filename: string;
  /** Of the leaf: what the chain reads as. */
  readonly 'virtual-size': number;
  /** Bytes that all files of all links occupy. */
  readonly 'actual-size': number;
  /** Whether the chain opens, under the options given. */
  readonly complete: boolean;
  readonly links: readonly LinkReport[];
  /** About the chain as a whole; each link has its own besides. */
  readonly findings: readonly Finding[];
}

/** What a walk down a chain met. */
export interface WalkedChain {
  readonly links: readonly InspectedDisk[];
  readonly foundBy: readonly FoundBy[];
  readonly findings: readonly Finding[];
  /** What keeps the chain from opening. */
  readonly failure?: VmdkError;
}

/**
 * Describes the chain whose leaf is at `path`, and gives what stops it when it is broken.
 * @throws VmdkError when the leaf itself is no disk.
 */
export async function describeChain(
  path: string,
  options: ChainOptions = {},
): Promise<{ report: ChainReport; failure: VmdkError | undefined }> {
  const walked = await walkChain(path, options);
  const { links, failure } = walked;
  const leaf = links[0]!.report;
  const report: ChainReport = {
    schema: 'vmdkit-chain/v1',
    filename: leaf.filename,
    'virtual-size': leaf['virtual-size'],
    'actual-size': links.reduce((sum, link) => sum + link.report['actual-size'], 0),
    complete: failure === undefined,
    links: links.map((_, depth) => linkReport(walked, depth)),
    findings: walked.findings,
  };
  return { report, failure };
}

/**
 * Describes one disk. Of its parent only the place is looked for; one that cannot be found is a finding, and where it was
 * looked for is told in `parent-problem`.
 * @throws VmdkError for what is no disk: `not-a-vmdk`, `bare-extent`, `file-missing`, `descriptor-…`.
 */
export async function describeDisk(path: string, options: ChainOptions = {}): Promise<DiskReport> {
  const context = openContext({ ...options, onFinding: undefined });
  const search = searchFor(context, options);
  const link = await inspectDisk(context, await context.guard.assertNamedAllowed(path));
  search.above.set(link.place.identity, link.place.path);
  if (!link.report.delta) return link.report;
  try {
    const parent = await findParent({ path: link.place.path, descriptor: link.descriptor }, search);
    return { ...link.report, 'full-backing-filename': parent.path };
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    const problem = reasonOf(error);
    return {
      ...link.report,
      'parent-problem': problem,
      findings: [...link.report.findings, findingOf(problem, link.place.path)],
    };
  }
}

/** Every link in the shape of `qemu-img info --backing-chain`, leaf first, and what stops the chain. */
export async function describeLinks(
  path: string,
  options: ChainOptions = {},
): Promise<{ reports: DiskReport[]; failure: VmdkError | undefined }> {
  const { links, failure } = await walkChain(path, options);
  const reports = links.map(({ report }, depth) => {
    const parent = links[depth + 1]?.place.path;
    return parent === undefined ? report : { ...report, 'full-backing-filename': parent };
  });
  return { reports, failure };
}

async function walkChain(path: string, options: ChainOptions): Promise<WalkedChain> {
  const context = openContext({ ...options, onFinding: undefined });
  const search = searchFor(context, options);
  const links: InspectedDisk[] = [];
  const foundBy: FoundBy[] = [];
  let place: ResolvedPath | undefined = await context.guard.assertNamedAllowed(path);
  while (place !== undefined) {
    const link = await inspectDisk(context, place);
    foundBy.push(await howFound(context, links.at(-1), place, search));
    links.push(link);
    search.above.set(place.identity, place.path);
    place = await parentOf(link, links.length, search);
  }
  return { links, foundBy, ...(await judge(path, options)) };
}

interface Search extends ParentSearch {
  readonly above: Map<string, string>;
}

function searchFor(context: OpenContext, options: ChainOptions): Search {
  const { pathMap = [], allow = [], acceptMismatch = false } = options;
  return { context, pathMap, allow, acceptMismatch, above: new Map(), searched: new Map() };
}

/** Undefined below a base, and where nothing more can be looked at: `judge` says why. */
async function parentOf(
  link: InspectedDisk,
  depth: number,
  search: Search,
): Promise<ResolvedPath | undefined> {
  if (!link.report.delta || depth >= MOST_LINKS) return undefined;
  try {
    return await findParent({ path: link.place.path, descriptor: link.descriptor }, search);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** Opens the chain for real: what it got past, or what stops it. */
async function judge(
  path: string,
  options: ChainOptions,
): Promise<Pick<WalkedChain, 'findings' | 'failure'>> {
  try {
    const chain = await openChain(path, 'read', { ...options, onFinding: undefined });
    await chain.close();
    return { findings: chain.findings };
  } catch (failure) {
    if (!isVmdkError(failure)) throw failure;
    return { findings: [findingOf(reasonOf(failure), failure.context.path ?? path)], failure };
  }
}

/** The first way of finding parents that leads to this place. */
async function howFound(
  context: OpenContext,
  child: InspectedDisk | undefined,
  place: ResolvedPath,
  { pathMap }: ParentSearch,
): Promise<FoundBy> {
  if (child === undefined) return 'named';
  const hint = child.descriptor.parentFileNameHint ?? '';
  if (hint === '') return 'cid-search';
  const folder = dirname(child.place.path);
  const unmapped = new Set(parentCandidates(hint, child.place.path, []));
  for (const path of parentCandidates(hint, child.place.path, pathMap)) {
    if (!(await leadsTo(context, path, child, place))) continue;
    if (!unmapped.has(path)) return 'path-map';
    const literal = hint.replaceAll('\\', '/');
    if (path === hint || path === join(folder, hint) || path === join(folder, literal)) return 'hint';
    return path === join(folder, basename(literal)) ? 'same-folder' : 'neighbour-folder';
  }
  return 'cid-search';
}

async function leadsTo(
  context: OpenContext,
  path: string,
  child: InspectedDisk,
  place: ResolvedPath,
): Promise<boolean> {
  if (path === place.path) return true;
  try {
    // Only what the guard lets through is looked up: the search did the same.
    const { identity } = await context.guard.assertParentAllowed(path, child.place.path);
    return identity === place.identity;
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

function linkReport({ links, foundBy }: WalkedChain, depth: number): LinkReport {
  const { descriptor, report } = links[depth]!;
  const { cid, parentCid } = descriptor;
  const parent = links[depth + 1];
  const grain = report['cluster-size'];
  const hint = descriptor.parentFileNameHint;
  const isDelta = parentCid !== undefined && parentCid !== NO_PARENT_CID;
  return {
    depth,
    filename: report.filename,
    'found-by': foundBy[depth]!,
    'create-type': report.type,
    ...(cid === undefined ? {} : { cid: printCid(cid) }),
    ...(isDelta ? { 'parent-cid': printCid(parentCid) } : {}),
    ...(isDelta && parent !== undefined ? { 'parent-fits': parent.descriptor.cid === parentCid } : {}),
    ...(hint === undefined ? {} : { hint }),
    'virtual-size': report['virtual-size'],
    'actual-size': report['actual-size'],
    ...(grain === undefined ? {} : { 'cluster-size': grain }),
    readable: report.readable,
    findings: report.findings,
  };
}
