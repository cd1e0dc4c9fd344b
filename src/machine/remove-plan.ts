// Plans what goes with clones that are removed, and what stays. Rule: nothing goes that anything else stands on, reads or
// names, be it another machine or a disk that a scan or the register knows of.
import { posix } from 'node:path';
import { mergeNotOver } from '../chain/half-merged.ts';
import { VmdkError } from '../core/errors.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { showText } from '../format/plain-text.ts';
import type { FileChange } from '../operations/file-change.ts';
import type { Forest, ForestDisk } from './forest.ts';
import { assertNotGuarded, guardPathOf } from './guard-file.ts';
import { nameFew } from './name-few.ts';
import { companionFiles, filesBelow, type FoundFile } from './own-files.ts';
import { ownLinks } from './own-links.ts';
import { planForgetting } from './remove-mentions.ts';
import { assertRemovable, type RemoveTargets } from './remove-targets.ts';
import type { KeptFile, RemoveOptions, RemoveReport } from './remove-types.ts';
import { REGISTER_NAME } from './sharers-register.ts';

export interface RemovePlan {
  readonly report: RemoveReport;
  readonly changes: readonly FileChange[];
  /** Registers of folders that go: they can be made again at any time, so they are no part of the change set. */
  readonly registers: readonly string[];
  readonly roots: readonly string[];
  /** Files that nobody may have open. */
  readonly watched: readonly string[];
  /** Disks below what goes, each with what stood on it. */
  readonly parents: ReadonlyMap<string, readonly string[]>;
}

export async function planRemoval(targets: RemoveTargets, options: RemoveOptions): Promise<RemovePlan> {
  const { machines, forest } = targets;
  const force = options.force === true;
  for (const machine of machines) assertRemovable(machine, force);
  const going = new Set(machines.map(({ path }) => path));
  const kept: KeptFile[] = [];
  const disks = new Map<string, ForestDisk>();
  for (const disk of namedDisks(targets, force)) disks.set(disk.path, disk);
  for (const machine of machines) {
    const own = ownLinks(machine, forest, going);
    for (const disk of own.disks) disks.set(disk.path, disk);
    kept.push(...own.kept, ...own.unread.map((path) => ({ path, reason: 'it cannot be read as a disk' })));
  }
  assertNobodyNeeds(targets, disks, going, force);
  if (!force) for (const { path } of disks.values()) await assertNotGuarded(targets.store, path);
  assertNoneIsMerged(targets, disks);
  const folders = await foldersOf(targets, disks, going, kept);
  const mentions = await planForgetting(targets, going, options);
  const files = [...new Set(folders.flatMap(({ files: own }) => own))];
  const isRegister = (path: string): boolean => posix.basename(path) === REGISTER_NAME;
  const changes: FileChange[] = [
    ...files.filter((path) => !isRegister(path)).map((path): FileChange => ({ kind: 'remove', path })),
    ...folders.flatMap(({ empty }) => empty).map((path): FileChange => ({ kind: 'remove-folder', path })),
    ...mentions.changes,
  ];
  const roots = [...new Set([...folders.map(({ root }) => root), ...mentions.roots])];
  const parents = new Map<string, string[]>();
  for (const { path, parent } of disks.values())
    if (parent !== undefined && !disks.has(parent))
      parents.set(parent, [...(parents.get(parent) ?? []), path]);
  const goes = new Set(files);
  const report: RemoveReport = {
    schema: 'vmdkit-remove/v1',
    'dry-run': options.dryRun === true,
    machines: [...going],
    disks: [...disks.keys()],
    files,
    folders: folders.flatMap(({ empty }) => empty),
    kept: onceEach([...kept, ...folders.flatMap(({ stays }) => stays)]).filter(({ path }) => !goes.has(path)),
    forgotten: mentions.forgotten,
    'bytes-freed': folders.reduce((sum, { bytes }) => sum + bytes, 0),
    notes: [
      ...mentions.notes,
      ...(forest.complete ? [] : ['not all around was looked at: there are too many files']),
    ],
  };
  return {
    report,
    changes,
    registers: files.filter(isRegister),
    roots: withinNone(roots),
    watched: [...disks.keys(), ...going],
    parents,
  };
}

