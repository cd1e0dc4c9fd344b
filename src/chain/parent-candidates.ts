// Every path a parent hint may mean, in the order they are tried. Pure: nothing is opened here.
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { PathMapping } from './chain-options.ts';

/**
 * 1. the caller's path maps; 2. relative to the child's folder; 3. the absolute path itself; 4. the same name in the
 * child's folder; 5. `../<last folder of the hint>/<name>`. Windows separators are separators; `[datastore] a/b.vmdk`
 * counts by its path.
 */
export function parentCandidates(hint: string, childPath: string, pathMap: readonly PathMapping[]): string[] {
  const folder = dirname(childPath);
  const candidates: string[] = [];
  for (const { from, to } of pathMap) {
    const rest = restAfter(hint, from);
    if (rest !== undefined) candidates.push(join(to, rest));
  }
  const path = withoutDatastore(hint).replaceAll('\\', '/');
  const windowsAbsolute = /^[a-z]:\//i.test(path) || path.startsWith('//');
  if (!isAbsolute(path) && !windowsAbsolute) {
    // A file may truly have a backslash in its name: the literal spelling comes first.
    if (hint !== path) candidates.push(join(folder, hint));
    candidates.push(join(folder, path));
  } else if (!windowsAbsolute) candidates.push(path);
  const name = basename(path);
  candidates.push(join(folder, name));
  const lastFolder = basename(dirname(path));
  if (lastFolder !== '' && lastFolder !== '.' && lastFolder !== '..') {
    candidates.push(join(dirname(folder), lastFolder, name));
  }
  return [...new Set(candidates)];
}

/** What follows `from` in `hint`, when `hint` begins with it, segment by segment. */
function restAfter(hint: string, from: string): string | undefined {
  const subject = hint.replaceAll('\\', '/');
  const prefix = from.replaceAll('\\', '/').replace(/\/+$/, '');
  if (!subject.startsWith(prefix)) return undefined;
  const rest = subject.slice(prefix.length);
  if (rest === '' || /^[/ ]/.test(rest) || prefix.endsWith(']')) return rest.trimStart();
  return undefined;
}

/** `[ds1] folder/disk.vmdk` → `folder/disk.vmdk`. */
function withoutDatastore(hint: string): string {
  return hint.replace(/^\[[^\]]*\]\s*/, '');
}
