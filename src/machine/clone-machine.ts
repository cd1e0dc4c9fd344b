// The main job, for machines: clones of a whole virtual machine, one or a thousand. All are made or none, unless told
// to keep going, in one change set with whatever changes at the source. The disks of the source are only ever read.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { printDictionary } from '../format/dictionary.ts';
import { reencodeDictionary } from '../format/edit-dictionary.ts';
import { setClones } from '../format/edit-vmsd.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import { assertUnchanged } from '../operations/clone-bases.ts';
import { problemOf, type CloneProblem, type CloneWarning } from '../operations/clone-types.ts';
import { findInto } from '../operations/clone-shape.ts';
import type { FileChange } from '../operations/file-change.ts';
import { assertFreeSpace } from '../operations/free-space.ts';
import { settleChangeSets, type SettledChanges } from '../operations/settle-changes.ts';
import { withLocks } from '../operations/with-locks.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { filesOfClone } from './clone-parts.ts';
import { hostPathOf } from './host-path.ts';
import { shapeMachineClones, type MachineShape } from './clone-shape.ts';
import {
  machineResult,
  requestOfMachinePlan,
  type MachineCloneOptions,
  type MachineClonePlan,
  type MachineCloneRequest,
  type MachineCloneResult,
  type PlannedMachine,
} from './machine-clone-types.ts';
import { planShapedClones } from './plan-machine-clones.ts';

/**
 * Makes clones of a machine and tells of each when all are done, in the order of the plan. Nothing is made until the
 * first result is asked for, and everything is made by then. Interrupted runs are settled first.
 * @throws VmdkError whatever `planMachineClones` throws; `no-space` (refused); `plan-outdated`, `base-changed`, `changed-since` (conflict)
 * and errors of the store, with nothing left of the run but what `not-undone` names; `not-finished` (io) when all is
 * made and not in place: the next run finishes it. The abort reason, with nothing left. With `keepGoing`, a clone that
 * fails is a result.
 */
export async function* cloneMachine(
  work: MachineCloneRequest | MachineClonePlan,
  options: MachineCloneOptions = {},
): AsyncGenerator<MachineCloneResult, void, undefined> {
  const promised = 'schema' in work ? work : undefined;
  const request = promised === undefined ? (work as MachineCloneRequest) : requestOfMachinePlan(promised);
  const { settled, warnings } = await settleBefore(request, options);
  const shape = await shapeMachineClones(request, options);
  const finished = settled.some(
    (run) => run.outcome === 'finished' && run.request === shape.fingerprint && run.label === LABEL,
  );
  const fresh = await planShapedClones(shape, finished);
  const plan = { ...fresh, warnings: [...warnings, ...fresh.warnings] };
  if (promised !== undefined) assertSamePlan(promised, plan);
  options.onPlan?.(plan);
  const planned = plan.clones.filter(({ status }) => status === 'planned');
  await assertFreeSpace(shape.store, shape.into, plan.totals['bytes-needed']);
  const failures =
    planned.length === 0 ? new Map<string, CloneProblem>() : await makeAll(shape, planned, options);
  for (const clone of plan.clones) yield machineResult(clone, 'created', failures.get(clone.name));
}

const LABEL = 'clone';

async function settleBefore(
  request: MachineCloneRequest,
  options: MachineCloneOptions,
): Promise<{ settled: SettledChanges[]; warnings: CloneWarning[] }> {
  const store = storeFor(options.fs);
  const { into } = await findInto(store, request.into, options);
  const machine = await createPathGuard({ store, confine: options.confine }).assertNamedAllowed(
    request.machine,
  );
  const settled: SettledChanges[] = [];
  const warnings: CloneWarning[] = [];
  for (const root of [into, posix.dirname(machine.path)]) {
    throwIfAborted(options);
    for (const run of await settleChangeSets(store, root, options)) {
      settled.push(run);
      const message = `a run (${run.label}) that was interrupted was ${run.outcome} first`;
      warnings.push({ code: 'interrupted-run', message, path: root });
    }
  }
  return { settled, warnings };
}

