// Which links of a machine's disks go when points go, and how: pure, over the tree of links. A point is a link that
// somebody names: the running machine, or a snapshot that stays. Rule: what a remaining point reads never changes, and
// a link that anybody else stands on stays.

export interface PlanLink {
  readonly id: string;
  readonly parent?: string | undefined;
  /** False for a link that belongs to somebody else, such as the base of a linked clone: never touched. */
  readonly own: boolean;
  /** Its name has a snapshot's number: it may vanish into the link above it, since nobody knows it by name. */
  readonly numbered: boolean;
  /** Disks that stand on it and are none of the machine's own links: it cannot go, nor change. */
  readonly strangers: readonly string[];
}

/** Links that become one: `links` from the top down; what the top reads as is what the one reads as. */
export interface MergePlan {
  readonly links: readonly string[];
  /** Whose name the one has. */
  readonly into: 'top' | 'bottom';
  /** The link below, which stays. */
  readonly parent?: string | undefined;
}

export type KeptReason = 'shared' | 'base' | 'not-own' | 'strangers';

export interface ConsolidationPlan {
  /** Links that nobody reads any more. */
  readonly removed: readonly string[];
  readonly merges: readonly MergePlan[];
  /** Links that lost their name and stay. */
  readonly kept: readonly KeptPlan[];
}

export interface KeptPlan {
  readonly id: string;
  readonly reason: KeptReason;
  /** The link that the strangers stand on, where that is another: it would lose its name. */
  readonly because?: string;
}

/**
 * @param points ids that are named by what stays.
 * @param doomed ids that lose a name: the disks of the snapshots that go, or of a running point that is left.
 */
export function planConsolidation(
  links: ReadonlyMap<string, PlanLink>,
  points: ReadonlySet<string>,
  doomed: Iterable<string>,
): ConsolidationPlan {
  const children = childrenOf(links);
  const { removed, candidates } = dropUnread(links, children, points, doomed);
  const merging = new Set<string>();
  const kept: KeptPlan[] = [];
  for (const id of candidates) {
    const reason = whyKept(links.get(id)!, children, links);
    if (reason === undefined) merging.add(id);
    else kept.push({ id, reason });
  }
  const merges: MergePlan[] = [];
  for (const id of merging) {
    const below = links.get(id)!.parent;
    // Only the lowest of a run starts it.
    if (below !== undefined && merging.has(below)) continue;
    const merge = mergeFrom(id, links, children, merging);
    const top = links.get(merge.links[0]!)!;
    if (merge.into === 'top' || top.strangers.length === 0) merges.push(merge);
    else
      kept.push(
        ...merge.links.slice(1).map((link) => ({ id: link, reason: 'strangers' as const, because: top.id })),
      );
  }
  return { removed, merges, kept };
}

type Children = Map<string, Set<string>>;

function childrenOf(links: ReadonlyMap<string, PlanLink>): Children {
  const children: Children = new Map([...links.keys()].map((id) => [id, new Set<string>()]));
  for (const { id, parent } of links.values()) if (parent !== undefined) children.get(parent)?.add(id);
  return children;
}

/** Takes away leaves that nobody names; what they stood on may have lost its last reader with them. */
function dropUnread(
  links: ReadonlyMap<string, PlanLink>,
  children: Children,
  points: ReadonlySet<string>,
  doomed: Iterable<string>,
): { removed: string[]; candidates: Set<string> } {
  const removed: string[] = [];
  const candidates = new Set<string>();
  const queue = [...doomed];
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    const link = links.get(id);
    if (link === undefined || points.has(id) || removed.includes(id)) continue;
    const { parent, own, strangers } = link;
    const unread = children.get(id)!.size === 0 && strangers.length === 0;
    if (!unread || !own || parent === undefined) {
      candidates.add(id);
      continue;
    }
    removed.push(id);
    candidates.delete(id);
    children.get(parent)?.delete(id);
    queue.push(parent);
  }
  return { removed, candidates };
}

function whyKept(
  { id, own, parent, strangers }: PlanLink,
  children: Children,
  links: ReadonlyMap<string, PlanLink>,
): KeptReason | undefined {
  if (!own) return 'not-own';
  if (strangers.length > 0) return 'strangers';
  const above = [...children.get(id)!];
  if (above.length > 1) return 'shared';
  // Nothing reads a base any more; it is the disk itself all the same.
  if (above.length === 0) return parent === undefined ? 'base' : 'strangers';
  return links.get(above[0]!)!.own ? undefined : 'not-own';
}

function mergeFrom(
  bottom: string,
  links: ReadonlyMap<string, PlanLink>,
  children: Children,
  merging: ReadonlySet<string>,
): MergePlan {
  const run = [bottom];
  while (merging.has(run[0]!)) run.unshift([...children.get(run[0]!)!][0]!);
  const { parent, numbered } = links.get(bottom)!;
  const into = parent === undefined || !numbered ? 'bottom' : 'top';
  return { links: run, into, parent };
}
