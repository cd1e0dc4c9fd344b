// The links of a machine as a consolidation sees them: who names what, what is the machine's own, and what strangers
// stand on. Rule: what cannot be told counts as somebody else's.
import { posix } from 'node:path';
import { throwIfAborted } from '../core/task.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import {
  planConsolidation,
  type ConsolidationPlan,
  type KeptPlan,
  type PlanLink,
} from './consolidation-plan.ts';
import { isNumberedName } from './delta-names.ts';
import { openLinkTree, type LinkTree } from './link-tree.ts';
import type { ChangePlan } from './machine-change.ts';
import type { NamedDisk } from './machine.ts';
import type { SnapshotOptions } from './snapshot-types.ts';
import { findStrangers } from './strangers.ts';

export interface MachineTree extends LinkTree {
  readonly planLinks: ReadonlyMap<string, PlanLink>;
  /** What the snapshots that stay and the running machine name. */
  readonly points: ReadonlySet<string>;
}

export interface TreeRequest {
  /** The running disks that stay what they are. */
  readonly running: readonly NamedDisk[];
  /** Disks that are in the tree and count as named by nobody. */
  readonly also?: readonly NamedDisk[];
  /** Uids of snapshots that are about to go. */
  readonly without?: ReadonlySet<number>;
}

/** Opens every disk of the machine and of its snapshots. @throws VmdkError for the first that cannot be. */
export async function openMachineTree(
  { machine, store, notes }: ChangePlan,
  { running, also = [], without = new Set() }: TreeRequest,
  options: SnapshotOptions,
): Promise<MachineTree> {
  throwIfAborted(options);
  const snapshotDisks = [...machine.snapshotDisks].flatMap(([uid, disks]) =>
    disks.map((disk) => ({ ...disk, named: !without.has(uid) })),
  );
  const all = [
    ...running.map((disk) => ({ ...disk, named: true })),
    ...also.map((disk) => ({ ...disk, named: false })),
    ...snapshotDisks,
  ];
  const paths = all.map(({ path, problem }) => {
    if (path === undefined) throw problem!;
    return path;
  });
  const tree = await openLinkTree(paths, { ...options, fs: store });
  const points = new Set(all.filter(({ named }) => named).map(({ path }) => tree.idOf.get(path!)!));
  const folders = new Set([...running, ...also].map(({ path }) => posix.dirname(path!)));
  folders.add(machine.folder).add(machine.workingFolder);
  const strangers = await findStrangers(store, machine, tree, options);
  if (!strangers.complete) notes.push('not all around the machine was looked at: there are too many files');
  const planLinks = new Map(
    [...tree.links.values()].map((link): [string, PlanLink] => [
      link.identity,
      {
        id: link.identity,
        parent: link.parent,
        own: isOwn(link.path, machine.folder, folders),
        numbered: link.descriptor.parentCid !== NO_PARENT_CID && isNumberedName(posix.basename(link.path)),
        strangers: strangers.of.get(link.identity) ?? [],
      },
    ]),
  );
  return { ...tree, planLinks, points };
}

/** What becomes of the links that no point names, whyever that is. */
export function planLeftovers({ planLinks, points }: MachineTree): ConsolidationPlan {
  const unnamed = [...planLinks.values()].filter(({ id, own }) => own && !points.has(id));
  return planConsolidation(
    planLinks,
    points,
    unnamed.map(({ id }) => id),
  );
}

/** Disks and machines of others for whose sake links stay. */
export function neededBy({ planLinks }: MachineTree, { kept }: ConsolidationPlan): string[] {
  const needed = kept.filter(({ reason }) => reason === 'strangers');
  return [...new Set(needed.flatMap(({ id, because }) => planLinks.get(because ?? id)!.strangers))];
}

/** Why a link stays, for people. */
export function keptText(tree: MachineTree, { id, reason, because }: KeptPlan): string {
  const { path } = tree.links.get(because ?? id)!;
  const strangers = tree.planLinks.get(because ?? id)!.strangers.join(', ');
  switch (reason) {
    case 'shared':
      return 'more than one disk stands on it';
    case 'base':
      return 'it is a base, and bases are never removed';
    case 'not-own':
      return 'it belongs to another machine';
    case 'strangers':
      return because === undefined
        ? `others stand on it: ${strangers}`
        : `others stand on ${path}, which would go: ${strangers}`;
  }
}

function isOwn(path: string, folder: string, folders: ReadonlySet<string>): boolean {
  return folders.has(posix.dirname(path)) || path.startsWith(`${folder}/`);
}
