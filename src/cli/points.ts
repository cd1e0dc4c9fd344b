// Disks as the user names them: a disk, a machine, and either of them at a snapshot. Rule: what may mean several is
// refused with the choices; nothing is guessed.
import { basename, dirname, join } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import { isMachinePath, type Machine, type NamedDisk } from '../machine/machine.ts';
import type { CommandContext } from './context.ts';

/** One disk to be opened. */
export interface PointDisk {
  /** The link to open. */
  readonly path: string;
  /** Where the machine has it: `scsi0:0`; missing when no machine was asked. */
  readonly node?: string;
  /** `uid:2 "patched" of …`, or `running`; missing when no machine was asked. */
  readonly point?: string;
}

export interface PointRequest {
  /** A .vmdk or a .vmx. */
  readonly path: string;
  readonly at?: string | undefined;
  readonly node?: string | undefined;
}

/**
 * The disks that are meant, by their place in the machine.
 * @throws VmdkError `machine-not-found`, `machine-ambiguous`, `no-such-disk`; of a snapshot as `findPoint`; of a disk
 * that is missing its own error.
 */
export async function pointDisks(
  request: PointRequest,
  options: ChainOptions,
  context: CommandContext,
): Promise<readonly PointDisk[]> {
  const { path, at, node } = request;
  if (isMachinePath(path)) return machineDisks(await look(path, options, context), request, context);
  if (node !== undefined) throw usageError('--disk is for machines', 'A .vmdk is one disk already.');
  if (at === undefined) return [{ path }];
  return [await diskAt(path, at, options, context)];
}

/** The one disk that is meant. @throws VmdkError `disk-ambiguous` with the choices; else as `pointDisks`. */
export async function pointDisk(
  request: PointRequest,
  options: ChainOptions,
  context: CommandContext,
): Promise<PointDisk> {
  const disks = await pointDisks(request, options, context);
  if (disks.length === 1) return disks[0]!;
  throw new VmdkError('usage', 'disk-ambiguous', 'the machine has several disks', {
    path: request.path,
    found: disks.map(({ node, path }) => `${node} ${basename(path)}`).join(', '),
    expected: 'one of them',
    hint: `Name it, as in --disk ${disks[0]!.node}.`,
  });
}

async function look(path: string, options: ChainOptions, context: CommandContext): Promise<Machine> {
  const { openMachine } = await import('../machine/open-machine.ts');
  return openMachine(path, { ...options, onFinding: undefined, signal: context.signal });
}

async function machineDisks(
  machine: Machine,
  { path, at = 'running', node }: PointRequest,
  context: CommandContext,
): Promise<readonly PointDisk[]> {
  const { findPoint } = await import('../machine/point-at.ts');
  const { snapshotShown } = await import('../machine/find-snapshot.ts');
  if (isLinkName(at) && !machine.snapshots.snapshots.some(({ displayName }) => displayName === at))
    return linksNamed(machine, at, node);
  const { snapshot, note } = findPoint(machine, at);
  if (note !== undefined) context.talk(note);
  const named: readonly NamedDisk[] =
    snapshot === undefined ? machine.disks : (machine.snapshotDisks.get(snapshot.uid) ?? []);
  const wanted = named.filter((disk) => node === undefined || disk.node === node.toLowerCase());
  if (wanted.length === 0) {
    throw new VmdkError('missing', 'no-such-disk', 'the machine has no such disk then', {
      path,
      found: named.length === 0 ? 'no disks' : named.map((disk) => disk.node).join(', '),
      expected: node ?? 'a disk',
    });
  }
  return wanted.map((disk) => {
    if (disk.path === undefined) throw disk.problem!;
    const point = snapshot === undefined ? 'running' : snapshotShown(snapshot);
    return { path: disk.path, node: disk.node, point };
  });
}

