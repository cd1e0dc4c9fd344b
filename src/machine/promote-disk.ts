// Makes a disk independent of what it stands on, where it is: its own files then hold all that it reads as. Rule: the disks
// below are only read, and what stands on the disk need not change, since its content and its CID stay.
import { assertMayLeave } from '../chain/half-merged.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { assertUnguarded, openDiskTree, parentOf } from './disk-tree.ts';
import type { TreeLink } from './link-tree.ts';
import { remakeLink } from './remake-link.ts';
import { changeTree } from './tree-change.ts';
import type { TreePlan } from './tree-plan.ts';
import type { TreeOptions, TreeReport } from './tree-types.ts';

export interface PromoteOptions extends TreeOptions {
  /** createType of the disk then: its own where a disk without parent can have it, else what suits its platform. */
  readonly type?: string | undefined;
}

/**
 * Copies into `path` what it reads from below, and takes its parent away.
 * @throws VmdkError `half-merged`, `disk-guarded`, `disk-locked`, `no-space` (refused), what reading finds; nothing is changed then.
 */
export function promoteDisk(path: string, options: PromoteOptions = {}): Promise<TreeReport> {
  const request = { action: 'promote', disk: path, wanted: [options.type ?? null] } as const;
  return changeTree(request, options, (plan) => planPromotion(plan, path, options));
}

/** Also for a rebase onto nothing. */
export async function planPromotion(plan: TreePlan, path: string, options: PromoteOptions): Promise<void> {
  const tree = await openDiskTree(plan.store, path, options);
  const [disk] = tree.chain;
  const parent = parentOf(tree, disk!);
  if (parent === undefined) {
    plan.notes.push(`${disk!.path} has no parent: nothing is to be done`);
    return;
  }
  assertMayLeave(tree.chain);
  await assertUnguarded(plan.store, [disk!]);
  await makeIndependent(plan, disk!, tree.chain, options);
  plan.registers.forget.push([parent.path, disk!.path]);
}

/** `chain` is what the disk reads through, down to its base. */
export async function makeIndependent(
  plan: TreePlan,
  disk: TreeLink,
  chain: readonly TreeLink[],
  options: PromoteOptions,
): Promise<void> {
  const edits = { parentCid: NO_PARENT_CID, parentFileNameHint: null };
  const adapter = chain.at(-1)!.descriptor.ddb.get('ddb.adaptertype');
  await remakeLink(
    plan,
    disk,
    { content: disk, below: undefined, edits, type: options.type, adapter },
    options,
  );
}