/** Makes the clones in one change set with what changes at the source; gives the failures, by name. */
async function makeAll(
  shape: MachineShape,
  planned: readonly PlannedMachine[],
  options: MachineCloneOptions,
): Promise<Map<string, CloneProblem>> {
  const { store, source, freeze, into, fingerprint } = shape;
  const { machine } = source;
  const names = new Set(planned.map(({ name }) => name));
  const atSource = [...(freeze?.changes ?? []), ...notedClones(shape, planned, options)];
  const folders = foldersOf(shape, names, options);
  const failures = new Map<string, CloneProblem>();
  const onSkipped = (index: number, error: unknown): void => {
    if (!isVmdkError(error)) return;
    const folder = folders[index - atSource.length]!;
    failures.set(posix.basename(folder.path), problemOf(error));
  };
  const set = {
    root: into,
    otherRoots: atSource.length === 0 ? [] : [machine.folder, ...(freeze?.folders ?? [])],
    label: LABEL,
    request: fingerprint,
    changes: [...atSource, ...folders],
  };
  const bases = source.disks.map(({ base }) => base);
  const beforeCommit = (): Promise<void> => assertUnchanged(store, bases);
  const { signal, onProgress, durable, runs, takeOver, locks } = options;
  // Nobody may start the source while its files change; clones that change nothing there take no lock.
  const locked = atSource.length === 0 ? [] : [machine.path, ...forkedFiles(shape)];
  await withLocks(
    store,
    locked,
    () => applyChangeSet(store, set, { signal, onProgress, durable, runs, onSkipped, beforeCommit }),
    { others: takeOver === true ? 'ignore' : 'refuse', host: locks?.host, signal },
  );
  return failures;
}

/** The files that the source would write to when it is started. */
function forkedFiles({ freeze, source }: MachineShape): string[] {
  const nodes = new Set((freeze?.forks ?? []).map(({ node }) => node));
  return source.machine.disks.flatMap(({ node, links }) => (nodes.has(node) ? (links[0]?.files ?? []) : []));
}

function foldersOf(
  { into, clones, shaped, request, random }: MachineShape,
  names: ReadonlySet<string>,
  options: MachineCloneOptions,
): (FileChange & { kind: 'folder' })[] {
  return clones
    .filter(({ name }) => names.has(name))
    .map((clone) => ({
      kind: 'folder',
      path: posix.join(into, clone.name),
      files: filesOfClone(shaped, clone, { ...options, random }),
      optional: request.keepGoing === true,
    }));
}

/** The snapshot that the clones hang on says so: VMware keeps it from being deleted then. */
function notedClones(
  { source, request, hint }: MachineShape,
  planned: readonly PlannedMachine[],
  { pathMap = [] }: MachineCloneOptions,
): FileChange[] {
  const { machine, snapshot } = source;
  const { vmsd, vmsdPath, folder, power } = machine;
  if (snapshot === undefined || vmsd === undefined || request.full === true || power.state !== 'off')
    return [];
  const own = planned.map(({ vmx }) =>
    hint === 'absolute' ? (hostPathOf(vmx, pathMap) ?? vmx) : posix.relative(folder, vmx),
  );
  const clones = [...new Set([...snapshot.clones, ...own])];
  let edited;
  try {
    edited = setClones(vmsd, snapshot, clones);
  } catch (error) {
    if (!isVmdkError(error, 'name-not-encodable')) throw error;
    edited = setClones(reencodeDictionary(vmsd), snapshot, clones);
  }
  return [{ kind: 'replace', path: vmsdPath, data: printDictionary(edited), old: printDictionary(vmsd) }];
}

function assertSamePlan(promised: MachineClonePlan, now: MachineClonePlan): void {
  const essence = ({ disks, clones, freeze }: MachineClonePlan): string[] => [
    ...disks.map(({ node, path, cid, kind }) => JSON.stringify([node, path, cid, kind])),
    ...(freeze ?? []).map(({ path, base }) => JSON.stringify([path, base])),
    ...clones.map(({ name, uuid, disks: own }) => JSON.stringify([name, uuid, own])),
  ];
  const [before, after] = [essence(promised), essence(now)];
  const index = before.findIndex((item, at) => item !== after[at]);
  if (index < 0 && before.length === after.length) return;
  throw new VmdkError('conflict', 'plan-outdated', 'the plan no longer fits what it was made for', {
    path: now.source,
    found: after[index] ?? 'nothing',
    expected: before[index] ?? 'nothing',
    hint: 'Plan again, and look at the plan.',
  });
}