/** Every link of that file name, whichever disk of the machine, running or at a snapshot, stands on it. */
function linksNamed(machine: Machine, at: string, node: string | undefined): readonly PointDisk[] {
  const all = [machine.disks, ...machine.snapshotDisks.values()].flat();
  const disks = all.filter((disk) => node === undefined || disk.node === node.toLowerCase());
  const found = new Map(
    disks.flatMap((disk) =>
      disk.links
        .filter(({ path }) => basename(path) === at)
        .map(({ path }) => [path, { path, node: disk.node }] as const),
    ),
  );
  if (found.size > 0) return [...onePerPlace([...found.values()], at)];
  const names = new Set(disks.flatMap(({ links }) => links.map(({ path }) => basename(path))));
  throw new VmdkError('missing', 'no-such-link', 'no disk of the machine has a link of this name', {
    path: machine.path,
    found: [...names].join(', '),
    expected: at,
  });
}

/** Links of one name stand in several folders. @throws VmdkError `link-ambiguous` when a disk has two of them. */
function onePerPlace(links: readonly PointDisk[], at: string): readonly PointDisk[] {
  const twins = links.filter((link) => links.some((other) => other !== link && other.node === link.node));
  if (twins.length === 0) return links;
  throw new VmdkError('usage', 'link-ambiguous', `several links are called "${at}"`, {
    found: twins.map(({ path }) => path).join(', '),
    expected: 'one link',
    hint: 'Name the file of the one that is meant in place of the disk, without --at: every link can be read by itself.',
  });
}

function isLinkName(at: string): boolean {
  return /\.vmdk$/i.test(at);
}

/** A disk by the name of a link below it, or through the machine beside it. */
async function diskAt(
  path: string,
  at: string,
  options: ChainOptions,
  context: CommandContext,
): Promise<PointDisk> {
  const link = await linkNamed(path, at, options);
  if (link !== undefined) return { path: link };
  const { path: real, identity } = await context.store.resolve(path);
  const found: { vmx: string; disk: PointDisk }[] = [];
  for (const vmx of await machinesBeside(real, context)) {
    const machine = await look(vmx, options, context);
    const node = nodeOf(machine, identity);
    if (node === undefined) continue;
    const disk = (await machineDisks(machine, { path: vmx, at, node }, context))[0]!;
    found.push({ vmx, disk });
  }
  const [first] = found;
  if (first === undefined) {
    throw new VmdkError('missing', 'machine-not-found', 'no machine is known whose disk this is', {
      path,
      expected: `a .vmx in ${dirname(real)} that has it, or a link called "${at}"`,
      hint: 'Name the .vmx in place of the disk.',
    });
  }
  if (found.every(({ disk }) => disk.path === first.disk.path)) return first.disk;
  throw new VmdkError('usage', 'machine-ambiguous', 'several machines have this disk', {
    path,
    found: found.map(({ vmx }) => basename(vmx)).join(', '),
    expected: 'one machine',
    hint: 'Name the .vmx in place of the disk.',
  });
}

/** Only what looks like the name of a disk is looked for among the links. */
async function linkNamed(path: string, at: string, options: ChainOptions): Promise<string | undefined> {
  if (!isLinkName(at)) return undefined;
  const chain = await openChain(path, 'read', { ...options, onFinding: undefined });
  try {
    const links = chain.links.filter((link) => basename(link.path) === at);
    return onePerPlace(links, at)[0]?.path;
  } finally {
    await chain.close();
  }
}

/** The .vmx files in the folder of a disk. */
export async function machinesBeside(
  path: string,
  { store }: Pick<CommandContext, 'store'>,
): Promise<string[]> {
  try {
    const folder = dirname(path);
    return (await store.list(folder))
      .filter(isMachinePath)
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (isVmdkError(error)) return [];
    throw error;
  }
}

/** The place of a disk in a machine, whichever of its links it is. */
export function nodeOf(machine: Machine, identity: string): string | undefined {
  const all = [machine.disks, ...machine.snapshotDisks.values()].flat();
  return all.find(({ links }) => links.some((link) => link.identity === identity))?.node;
}
