// A disk with every link below it, and what stands on these links around them. Rule: who stands on a link is known before
// anything is planned for it; what is registered and cannot be looked at counts, and is named.
import { posix } from 'node:path';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { isUsableCid, printCid } from '../format/content-id.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { diskAt, type Forest, type ForestDisk } from './forest.ts';
import { assertNotGuarded } from './guard-file.ts';
import { openLinkTree, type LinkTree, type TreeLink } from './link-tree.ts';
import { scanPlaces } from './scan-folder.ts';
import type { WalkRoot } from './scan-walk.ts';
import { readRegister } from './sharers-register.ts';
import { registered, surroundings } from './sharers.ts';
import type { TreeOptions } from './tree-types.ts';

export interface DiskTree extends LinkTree {
  readonly store: FileStore;
  /** The disk that was named and all below it, leaf first. */
  readonly chain: readonly TreeLink[];
}

/** What a scan found around some links. */
export interface Around {
  readonly forest: Forest;
  /** Registered disks that may not be looked at, by the identity of the link that they are said to stand on. */
  readonly unconfirmed: ReadonlyMap<string, readonly string[]>;
  readonly notes: readonly string[];
}

const MOST_NAMES = 200_000;

/** Opens the disk, and `more` disks, with all below them. @throws VmdkError what opening a chain finds. */
export async function openDiskTree(
  store: FileStore,
  path: string,
  options: TreeOptions,
  more: readonly string[] = [],
): Promise<DiskTree> {
  const tree = await openLinkTree([path, ...more], { ...options, fs: store });
  return { ...tree, store, chain: chainFrom(tree, linkAt(tree, path)) };
}

/** The link and all below it, leaf first. */
export function chainFrom({ links }: LinkTree, leaf: TreeLink): TreeLink[] {
  const chain = [leaf];
  for (let id = leaf.parent; id !== undefined; id = chain.at(-1)!.parent) chain.push(links.get(id)!);
  return chain;
}

/** The link that `path` led to: one of those the tree was opened with. */
export function linkAt({ idOf, links }: LinkTree, path: string): TreeLink {
  return links.get(idOf.get(path)!)!;
}

/** The link below, where there is one. */
export function parentOf({ links }: LinkTree, { parent }: TreeLink): TreeLink | undefined {
  return parent === undefined ? undefined : links.get(parent);
}

/** Scans the surroundings of the links, what their registers name, and the folders asked for. */
export async function lookAround(
  store: FileStore,
  links: readonly Pick<TreeLink, 'path' | 'identity'>[],
  options: TreeOptions,
): Promise<Around> {
  const { allow = [], confine, pathMap, scan = [], signal, onProgress } = options;
  const roots = new Map<string, WalkRoot>();
  const files: ResolvedPath[] = [];
  const unconfirmed = new Map<string, string[]>();
  const notes: string[] = [];
  const guard = createPathGuard({ store, allow: [...allow, ...scan], confine });
  for (const folder of new Set(links.map(({ path }) => posix.dirname(path)))) {
    for (const root of await surroundings(store, folder, { scan, confine })) {
      const known = roots.get(root.path);
      if (known === undefined || root.depth === undefined) roots.set(root.path, root);
    }
    const { register, problem } = await readRegister(store, folder);
    if (problem !== undefined) notes.push(`the register in ${folder} is not believed: ${problem}`);
    for (const { path, identity } of links) {
      if (posix.dirname(path) !== folder) continue;
      files.push(await store.resolve(path));
      const found = await registered(register.get(posix.basename(path)) ?? [], { path }, guard);
      files.push(...found.files);
      const unseen = found.unconfirmed.map((one) => `${one.path} (by the register; ${one.reason})`);
      if (unseen.length > 0) unconfirmed.set(identity, unseen);
    }
  }
  const task = { signal, onProgress };
  const context = { fs: store, allow, confine, pathMap, mostNames: MOST_NAMES, ...task };
  const forest = await scanPlaces([...roots.values()], files, context);
  if (!forest.complete) notes.push('not all around the disks was looked at: there are too many files');
  return { forest, unconfirmed, notes };
}

