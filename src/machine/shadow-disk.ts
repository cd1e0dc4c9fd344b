// A shadow: a new base with the content of a chain that has become too deep, and disks moved onto it or made upon it. The
// shadow says itself whose content it is. Rule: the chain that it is made of is only read; disks that move read as before.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { assertMayLeave, assertNotMixed } from '../chain/half-merged.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { parseDescriptor, type Descriptor } from '../format/descriptor.ts';
import { editDescriptor } from '../format/edit-descriptor.ts';
import { lineageKeys } from '../format/lineage.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import { allocatedBytes, type DiskPlan, type PlannedFile } from '../operations/disk-plan.ts';
import { fillDisk } from '../operations/fill-disk.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import { planDelta } from '../operations/plan-delta.ts';
import { ADAPTER_TYPES, NEW_BASE_TYPES, planDisk } from '../operations/plan-disk.ts';
import type { FileStore } from '../storage/file-store.ts';
import { copyTypeFor } from './copy-disk.ts';
import {
  assertUnguarded,
  chainFrom,
  cidOf,
  linkAt,
  openDiskTree,
  parentOf,
  type DiskTree,
} from './disk-tree.ts';
import type { TreeLink } from './link-tree.ts';
import { dataBytes, openAsPlanned } from './remake-link.ts';
import { restand } from './restand.ts';
import { changeTree } from './tree-change.ts';
import { addNeeded, createTogether, lockLink, type TreePlan } from './tree-plan.ts';
import type { TreeOptions, TreeReport } from './tree-types.ts';

export interface ShadowOptions extends TreeOptions {
  /** The new base: a file name in a folder that exists. */
  readonly to: string;
  /** createType of the new base: what suits the platform of the chain unless told. */
  readonly type?: string | undefined;
  /** Disks that stand on the new base from then on. */
  readonly move?: readonly string[] | undefined;
  /** New, empty deltas of the new base. */
  readonly clones?: readonly string[] | undefined;
}

/**
 * Makes a base with the content of the disk `path`, any link of any chain.
 * @throws VmdkError `target-exists`, `half-merged`, `backing-capacity`, `disk-guarded`, `disk-locked`, `no-space` (refused); `usage`;
 * what reading finds. Nothing is changed then.
 */
export function shadowDisk(path: string, options: ShadowOptions): Promise<TreeReport> {
  const { to, type, move = [], clones = [] } = options;
  const wanted = [to, ...clones].map((one) => posix.resolve(one));
  const moving = move.map((one) => posix.resolve(one));
  const request = {
    action: 'shadow',
    disk: path,
    others: [to, ...move],
    wanted: [wanted, moving, type ?? null],
  };
  return changeTree({ ...request, action: 'shadow' }, options, async (plan) => {
    const tree = await openDiskTree(plan.store, path, options, move);
    const source = tree.chain[0]!;
    assertNotMixed(tree.chain);
    const target = await realPath(plan.store, to);
    const shadow = await planShadow(plan, tree, target, options);
    const parent = { path: target, cid: cidOf(source), content: source };
    for (const one of onceEach(tree, move)) {
      assertMayLeave(chainFrom(tree, one));
      assertSameSize(one, source);
      await assertUnguarded(plan.store, [one]);
      await restand(plan, one, parentOf(tree, one), parent, options);
    }
    for (const one of clones) await planClone(plan, shadow, await realPath(plan.store, one), options);
  });
}

async function realPath(store: FileStore, path: string): Promise<string> {
  return posix.join((await store.resolve(posix.dirname(path))).path, posix.basename(path));
}

function onceEach(tree: DiskTree, paths: readonly string[]): TreeLink[] {
  return [...new Set(paths.map((path) => linkAt(tree, path)))];
}

function assertSameSize(one: TreeLink, source: TreeLink): void {
  if (one.capacity === source.capacity) return;
  throw new VmdkError('refused', 'backing-capacity', 'a delta and its parent have the same size', {
    path: one.path,
    field: 'capacity',
    found: `${one.capacity} sectors`,
    expected: `${source.capacity} sectors, as in ${source.path}`,
  });
}

