// Paths in snapshot databases that name a place from which something moved: whom a clone comes from, its sentinels, and
// the clones that a snapshot lists. Rule: a path is changed only when nothing is where it leads and the thing itself was
// found elsewhere.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import {
  MAX_DICTIONARY_BYTES,
  parseDictionary,
  printDictionary,
  type Dictionary,
} from '../format/dictionary.ts';
import { editDictionary } from '../format/edit-dictionary.ts';
import type { FileChange } from '../operations/file-change.ts';
import { inParallel } from '../operations/in-parallel.ts';
import { readWhole } from '../operations/tidy.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { PathGuard } from '../storage/path-guard.ts';
import type { ForestMachine } from './forest.ts';
import { movedPlaces, nameAgain, placeNamed } from './relink-hints.ts';
import { isInside, type RelinkScope } from './relink-scope.ts';
import type { RelinkedName } from './relink-types.ts';

const NAMES = /^(?:cloneof\d{1,5}|sentinel\d{1,5}|snapshot\d{1,6}\.clone\d{1,5})$/;

/** From where to where files moved, as the hints tell: each with the folder that holds it. */
export class Moves {
  readonly #files = new Map<string, string>();
  /** A folder whose files moved to different places leads nowhere. */
  readonly #folders = new Map<string, string | undefined>();

  add(from: string, to: string): void {
    this.#files.set(from, to);
    const [old, now] = [posix.dirname(from), posix.dirname(to)];
    if (old === now) return;
    const known = this.#folders.has(old) ? this.#folders.get(old) : now;
    this.#folders.set(old, known === now ? now : undefined);
  }

  /** Where a path may be now. */
  whereIs(path: string): string | undefined {
    const moved = this.#files.get(path);
    if (moved !== undefined) return moved;
    for (let folder = posix.dirname(path); folder !== '/'; folder = posix.dirname(folder)) {
      const now = this.#folders.get(folder);
      if (now !== undefined) return now + path.slice(folder.length);
    }
    return undefined;
  }
}

export interface NameChanges {
  readonly names: readonly RelinkedName[];
  readonly changes: readonly FileChange[];
  /** Of the .vmx beside each. */
  readonly machines: readonly string[];
}

export async function planNames(
  scope: RelinkScope,
  moves: Moves,
  style: 'relative' | 'absolute' | undefined,
): Promise<NameChanges> {
  const found: ({ names: RelinkedName[]; change: FileChange; machine: string } | undefined)[] = [];
  const listing = scope.forest.machines.filter(
    ({ path, cloneOf, snapshots }) =>
      isInside(scope.roots, path) &&
      (cloneOf.length > 0 || snapshots.some(({ clones }) => clones.length > 0)),
  );
  await inParallel(listing, async (machine, index) => {
    const vmsd = await databaseOf(scope.store, machine.path);
    if (vmsd === undefined) return;
    const names: RelinkedName[] = [];
    const edits: Record<string, string> = {};
    for (const { key, name, value } of vmsd.entries) {
      if (!NAMES.test(key)) continue;
      const to = await placeNow(scope, machine, key, value, moves);
      if (to === undefined) continue;
      const text = nameOrUndefined(value, vmsd.path, to, { style, pathMap: scope.pathMap });
      if (text === undefined || text === value) continue;
      edits[name] = text;
      names.push({ path: vmsd.path, key: name, from: value, to: text });
    }
    if (names.length === 0) return;
    const data = printDictionary(editDictionary(vmsd, edits));
    const change: FileChange = { kind: 'replace', path: vmsd.path, data, old: printDictionary(vmsd) };
    found[index] = { names, change, machine: machine.path };
  });
  const there = found.filter((one) => one !== undefined);
  return {
    names: there.flatMap(({ names }) => names),
    changes: there.map(({ change }) => change),
    machines: there.map(({ machine }) => machine),
  };
}

/** Where what `value` named is by now; undefined when it is where it was, or nobody knows. */
async function placeNow(
  { guard, forest, moved, pathMap }: RelinkScope,
  machine: ForestMachine,
  key: string,
  value: string,
  moves: Moves,
): Promise<string | undefined> {
  const place = placeNamed(value, machine.path, pathMap);
  const look = (path: string): ReturnType<typeof lookAt> => lookAt(guard, path, machine.path);
  for (const to of movedPlaces(value, machine.path, moved, pathMap))
    if ((await look(to)) === 'there') return to;
  if (place === undefined || (await look(place)) !== 'missing') return undefined;
  const now = moves.whereIs(place);
  if (now !== undefined && (await look(now)) === 'there') return now;
  if (!key.startsWith('snapshot')) return undefined;
  // A clone that moved itself: it is known by its name and by standing on a disk of this machine's.
  const folder = posix.dirname(machine.path);
  const clones = forest.machines.filter(
    ({ path, sharedDisks }) =>
      posix.basename(path) === posix.basename(place) &&
      sharedDisks.some((disk) => posix.dirname(disk) === folder),
  );
  return clones.length === 1 ? clones[0]!.path : undefined;
}

function nameOrUndefined(...args: Parameters<typeof nameAgain>): string | undefined {
  try {
    return nameAgain(...args);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** The .vmsd of the same name; undefined for one that is none, or no plain file. */
async function databaseOf(store: FileStore, vmxPath: string): Promise<Dictionary | undefined> {
  const path = vmxPath.replace(/\.(?:vmx|vmtx)$/i, '.vmsd');
  try {
    const place = await store.resolve(path);
    if (place.path !== path || place.kind !== 'file' || place.size > MAX_DICTIONARY_BYTES) return undefined;
    return parseDictionary(await readWhole(store, path), path);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** What may not be looked at is left as it is. */
async function lookAt(guard: PathGuard, path: string, by: string): Promise<'there' | 'missing' | 'unknown'> {
  try {
    await guard.assertDiskAllowed(path, by);
    return 'there';
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return error.code === 'file-missing' ? 'missing' : 'unknown';
  }
}