/** Disks that were named themselves. */
function namedDisks({ disks, forest }: RemoveTargets, force: boolean): ForestDisk[] {
  return disks.map(({ path, identity }) => {
    const disk = forest.disks.find((other) => other.identity === identity);
    if (disk === undefined) {
      throw new VmdkError('unsupported', 'not-a-vmdk', 'this is no disk and no machine', {
        path,
        expected: 'a .vmx, or the descriptor of a disk',
        hint: 'Files of other kinds are removed with rm.',
      });
    }
    if (force || (disk.parentCid !== undefined && disk.parentCid !== NO_PARENT_CID)) return disk;
    throw new VmdkError('refused', 'not-a-clone', 'this disk is no clone: it holds everything itself', {
      path,
      found: 'no parent',
      expected: 'a delta',
      hint: 'Pass --force to remove it all the same.',
    });
  });
}

/** @throws VmdkError `disks-in-use` (refused), which names everybody who needs one of the disks. */
function assertNobodyNeeds(
  { forest, unconfirmed, machines }: RemoveTargets,
  disks: ReadonlyMap<string, ForestDisk>,
  going: ReadonlySet<string>,
  force: boolean,
): void {
  const files = new Map(
    [...disks.values()].flatMap((disk) => disk.files.map((file) => [file, disk.path] as const)),
  );
  const needs = new Map<string, string[]>();
  const note = (disk: string, who: string): void => void needs.set(disk, [...(needs.get(disk) ?? []), who]);
  for (const { path, children, machines: users } of disks.values()) {
    for (const child of children) if (!disks.has(child)) note(path, child);
    for (const vmx of users) if (!going.has(vmx)) note(path, vmx);
    if (!force) for (const child of unconfirmed.get(path) ?? []) note(path, `${child} (by the register)`);
  }
  for (const other of forest.disks) {
    if (disks.has(other.path)) continue;
    for (const file of other.files) if (files.has(file)) note(files.get(file)!, `${other.path} (by ${file})`);
  }
  if (needs.size === 0 && (forest.complete || force)) return;
  const who = [...needs].flatMap(([disk, names]) =>
    names.map((name) => `${showText(name)} needs ${showText(disk)}`),
  );
  throw new VmdkError('refused', 'disks-in-use', 'others need what would be removed', {
    path: machines[0]?.path ?? [...disks.keys()][0]!,
    found: needs.size === 0 ? 'more files around it than are looked at' : nameFew(who),
    expected: 'nobody else',
    hint:
      needs.size === 0
        ? 'Make sure that nothing stands on its disks, with vmdkit scan --who-uses, then pass --force.'
        : 'Remove those first, or name them too; or copy them out with vmdkit convert.',
  });
}

/**
 * A disk that another was being merged into has neither content: only the other one still holds it whole.
 * @throws VmdkError `half-merged` (refused), whatever is forced.
 */
function assertNoneIsMerged({ forest }: RemoveTargets, disks: ReadonlyMap<string, ForestDisk>): void {
  for (const { path, merging } of forest.disks) {
    if (merging === undefined || !disks.has(merging) || disks.has(path)) continue;
    throw mergeNotOver(merging, path);
  }
}

interface FolderPlan {
  /** Where the change is made. */
  readonly root: string;
  readonly files: readonly string[];
  readonly empty: readonly string[];
  readonly stays: readonly KeptFile[];
  readonly bytes: number;
}

async function foldersOf(
  targets: RemoveTargets,
  disks: ReadonlyMap<string, ForestDisk>,
  going: ReadonlySet<string>,
  kept: readonly KeptFile[],
): Promise<FolderPlan[]> {
  const { store, machines } = targets;
  const plans: FolderPlan[] = [];
  const reasons = new Map(kept.map(({ path, reason }) => [path, reason]));
  for (const [path, reason] of reasonsOfDisks(targets.forest, disks, reasons)) reasons.set(path, reason);
  const ofDisks = await diskFiles(targets, disks);
  const machineFolders = new Set(machines.map(({ folder }) => folder));
  for (const folder of machineFolders) {
    const found = (await filesBelow(store, folder)) ?? [];
    const own = new Set<string>();
    for (const machine of machines)
      if (machine.folder === folder)
        for (const path of await companionFiles(store, machine, found, going)) own.add(path);
    for (const { path, kind } of found) if (kind === 'file' && ofDisks.has(path)) own.add(path);
    plans.push(await planFolder(targets, folder, { found, own, reasons }));
  }
  // Disks that were named alone: a folder goes with the last of them when it is called like the disk.
  const alone = new Map<string, Set<string>>();
  const inMachines = (path: string): boolean =>
    [...machineFolders].some((folder) => path.startsWith(`${folder}/`));
  for (const file of ofDisks) {
    if (inMachines(file)) continue;
    const folder = posix.dirname(file);
    alone.set(folder, (alone.get(folder) ?? new Set()).add(file));
  }
  for (const [folder, own] of alone) {
    const found = await filesBelow(store, folder);
    const isItsOwn = [...own].some(
      (file) => posix.basename(file).replace(/\.vmdk$/i, '') === posix.basename(folder) && disks.has(file),
    );
    const whole = isItsOwn && found?.every(({ path }) => own.has(path)) === true;
    if (whole) plans.push(await planFolder(targets, folder, { found, own, reasons }));
    else
      plans.push({ root: folder, files: [...own], empty: [], stays: [], bytes: await bytesOf(store, own) });
  }
  return plans;
}

