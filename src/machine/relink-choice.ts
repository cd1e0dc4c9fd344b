// For one delta: whether its hint is right, which disk it stands on when not, or why that cannot be told. Rule: nothing
// becomes a parent whose CID and size are not those that the delta was made over.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { printCid } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import { diskAt, type ForestDisk } from './forest.ts';
import { movedPlaces, placeNamed } from './relink-hints.ts';
import { contentKey, type RelinkScope } from './relink-scope.ts';
import type { RelinkedDisk } from './relink-types.ts';

export type Choice =
  | { readonly kind: 'right' }
  /** Not what maps and bases are about. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'parent'; readonly parent: ForestDisk; readonly found: RelinkedDisk['found'] }
  | { readonly kind: 'problem'; readonly error: VmdkError };

const MOST_CANDIDATES = 8;

export async function chooseFor(scope: RelinkScope, disk: ForestDisk): Promise<Choice> {
  const mapped = await byMap(scope, disk);
  if (mapped !== undefined) return mapped;
  if (await isRight(scope, disk)) return { kind: 'right' };
  if (scope.bases.length > 0) return byBase(scope, disk);
  if (scope.moved.length > 0) return { kind: 'elsewhere' };
  return byContent(scope, disk);
}

/** Where a map leads the hint: there it must be, and fit. */
async function byMap(
  { store, forest, moved, pathMap }: RelinkScope,
  disk: ForestDisk,
): Promise<Choice | undefined> {
  const hint = disk.hint ?? '';
  const places = movedPlaces(hint, disk.path, moved, pathMap);
  if (places.length === 0) return undefined;
  let misfit: VmdkError | undefined;
  for (const place of places) {
    const parent = await diskThere(store, forest, place);
    if (parent === undefined) continue;
    misfit = whyNot(disk, parent);
    if (misfit === undefined) return { kind: 'parent', parent, found: 'map' };
  }
  const error =
    misfit ??
    problem(disk, 'missing', 'parent-missing', 'no disk is where the map leads its hint', {
      found: `nothing that is a disk at ${places.join(' or ')}`,
      expected: `a disk with CID ${printCid(disk.parentCid!)}`,
      hint: 'Correct the map, or leave it out: the disk is then looked for by its CID.',
    });
  return { kind: 'problem', error };
}

/** Of the bases named, the one that fits. */
function byBase({ bases }: RelinkScope, disk: ForestDisk): Choice {
  const fitting = bases.filter((base) => whyNot(disk, base) === undefined);
  const chosen = namedAlike(disk, fitting);
  if (chosen.length === 1) return { kind: 'parent', parent: chosen[0]!, found: 'base' };
  if (chosen.length > 1) return { kind: 'problem', error: ambiguous(disk, chosen) };
  // A base with the CID and another size was meant, and cannot be it.
  const sized = bases.find(({ cid, identity }) => cid === disk.parentCid && identity !== disk.identity);
  return sized === undefined ? { kind: 'elsewhere' } : { kind: 'problem', error: whyNot(disk, sized)! };
}

/** What the scan found by following the hint's guesses, or by the CID. */
function byContent(scope: RelinkScope, disk: ForestDisk): Choice {
  const parent = disk.parent === undefined ? undefined : diskAt(scope.forest, disk.parent);
  if (parent !== undefined && disk.fits === true) {
    const error = whyNot(disk, parent);
    return error === undefined
      ? { kind: 'parent', parent, found: disk.foundBy! }
      : { kind: 'problem', error };
  }
  const candidates = candidatesFor(scope, disk);
  if (candidates.length === 1) return { kind: 'parent', parent: candidates[0]!, found: 'cid' };
  if (candidates.length > 1) return { kind: 'problem', error: ambiguous(disk, candidates) };
  if (parent !== undefined) return { kind: 'problem', error: whyNot(disk, parent)! };
  const cycle = disk.problems.find(({ code }) => code === 'CHAIN-CYCLE');
  const error =
    cycle === undefined
      ? problem(disk, 'missing', 'parent-missing', 'no disk that was found is its parent', {
          found: disk.hint === undefined ? 'no hint' : `the hint "${showText(disk.hint)}"`,
          expected: `a disk of ${disk.capacity} sectors with CID ${printCid(disk.parentCid!)}`,
          hint: 'Say where it is with --base FILE, or name its folder too.',
        })
      : problem(disk, 'corrupt', 'chain-cycle', cycle.message, {
          hint: 'Name the right parent with --base FILE.',
        });
  return { kind: 'problem', error };
}

