// The main job: linked clones of disks, one or a thousand. All are made or none, unless told to keep going; what a
// run that was killed has left is settled by the next. Bases are only ever read.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { errorAbout, isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import type { RandomBytes } from '../format/content-id.ts';
import type { FileStore } from '../storage/file-store.ts';
import { assertUnchanged } from './clone-bases.ts';
import { interruptedRunsOf, planShape } from './clone-plan.ts';
import { shapeClones, unitOf, type CloneShape } from './clone-shape.ts';
import {
  doneResult,
  problemOf,
  requestOfPlan,
  type CloneOptions,
  type ClonePlan,
  type CloneProblem,
  type CloneRequest,
  type CloneResult,
  type CloneWarning,
  type PlannedClone,
} from './clone-types.ts';
import { interruptedWarning } from './clone-warnings.ts';
import type { PlannedFile } from './disk-plan.ts';
import { assertFreeSpace } from './free-space.ts';
import { inParallel } from './in-parallel.ts';
import { settleRun } from './interrupted-runs.ts';
import { MADE_FOLDER, parseJournalFolder, type JournalUnit } from './journal.ts';
import { afterOthers } from './others-first.ts';
import { localRuns } from './run-owner.ts';
import * as staging from './staging.ts';
import { makeFolderIfMissing } from './tidy.ts';

/** Clones that could not be made, by name. */
type Failures = Map<string, CloneProblem>;

/**
 * Makes linked clones and tells of each when all are done, in the order of the plan. Nothing is made until the first
 * result is asked for, and everything is made by then. Interrupted runs into the same folder are settled first.
 * @throws VmdkError whatever `planClones` throws; `plan-outdated` and `base-changed` (conflict); `no-space`; errors of the store,
 * with nothing left of the run but what `not-undone` names; `not-finished` (io) when all is made and not in place:
 * the next run finishes it. The abort reason, with nothing left. With `keepGoing`, a clone that fails is a result.
 */
export async function* cloneDisks(
  work: CloneRequest | ClonePlan,
  options: CloneOptions = {},
): AsyncGenerator<CloneResult, void, undefined> {
  const promised = 'schema' in work ? work : undefined;
  const request = promised === undefined ? (work as CloneRequest) : requestOfPlan(promised);
  const shape = await shapeClones(request, options);
  const { done, warnings } = await settleBefore(shape, options);
  const fresh = await planShape(shape, { interrupted: [], done });
  const plan = { ...fresh, warnings: [...warnings, ...fresh.warnings] };
  if (promised !== undefined) assertSamePlan(promised, plan);
  options.onPlan?.(plan);
  const planned = plan.clones.filter(({ status }) => status === 'planned');
  await assertFreeSpace(shape.store, shape.into, plan.totals['bytes-needed']);
  const failures: Failures = planned.length === 0 ? new Map() : await makeAll(shape, planned, options);
  for (const clone of plan.clones) yield doneResult(clone, failures.get(clone.name));
}

/** Settles what is left of earlier runs; `done` are clones that one of the same request has made. */
async function settleBefore(
  shape: CloneShape,
  options: CloneOptions,
): Promise<{ done: Set<string>; warnings: CloneWarning[] }> {
  const done = new Set<string>();
  const warnings: CloneWarning[] = [];
  for (const run of await afterOthers(() => interruptedRunsOf(shape, options), options)) {
    throwIfAborted(options);
    const { placed, journal } = await settleRun(shape.store, shape.into, run);
    warnings.push(interruptedWarning(run, 'was'));
    if (journal?.request === shape.fingerprint) for (const { name } of placed) done.add(name);
  }
  return { done, warnings };
}

function assertSamePlan(promised: ClonePlan, now: ClonePlan): void {
  const essence = ({ bases, clones }: ClonePlan): string[] => [
    ...bases.map(({ path, cid, ...base }) => JSON.stringify([path, cid, base['virtual-size']])),
    ...clones.map(({ name, disks }) => JSON.stringify([name, disks])),
  ];
  const [before, after] = [essence(promised), essence(now)];
  const index = before.findIndex((item, at) => item !== after[at]);
  if (index < 0 && before.length === after.length) return;
  throw new VmdkError('conflict', 'plan-outdated', 'the plan no longer fits what it was made for', {
    path: now.into,
    found: after[index] ?? 'nothing',
    expected: before[index] ?? 'nothing',
    hint: 'Plan again, and look at the plan.',
  });
}

