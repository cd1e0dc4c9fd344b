// A change of a tree of disks, from looking at it to having it done: interrupted work is settled first, everything is
// planned from what is then there, and one change set carries it out. Rule: a dry run writes nothing at all.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import { foretell } from '../operations/foresee-run.ts';
import { assertFreeSpace } from '../operations/free-space.ts';
import { findInterrupted, settleChangeSets } from '../operations/settle-changes.ts';
import { withLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { forgetSharers, recordSharers } from './sharers.ts';
import { emptyTreePlan, type TreePlan } from './tree-plan.ts';
import type { TreeAction, TreeOptions, TreeReport } from './tree-types.ts';

export interface TreeRequest {
  readonly action: TreeAction;
  /** The disk that is named first. */
  readonly disk: string;
  /** Further disks that are named: what interrupted runs left in their folders is settled as well. */
  readonly others?: readonly string[];
  /** What else makes two requests the same. */
  readonly wanted?: readonly unknown[];
}

/** `planner` fills the plan that it is given; it may be called again, when more had to be settled first. */
export async function changeTree(
  request: TreeRequest,
  options: TreeOptions,
  planner: (plan: TreePlan) => Promise<void>,
): Promise<TreeReport> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  const { action, disk, others = [] } = request;
  const key = JSON.stringify([action, posix.resolve(disk), ...(request.wanted ?? [])]);
  const settling = new Settling(store, key, options);
  for (const path of [disk, ...others]) await settling.around(path);
  for (;;) {
    throwIfAborted(options);
    const plan = emptyTreePlan(store, await pathOf(store, disk, options));
    plan.notes.push(...settling.notes);
    if (settling.done) return reportOf(action, plan, false);
    await planner(plan);
    await assertRoom(plan);
    if (options.dryRun === true) return reportOf(action, plan, true);
    // Parts of what was planned may have been on their way elsewhere.
    if (await settling.folders(foldersOf(plan))) continue;
    await carryOut(plan, { action, key }, options);
    await writeRegisters(plan, options);
    return reportOf(action, plan, false);
  }
}

/** Real path of the disk, or where it would be: a run that has just been finished may have taken it away. */
async function pathOf(store: FileStore, disk: string, { confine }: TreeOptions): Promise<string> {
  try {
    return (await createPathGuard({ store, confine }).assertNamedAllowed(disk)).path;
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return posix.resolve(disk);
    throw error;
  }
}

/** What earlier runs left, folder by folder, each looked at once. */
class Settling {
  readonly notes: string[] = [];
  /** An interrupted run that asked for the same has just been finished: nothing is left to do. */
  done = false;
  readonly #store: FileStore;
  readonly #key: string;
  readonly #options: TreeOptions;
  readonly #seen = new Set<string>();

  constructor(store: FileStore, key: string, options: TreeOptions) {
    this.#store = store;
    this.#key = key;
    this.#options = options;
  }

  /** The folder that the disk is named in, and the one that it really is in. */
  async around(path: string): Promise<void> {
    const folder = posix.dirname(posix.resolve(path));
    if (!(await this.#store.exists(folder))) return;
    await this.folders([(await this.#store.resolve(folder)).path]);
    if (await this.#store.exists(path))
      await this.folders([posix.dirname((await this.#store.resolve(path)).path)]);
  }

  /** True when anything was settled. */
  async folders(folders: Iterable<string>): Promise<boolean> {
    let any = false;
    for (const folder of folders) {
      if (this.#seen.has(folder)) continue;
      this.#seen.add(folder);
      if (this.#options.dryRun === true) {
        const left = await findInterrupted(this.#store, folder, this.#options);
        this.notes.push(...left.map(foretell));
        continue;
      }
      for (const { label, outcome, request } of await settleChangeSets(this.#store, folder, this.#options)) {
        any = true;
        this.notes.push(`a ${label} run that was interrupted was ${outcome} first`);
        this.done ||= outcome === 'finished' && request === this.#key;
      }
    }
    return any;
  }
}

/** Everything in all folders together, for each file system that the folders are on. */
async function assertRoom({ store, needed }: TreePlan): Promise<void> {
  const devices = new Map<string, { folder: string; bytes: number }>();
  for (const [folder, bytes] of needed) {
    // `device:inode` in the real file system.
    const device = (await store.resolve(folder)).identity.split(':')[0]!;
    const known = devices.get(device);
    devices.set(device, { folder, bytes: bytes + (known?.bytes ?? 0) });
  }
  for (const { folder, bytes } of devices.values()) await assertFreeSpace(store, folder, bytes);
}

async function carryOut(
  plan: TreePlan,
  { action, key }: { action: TreeAction; key: string },
  options: TreeOptions,
): Promise<void> {
  const { store, changes, work, locks } = plan;
  if (changes.length === 0 && work.length === 0) return;
  const [root, ...otherRoots] = foldersOf(plan);
  const set = { root: root!, otherRoots, label: action, changes, request: key };
  const { signal, durable, runs } = options;
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  await withLocks(
    store,
    locks,
    async () => {
      for (const one of work) await one();
      await applyChangeSet(store, set, { signal, durable, runs });
    },
    { others, host: options.locks?.host, signal },
  );
}

/** The folder of the disk first: that is where the next run looks. */
function foldersOf({ disk, changes }: TreePlan): string[] {
  const folders = changes.map((change) => {
    if (change.kind === 'create-together') return change.path;
    return posix.dirname(change.kind === 'rename' ? change.from : change.path);
  });
  return [...new Set([posix.dirname(disk), ...folders])];
}

async function writeRegisters({ store, registers, notes }: TreePlan, options: TreeOptions): Promise<void> {
  const { forget, record } = registers;
  for (const parent of new Set(forget.map(([path]) => path))) {
    if (!(await store.exists(parent))) continue;
    const { note } = await forgetSharers(store, parent, childrenIn(forget, parent));
    if (note !== undefined) notes.push(note);
  }
  if (options.register === false) return;
  for (const parent of new Set(record.map(([path]) => path))) {
    const { note } = await recordSharers(store, parent, childrenIn(record, parent));
    if (note !== undefined) notes.push(note);
  }
}

function childrenIn(pairs: readonly (readonly [string, string])[], parent: string): string[] {
  return pairs.filter(([path]) => path === parent).map(([, child]) => child);
}

function reportOf(action: TreeAction, plan: TreePlan, dryRun: boolean): TreeReport {
  const { disk, changes, written, moved, kept, notes, needed, freed } = plan;
  const created = changes.flatMap((change) => {
    if (change.kind === 'create') return [change.path];
    return change.kind === 'create-together' ? change.names.map((name) => posix.join(change.path, name)) : [];
  });
  const removed = changes.flatMap((change) => (change.kind === 'remove' ? [change.path] : []));
  const changed = changes.flatMap((change) =>
    change.kind === 'replace' || change.kind === 'patch' ? [change.path] : [],
  );
  // A file that is made anew under its own name is neither new nor gone.
  const renewed = created.filter((path) => removed.includes(path));
  return {
    schema: 'vmdkit-tree/v1',
    action,
    disk,
    'dry-run': dryRun,
    written,
    moved,
    kept,
    created: created.filter((path) => !renewed.includes(path)),
    changed: [...new Set([...changed, ...renewed])],
    removed: removed.filter((path) => !renewed.includes(path)),
    'bytes-needed': [...needed.values()].reduce((sum, bytes) => sum + bytes, 0),
    'bytes-freed': freed,
    notes,
  };
}