/** Taken at its word, the hint leads to a parent that fits; of a foreign one only guesses can tell. */
async function isRight(scope: RelinkScope, disk: ForestDisk): Promise<boolean> {
  const parent = disk.parent === undefined ? undefined : diskAt(scope.forest, disk.parent);
  if (parent === undefined || disk.foundBy !== 'hint' || whyNot(disk, parent) !== undefined) return false;
  const place = placeNamed(disk.hint ?? '', disk.path, scope.pathMap);
  if (place === undefined) return true;
  try {
    return (await scope.guard.assertParentAllowed(place, disk.path)).identity === parent.identity;
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

function candidatesFor({ byContent: disks }: RelinkScope, disk: ForestDisk): ForestDisk[] {
  const fitting = (disks.get(contentKey(disk.parentCid, disk.capacity)) ?? []).filter(
    ({ identity }) => identity !== disk.identity,
  );
  const named = namedAlike(disk, fitting);
  // A delta that nobody wrote to has its parent's CID too: a sibling is never the parent.
  return named.length < fitting.length
    ? named
    : fitting.filter(({ parentCid }) => parentCid !== disk.parentCid);
}

/** Those named as in the hint, or all when none is. */
function namedAlike(disk: ForestDisk, fitting: readonly ForestDisk[]): ForestDisk[] {
  const name = posix.basename((disk.hint ?? '').replaceAll('\\', '/'));
  const named = fitting.filter(({ path }) => posix.basename(path) === name);
  return named.length > 0 ? named : [...fitting];
}

/** Why `parent` cannot be what `disk` stands on. */
export function whyNot(disk: ForestDisk, parent: ForestDisk): VmdkError | undefined {
  if (parent.identity === disk.identity)
    return problem(disk, 'corrupt', 'chain-cycle', 'a disk cannot stand on itself');
  if (parent.cid !== disk.parentCid) {
    const cid = parent.cid === undefined ? 'no readable CID' : `CID ${printCid(parent.cid)}`;
    return problem(
      disk,
      'corrupt',
      'parent-cid-mismatch',
      'the disk there is not what this delta was made over',
      {
        found: `${cid} in ${parent.path}`,
        expected: `CID ${printCid(disk.parentCid!)}`,
        hint: 'It is another disk, or it was written to since: look at it with vmdkit guard, or at both with vmdkit info.',
      },
    );
  }
  if (parent.capacity === disk.capacity) return undefined;
  return problem(disk, 'corrupt', 'parent-capacity-mismatch', 'the disk there has another size', {
    found: `${parent.capacity} sectors in ${parent.path}`,
    expected: `${disk.capacity} sectors`,
  });
}

function ambiguous(disk: ForestDisk, candidates: readonly ForestDisk[]): VmdkError {
  return problem(disk, 'refused', 'parent-ambiguous', 'more than one disk may be its parent', {
    found: `${candidates.length} disks with CID ${printCid(disk.parentCid!)}`,
    expected: 'one',
    hint: 'Name the right one with --base FILE.',
    candidates: candidates
      .slice(0, MOST_CANDIDATES)
      .map(({ path }) => ({ path, outcome: 'has the CID and the size' })),
  });
}

async function diskThere(
  store: RelinkScope['store'],
  forest: RelinkScope['forest'],
  path: string,
): Promise<ForestDisk | undefined> {
  try {
    return diskAt(forest, (await store.resolve(path)).path);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

function problem(
  { path }: ForestDisk,
  kind: VmdkError['kind'],
  code: string,
  what: string,
  context: Partial<VmdkError['context']> = {},
): VmdkError {
  return new VmdkError(kind, code, what, { path, ...context });
}
