// The disks that clones are made of: opened for reading, proved, and left alone. Rule: a base that is used, broken or
// too deep is refused before anything is made, and one that changed meanwhile is noticed before anything is kept.
import { posix } from 'node:path';
import { openChain } from '../chain/open-chain.ts';
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { assertNotMixed } from '../chain/half-merged.ts';
import { VmdkError, usageError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { sectorsToBytes } from '../core/units.ts';
import type { FileStore } from '../storage/file-store.ts';
import { findLocks, type LockFinding } from '../storage/lock-state.ts';
import { isUrl } from '../storage/place-names.ts';
import { assertRoomAbove } from './create-delta.ts';
import type { ParentFacts } from './disk-plan.ts';

/** What a base may lead to, and where its parents are; a chain that does not fit is never cloned. */
export type BaseOptions = Pick<ChainOptions, 'allow' | 'confine' | 'pathMap' | 'noAccess' | 'journal'> &
  TaskOptions;

export interface CloneBase extends ParentFacts {
  readonly identity: string;
  readonly createType: string;
  readonly cid: number;
  readonly links: readonly { readonly path: string; readonly identity: string }[];
  /** Bytes that all files of the chain occupy. */
  readonly occupied: number;
  readonly virtualSize: number;
  /** Every file of the chain, with what would tell that it changed. */
  readonly stamps: ReadonlyMap<string, string>;
  /** What is odd about it, and worth saying. */
  readonly findings: readonly Finding[];
}

/** Opens, proves and closes every base. @throws VmdkError for the first that no clone may be made of. */
export async function examineBases(
  store: FileStore,
  paths: readonly string[],
  options: BaseOptions,
): Promise<CloneBase[]> {
  if (paths.length === 0) throw usageError('no base is named');
  const bases: CloneBase[] = [];
  for (const path of paths) {
    throwIfAborted(options);
    assertDisk(path);
    const chain = await openChain(path, 'read', { ...options, fs: store, onFinding: undefined });
    try {
      assertNotMixed(chain.links);
      const base = await examine(store, path, chain);
      const twin = bases.find(({ identity }) => identity === base.identity);
      if (twin !== undefined) throw usageError(`${path} and ${twin.path} are the same disk`);
      bases.push(base);
    } finally {
      await chain.close();
    }
  }
  return bases;
}

/** @throws VmdkError `chain-too-deep` (refused) when no delta may stand on one of these. */
export function assertRoomForClones(bases: readonly CloneBase[]): void {
  for (const { links, path } of bases) assertRoomAbove(links.length, path);
}

/** @throws VmdkError `base-changed` (conflict) when a file of a base is no longer what it was. */
export async function assertUnchanged(store: FileStore, bases: readonly CloneBase[]): Promise<void> {
  for (const { path, stamps } of bases) {
    for (const [file, before] of stamps) {
      const now = await stampOf(store, file);
      if (now.stamp === before) continue;
      throw new VmdkError('conflict', 'base-changed', 'the base changed while clones were made of it', {
        path: file,
        found: now.stamp,
        expected: before,
        hint: `No clone is kept. Stop whatever writes to ${path}, then run again.`,
      });
    }
  }
}

function assertDisk(path: string): void {
  if (!/\.(vmx|vmtx|vmsd|ovf|ova)$/i.test(path)) return;
  throw new VmdkError('unsupported', 'machine-not-cloned', 'this is no disk that clones could be made of', {
    path,
    found: posix.extname(path),
    expected: 'disks (.vmdk), or in a command of its own a machine (.vmx)',
    hint: 'Name the .vmx of the machine, or its disks.',
  });
}

async function examine(store: FileStore, named: string, chain: Chain): Promise<CloneBase> {
  const { leaf, links } = chain;
  const files = filesOf(chain);
  const stale: Finding[] = [];
  // Beside a link to the disk there may be a lock as well.
  const alias = isUrl(named) ? named : posix.resolve(named);
  for (const file of new Set([alias, ...files])) stale.push(...(await assertNotLocked(store, file)));
  const stamps = new Map<string, string>();
  let occupied = 0;
  for (const file of files) {
    const { stamp, allocated } = await stampOf(store, file);
    stamps.set(file, stamp);
    occupied += allocated;
  }
  return {
    path: leaf.path,
    identity: leaf.identity,
    capacity: leaf.capacity,
    descriptor: leaf.descriptor,
    createType: leaf.createType,
    // Opening has proved that it has one.
    cid: leaf.descriptor.cid!,
    links: links.map(({ path, identity }) => ({ path, identity })),
    occupied,
    virtualSize: sectorsToBytes(leaf.capacity),
    stamps,
    findings: [...chain.findings, ...links.flatMap(({ findings }) => findings), ...stale],
  };
}

function filesOf({ links }: Chain): string[] {
  const files = links.flatMap((link) => [link.path, ...link.extents.map(({ extent }) => extent.path)]);
  return [...new Set(files.filter((path) => path !== undefined))];
}

/** Dead locks are told, not obeyed. @throws VmdkError `disk-locked` when somebody may be writing. */
async function assertNotLocked(store: FileStore, file: string): Promise<Finding[]> {
  const locks = (await findLocks(store, file)).filter(({ mode }) => mode === 'exclusive');
  const held = locks.find(({ state }) => state !== 'stale');
  if (held !== undefined) throw diskLocked(file, held);
  return locks.map(({ path, detail }) => ({
    code: 'LOCK-STALE',
    severity: 'warning',
    message: `a lock was left behind: ${detail}`,
    path,
    repairable: false,
  }));
}

function diskLocked(path: string, { path: lock, state, holder, detail }: LockFinding): VmdkError {
  const who = holder === '' ? '' : ` by ${holder}`;
  return new VmdkError('refused', 'disk-locked', 'the disk is in use: a clone of it would not hold', {
    path,
    found: `${state === 'live' ? 'a lock' : 'what may be a lock'}${who} at ${lock} (${detail})`,
    expected: 'no exclusive lock',
    hint: 'Shut down the machine that uses it, or clone a snapshot, which nobody writes to.',
  });
}

async function stampOf(store: FileStore, path: string): Promise<{ stamp: string; allocated: number }> {
  const { identity, size, modified, allocated } = await store.resolve(path);
  return { stamp: `file ${identity} of ${size} bytes, modified at ${modified} ms`, allocated };
}
