// Turns the plan of a consolidation into changes of files: merged links are made anew and take their keeper's place,
// links that nobody reads go, and whoever named a link that moved names its new place. Nothing is written here.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { assertMergesCanEnd } from '../chain/half-merged.ts';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { isUsableCid, longContentIdFor, printCid, type RandomBytes } from '../format/content-id.ts';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import { setSnapshotDisks } from '../format/edit-vmsd.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import type { ConsolidationPlan } from './consolidation-plan.ts';
import { descriptorChange, rewriteDescriptor } from './descriptor-change.ts';
import { dropLink } from './drop-link.ts';
import { assertNotGuarded } from './guard-file.ts';
import type { TreeLink } from './link-tree.ts';
import { spelledLike, vmsdOf, type ChangePlan } from './machine-change.ts';
import { keptText, type MachineTree } from './machine-tree.ts';
import { endingHalfMerge, planMergeInPlace } from './merge-in-place.ts';
import { assertRemakeable, keeperOf, measureMerge, stageMerge, type Merge } from './merge-links.ts';
import type { SnapshotOptions } from './snapshot-types.ts';

/** Adds to the plan all that the consolidation takes. @throws VmdkError `disk-guarded`, `not-mergeable`, `no-content-id`. */
export async function consolidate(
  plan: ChangePlan,
  tree: MachineTree,
  { removed, merges, kept }: ConsolidationPlan,
  options: SnapshotOptions,
): Promise<void> {
  const linkOf = (id: string): TreeLink => tree.links.get(id)!;
  for (const id of [...removed, ...merges.flatMap(({ links }) => links)])
    await assertNotGuarded(plan.store, linkOf(id).path);
  for (const one of kept) plan.kept.push({ path: linkOf(one.id).path, reason: keptText(tree, one) });
  for (const id of removed) dropLink(plan, linkOf(id));
  const work = merges.map(({ links, into }): Merge => ({ links: links.map(linkOf), into }));
  assertMergesHold(tree, removed, work);
  const moved = new Map<string, string>();
  for (const merge of work) {
    if (merge.into === 'bottom') moved.set(merge.links[0]!.identity, keeperOf(merge).path);
  }
  for (const merge of work) await mergeInto(plan, merge, { tree, moved }, options);
  const gone = new Set([...removed, ...work.flatMap(({ links }) => links.map(({ identity }) => identity))]);
  for (const link of tree.links.values()) {
    if (gone.has(link.identity)) continue;
    const hint = newHint(link, link, { tree, moved });
    if (hint === undefined) continue;
    const change = await descriptorChange(plan.store, link.path, { parentFileNameHint: hint });
    if (change !== undefined) plan.changes.push(change);
  }
  renameUses(plan, { tree, moved });
}

/** @throws VmdkError `half-merged` (refused) when a merge that was stopped would be neither part of one of these nor left alone. */
export function assertMergesHold(
  { links }: Pick<MachineTree, 'links'>,
  removed: readonly string[],
  merges: readonly Merge[],
): void {
  const merged = (link: TreeLink): boolean =>
    merges.some((merge) => merge.links.includes(link) && keeperOf(merge) !== link);
  assertMergesCanEnd(links.values(), {
    over: (into, from) =>
      removed.includes(into.identity) ||
      merges.some((merge) => merge.links.includes(into) && merge.links.includes(from)),
    parts: (into, from) => removed.includes(from.identity) || merged(from) || merged(into),
  });
}

interface Moves {
  readonly tree: MachineTree;
  /** New path of links whose name goes, by identity. */
  readonly moved: ReadonlyMap<string, string>;
}

async function mergeInto(
  plan: ChangePlan,
  merge: Merge,
  moves: Moves,
  options: SnapshotOptions,
): Promise<void> {
  const { store, changes } = plan;
  const keeper = keeperOf(merge);
  const edits = endingHalfMerge(merge, editsFor(merge, moves, options));
  const { data, zero } = await measureMerge(merge, { ...options, fs: store });
  for (const link of merge.links) if (link !== keeper) dropLink(plan, link);
  plan.merged.push({
    into: keeper.path,
    from: merge.links.filter((link) => link !== keeper).map(({ path }) => path),
    bytes: data * SECTOR_BYTES,
  });
  if (data + zero === 0) {
    const change = await descriptorChange(store, keeper.path, edits);
    if (change !== undefined) changes.push(change);
    return;
  }
  if (options.inPlace === true && merge.into === 'bottom')
    return mergeWhereItStands(plan, merge, edits, data, options);
  assertRemakeable(keeper);
  const size = keeper.occupied + data * SECTOR_BYTES;
  plan.needed += size;
  // Both are there until the new one is complete.
  plan.freed += keeper.occupied - size;
  for (const path of keeper.files) changes.push({ kind: 'remove', path });
  dropTracking(plan, keeper);
  changes.push({
    kind: 'create-together',
    path: posix.dirname(keeper.path),
    names: keeper.files.map((file) => posix.basename(file)),
    make: async (folder) => {
      await stageMerge(merge, folder, { ...options, fs: store });
      await rewriteDescriptor(store, posix.join(folder, posix.basename(keeper.path)), edits);
    },
  });
}

