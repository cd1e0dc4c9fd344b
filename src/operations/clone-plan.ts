// Plans linked clones of disks: everything that can go wrong is looked for before anything is made. Reads only.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { printCid } from '../format/content-id.ts';
import type { CloneBase } from './clone-bases.ts';
import { assertCloneName, type CloneName } from './clone-names.ts';
import { shapeClones, unitOf, type CloneShape } from './clone-shape.ts';
import {
  problemOf,
  type ClonedDisk,
  type CloneOptions,
  type ClonePlan,
  type CloneRequest,
  type PlannedClone,
} from './clone-types.ts';
import { warningsOf } from './clone-warnings.ts';
import { allocatedBytes } from './disk-plan.ts';
import { findInterruptedRuns, type InterruptedRun } from './interrupted-runs.ts';
import { localRuns } from './run-owner.ts';
import { finalPath, targetExists } from './staging.ts';

/**
 * Plans clones; nothing is written.
 * @throws VmdkError for the first thing that stands against it: `usage`; whatever opening a base finds;
 * `disk-locked`, `chain-too-deep`, `target-exists` (refused); `run-in-progress` (conflict). With `keepGoing`, clones
 * whose place is taken are `refused` in the plan instead.
 */
export async function planClones(request: CloneRequest, options: CloneOptions = {}): Promise<ClonePlan> {
  const shape = await shapeClones(request, options);
  return planShape(shape, { interrupted: await interruptedRunsOf(shape, options), done: new Set() });
}

/** What was begun in the folder before. */
export interface Before {
  /** Runs still to be settled. */
  readonly interrupted: readonly InterruptedRun[];
  /** Clones that a run of this same request had made, and that are in their places. */
  readonly done: ReadonlySet<string>;
}

export async function planShape(shape: CloneShape, before: Before): Promise<ClonePlan> {
  const { store, into, missingFolders, bases, type } = shape;
  const taken = new Set(missingFolders.length > 0 ? [] : await store.list(into));
  const clones = planEach(shape, before, taken);
  return {
    schema: 'vmdkit-clone-plan/v1',
    into,
    layout: shape.layout,
    hint: shape.hint,
    ...(type === undefined ? {} : { type }),
    'keep-going': shape.keepGoing,
    bases: bases.map(facts),
    clones,
    totals: totalsOf(clones, bases),
    warnings: await warningsOf(shape, clones, before.interrupted),
  };
}

export async function interruptedRunsOf(
  { store, into, missingFolders }: CloneShape,
  { runs = localRuns(), takeOver }: CloneOptions,
): Promise<InterruptedRun[]> {
  return missingFolders.length > 0 ? [] : findInterruptedRuns(store, into, { runs, takeOver });
}

function planEach(shape: CloneShape, before: Before, now: ReadonlySet<string>): PlannedClone[] {
  const { ours, present, taken } = afterSettling(before, now, shape.fingerprint);
  const needed = bytesOfOne(shape);
  const claimed = new Map<string, string>();
  return shape.names.map((entry): PlannedClone => {
    const { name } = entry;
    const unit = unitOf(shape, name);
    const disks = disksOf(shape, name);
    const common = { name, disks, 'bytes-needed': needed, ...(hasMore(entry) ? { input: entry } : {}) };
    for (const stem of shape.suffixes) assertCloneName(name + stem);
    const places = shape.layout === 'folders' ? [name] : unit.files;
    assertApart(places, name, claimed);
    if (present.has(name)) return { ...common, status: 'present' };
    const blocked = places.find((place) => taken.has(place) && !ours.has(place));
    if (blocked === undefined) return { ...common, status: 'planned' };
    const error = targetExists(posix.join(shape.into, blocked));
    if (!shape.keepGoing) throw error;
    return { ...common, status: 'refused', error: problemOf(error) };
  });
}

/** What interrupted runs will have left once they are settled. */
function afterSettling(
  { interrupted, done }: Before,
  now: ReadonlySet<string>,
  fingerprint: string,
): {
  /** Empty files that settling removes. */
  ours: Set<string>;
  /** Clones of this same request. */
  present: Set<string>;
  taken: Set<string>;
} {
  const [ours, present, taken] = [new Set<string>(), new Set(done), new Set(now)];
  for (const { journal, fate } of interrupted) {
    for (const { name, files } of journal?.units ?? []) {
      const places = journal?.layout === 'folders' ? [name] : files;
      if (fate === 'undone' && journal?.layout === 'files') for (const place of places) ours.add(place);
      if (fate === 'undone') continue;
      for (const place of places) taken.add(place);
      if (journal?.request === fingerprint) present.add(name);
    }
  }
  return { ours, present, taken };
}

/** Names that differ may still give the same file: `a-delta` is a file of the clone `a`, if that is a vmfsSparse disk. */
function assertApart(places: readonly string[], name: string, claimed: Map<string, string>): void {
  for (const place of places) {
    const folded = place.normalize('NFC').toLowerCase();
    const other = claimed.get(folded);
    if (other !== undefined) {
      throw new VmdkError('usage', 'duplicate-name', 'two clones would have a file of the same name', {
        field: 'name',
        found: `${place}, of "${other}" and of "${name}"`,
        expected: 'files of its own for each clone',
      });
    }
    claimed.set(folded, name);
  }
}

function hasMore(entry: CloneName): boolean {
  return Object.keys(entry).length > 1;
}

function disksOf(shape: CloneShape, name: string): ClonedDisk[] {
  const { into, layout, bases, templates, suffixes, hints } = shape;
  return bases.map((base, index): ClonedDisk => {
    const names = templates[index]!.fileNames(name + suffixes[index]!);
    const place = { into, journal: { request: '', layout, units: [] } };
    const files = names.map((file) => finalPath(place, { name, files: [] }, file));
    const cid = printCid(base.cid);
    const { createType } = templates[index]!;
    const hint = hints[index]!;
    return { path: files.at(-1)!, base: base.path, type: createType, hint, cid, 'parent-cid': cid, files };
  });
}

/** Counted on the clone with the longest name, which also shows that its descriptor fits. */
function bytesOfOne({ names, into, templates, suffixes }: CloneShape): number {
  const longest = names.reduce((a, { name }) => (name.length > a.length ? name : a), '');
  return templates.reduce((sum, template, index) => {
    const files = template.files(into, longest + suffixes[index]!, (count) => new Uint8Array(count));
    return sum + allocatedBytes({ files });
  }, 0);
}

function facts(base: CloneBase): ClonePlan['bases'][number] {
  return {
    path: base.path,
    cid: printCid(base.cid),
    'create-type': base.createType,
    'virtual-size': base.virtualSize,
    'occupied-size': base.occupied,
    links: base.links.length,
  };
}

function totalsOf(clones: readonly PlannedClone[], bases: readonly CloneBase[]): ClonePlan['totals'] {
  const planned = clones.filter(({ status }) => status === 'planned');
  const needed = planned.reduce((sum, clone) => sum + clone['bytes-needed'], 0);
  const thin = planned.length * bases.reduce((sum, { occupied }) => sum + occupied, 0);
  const thick = planned.length * bases.reduce((sum, { virtualSize }) => sum + virtualSize, 0);
  return {
    clones: planned.length,
    files: planned.reduce(
      (sum, { disks }) => sum + disks.reduce((all, { files }) => all + files.length, 0),
      0,
    ),
    'bytes-needed': needed,
    'thin-copies': thin,
    'thick-copies': thick,
    'saved-against-thin': Math.max(0, thin - needed),
    'saved-against-thick': Math.max(0, thick - needed),
  };
}
