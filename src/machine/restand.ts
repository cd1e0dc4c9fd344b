// Puts a link on another parent, or on the same one with other content, so that it reads as before: what the new parent
// does not have is copied into it. Rule: its CID stays, so that nothing above needs to change.
import { posix } from 'node:path';
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import { openChain } from '../chain/open-chain.ts';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import { PairedChains } from '../operations/paired-runs.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import type { TreeLink } from './link-tree.ts';
import { remakeLink } from './remake-link.ts';
import { editLink, type TreePlan } from './tree-plan.ts';
import type { TreeOptions } from './tree-types.ts';

export interface NewParent {
  /** Real path that it has once all is done. */
  readonly path: string;
  readonly cid: number;
  /** A disk that has, as it is now, the content that the parent has then. */
  readonly content: TreeLink;
}

/** `old` is the parent as it is now, where there is one. */
export async function restand(
  plan: TreePlan,
  link: TreeLink,
  old: TreeLink | undefined,
  parent: NewParent,
  options: TreeOptions,
): Promise<void> {
  const edits = editsFor(link, old, parent);
  if (old === undefined || (await mustHoldMore(plan, link, parent.content, options)))
    await remakeLink(plan, link, { content: link, below: parent.content, edits }, options);
  else await editLink(plan, link, edits);
  tellMove(plan, link, old, parent, edits);
}

/** Lines of the descriptor that name the parent. A hint that leads there stays as it is. */
export function editsFor(link: TreeLink, old: TreeLink | undefined, parent: NewParent): DescriptorEdits {
  const { parentFileNameHint: hint } = link.descriptor;
  if (old?.path === parent.path && hint !== undefined) return { parentCid: parent.cid };
  const style = hint?.startsWith('/') === true ? 'absolute' : 'relative';
  const parentFileNameHint = parentHintFor(style, posix.dirname(link.path), parent.path);
  return { parentCid: parent.cid, parentFileNameHint };
}

export function tellMove(
  plan: TreePlan,
  link: TreeLink,
  old: TreeLink | undefined,
  parent: Pick<NewParent, 'path'>,
  edits: DescriptorEdits,
): void {
  const hint = edits.parentFileNameHint ?? link.descriptor.parentFileNameHint ?? '';
  plan.moved.push({ path: link.path, parent: parent.path, hint });
  if (old?.path === parent.path) return;
  if (old !== undefined) plan.registers.forget.push([old.path, link.path]);
  plan.registers.record.push([parent.path, link.path]);
}

/** Whether the link leaves anything to its parent that the new one may have otherwise: from metadata alone. */
async function mustHoldMore(
  { store }: TreePlan,
  link: TreeLink,
  content: TreeLink,
  options: TreeOptions,
): Promise<boolean> {
  const reading = { ...options, fs: store, onFinding: undefined };
  const chain = await openChain(link.path, 'read', reading);
  try {
    const other = await openChain(content.path, 'read', reading);
    try {
      const pair = await PairedChains.of(store, chain, other);
      for await (const runs of pair.walk(sectorRange(0, chain.capacity))) {
        for (const { start, end } of pair.mayDiffer(runs)) {
          for await (const own of walkRuns(chain.leaf, sectorRange(start, end - start)))
            for (let index = 0; index < own.length; index++) if (own.isAbsentAt(index)) return true;
        }
      }
      return false;
    } finally {
      await other.close();
    }
  } finally {
    await chain.close();
  }
}