/** The data first; that the upper links are no longer needed is said, all at once, when it is safe. */
async function mergeWhereItStands(
  plan: ChangePlan,
  merge: Merge,
  edits: DescriptorEdits,
  data: number,
  options: SnapshotOptions,
): Promise<void> {
  const { store, changes } = plan;
  const keeper = keeperOf(merge);
  // A disk that takes its full space grows no more.
  const growth = keeper.occupied >= keeper.capacity * SECTOR_BYTES ? 0 : data * SECTOR_BYTES;
  plan.needed += growth;
  plan.freed -= growth;
  const planned = await planMergeInPlace(store, merge, edits, options);
  plan.work.push({ files: keeper.files, run: planned.run });
  changes.push(...planned.changes);
  dropTracking(plan, keeper);
}

function dropTracking({ changes, notes }: ChangePlan, { tracking, path }: TreeLink): void {
  if (tracking === undefined) return;
  changes.push({ kind: 'remove', path: tracking });
  notes.push(`${path} loses its change tracking: the next backup is a full one`);
}

/** What the result says of itself: it reads as the top did, above what the bottom stood on. */
function editsFor(merge: Merge, moves: Moves, { random = randomBytes }: SnapshotOptions): DescriptorEdits {
  const [top, bottom] = [merge.links[0]!, merge.links.at(-1)!];
  const keeper = keeperOf(merge);
  const { cid } = top.descriptor;
  if (cid === undefined || !isUsableCid(cid)) {
    throw new VmdkError('corrupt', 'no-content-id', 'a disk without a CID cannot be merged', {
      path: top.path,
      field: 'CID',
      found: cid === undefined ? 'none' : printCid(cid),
      expected: 'a CID that the disks above can name',
      hint: 'Check the disk; --keep-disks removes the snapshot and leaves its disks.',
    });
  }
  const hint = newHint(bottom, keeper, moves);
  const longContentId = longIdOf(top, keeper, cid, random);
  return {
    cid,
    ...(longContentId === undefined ? {} : { longContentId }),
    ...(bottom.descriptor.parentCid === undefined ? {} : { parentCid: bottom.descriptor.parentCid }),
    ...(hint === undefined ? {} : { parentFileNameHint: hint }),
  };
}

/** The id that goes with the contents; a disk that has none needs none. */
export function longIdOf(
  top: TreeLink,
  keeper: TreeLink,
  cid: number,
  random: RandomBytes,
): string | undefined {
  const own = keeper.descriptor.ddb.get('ddb.longcontentid');
  if (keeper.descriptor.cid === cid) return own;
  const known = top.descriptor.ddb.get('ddb.longcontentid');
  if (known?.length === 32) return known;
  return own === undefined ? undefined : longContentIdFor(cid, random(12));
}

/**
 * How `at` must name the parent of `link`; undefined when its hint is right as it is. A hint that held where `link` is
 * holds in the same folder, and an absolute one everywhere.
 */
function newHint(link: TreeLink, at: TreeLink, { tree, moved }: Moves): string | undefined {
  if (link.parent === undefined) return undefined;
  const old = link.descriptor.parentFileNameHint;
  const path = moved.get(link.parent) ?? tree.links.get(link.parent)!.path;
  const stays = !moved.has(link.parent);
  const anywhere = old !== undefined && /^(?:\/|\[|[a-z]:)/i.test(old);
  const near = posix.dirname(link.path) === posix.dirname(at.path);
  if (stays && old !== undefined && (near || anywhere)) return link === at ? undefined : old;
  const absolute = old?.startsWith('/') === true;
  return parentHintFor(absolute ? 'absolute' : 'relative', posix.dirname(at.path), path);
}

/** The running machine and the snapshots that stay name links by new names where these moved. */
function renameUses(plan: ChangePlan, { tree, moved }: Moves): void {
  const { machine } = plan;
  const newName = (disk: { fileName: string; path?: string }): string | undefined => {
    const id = disk.path === undefined ? undefined : tree.idOf.get(disk.path);
    const to = id === undefined ? undefined : moved.get(id);
    return to === undefined
      ? undefined
      : spelledLike(machine, { fileName: disk.fileName, path: disk.path! }, to);
  };
  for (const disk of machine.disks) {
    const fileName = newName(disk);
    if (fileName === undefined) continue;
    plan.vmxEdits[`${disk.node}.fileName`] = fileName;
    plan.disks.push({ node: disk.node, from: disk.path!, to: moved.get(tree.idOf.get(disk.path!)!)! });
  }
  const going = new Set(plan.snapshots.map(({ uid }) => uid));
  for (const [uid, disks] of machine.snapshotDisks) {
    if (going.has(uid) || disks.every((disk) => newName(disk) === undefined)) continue;
    const renamed = disks.map((disk) => ({ node: disk.node, fileName: newName(disk) ?? disk.fileName }));
    plan.vmsd = setSnapshotDisks(vmsdOf(plan), uid, renamed);
  }
}