/** Disks that stand directly on the link, whether they fit or not. */
export function childrenOf({ forest }: Around, { identity }: TreeLink): ForestDisk[] {
  const disk = forest.disks.find((one) => one.identity === identity);
  return (disk?.children ?? []).map((path) => diskAt(forest, path)!);
}

/** Machines that name the link itself, as they run or at a snapshot. */
export function machinesOf({ forest }: Around, { identity }: TreeLink): readonly string[] {
  return forest.disks.find((one) => one.identity === identity)?.machines ?? [];
}

/**
 * The disks directly above the link that are to go on reading what they read. With `force` those that cannot be read
 * today, or not be looked at, are left to themselves, which is noted.
 * @throws VmdkError `base-has-children` (refused), which names these.
 */
export async function readableChildren(
  { store, notes }: { readonly store: FileStore; readonly notes: string[] },
  around: Around,
  link: TreeLink,
  options: TreeOptions,
): Promise<ForestDisk[]> {
  const readable: ForestDisk[] = [];
  const odd: string[] = [];
  let wayOut: string | undefined;
  for (const child of childrenOf(around, link)) {
    const { path, fits } = child;
    const problem = fits === true ? await problemOf(store, path, options) : undefined;
    if (fits !== true) odd.push(`${path} (its parentCID is not the CID of this disk)`);
    else if (problem === undefined) readable.push(child);
    else odd.push(`${path} (${problem.what})`);
    wayOut ??= problem?.context.hint;
  }
  odd.push(...(around.unconfirmed.get(link.identity) ?? []));
  if (odd.length > 0 && options.force !== true) {
    throw new VmdkError('refused', 'base-has-children', 'disks stand on this one that cannot be read', {
      path: link.path,
      found: odd.join(', '),
      expected: 'disks whose content can be kept',
      hint: `${wayOut ?? 'Mend them first (vmdkit scan tells how), or let it look with --allow DIR.'} With --force they are left to themselves.`,
    });
  }
  for (const one of odd) notes.push(`${one} stands on ${link.path} and is left to itself`);
  return readable;
}

/** Why the disk cannot be opened with all below it; undefined where it can. */
async function problemOf(
  store: FileStore,
  path: string,
  options: TreeOptions,
): Promise<VmdkError | undefined> {
  try {
    await (await openChain(path, 'read', { ...options, fs: store, onFinding: undefined })).close();
    return undefined;
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return error;
  }
}

/** @throws VmdkError `disk-of-machine` (refused) when machines name the link. */
export function assertNoMachine(
  around: Around,
  link: TreeLink,
  { why, hint }: { readonly why: string; readonly hint: string },
): void {
  const machines = machinesOf(around, link);
  if (machines.length === 0) return;
  throw new VmdkError('refused', 'disk-of-machine', why, {
    path: link.path,
    found: machines.join(', '),
    expected: 'no machine that names it',
    hint,
  });
}

/** The CID that deltas name the disk by. @throws VmdkError `parent-without-cid` (refused). */
export function cidOf({ path, descriptor: { cid } }: Pick<TreeLink, 'path' | 'descriptor'>): number {
  if (cid !== undefined && isUsableCid(cid)) return cid;
  throw new VmdkError('refused', 'parent-without-cid', 'no delta can name this disk as its parent', {
    path,
    field: 'CID',
    found: cid === undefined ? 'none' : printCid(cid),
    expected: 'a CID other than ffffffff',
    hint: 'Check the disk: vmdkit check DISK --plan FILE tells whether that can be mended.',
  });
}

/** @throws VmdkError `disk-guarded` (refused) for the first link that must not change. */
export async function assertUnguarded(store: FileStore, links: readonly TreeLink[]): Promise<void> {
  for (const { path } of links) await assertNotGuarded(store, path);
}
