// What the hint of a delta says when it is taken at its word, and how a new one is written in the same style. Pure: the
// guesses by which a parent is found although its hint is wrong do not count here.
import { posix } from 'node:path';
import { mappedPaths } from '../chain/parent-candidates.ts';
import type { PathMapping } from '../chain/chain-options.ts';
import { VmdkError } from '../core/errors.ts';
import { showText } from '../format/plain-text.ts';
import { parentHintFor } from '../operations/parent-hint.ts';

/** A path of another system: an ESX host, a datastore, Windows. */
export function isForeign(name: string): boolean {
  return /^(?:\[|\/vmfs\/volumes\/|[a-z]:[\\/]|\\\\|\/\/)/i.test(name);
}

/** Where a name leads from the file at `by`; undefined for a foreign one that no map knows. */
export function placeNamed(name: string, by: string, pathMap: readonly PathMapping[]): string | undefined {
  if (name === '' || name.includes('\0')) return undefined;
  if (isForeign(name)) return mappedPaths(name, pathMap)[0];
  return posix.resolve(posix.dirname(by), name.replaceAll('\\', '/'));
}

/** Where maps of moved places lead the name: by its text, or by the place that it leads to. */
export function movedPlaces(
  name: string,
  by: string,
  moved: readonly PathMapping[],
  pathMap: readonly PathMapping[],
): string[] {
  const place = placeNamed(name, by, pathMap);
  const found = [...mappedPaths(name, moved)];
  if (place !== undefined) {
    for (const { from, to } of moved) {
      const old = posix.join(from.replaceAll('\\', '/'));
      if (place === old) found.push(to);
      else if (old.startsWith('/') && place.startsWith(`${old.replace(/\/$/, '')}/`))
        found.push(posix.join(to, place.slice(old.replace(/\/$/, '').length)));
    }
  }
  return [...new Set(found.map((path) => posix.resolve(path)))];
}

/**
 * How `target` is to be named in the file at `by`, which named it `old` before.
 * @throws VmdkError `hint-style-unknown` (refused) when it cannot be told how another system calls the new place.
 */
export function nameAgain(
  old: string,
  by: string,
  target: string,
  { style, pathMap }: { style: 'relative' | 'absolute' | undefined; pathMap: readonly PathMapping[] },
): string {
  const folder = posix.dirname(by);
  if (style !== undefined) return parentHintFor(style, folder, target);
  if (isForeign(old)) return foreignName(old, by, target, pathMap);
  if (old.startsWith('/')) return target;
  const relative = parentHintFor('relative', folder, target);
  return old.includes('\\') && !old.includes('/') ? relative.replaceAll('/', '\\') : relative;
}

/** The map that leads the old name here, walked backwards. */
function foreignName(old: string, by: string, target: string, pathMap: readonly PathMapping[]): string {
  for (const { from, to } of pathMap) {
    const holder = posix.resolve(to.replace(/\/\*$/, ''));
    if (mappedPaths(old, [{ from, to }]).length === 0 || !target.startsWith(`${holder}/`)) continue;
    const below = target.slice(holder.length + 1);
    if (!from.includes('*')) return joined(from, below);
    const name = to.endsWith('/*') ? below.slice(0, below.indexOf('/')) : starIn(from, old);
    if (name === '') continue;
    const rest = to.endsWith('/*') ? below.slice(name.length + 1) : below;
    return joined(
      from.replace('*', () => name),
      rest,
    );
  }
  throw new VmdkError('refused', 'hint-style-unknown', 'it cannot be told how to name the parent', {
    path: by,
    found: `"${showText(old)}", a path of another system`,
    expected: 'a path of this one, or a map that leads from there to here',
    hint: 'Pass --hint relative, which is the same from everywhere; or tell where the datastores are with --root DIR.',
  });
}

function joined(from: string, below: string): string {
  if (from.endsWith(']')) return `${from} ${below}`;
  return `${from.replace(/\/+$/, '')}/${below}`;
}

/** What stands for the `*` of a map in a name that it fits. */
function starIn(from: string, name: string): string {
  const at = from.indexOf('*');
  return /^[^/\]]*/.exec(name.slice(at))![0];
}
