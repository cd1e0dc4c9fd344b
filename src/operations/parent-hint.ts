// parentFileNameHint of a new delta: where its parent is, as seen from the delta, and whether it will be found there.
import { posix } from 'node:path';
import { parentCandidates } from '../chain/parent-candidates.ts';
import { isVmdkError } from '../core/errors.ts';
import { assertFileName } from '../storage/file-names.ts';
import type { PathGuard } from '../storage/path-guard.ts';
import { dirname, isUrl } from '../storage/place-names.ts';

/** `relative` (the way to travel together), `absolute`, or the hint itself. */
export type HintStyle = 'relative' | 'absolute' | (string & {});

/**
 * The hint for a parent at the real path `parentPath`, written in a descriptor in the real folder `folder`. A parent at
 * a URL is named by it.
 */
export function parentHintFor(style: HintStyle, folder: string, parentPath: string): string {
  if (style === 'absolute') return parentPath;
  if (style !== 'relative') return style;
  if (isUrl(parentPath)) return parentPath;
  const relative = posix.relative(folder, parentPath);
  return readsAsAddress(relative) ? `./${relative}` : relative;
}

/**
 * What a user must know when readers will not find the parent by the hint alone; nothing when they will. `childPath`
 * is the real path that the delta will have.
 */
export async function hintNotes(
  guard: PathGuard,
  childPath: string,
  hint: string,
  parent: { readonly path: string; readonly identity: string },
): Promise<string[]> {
  if (isUrl(hint) && hint === parent.path) {
    return [`the parent lies in another place: open it with --allow-origin ${dirname(hint)}`];
  }
  let outside = false;
  for (const candidate of parentCandidates(hint, childPath, [])) {
    try {
      const found = await guard.assertParentAllowed(candidate, childPath);
      if (found.identity === parent.identity) return [];
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      outside ||= error.code === 'outside-allowed-folders' && candidate === parent.path;
    }
  }
  if (outside) {
    return [
      `the parent lies outside the delta's surroundings: open it with --allow ${posix.dirname(parent.path)}`,
    ];
  }
  return [`from here the hint ${hint} does not lead to the parent: open it with a path map`];
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
