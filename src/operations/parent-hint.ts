// parentFileNameHint of a new delta: where its parent is, as seen from the delta, and whether it will be found there.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { assertFileName } from '../storage/file-names.ts';
import type { PathGuard } from '../storage/path-guard.ts';

/** `relative` (the way to travel together), `absolute`, or the hint itself. */
export type HintStyle = 'relative' | 'absolute' | (string & {});

/** The hint for a parent at the real path `parentPath`, written in a descriptor in the real folder `folder`. */
export function parentHintFor(style: HintStyle, folder: string, parentPath: string): string {
  if (style === 'absolute') return parentPath;
  if (style !== 'relative') return style;
  const relative = posix.relative(folder, parentPath);
  return readsAsAddress(relative) ? `./${relative}` : relative;
}

/** What a user must know when readers will not follow the hint by themselves; nothing when they will. */
export async function hintNotes(guard: PathGuard, childPath: string, hint: string): Promise<string[]> {
  const leadsTo = posix.resolve(posix.dirname(childPath), hint);
  try {
    await guard.assertParentAllowed(leadsTo, childPath);
    return [];
  } catch (error) {
    if (isVmdkError(error, 'outside-allowed-folders')) {
      return [
        `the parent lies outside the delta's surroundings: open it with --allow ${posix.dirname(leadsTo)}`,
      ];
    }
    if (isVmdkError(error)) return [`no parent is at ${leadsTo}, where the hint leads from here`];
    throw error;
  }
}

/** `[x] base.vmdk` would be read as a datastore, `nbd:base.vmdk` as a protocol. */
function readsAsAddress(name: string): boolean {
  if (name.startsWith('[')) return true;
  try {
    assertFileName(name, 'parent', name);
    return false;
  } catch {
    return true;
  }
}
