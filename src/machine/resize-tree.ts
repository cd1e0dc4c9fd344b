// Another size for all disks of a tree together: a base and everything that stands on it. VMware opens no chain whose
// links differ in size, so there is no other way to resize a chain. Rule: every disk is known and its machine off before
// anything changes, and all change in one set.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { MergedSource } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, type Bytes } from '../core/units.ts';
import { newCid } from '../format/content-id.ts';
import { cidWidth } from '../format/edit-descriptor.ts';
import { assertSizeAllowed, assertTailZero } from '../operations/resize-disk.ts';
import {
  applyResizes,
  assertRoomFor,
  planResizedFiles,
  type OpenMember,
  type ResizedFiles,
} from '../operations/resize-files.ts';
import { settleAround } from '../operations/settle-around.ts';
import { withLocks } from '../operations/with-locks.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { assertMachineOff } from './assert-machine-off.ts';
import type { ForestDisk } from './forest.ts';
import { assertNotGuarded } from './guard-file.ts';
import { findSharers, type Sharers } from './sharers.ts';

export interface ResizeTreeOptions extends TaskOptions, ChainOptions {
  /** Make them smaller, when what is cut off is zeros in every one of them. Default false: refused. */
  readonly shrink?: boolean | undefined;
  /** Cut off whatever is there; go on although not all around was looked at, or a machine was not shut down cleanly. */
  readonly force?: boolean | undefined;
  /** Prove that it can be done, and change nothing; the CIDs that are told are not those that will be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Folders to look through for further disks, besides those around the base. */
  readonly scan?: readonly string[] | undefined;
}

export interface ResizedTree {
  /** The base first, every disk before those that stand on it. */
  readonly disks: readonly { readonly path: string; readonly createType: string; readonly cid: number }[];
  /** Bytes of each. */
  readonly before: number;
  readonly after: number;
  readonly notes: readonly string[];
}

/**
 * Resizes the base below the disk `path`, and every disk that stands on that base.
 * @throws VmdkError `base-has-children` when one that may stand on it cannot be looked at; `shrink-not-asked`,
 * `tail-in-use`, `change-tracking`, `not-resizable`, `machine-running`, `disk-locked` (refused): nothing is changed then.
 */
export async function resizeTree(
  path: string,
  size: Bytes,
  options: ResizeTreeOptions = {},
): Promise<ResizedTree> {
  if (size % SECTOR_BYTES !== 0 || size <= 0)
    throw usageError(
      `${size} bytes are no size of a disk`,
      `Disks are whole sectors of ${SECTOR_BYTES} bytes.`,
    );
  const store = storeFor(options.fs);
  const dryRun = options.dryRun === true;
  if (!dryRun) await settleAround(store, path);
  const chain = await openChain(path, 'read', { ...options, onFinding: undefined });
  const base = chain.links.at(-1)!.path;
  await chain.close();
  if (!dryRun && posix.dirname(base) !== posix.dirname(path)) await settleAround(store, base);
  const { allow, confine, pathMap, scan, signal, force = false } = options;
  const sharers = await findSharers(store, base, { allow, confine, pathMap, scan, signal });
  if (!force) assertAllKnown(sharers);
  const root = sharers.forest.disks.find((disk) => disk.path === sharers.path)!;
  const members = [root, ...sharers.disks];
  for (const machine of sharers.machines) await assertMachineOff(store, machine, { ...options, force });
  for (const member of members) await assertNotGuarded(store, member.path);
  const files = [...members.flatMap((member) => member.files), ...sharers.machines];
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  const work = (): Promise<ResizedTree> => resizeLocked(store, members, size / SECTOR_BYTES, options);
  const done = dryRun ? await work() : await withLocks(store, files, work, { others, signal });
  return { ...done, notes: sharers.notes };
}

function assertAllKnown({ path, unconfirmed, forest }: Sharers): void {
  if (unconfirmed.length === 0 && forest.complete) return;
  throw new VmdkError(
    'refused',
    'base-has-children',
    'not every disk that may stand on the base can be looked at',
    {
      path,
      found:
        unconfirmed.length === 0
          ? 'more files around it than are looked at'
          : unconfirmed.map((one) => `${one.path} (${one.reason})`).join(', '),
      expected: 'the whole tree',
      hint: 'Let it look with --allow DIR; with --force what is not found no longer fits its parent.',
    },
  );
}

async function resizeLocked(
  store: FileStore,
  members: readonly ForestDisk[],
  capacity: number,
  options: ResizeTreeOptions,
): Promise<ResizedTree> {
  const reading = { ...options, onFinding: undefined };
  const cids = new Map<string, number>();
  const resizes: ResizedFiles[] = [];
  const disks: { path: string; createType: string; cid: number }[] = [];
  const [first] = members;
  const before = first!.capacity;
  for (const { path, parent } of members) {
    throwIfAborted(options);
    const chain = await openChain(path, 'read', reading);
    try {
      const { leaf } = chain;
      assertSizeAllowed(leaf, capacity, options);
      if (capacity < before && options.force !== true) await assertTailZero(chain, path, capacity, options);
      if (capacity === before) continue;
      const cid = newCid(randomBytes, cidWidth(leaf.descriptor));
      cids.set(path, cid);
      const parentCid = parent === undefined ? undefined : cids.get(parent);
      const open = (): Promise<OpenMember> => openMember(path, reading);
      resizes.push(await planResizedFiles(store, leaf, { capacity, cid, parentCid }, open, options));
      disks.push({ path, createType: leaf.createType, cid });
    } finally {
      await chain.close();
    }
  }
  const request = JSON.stringify(['resize-tree', first!.path, capacity]);
  if (options.dryRun === true) await assertRoomFor(store, resizes);
  else if (resizes.length > 0)
    await applyResizes(store, resizes, { root: posix.dirname(first!.path), request }, options);
  return { disks, before: before * SECTOR_BYTES, after: capacity * SECTOR_BYTES, notes: [] };
}

async function openMember(path: string, options: ChainOptions): Promise<OpenMember> {
  const chain = await openChain(path, 'read', options);
  const below = chain.links.length > 1 ? new MergedSource(chain.links.slice(1)) : undefined;
  return { disk: chain.leaf, below, close: () => chain.close() };
}
