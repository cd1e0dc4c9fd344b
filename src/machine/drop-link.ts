// Plans a link to go with all its files, so that nothing of it is left and nothing else is touched.
import type { ChangePlan } from './machine-change.ts';
import type { TreeLink } from './link-tree.ts';

export function dropLink(plan: ChangePlan, { files, tracking, occupied }: TreeLink): void {
  for (const path of [...files, ...(tracking === undefined ? [] : [tracking])]) {
    plan.changes.push({ kind: 'remove', path });
  }
  plan.freed += occupied;
}
