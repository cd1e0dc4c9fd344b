// Relinks deltas whose base, or any other link, moved or was renamed: all hints below some folders are written anew in
// one change set. Rule: only names change, never a CID and never data; and nothing changes when anything does not fit.
import { posix } from 'node:path';
import { parentCandidates } from '../chain/parent-candidates.ts';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { assertNotLocked } from '../disk/assert-not-locked.ts';
import { printCid } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import type { FileChange } from '../operations/file-change.ts';
import { inParallel } from '../operations/in-parallel.ts';
import { foretell } from '../operations/foresee-run.ts';
import { findInterrupted, settleChangeSets } from '../operations/settle-changes.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { descriptorChange } from './descriptor-change.ts';
import { diskAt, type ForestDisk } from './forest.ts';
import { chooseFor, type Choice } from './relink-choice.ts';
import { nameAgain, placeNamed } from './relink-hints.ts';
import { Moves, planNames } from './relink-names.ts';
import { isInside, openScope, outermost, type RelinkScope } from './relink-scope.ts';
import type {
  RelinkedDisk,
  RelinkOptions,
  RelinkProblem,
  RelinkReport,
  RelinkRequest,
} from './relink-types.ts';
import { recordSharers } from './sharers.ts';

export interface RelinkPlan {
  readonly report: RelinkReport;
  /** All of them, for one change set over `roots`. */
  readonly changes: readonly FileChange[];
  /** Real paths of the folders to change in. */
  readonly roots: readonly string[];
  /** Files that nobody may have open meanwhile. */
  readonly watched: readonly string[];
}

/**
 * Tells which hints are wrong and what they would be; reads only. What does not fit is in `report.problems`.
 * @throws VmdkError `usage`; `descriptor-too-full` and the like are problems of their disks.
 */
export async function planRelink(request: RelinkRequest, options: RelinkOptions = {}): Promise<RelinkPlan> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  if (request.folders.length === 0) throw usageError('relink needs a folder to look in');
  return planIn(store, await rootsOf(store, request, options), request, options);
}

/**
 * Carries the plan out, whole or not at all. With `keepGoing` what does not fit is left as it is, and told.
 * @throws VmdkError `disks-do-not-fit` (refused), which names every one; `disk-locked` (refused); errors of the change
 * set. Nothing is changed then.
 */
export async function relink(request: RelinkRequest, options: RelinkOptions = {}): Promise<RelinkReport> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  if (request.folders.length === 0) throw usageError('relink needs a folder to look in');
  const roots = await rootsOf(store, request, options);
  const notes = await settle(store, roots, options);
  let plan = await planIn(store, roots, request, options);
  // Runs of machines in folders below, which keep their journals there.
  const below = await settle(store, foldersOf(plan, roots), options);
  if (below.length > 0 && options.dryRun !== true) plan = await planIn(store, roots, request, options);
  const { report } = plan;
  const told = { ...report, notes: [...notes, ...below, ...report.notes] };
  if (report.problems.length > 0 && request.keepGoing !== true && options.dryRun !== true)
    throw doNotFit(report, roots);
  if (options.dryRun === true || plan.changes.length === 0) return told;
  if (options.locked !== 'ignore') await assertNotLocked(store, plan.watched);
  await assertWritable(store, plan.changes);
  await applyChangeSet(
    store,
    {
      root: roots[0]!,
      otherRoots: roots.slice(1),
      label: 'relink',
      changes: plan.changes,
      request: JSON.stringify(['relink', roots, request]),
    },
    options,
  );
  const remarks = await recordAll(store, report.disks);
  return { ...told, notes: [...told.notes, ...remarks] };
}

/** What is changed in its place must be writable before anything is: a guarded delta is not. */
async function assertWritable(store: FileStore, changes: readonly FileChange[]): Promise<void> {
  for (const change of changes)
    if (change.kind === 'patch') await (await store.open(change.path, 'update')).close();
}

async function rootsOf(
  store: FileStore,
  { folders }: RelinkRequest,
  { allow, confine }: RelinkOptions,
): Promise<string[]> {
  const guard = createPathGuard({ store, allow, confine });
  const roots: string[] = [];
  for (const folder of folders) {
    const { path, kind } = await namedFolder(store, guard, folder, confine);
    if (kind !== 'folder')
      throw usageError(`relink looks in folders: ${folder} is none`, 'Name the moved disk with --base FILE.');
    roots.push(path);
  }
  return outermost(roots);
}