async function makeAll(
  shape: CloneShape,
  planned: readonly PlannedClone[],
  options: CloneOptions,
): Promise<Failures> {
  const { store, into, layout, fingerprint: request } = shape;
  const { self: owner } = options.runs ?? localRuns();
  const durable = options.durable ?? true;
  const units = planned.map(({ name }) => unitOf(shape, name));
  const failures: Failures = new Map();
  const madeFolders: string[] = [];
  let stage: staging.Staging | undefined;
  try {
    await makeFolders(store, shape.missingFolders, durable, madeFolders);
    stage = await afterOthers(async () => {
      const random = randomBytes(4).toString('hex');
      const begun = await staging.openStaging(
        store,
        into,
        { request, layout, units },
        { owner, random, durable },
      );
      await assertAlone(begun);
      return begun;
    }, options);
    await makeUnits(shape, stage, failures, options);
    throwIfAborted(options);
    await assertUnchanged(store, shape.bases);
    stage = await staging.commitStaging(stage);
  } catch (error) {
    if (stage !== undefined) await staging.undoStaging(stage, error);
    for (const folder of madeFolders.toReversed()) await store.removeFolder(folder).catch(() => {});
    if (stage === undefined) throw error;
    throw errorAbout(errorAbout(error, posix.join(stage.path, MADE_FOLDER), into), stage.path, into);
  }
  await finish(stage, failures);
  return failures;
}

async function makeFolders(
  store: FileStore,
  folders: readonly string[],
  durable: boolean,
  made: string[],
): Promise<void> {
  for (const folder of folders) {
    if (!(await makeFolderIfMissing(store, folder))) continue;
    made.push(folder);
    if (durable) await store.syncFolder(posix.dirname(folder));
  }
}

/** Two runs that began at the same moment see each other here, and both give way: what was begun goes. */
async function assertAlone(stage: staging.Staging): Promise<void> {
  const { store, into, path } = stage;
  const other = (await store.list(into)).find(
    (name) => parseJournalFolder(name) !== undefined && posix.join(into, name) !== path,
  );
  if (other === undefined) return;
  const error = new VmdkError(
    'conflict',
    'run-in-progress',
    'another run began to make clones in this folder',
    {
      path: posix.join(into, other),
      found: 'its journal',
      expected: 'no other journal',
      hint: 'Wait until it has ended, then run again.',
    },
  );
  await staging.undoStaging(stage, error);
  throw error;
}

/** Makes every clone where nobody sees it, and takes its names; when going on, the failures are noted. */
async function makeUnits(
  shape: CloneShape,
  stage: staging.Staging,
  failures: Failures,
  options: CloneOptions,
): Promise<void> {
  const { units } = stage.journal;
  const random = options.random ?? randomBytes;
  let done = 0;
  const each = async (unit: JournalUnit, work: () => Promise<void>): Promise<void> => {
    throwIfAborted(options);
    try {
      await work();
    } catch (error) {
      if (!shape.keepGoing || !isVmdkError(error)) throw error;
      failures.set(unit.name, problemOf(error));
      await staging.abandonUnit(stage, unit);
    }
  };
  await inParallel(units, async (unit) => {
    await each(unit, () => makeUnit(shape, stage, unit, random));
    options.onProgress?.({ phase: 'cloning', done: ++done, total: units.length, unit: 'clones' });
  });
  await inParallel(units, async (unit) => {
    if (!failures.has(unit.name)) await each(unit, () => staging.claimPlaces(stage, unit));
  });
}

async function makeUnit(
  { templates, suffixes }: CloneShape,
  stage: staging.Staging,
  unit: JournalUnit,
  random: RandomBytes,
): Promise<void> {
  await staging.beginUnit(stage, unit);
  const folder = posix.dirname(staging.stagedPath(stage, unit, unit.files[0]!));
  for (const [index, template] of templates.entries()) {
    for (const file of template.files(folder, unit.name + suffixes[index]!, random)) {
      await makeFile(stage, file);
    }
  }
}

async function makeFile(
  { store, durable }: staging.Staging,
  { path, size, parts }: PlannedFile,
): Promise<void> {
  const handle = await store.create(path);
  try {
    const end = parts.reduce((most, { at, data }) => Math.max(most, at + data.length), 0);
    if (end < size) await handle.resize(size);
    for (const { at, data } of parts) await handle.write(data, at);
    if (durable) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Puts everything in its place. What fails from here on is finished by the next run. */
async function finish(stage: staging.Staging, failures: Failures): Promise<void> {
  try {
    await inParallel(stage.journal.units, async (unit) => {
      if (failures.has(unit.name)) return;
      const outcome = await staging.placeOwnUnit(stage, unit);
      if (outcome === 'placed') return;
      const [file] = unit.files;
      failures.set(unit.name, problemOf(staging.targetExists(staging.finalPath(stage, unit, file!))));
      await staging.abandonUnit(stage, unit);
    });
    await staging.closeStaging(stage);
  } catch (error) {
    await staging.releaseStaging(stage);
    throw new VmdkError(
      'io',
      'not-finished',
      'all clones are made, and not all of them could be put in their places',
      {
        path: stage.path,
        found: error instanceof Error ? error.message : String(error),
        hint: 'Run the same command again: it finishes this first.',
      },
      error,
    );
  }
}