/** Why disks stay that lie below one that others stand on, and the files of all that stay. */
function reasonsOfDisks(
  { disks: all }: Forest,
  going: ReadonlyMap<string, ForestDisk>,
  known: ReadonlyMap<string, string>,
): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const { path, children, files } of all) {
    if (going.has(path) || (children.length === 0 && !known.has(path))) continue;
    if (!known.has(path)) reasons.set(path, `others stand on it: ${children.slice(0, 3).join(', ')}`);
    for (const file of files)
      if (file !== path) reasons.set(file, `it holds the data of ${posix.basename(path)}`);
  }
  return reasons;
}

/** Every file of the disks that is called like one, and the fingerprint of a guarded disk. */
async function diskFiles(
  { store }: RemoveTargets,
  disks: ReadonlyMap<string, ForestDisk>,
): Promise<Set<string>> {
  const files = new Set<string>();
  for (const disk of disks.values()) {
    const folder = posix.dirname(disk.path);
    // A descriptor may name any file beside it as an extent: only what is called like a disk goes with it.
    for (const file of disk.files)
      if (file === disk.path || (/\.vmdk$/i.test(file) && file.startsWith(`${folder}/`))) files.add(file);
    const guard = guardPathOf(disk.path);
    if ((await store.exists(guard)) && (await store.resolve(guard)).path === guard) files.add(guard);
  }
  return files;
}

async function planFolder(
  { store }: RemoveTargets,
  folder: string,
  {
    found,
    own,
    reasons,
  }: { found: readonly FoundFile[]; own: ReadonlySet<string>; reasons: Map<string, string> },
): Promise<FolderPlan> {
  const files = found.filter(({ path, kind }) => kind === 'file' && own.has(path));
  const staying = found.filter(({ path, kind }) => kind !== 'folder' && !own.has(path));
  const holds = (at: string): boolean => staying.some(({ path }) => path.startsWith(`${at}/`));
  const stays = staying.map(({ path, kind }) => ({
    path,
    reason: reasons.get(path) ?? (kind === 'link' ? 'a symbolic link' : 'it is not known to belong to it'),
  }));
  const below = found.filter(({ path, kind }) => kind === 'folder' && !holds(path)).map(({ path }) => path);
  const goes = staying.length === 0 && found.length > 0 && (await mayGo(store, folder));
  return {
    root: goes ? posix.dirname(folder) : folder,
    files: files.map(({ path }) => path),
    empty: goes ? [...below, folder] : below,
    stays,
    bytes: files.reduce((sum, { allocated }) => sum + allocated, 0),
  };
}

/** A mounted folder and one directly below `/` stay: they are places, not machines. */
async function mayGo(store: RemoveTargets['store'], folder: string): Promise<boolean> {
  const holder = posix.dirname(folder);
  if (holder === '/') return false;
  const device = async (path: string): Promise<string> => (await store.resolve(path)).identity.split(':')[0]!;
  return (await device(folder)) === (await device(holder));
}

async function bytesOf(store: RemoveTargets['store'], files: Iterable<string>): Promise<number> {
  let bytes = 0;
  for (const path of files) bytes += (await store.resolve(path)).allocated;
  return bytes;
}

function onceEach(kept: readonly KeptFile[]): KeptFile[] {
  return [...new Map(kept.map((one) => [one.path, one])).values()];
}

/** Roots of which none lies in another. */
function withinNone(roots: readonly string[]): string[] {
  return roots.filter((root) => !roots.some((other) => other !== root && root.startsWith(`${other}/`)));
}
