// Another name or folder for a disk: its descriptor and extents, and the hints of what stands on it, in one change set.
// Rule: no CID and no content changes, so that everything that stood on the disk still does.
import { posix } from 'node:path';
import { assertMayLeave } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import type { Chain } from '../chain/chain.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { ExtentLine } from '../format/descriptor.ts';
import { meansFileCalled } from '../format/extent-names.ts';
import { editDescriptor, type DescriptorEdits } from '../format/edit-descriptor.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import type { FileChange } from '../operations/file-change.ts';
import { assertOneFileSystem } from '../operations/one-file-system.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import { settleAround } from '../operations/settle-around.ts';
import { filesOfDisk, withLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { descriptorChange } from './descriptor-change.ts';
import type { ForestDisk } from './forest.ts';
import { assertNotGuarded } from './guard-file.ts';
import { planReferences, type References, type RenamedReference } from './rename-references.ts';
import { findSharers, forgetSharers, recordSharers, type Sharers } from './sharers.ts';

export interface RenameOptions extends TaskOptions, ChainOptions {
  /** Go on although registered disks cannot be looked at, or a machine was not shut down cleanly. Default false. */
  force?: boolean | undefined;
  /** Tell what would be done, and change nothing. Default false. */
  dryRun?: boolean | undefined;
}

export interface RenamedDisk {
  readonly from: string;
  readonly to: string;
  readonly files: readonly { readonly from: string; readonly to: string }[];
  /** Disks whose hints were written anew. */
  readonly relinked: readonly { readonly path: string; readonly hint: string }[];
  /** Lines of machines that name it by its new name. */
  readonly references: readonly RenamedReference[];
  readonly notes: readonly string[];
}

interface Renaming {
  readonly chain: Chain;
  readonly to: string;
  readonly files: RenamedDisk['files'];
  readonly lines: readonly ExtentLine[];
  readonly children: readonly ForestDisk[];
  readonly named: References;
}

/**
 * Renames the disk `path` to `target`, a file name of a disk in an existing folder of the same file system. When a run that
 * was interrupted asked for the same and is finished first, nothing is left to do: no files are told then, but a note.
 * Machines that name it are to be off; their .vmx and .vmsd follow.
 * @throws VmdkError `machine-running` and its kin, `half-merged`, `base-has-children`, `disk-guarded`, `not-renamable`, `target-exists`,
 * `other-file-system`, `change-tracking`, `disk-locked` (refused); nothing is changed then.
 */
export async function renameDisk(
  path: string,
  target: string,
  options: RenameOptions = {},
): Promise<RenamedDisk> {
  if (!/[^/]\.vmdk$/i.test(target))
    throw usageError(`${target} is no name of a disk`, 'It must end in .vmdk.');
  const store = storeFor(options.fs);
  const settled = options.dryRun === true ? [] : await settleAround(store, path);
  const [from, to] = [await placeOf(store, path), await placeOf(store, target)];
  const notes = settled.map(
    ({ label, outcome }) => `a ${label} run that was interrupted was ${outcome} first`,
  );
  const done = settled.some((run) => run.outcome === 'finished' && run.request === requestOf(from, to));
  if (done && !(await store.exists(from)) && (await store.exists(to)))
    return { from, to, files: [], relinked: [], references: [], notes };
  const chain = await openChain(path, 'read', options);
  try {
    assertMayLeave(chain.links);
    await assertNotGuarded(store, chain.leaf.path);
    await assertOneFileSystem(store, posix.dirname(chain.leaf.path), posix.dirname(to));
    const { allow, confine, pathMap, signal } = options;
    const sharers = await findSharers(store, chain.leaf.path, { allow, confine, pathMap, signal });
    if (options.force !== true) assertAllKnown(chain, sharers);
    const machines = sharers.forest.disks.find(({ path: one }) => one === sharers.path)?.machines ?? [];
    const named = await planReferences(store, machines, { from: chain.leaf.path, to }, options);
    const children = sharers.disks.filter(({ parent }) => parent === sharers.path);
    const renaming = { chain, to, ...newNames(chain, to), children, named };
    const locked = [...filesOfDisk(chain.leaf), ...children.flatMap(({ files }) => files), ...named.machines];
    const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
    const work = (): Promise<RenamedDisk['relinked']> => carryOut(store, renaming, options);
    const dry = options.dryRun === true;
    const relinked = dry ? await work() : await withLocks(store, locked, work, { others, signal });
    notes.push(...sharers.notes, ...(dry ? [] : await moveRegister(store, renaming)));
    const { references } = named;
    return { from: chain.leaf.path, to, files: renaming.files, relinked, references, notes };
  } finally {
    await chain.close();
  }
}

/** Where a disk of that name is or would be. */
async function placeOf(store: FileStore, path: string): Promise<string> {
  return posix.join((await store.resolve(posix.dirname(path))).path, posix.basename(path));
}

function requestOf(from: string, to: string): string {
  return JSON.stringify(['rename', from, to]);
}

function assertAllKnown({ leaf }: Chain, { unconfirmed }: Sharers): void {
  if (unconfirmed.length === 0) return;
  throw new VmdkError('refused', 'base-has-children', 'what may stand on the disk cannot be looked at', {
    path: leaf.path,
    found: unconfirmed.map((one) => `${one.path} (${one.reason})`).join(', '),
    expected: 'disks that can be relinked',
    hint: 'Let it look with --allow DIR; --force renames all the same, and vmdkit relink mends them later.',
  });
}

/** Where each file goes, and the extent lines that say so. */
function newNames({ leaf }: Chain, to: string): Pick<Renaming, 'files' | 'lines'> {
  const { descriptor } = leaf;
  if (descriptor.changeTrackPath !== undefined) {
    throw new VmdkError('refused', 'change-tracking', 'the disk has change tracking, in a file by its name', {
      path: leaf.path,
      field: 'changeTrackPath',
      found: descriptor.changeTrackPath,
      hint: 'Turn change tracking off in the machine first; the next backup will then be a full one.',
    });
  }
  const [oldStem, newStem] = [leaf.path, to].map((path) => posix.basename(path).replace(/\.vmdk$/i, ''));
  const files = [{ from: leaf.path, to }];
  const lines = leaf.extents.map(({ extent, line }) => {
    if (extent.path === undefined) return line;
    const name = posix.basename(extent.path);
    // However the line spells it: what counts is where the file is, and that no link leads there.
    if (!meansFileCalled(line.fileName, name) || posix.dirname(extent.path) !== posix.dirname(leaf.path)) {
      if (extent.path === leaf.path) return { ...line, fileName: posix.basename(to) };
      throw new VmdkError('refused', 'not-renamable', 'an extent of the disk is not beside its descriptor', {
        path: leaf.path,
        line: line.line,
        found: extent.path,
        expected: 'extents in the folder of the descriptor',
      });
    }
    const rest = name.startsWith(oldStem!) ? newStem! + name.slice(oldStem!.length) : name;
    const place = posix.join(posix.dirname(to), rest);
    if (extent.path !== leaf.path && !files.some(({ from }) => from === extent.path)) {
      files.push({ from: extent.path, to: place });
    }
    return { ...line, fileName: rest };
  });
  const same = lines.every(({ fileName }, index) => fileName === leaf.extents[index]!.line.fileName);
  if (leaf.path === to && same) throw usageError(`${to} is the name that the disk has already`);
  return { files, lines };
}

async function carryOut(
  store: FileStore,
  renaming: Renaming,
  options: RenameOptions,
): Promise<RenamedDisk['relinked']> {
  const { chain, to, files, lines, children, named } = renaming;
  const { leaf } = chain;
  const edits: DescriptorEdits = { extents: lines, ...ownHint(chain, to) };
  const changes: FileChange[] = files
    .filter(({ from }) => leaf.embedded || from !== leaf.path)
    .filter(({ from, to: place }) => from !== place)
    .map(({ from, to: place }) => ({ kind: 'rename', from, to: place }));
  if (!leaf.embedded) {
    const text = printDescriptor(editDescriptor(leaf.descriptor, edits));
    changes.push({ kind: 'remove', path: leaf.path }, { kind: 'create', path: to, file: text });
  } else {
    // The text inside the file changes where that comes to, in the same step.
    const change = await descriptorChange(store, leaf.path, edits);
    if (change?.kind === 'patch')
      changes.push(leaf.path === to ? change : { ...change, path: to, from: leaf.path });
  }
  const relinked: { path: string; hint: string }[] = [];
  for (const child of children) {
    const style = child.hint?.startsWith('/') === true ? 'absolute' : 'relative';
    const hint = parentHintFor(style, posix.dirname(child.path), to);
    const change = await descriptorChange(store, child.path, { parentFileNameHint: hint });
    if (change === undefined) continue;
    changes.push(change);
    relinked.push({ path: child.path, hint });
  }
  changes.push(...named.changes);
  if (options.dryRun === true) {
    for (const { from, to: place } of files) if (from !== place) await assertNothingAt(store, place);
    return relinked;
  }
  const root = posix.dirname(leaf.path);
  const reached = [to, ...children.map((child) => child.path), ...named.machines];
  const otherRoots = [...new Set(reached.map((path) => posix.dirname(path)))];
  const set = { label: 'rename', root, otherRoots, request: requestOf(leaf.path, to) };
  await applyChangeSet(store, { ...set, changes }, { signal: options.signal });
  return relinked;
}

async function assertNothingAt(store: FileStore, path: string): Promise<void> {
  if (!(await store.exists(path))) return;
  throw new VmdkError('refused', 'target-exists', 'a file has this name already', { path });
}

/** The disk's own hint, when it moves to another folder. */
function ownHint({ leaf, links }: Chain, to: string): DescriptorEdits {
  const parent = links[1];
  const hint = leaf.descriptor.parentFileNameHint;
  if (parent === undefined || posix.dirname(to) === posix.dirname(leaf.path)) return {};
  if (hint?.startsWith('/') === true) return {};
  return { parentFileNameHint: parentHintFor('relative', posix.dirname(to), parent.path) };
}

/** The registers beside the parent and beside the disk say where it is now. */
async function moveRegister(store: FileStore, { chain, to, children }: Renaming): Promise<string[]> {
  const { leaf, links } = chain;
  const notes: (string | undefined)[] = [];
  const parent = links[1]?.path;
  if (parent !== undefined) {
    notes.push((await recordSharers(store, parent, [to])).note);
    notes.push((await forgetSharers(store, parent, [leaf.path])).note);
  }
  const paths = children.map(({ path }) => path);
  if (paths.length > 0) {
    notes.push((await recordSharers(store, to, paths)).note);
  }
  return notes.filter((note) => note !== undefined);
}
