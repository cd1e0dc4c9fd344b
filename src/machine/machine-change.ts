// A change of a machine's files, from looking at it to having it done: interrupted work is settled first, everything is
// planned from what is then there, and one change set carries it out. Rule: a dry run writes nothing at all.
import { posix } from 'node:path';
import { usageError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { emptyVmsd } from '../format/edit-vmsd.ts';
import { editDictionary } from '../format/edit-dictionary.ts';
import { printDictionary, type Dictionary } from '../format/dictionary.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import type { FileChange } from '../operations/file-change.ts';
import { assertFreeSpace } from '../operations/free-space.ts';
import { foretell } from '../operations/foresee-run.ts';
import { findInterrupted, settleChangeSets } from '../operations/settle-changes.ts';
import { withLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { assertUidsDiffer } from './find-snapshot.ts';
import { assertMachineUsable, isMachinePath, type Machine } from './machine.ts';
import { openMachine } from './open-machine.ts';
import type { NamedSnapshot, SnapshotOptions, SnapshotReport } from './snapshot-types.ts';

/** What is about to be done, gathered while it is planned. */
export interface ChangePlan {
  readonly action: SnapshotReport['action'];
  /** Equal for two runs that ask for the same. */
  readonly request: string;
  /** An interrupted run that asked for the same has just been finished: nothing is left to do. */
  readonly done: boolean;
  readonly machine: Machine;
  readonly store: FileStore;
  readonly snapshots: NamedSnapshot[];
  readonly disks: SnapshotReport['disks'][number][];
  readonly merged: SnapshotReport['merged'][number][];
  readonly kept: SnapshotReport['kept'][number][];
  readonly notes: string[];
  readonly changes: FileChange[];
  /** Done before the changes, under the same locks; stopped, it leaves the machine as it was for every reader. */
  readonly work: { readonly files: readonly string[]; readonly run: () => Promise<void> }[];
  /** Edits of the .vmx by key. */
  readonly vmxEdits: Record<string, string | null>;
  /** The .vmsd as it will be; undefined while it stays. */
  vmsd: Dictionary | undefined;
  needed: number;
  freed: number;
}

/**
 * Looks at the machine, after settling what earlier runs left, and opens a plan. `wanted` is what was asked for: two
 * calls with equal ones ask for the same.
 */
export async function beginChange(
  vmxPath: string,
  { action, wanted }: { action: ChangePlan['action']; wanted: readonly unknown[] },
  options: SnapshotOptions,
): Promise<ChangePlan> {
  assertMachineNamed(vmxPath);
  const store = storeFor(options.fs);
  throwIfAborted(options);
  const place = await createPathGuard({ store, confine: options.confine }).assertNamedAllowed(vmxPath);
  const request = JSON.stringify([action, place.path, ...wanted.map((one) => one ?? null)]);
  const { notes, done } = await settleBefore(store, posix.dirname(place.path), request, options);
  const machine = await openMachine(vmxPath, { ...options, fs: store });
  return emptyPlan({ action, request, done, machine, store, snapshots: [], notes });
}

/**
 * The .vmsd beside a disk of that name is the machine's, whose disks a .vmdk does not know: taken for a machine that has
 * none, everything would look as if nobody needed it. @throws VmdkError `usage`.
 */
export function assertMachineNamed(path: string): void {
  if (!isMachinePath(path)) throw usageError(`${path} is no machine`, 'Name its .vmx.');
}

/** A plan that changes nothing yet. */
export function emptyPlan(
  about: Pick<ChangePlan, 'action' | 'request' | 'done' | 'machine' | 'store' | 'snapshots'> &
    Partial<Pick<ChangePlan, 'notes'>>,
): ChangePlan {
  const { action, request, done, machine, store, snapshots, notes = [] } = about;
  return {
    action,
    request,
    done,
    machine,
    store,
    snapshots,
    notes: [...notes],
    disks: [],
    merged: [],
    kept: [],
    changes: [],
    work: [],
    vmxEdits: {},
    vmsd: undefined,
    needed: 0,
    freed: 0,
  };
}

/** @throws VmdkError what stands against changing this machine's disks. */
export function assertChangeable(machine: Machine, verb: string, force: boolean): void {
  const accept = force ? (['vtpm', 'unclean'] as const) : (['vtpm'] as const);
  assertMachineUsable(machine, { verb, changes: true, accept });
  assertUidsDiffer(machine);
}

/** Carries the plan out, unless it is only to be told, and tells it. */
export async function finishChange(plan: ChangePlan, options: SnapshotOptions): Promise<SnapshotReport> {
  const { machine, store } = plan;
  const changes = [...plan.changes, ...textChanges(plan)];
  const dryRun = options.dryRun === true;
  await assertRoom(plan, options);
  if (!dryRun && changes.length > 0) {
    const otherRoots = rootsOf(machine.folder, changes);
    const set = { root: machine.folder, otherRoots, label: 'snapshot', changes, request: plan.request };
    const others = options.force === true ? 'ignore' : 'refuse';
    const carryOut = async (): Promise<void> => {
      for (const { run } of plan.work) await run();
      await applyChangeSet(store, set, options);
    };
    const files = filesToLock(plan, changes);
    await withLocks(store, files, carryOut, { others, host: options.locks?.host, signal: options.signal });
  }
  return reportOf(plan, changes, dryRun);
}

/** The name of a file that takes another's place, as the machine would spell it. */
export function spelledLike(machine: Machine, old: { fileName: string; path: string }, path: string): string {
  if (posix.dirname(old.path) === posix.dirname(path)) {
    const at = Math.max(old.fileName.lastIndexOf('/'), old.fileName.lastIndexOf('\\'));
    const datastore = /^\[[^\]]*\]\s*/.exec(old.fileName)?.[0].length ?? 0;
    return old.fileName.slice(0, Math.max(at + 1, datastore)) + posix.basename(path);
  }
  const relative = posix.relative(machine.folder, path);
  return relative.startsWith('../') ? path : relative;
}

/** The .vmsd to edit: what is planned so far, what is there, or a new one with the line ends of the .vmx. */
export function vmsdOf({ vmsd, machine }: ChangePlan): Dictionary {
  const present = vmsd ?? machine.vmsd;
  if (present !== undefined && present.lines.length > 0) return present;
  const first = machine.vmx.lines[0]?.raw;
  const crlf = first !== undefined && Buffer.from(first).toString('latin1').endsWith('\r\n');
  return emptyVmsd(machine.vmsdPath, crlf ? '\r\n' : '\n');
}

async function settleBefore(
  store: FileStore,
  folder: string,
  request: string,
  options: SnapshotOptions,
): Promise<{ notes: string[]; done: boolean }> {
  if (options.dryRun === true) {
    const left = await findInterrupted(store, folder, options);
    const notes = left.map(foretell);
    return { notes, done: false };
  }
  const settled = await settleChangeSets(store, folder, options);
  return {
    notes: settled.map(({ label, outcome }) => `a ${label} run that was interrupted was ${outcome} first`),
    done: settled.some((run) => run.outcome === 'finished' && run.request === request),
  };
}

function textChanges(plan: ChangePlan): FileChange[] {
  const { machine, vmxEdits, vmsd } = plan;
  const changes: FileChange[] = [];
  if (vmsd !== undefined) {
    const data = printDictionary(vmsd);
    const path = machine.vmsdPath;
    if (machine.vmsd === undefined) changes.push({ kind: 'create', path, file: data });
    else changes.push({ kind: 'replace', path, data, old: printDictionary(machine.vmsd) });
  }
  if (Object.keys(vmxEdits).length > 0) {
    const data = printDictionary(editDictionary(machine.vmx, vmxEdits));
    changes.push({ kind: 'replace', path: machine.path, data, old: printDictionary(machine.vmx) });
  }
  return changes;
}

/** The machine itself, what it runs on, and every disk that changes or goes. */
function filesToLock({ machine, work }: ChangePlan, changes: readonly FileChange[]): Set<string> {
  const files = new Set([machine.path, ...machine.disks.flatMap(({ links }) => links[0]?.files ?? [])]);
  for (const change of changes) {
    const leaves = change.kind === 'remove' || change.kind === 'replace' || change.kind === 'patch';
    if (leaves && /\.vmdk$/i.test(change.path)) files.add(change.path);
  }
  for (const file of work.flatMap((one) => one.files)) files.add(file);
  return files;
}

/** Folders besides the machine's own that the changes reach into. */
function rootsOf(own: string, changes: readonly FileChange[]): string[] {
  const folders = changes.map((change) => {
    if (change.kind === 'create-together') return change.path;
    return posix.dirname(change.kind === 'rename' ? change.from : change.path);
  });
  return [...new Set(folders)].filter((folder) => folder !== own && !folder.startsWith(`${own}/`));
}

/** @throws VmdkError `no-space` (refused) when the file system says that it is too full. */
export async function assertRoom(
  { store, machine, needed, notes }: ChangePlan,
  options: SnapshotOptions,
): Promise<void> {
  if (needed === 0) return;
  if (options.dryRun === true && store.freeBytes === undefined)
    notes.push('how much space is free cannot be told from here');
  await assertFreeSpace(store, machine.folder, needed);
}

function reportOf(plan: ChangePlan, changes: readonly FileChange[], dryRun: boolean): SnapshotReport {
  const { action, machine, snapshots, disks, merged, kept, notes, needed, freed } = plan;
  const created = changes.flatMap((change) => {
    if (change.kind === 'create') return [change.path];
    return change.kind === 'create-together' ? change.names.map((name) => posix.join(change.path, name)) : [];
  });
  const removed = changes.flatMap((change) => (change.kind === 'remove' ? [change.path] : []));
  const changed = changes.flatMap((change) =>
    change.kind === 'replace' || change.kind === 'patch' ? [change.path] : [],
  );
  const written = plan.work.flatMap(({ files }) => files);
  // A file that is made anew under its own name is neither new nor gone.
  const renewed = created.filter((path) => removed.includes(path));
  return {
    schema: 'vmdkit-snapshot/v1',
    action,
    machine: machine.path,
    'dry-run': dryRun,
    snapshots,
    disks,
    merged,
    kept,
    created: created.filter((path) => !renewed.includes(path)),
    changed: [...new Set([...changed, ...renewed, ...written])],
    removed: removed.filter((path) => !renewed.includes(path)),
    'bytes-needed': needed,
    'bytes-freed': freed,
    notes,
  };
}