interface Shadow {
  readonly path: string;
  readonly capacity: TreeLink['capacity'];
  readonly descriptor: Descriptor;
}

async function planShadow(
  plan: TreePlan,
  tree: DiskTree,
  target: string,
  options: ShadowOptions,
): Promise<Shadow> {
  const { store } = plan;
  const source = tree.chain[0]!;
  const planned = planBase(tree.chain, target, options);
  const { files, descriptor } = withLineage(planned, source, target);
  const bytes = await dataBytes(plan, source, planned, options);
  const names = files.map(({ path }) => posix.basename(path));
  createTogether(plan, target, names, async (staging) => {
    const content = await openAsPlanned(store, source, options);
    try {
      const staged = files.map((file) => ({ ...file, path: posix.join(staging, posix.basename(file.path)) }));
      const { signal, onProgress } = options;
      await fillDisk(staged, content, (path) => store.create(path), { signal, onProgress });
    } finally {
      await content.close();
    }
  });
  lockLink(plan, source);
  plan.written.push({ path: target, 'create-type': planned.createType, bytes });
  addNeeded(plan, posix.dirname(target), Math.max(allocatedBytes(planned), bytes));
  plan.notes.push(...planned.notes);
  return { path: target, capacity: source.capacity, descriptor };
}

/** The same content has the same CID: disks that stood on the one fit the other. */
function planBase(chain: readonly TreeLink[], path: string, options: ShadowOptions): DiskPlan {
  const [source, base] = [chain[0]!, chain.at(-1)!];
  const wanted = base.descriptor.ddb.get('ddb.adaptertype');
  const adapterType = ADAPTER_TYPES.find((each) => each.toLowerCase() === wanted?.toLowerCase());
  const createType = options.type ?? copyTypeFor(undefined, base);
  const known = NEW_BASE_TYPES.find((type) => type.toLowerCase() === createType.toLowerCase());
  if (known === undefined)
    throw usageError(`no shadow can be of type ${createType}`, `Types: ${NEW_BASE_TYPES.join(', ')}.`);
  return planDisk({
    path,
    capacity: source.capacity,
    createType: known,
    adapterType: adapterType === 'ide' && known === 'vmfs' ? undefined : adapterType,
    ...(known === 'vmfs' ? { thin: true } : {}),
    cid: cidOf(source),
    random: options.random ?? randomBytes,
  });
}

/** The planned files, with what is remembered of the origin in the disk database. */
function withLineage(
  planned: DiskPlan,
  source: TreeLink,
  target: string,
): { files: PlannedFile[]; descriptor: Descriptor } {
  const files = [...planned.files];
  const last = files.pop()!;
  const { extent } = last;
  const text = extent?.kind === 'sparse' ? extent.descriptor! : last.parts[0]!.data;
  const ddb = lineageKeys(parentHintFor('relative', posix.dirname(target), source.path), cidOf(source));
  const descriptor = editDescriptor(parseDescriptor(text, target), { ddb });
  const data = printDescriptor(descriptor);
  const made =
    extent?.kind === 'sparse'
      ? { ...last, extent: { ...extent, descriptor: data } }
      : { ...last, size: data.length, parts: [{ at: 0, data }] };
  return { files: [...files, made], descriptor };
}

async function planClone(
  plan: TreePlan,
  shadow: Shadow,
  path: string,
  options: ShadowOptions,
): Promise<void> {
  const hint = parentHintFor('relative', posix.dirname(path), shadow.path);
  const delta = planDelta(shadow, { path, hint, random: options.random ?? randomBytes });
  for (const file of delta.files) plan.changes.push({ kind: 'create', path: file.path, file });
  addNeeded(plan, posix.dirname(path), allocatedBytes(delta));
  plan.registers.record.push([shadow.path, path]);
}
