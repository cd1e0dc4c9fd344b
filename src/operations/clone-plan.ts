// Plans linked clones of disks: everything that can go wrong is looked for before anything is made. Reads only.
import { createHash, randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import { printCid } from '../format/content-id.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { examineBases, type CloneBase } from './clone-bases.ts';
import { assertCloneName, expandNames, type CloneName } from './clone-names.ts';
import { warningsOf } from './clone-warnings.ts';
import {
  problemOf,
  type ClonedDisk,
  type CloneLayout,
  type CloneOptions,
  type ClonePlan,
  type CloneRequest,
  type CloneShape,
  type PlannedClone,
} from './clone-types.ts';
import { deltaTemplate, type DeltaTemplate } from './delta-template.ts';
import { allocatedBytes } from './disk-plan.ts';
import { findInterruptedRuns, type InterruptedRun } from './interrupted-runs.ts';
import type { JournalUnit } from './journal.ts';
import { parentHintFor } from './parent-hint.ts';
import { localRuns } from './run-owner.ts';
import { finalPath, targetExists } from './staging.ts';

/** A plan with what carrying it out needs besides. */
export interface PreparedClones {
  readonly plan: ClonePlan;
  readonly store: FileStore;
  readonly bases: readonly CloneBase[];
  /** One for each base. */
  readonly templates: readonly DeltaTemplate[];
  /** What follows the clone's name in each disk's, one for each base. */
  readonly stems: readonly string[];
  /** Folders to make, outermost first. */
  readonly missingFolders: readonly string[];
  readonly interrupted: readonly InterruptedRun[];
  /** Equal for equal requests. */
  readonly request: string;
}

/**
 * Plans clones; nothing is written.
 * @throws VmdkError for the first thing that stands against it: `usage`; whatever opening a base finds;
 * `disk-locked`, `chain-too-deep`, `target-exists` (refused); `run-in-progress` (conflict). With `keepGoing`, clones
 * whose place is taken are `refused` in the plan instead.
 */
export async function planClones(request: CloneRequest, options: CloneOptions = {}): Promise<ClonePlan> {
  return (await prepareClones(request, options)).plan;
}

/** `done` are clones that an interrupted run of the same request has made, and that were put in their places. */
export async function prepareClones(
  request: CloneRequest,
  options: CloneOptions,
  done: ReadonlySet<string> = new Set(),
): Promise<PreparedClones> {
  const store = storeFor(options.fs);
  const bases = await examineBases(store, request.bases, options);
  const names = expandNames(request, stemOf(bases[0]!.path));
  const { into, missingFolders } = await findInto(store, request.into, options);
  const layout = request.layout ?? layoutFor(bases, into);
  const hint = request.hint ?? 'relative';
  const random = options.random ?? randomBytes;
  // All clones lie equally deep, so that one hint serves them all.
  const sample = layout === 'folders' ? posix.join(into, names[0]!.name) : into;
  const hints = bases.map(({ path }) => parentHintFor(hint, sample, path));
  const templates = bases.map((base, index) =>
    deltaTemplate(base, { createType: request.type, hint: hints[index]! }, random),
  );
  const stems = suffixesOf(bases);
  const runs = { runs: options.runs ?? localRuns(), takeOver: options.takeOver };
  const interrupted = missingFolders.length > 0 ? [] : await findInterruptedRuns(store, into, runs);
  const shape = { into, layout, names, bases, hints, templates, stems };
  const fingerprint = fingerprintOf(shape, hint, request.type);
  const taken = missingFolders.length > 0 ? new Set<string>() : new Set(await store.list(into));
  const clones = planEach(shape, {
    taken,
    done,
    interrupted,
    fingerprint,
    keepGoing: request.keepGoing === true,
  });
  const plan: ClonePlan = {
    schema: 'vmdkit-clone-plan/v1',
    into,
    layout,
    hint,
    ...(request.type === undefined ? {} : { type: request.type }),
    'keep-going': request.keepGoing === true,
    bases: bases.map(facts),
    clones,
    totals: totalsOf(clones, bases),
    warnings: await warningsOf(store, { ...shape, clones, interrupted, allow: options.allow ?? [] }),
  };
  return { plan, store, bases, templates, stems, missingFolders, interrupted, request: fingerprint };
}

function fingerprintOf(shape: CloneShape, hint: string, type: string | undefined): string {
  const { into, layout } = shape;
  const bases = shape.bases.map(({ path, cid }) => [path, cid]);
  const names = shape.names.map(({ name }) => name);
  const identity = JSON.stringify({ bases, into, layout, hint, type, names });
  return createHash('sha256').update(identity).digest('hex');
}

/** The files of a clone as the journal lists them. */
export function unitOf(
  { templates, stems }: Pick<PreparedClones, 'templates' | 'stems'>,
  name: string,
): JournalUnit {
  return {
    name,
    files: templates.flatMap((template, index) => template.fileNames(name + stems[index]!)),
  };
}

/** The real path of a folder that may be missing, and which folders that takes. */
async function findInto(
  store: FileStore,
  into: string,
  { confine }: CloneOptions,
): Promise<{ into: string; missingFolders: string[] }> {
  if (into === '') throw usageError('the folder for the clones has no name');
  const guard = createPathGuard({ store, confine });
  const missing: string[] = [];
  for (let at = into; ; at = posix.dirname(at)) {
    try {
      const found = await guard.assertNamedAllowed(at);
      if (found.kind !== 'folder') {
        throw new VmdkError('usage', 'not-a-folder', 'clones are made in a folder', {
          path: found.path,
          found: found.kind,
          expected: 'a folder, or nothing',
        });
      }
      const missingFolders = missing.map((_, index) =>
        posix.join(found.path, ...missing.slice(0, index + 1)),
      );
      return { into: posix.join(found.path, ...missing), missingFolders };
    } catch (error) {
      if (!isVmdkError(error, 'file-missing') || posix.dirname(at) === at) throw error;
      missing.unshift(posix.basename(at));
    }
  }
}

function layoutFor(bases: readonly CloneBase[], into: string): CloneLayout {
  if (bases.length > 1) return 'folders';
  const way = posix.relative(into, bases[0]!.path);
  return !way.startsWith('../') && way.includes('/') ? 'folders' : 'files';
}

/**
 * One base: its clone is NAME.vmdk. Several: NAME-base.vmdk. Never the base's own name, by which a reader whose hint
 * fails would take a clone for its base.
 */
function suffixesOf(bases: readonly CloneBase[]): string[] {
  if (bases.length === 1) return [''];
  const seen = new Set<string>();
  return bases.map(({ path }) => {
    const stem = stemOf(path);
    let suffix = `-${stem}`;
    for (let number = 2; seen.has(suffix.toLowerCase()); number++) suffix = `-${stem}-${number}`;
    seen.add(suffix.toLowerCase());
    return suffix;
  });
}

function stemOf(path: string): string {
  return posix.basename(path).replace(/\.vmdk$/i, '');
}

interface Surroundings {
  /** Names in `into`. */
  readonly taken: ReadonlySet<string>;
  readonly done: ReadonlySet<string>;
  readonly interrupted: readonly InterruptedRun[];
  readonly fingerprint: string;
  readonly keepGoing: boolean;
}

function planEach(shape: CloneShape, around: Surroundings): PlannedClone[] {
  const { ours, present, taken } = afterSettling(around);
  const needed = bytesOfOne(shape);
  const claimed = new Map<string, string>();
  return shape.names.map((entry): PlannedClone => {
    const { name } = entry;
    const unit = unitOf(shape, name);
    const disks = disksOf(shape, name);
    const common = { name, disks, 'bytes-needed': needed, ...(hasMore(entry) ? { input: entry } : {}) };
    for (const stem of shape.stems) assertCloneName(name + stem);
    const places = shape.layout === 'folders' ? [name] : unit.files;
    assertApart(places, name, claimed);
    if (present.has(name)) return { ...common, status: 'present' };
    const blocked = places.find((place) => taken.has(place) && !ours.has(place));
    if (blocked === undefined) return { ...common, status: 'planned' };
    const error = targetExists(posix.join(shape.into, blocked));
    if (!around.keepGoing) throw error;
    return { ...common, status: 'refused', error: problemOf(error) };
  });
}

/** What interrupted runs will have left once they are settled. */
function afterSettling({ taken, done, interrupted, fingerprint }: Surroundings): {
  /** Empty files that settling removes. */
  ours: Set<string>;
  /** Clones of this same request. */
  present: Set<string>;
  taken: Set<string>;
} {
  const [ours, present, all] = [new Set<string>(), new Set(done), new Set(taken)];
  for (const { journal, fate } of interrupted) {
    for (const { name, files } of journal?.units ?? []) {
      const places = journal?.layout === 'folders' ? [name] : files;
      if (fate === 'undone' && journal?.layout === 'files') for (const place of places) ours.add(place);
      if (fate === 'undone') continue;
      for (const place of places) all.add(place);
      if (journal?.request === fingerprint) present.add(name);
    }
  }
  return { ours, present, taken: all };
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
  const { into, layout, bases, templates, stems, hints } = shape;
  return bases.map((base, index): ClonedDisk => {
    const names = templates[index]!.fileNames(name + stems[index]!);
    const place = { into, journal: { request: '', layout, units: [] } };
    const files = names.map((file) => finalPath(place, { name, files: [] }, file));
    const cid = printCid(base.cid);
    const { createType } = templates[index]!;
    const hint = hints[index]!;
    return { path: files.at(-1)!, base: base.path, type: createType, hint, cid, 'parent-cid': cid, files };
  });
}

/** Counted on the clone with the longest name, which also shows that its descriptor fits. */
function bytesOfOne({ names, into, templates, stems }: CloneShape): number {
  const longest = names.reduce((a, { name }) => (name.length > a.length ? name : a), '');
  return templates.reduce((sum, template, index) => {
    const files = template.files(into, longest + stems[index]!, (count) => new Uint8Array(count));
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
