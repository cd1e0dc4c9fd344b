// Every path a parent hint may mean, in the order they are tried. Pure: nothing is opened here.
import { basename, dirname, isAbsolute, join } from '../storage/place-names.ts';
import type { PathMapping } from './chain-options.ts';

/**
 * 1. the caller's path maps; 2. relative to the child's folder; 3. the absolute path itself; 4. the same name in the
 * child's folder; 5. `../<last folder of the hint>/<name>`. Windows separators are separators; `[datastore] a/b.vmdk`
 * counts by its path. A hint that is a URL is absolute.
 */
export function parentCandidates(hint: string, childPath: string, pathMap: readonly PathMapping[]): string[] {
  const folder = dirname(childPath);
  const candidates = mappedPaths(hint, pathMap);
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

/** Where the caller's path maps lead a hint, in their order. */
export function mappedPaths(hint: string, pathMap: readonly PathMapping[]): string[] {
  return pathMap.map((mapping) => mappedPath(hint, mapping)).filter((path) => path !== undefined);
}

/**
 * Where a mapping leads a hint that begins with its `from`, segment by segment. A `*` in `from` stands for one folder
 * or datastore, whatever its name; `to` may end with `/*`, which stands for that name.
 */
function mappedPath(hint: string, { from, to }: PathMapping): string | undefined {
  const subject = hint.replaceAll('\\', '/');
  const prefix = from.replaceAll('\\', '/').replace(/\/+$/, '');
  const pattern = prefix
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('([^/\\]]+)');
  const match = new RegExp(`^${pattern}`).exec(subject);
  if (match === null) return undefined;
  const rest = subject.slice(match[0].length);
  if (rest !== '' && !/^[/ ]/.test(rest) && !prefix.endsWith(']')) return undefined;
  const name = match[1];
  const folder = name !== undefined && to.endsWith('/*') ? join(to.slice(0, -1), name) : to;
  return join(folder, rest.trimStart());
}

/** `[ds1] folder/disk.vmdk` → `folder/disk.vmdk`. */
function withoutDatastore(hint: string): string {
  return hint.replace(/^\[[^\]]*\]\s*/, '');
}