/** `confine` is a folder that may be named itself. */
async function namedFolder(
  store: FileStore,
  guard: ReturnType<typeof createPathGuard>,
  folder: string,
  confine: string | undefined,
): ReturnType<FileStore['resolve']> {
  const place = await store.resolve(folder);
  if (confine !== undefined && (await store.resolve(confine)).identity === place.identity) return place;
  return guard.assertNamedAllowed(folder);
}

async function settle(
  store: FileStore,
  folders: readonly string[],
  options: RelinkOptions,
): Promise<string[]> {
  const notes: string[] = [];
  for (const folder of folders) {
    if (options.dryRun === true) {
      notes.push(...(await findInterrupted(store, folder, options)).map(foretell));
    } else {
      for (const { label, outcome } of await settleChangeSets(store, folder, options))
        notes.push(`a ${label} run that was interrupted was ${outcome} first`);
    }
  }
  return notes;
}

function foldersOf({ changes }: RelinkPlan, roots: readonly string[]): string[] {
  const folders = new Set(
    changes.flatMap((change) => ('path' in change ? [posix.dirname(change.path)] : [])),
  );
  return [...folders].filter((folder) => !roots.includes(folder));
}

interface Chosen {
  readonly disk: ForestDisk;
  readonly choice: Choice;
}

async function planIn(
  store: FileStore,
  roots: readonly string[],
  request: RelinkRequest,
  options: RelinkOptions,
): Promise<RelinkPlan> {
  const scope = await openScope(store, roots, request, options);
  const { forest } = scope;
  const deltas = forest.disks.filter(({ delta, path }) => delta && isInside(roots, path));
  const chosen: Chosen[] = Array.from({ length: deltas.length });
  await inParallel(deltas, async (disk, index) => {
    throwIfAborted(options);
    chosen[index] = { disk, choice: await chooseFor(scope, disk) };
  });
  const rewritten = await rewrite(scope, breakCycles(scope, chosen), request);
  const { names, changes, machines } = await planNames(scope, rewritten.moves, request.hint);
  const elsewhere = chosen.filter(
    ({ disk, choice }) => choice.kind === 'elsewhere' && disk.parent === undefined,
  );
  const notes = [
    ...(forest.complete ? [] : ['not all was looked at: there are too many files']),
    ...rewritten.notes,
    ...unneeded(scope, deltas, rewritten.disks),
    ...(elsewhere.length === 0
      ? []
      : [
          `${elsewhere.length} other deltas have no parent either: run again without --base and --map for those`,
        ]),
  ];
  const unchanged = deltas.length - rewritten.disks.length - rewritten.problems.length;
  return {
    report: {
      schema: 'vmdkit-relink/v1',
      folders: roots,
      'dry-run': options.dryRun === true,
      disks: rewritten.disks,
      names,
      problems: rewritten.problems,
      unchanged,
      notes,
    },
    changes: [...rewritten.changes, ...changes],
    roots,
    watched: [...rewritten.disks.map(({ path }) => path), ...machines],
  };
}

/** A new parent that stands on its own child, once all is as chosen. */
function breakCycles({ forest }: RelinkScope, chosen: readonly Chosen[]): Chosen[] {
  const parents = new Map<string, string | undefined>(forest.disks.map(({ path, parent }) => [path, parent]));
  for (const { disk, choice } of chosen)
    if (choice.kind === 'parent') parents.set(disk.path, choice.parent.path);
  return chosen.map(({ disk, choice }) => {
    if (choice.kind !== 'parent') return { disk, choice };
    const seen = new Set<string>();
    for (let at: string | undefined = choice.parent.path; at !== undefined; at = parents.get(at)) {
      if (at !== disk.path && !seen.has(at)) {
        seen.add(at);
        continue;
      }
      const error = new VmdkError('corrupt', 'chain-cycle', 'the disk found would stand on this one itself', {
        path: disk.path,
        found: choice.parent.path,
        expected: 'a disk below it',
        hint: 'Name the right parent with --base FILE.',
      });
      return { disk, choice: { kind: 'problem', error } };
    }
    return { disk, choice };
  });
}

interface Rewritten {
  readonly disks: RelinkedDisk[];
  readonly changes: FileChange[];
  readonly problems: RelinkProblem[];
  readonly notes: string[];
  readonly moves: Moves;
}

