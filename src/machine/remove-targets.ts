// What is to be removed, looked at: machines and single disks, with all around them that might stand on their disks.
// Rule: reads only; what may not be looked at counts as somebody who needs the disk.
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted } from '../core/task.ts';
import type { FileStore, ResolvedPath } from '../storage/file-store.ts';
import { createPathGuard, type PathGuard } from '../storage/path-guard.ts';
import type { Forest } from './forest.ts';
import { placeNamed } from './relink-hints.ts';
import { isMachinePath, type Machine } from './machine.ts';
import { openMachine } from './open-machine.ts';
import type { RemoveOptions } from './remove-types.ts';
import { scanPlaces } from './scan-folder.ts';
import type { WalkRoot } from './scan-walk.ts';
import { registered, surroundings } from './sharers.ts';
import { readRegister } from './sharers-register.ts';

export interface RemoveTargets {
  readonly store: FileStore;
  readonly machines: readonly Machine[];
  /** Disks that were named themselves. */
  readonly disks: readonly ResolvedPath[];
  readonly forest: Forest;
  /** By the path of a disk: who stands on it by the register, and cannot be looked at. */
  readonly unconfirmed: ReadonlyMap<string, readonly string[]>;
}

export async function openTargets(
  store: FileStore,
  named: readonly string[],
  options: RemoveOptions,
): Promise<RemoveTargets> {
  const { allow = [], confine, pathMap = [] } = options;
  const guard = createPathGuard({ store, allow, confine });
  const machines: Machine[] = [];
  const disks: ResolvedPath[] = [];
  for (const name of named) {
    throwIfAborted(options);
    const place = await machineOrDisk(store, guard, name);
    const known = [...machines.map(({ path }) => path), ...disks.map(({ path }) => path)];
    if (known.includes(place.path)) continue;
    if (isMachinePath(place.path)) machines.push(await openMachine(place.path, { ...options, fs: store }));
    else disks.push(place);
  }
  const links = machines.flatMap((machine) => linkPaths(machine));
  const own = [...new Set([...links, ...disks.map(({ path }) => path)])];
  const folders = new Set([
    ...machines.map(({ folder }) => folder),
    ...disks.map(({ path }) => posix.dirname(path)),
  ]);
  const roots = new Map<string, WalkRoot>();
  for (const folder of folders) {
    for (const root of await surroundings(store, folder, options)) {
      const depth = Math.max(root.depth ?? Infinity, roots.get(root.path)?.depth ?? 0);
      roots.set(root.path, depth === Infinity ? { path: root.path } : { path: root.path, depth });
    }
  }
  for (const folder of await sourceFolders(machines, guard, pathMap))
    if (!roots.has(folder)) roots.set(folder, { path: folder, depth: 0 });
  const { files, unconfirmed } = await byRegister(store, own, guard);
  const forest = await scanPlaces(deepestFirst([...roots.values()]), [...disks, ...files], {
    fs: store,
    allow: [...allow],
    confine,
    pathMap,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  return { store, machines, disks, forest, unconfirmed };
}

/** Every link of every disk of the machine, as far as they could be read. */
export function linkPaths(machine: Machine): string[] {
  const named = [...machine.disks, ...[...machine.snapshotDisks.values()].flat()];
  return named.flatMap(({ path, links }) => [
    ...(path === undefined ? [] : [path]),
    ...links.map((link) => link.path),
  ]);
}

/** A folder counts as the one machine in it. */
async function machineOrDisk(store: FileStore, guard: PathGuard, name: string): Promise<ResolvedPath> {
  const place = await guard.assertNamedAllowed(name);
  if (place.kind !== 'folder') return place;
  const found = (await store.list(place.path)).filter((file) => isMachinePath(file));
  if (found.length === 1) return guard.assertNamedAllowed(posix.join(place.path, found[0]!));
  throw usageError(
    `${name} is a folder with ${found.length === 0 ? 'no machine' : `${found.length} machines`} in it`,
    'Name the .vmx, or the disk.',
  );
}

/** A folder is looked into once: the farthest-reaching root comes first. */
function deepestFirst(roots: readonly WalkRoot[]): WalkRoot[] {
  return [...roots].sort((a, b) => (b.depth ?? Infinity) - (a.depth ?? Infinity));
}

/** Where the machines that these are clones of say that they are. */
async function sourceFolders(
  machines: readonly Machine[],
  guard: PathGuard,
  pathMap: NonNullable<RemoveOptions['pathMap']>,
): Promise<string[]> {
  const folders = new Set<string>();
  for (const { path, snapshots } of machines) {
    for (const name of snapshots.cloneOf) {
      const place = placeNamed(name, path, pathMap);
      if (place === undefined) continue;
      try {
        folders.add(posix.dirname((await guard.assertDiskAllowed(place, path)).path));
      } catch (error) {
        if (!isVmdkError(error)) throw error;
      }
    }
  }
  return [...folders];
}

async function byRegister(
  store: FileStore,
  own: readonly string[],
  guard: PathGuard,
): Promise<{ files: ResolvedPath[]; unconfirmed: Map<string, string[]> }> {
  const files: ResolvedPath[] = [];
  const unconfirmed = new Map<string, string[]>();
  const registers = new Map<string, Awaited<ReturnType<typeof readRegister>>>();
  for (const path of own) {
    const folder = posix.dirname(path);
    const known = registers.get(folder) ?? (await readRegister(store, folder));
    registers.set(folder, known);
    const listed = known.register.get(posix.basename(path));
    if (listed === undefined) continue;
    const found = await registered(listed, await store.resolve(path), guard);
    files.push(...found.files);
    if (found.unconfirmed.length > 0)
      unconfirmed.set(
        path,
        found.unconfirmed.map((each) => each.path),
      );
  }
  return { files, unconfirmed };
}

/** @throws VmdkError what stands against removing a machine at all. */
export function assertRemovable({ path, config, power }: Machine, force: boolean): void {
  if (config.encrypted) {
    throw new VmdkError('unsupported', 'machine-encrypted', 'cannot remove an encrypted machine', {
      path,
      found: 'encryption.keySafe or encryption.data',
      expected: 'a machine whose .vmx says which disks are its own',
      hint: 'Delete it in VMware.',
    });
  }
  const running = power.state === 'running';
  if (!running && (power.state !== 'unclean' || force)) return;
  throw new VmdkError(
    'refused',
    running ? 'machine-running' : 'machine-unclean',
    `cannot remove a machine that ${running ? 'is' : 'may still be'} in use`,
    {
      path,
      found: power.reasons.join('; '),
      expected: 'a machine that is powered off',
      hint: running ? 'Shut it down first.' : 'Make sure that no host runs it, then pass --force.',
    },
  );
}