async function rewrite(
  scope: RelinkScope,
  chosen: readonly Chosen[],
  { hint: style }: RelinkRequest,
): Promise<Rewritten> {
  const made: Rewritten = { disks: [], changes: [], problems: [], notes: [], moves: new Moves() };
  const rewritten: ({ disk: RelinkedDisk; change: FileChange } | RelinkProblem | undefined)[] = [];
  await inParallel(chosen, async ({ disk, choice }, index) => {
    if (choice.kind === 'problem') rewritten[index] = problemOf(choice.error, disk);
    if (choice.kind !== 'parent') return;
    try {
      const { pathMap, store } = scope;
      const to = nameAgain(disk.hint ?? '', disk.path, choice.parent.path, { style, pathMap });
      const change = await descriptorChange(store, disk.path, { parentFileNameHint: to });
      if (change === undefined) return;
      const { path } = disk;
      const cid = printCid(disk.parentCid!);
      const relinked = {
        path,
        parent: choice.parent.path,
        cid,
        from: disk.hint ?? '',
        to,
        found: choice.found,
      };
      rewritten[index] = { disk: relinked, change };
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      rewritten[index] = problemOf(error, disk);
    }
  });
  for (const one of rewritten) {
    if (one === undefined) continue;
    if (!('disk' in one)) {
      made.problems.push(one);
      continue;
    }
    made.disks.push(one.disk);
    made.changes.push(one.change);
    const old = placeNamed(one.disk.from, one.disk.path, scope.pathMap);
    if (old !== undefined && old !== one.disk.parent) made.moves.add(old, one.disk.parent);
  }
  made.notes.push(...(await farParents(scope, made.disks)));
  return made;
}

/** Parents that readers will find only when they are allowed to. */
async function farParents({ store, forest }: RelinkScope, disks: readonly RelinkedDisk[]): Promise<string[]> {
  const guard = createPathGuard({ store });
  const far = new Set<string>();
  for (const { path, parent, to } of disks) {
    const wanted = diskAt(forest, parent)!.identity;
    let found = false;
    for (const place of parentCandidates(to, path, [])) {
      try {
        found ||= (await guard.assertParentAllowed(place, path)).identity === wanted;
      } catch (error) {
        if (!isVmdkError(error)) throw error;
      }
    }
    if (!found) far.add(posix.dirname(parent));
  }
  return [...far].map(
    (folder) => `${folder} is outside the surroundings of some deltas: open these with --allow ${folder}`,
  );
}

function problemOf(error: VmdkError, { path }: ForestDisk): RelinkProblem {
  const { hint, candidates = [] } = error.context;
  const message = error.message.split('\n')[0]!.replace(`${path}: `, '');
  return {
    path,
    code: error.code,
    message,
    ...(hint === undefined ? {} : { hint }),
    candidates: candidates.map((candidate) => candidate.path),
  };
}

const MOST_NAMED = 20;

function doNotFit({ problems, disks }: RelinkReport, roots: readonly string[]): VmdkError {
  const total = problems.length + disks.length;
  const named = problems.slice(0, MOST_NAMED).map(({ path, message, candidates }) => {
    const which = candidates.length === 0 ? '' : ` (${candidates.map(showText).join(', ')})`;
    return { path, outcome: `${message}${which}` };
  });
  const more = problems.length - named.length;
  return new VmdkError('refused', 'disks-do-not-fit', 'not all of the deltas here can be relinked', {
    path: roots[0]!,
    found: `${problems.length} of ${total} that fit nowhere${more > 0 ? `, ${MOST_NAMED} of them below` : ''}`,
    expected: 'a parent for each',
    candidates: named,
    hint: `${problems.find(({ hint }) => hint !== undefined)?.hint ?? 'Look at them with vmdkit chain.'} Or relink the others alone with --keep-going. Nothing was changed.`,
  });
}

/** The new parents' folders learn who stands on them, as far as they can be written. */
async function recordAll(store: FileStore, disks: readonly RelinkedDisk[]): Promise<string[]> {
  const children = new Map<string, string[]>();
  for (const { parent, path } of disks) children.set(parent, [...(children.get(parent) ?? []), path]);
  const notes: string[] = [];
  for (const [parent, paths] of children) {
    const { note } = await recordSharers(store, parent, paths);
    if (note !== undefined) notes.push(note);
  }
  return notes;
}

/** Bases that were named, and that no delta here was made over: a base that was written to since is such a one. */
function unneeded(
  { bases }: RelinkScope,
  deltas: readonly ForestDisk[],
  relinked: readonly RelinkedDisk[],
): string[] {
  const fits = (base: ForestDisk): boolean =>
    relinked.some(({ parent }) => parent === base.path) ||
    deltas.some(({ parentCid, capacity }) => parentCid === base.cid && capacity === base.capacity);
  return bases
    .filter((base) => !fits(base))
    .map(({ path, cid, capacity }) => {
      const known = cid === undefined ? 'no readable CID' : `CID ${printCid(cid)}`;
      return `no delta here was made over ${path}, which has ${known} and ${capacity} sectors: was it written to since?`;
    });
}
