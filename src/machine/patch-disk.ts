// A patch put over a disk where it stands. Rule: from before its first byte until after its last, the disk's descriptor says
// that it is under way, so that nobody takes what an interruption leaves for a disk that somebody had.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import type { WritableChain } from '../chain/writable-chain.ts';
import { isVmdkError } from '../core/errors.ts';
import { openDisk } from '../disk/open-disk.ts';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import { HALF_PATCHED_KEY } from '../format/half-merged.ts';
import {
  nothingToDo,
  planPatch,
  writePatchOver,
  type ApplyOptions,
  type PatchApplied,
} from '../operations/apply-patch.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import type { Runs } from '../operations/run-owner.ts';
import { settleChangeSets } from '../operations/settle-changes.ts';
import { filesOfDisk, withLocks } from '../operations/with-locks.ts';
import type { FileStore, RandomAccessFile } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { descriptorChange } from './descriptor-change.ts';

export interface PatchDiskOptions extends ChainOptions, ApplyOptions {
  /** Return only once it would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  /** Called once the disk is between old and new, and says so. */
  onBegun?: (() => void) | undefined;
  runs?: Runs | undefined;
}

export interface PatchedDisk extends PatchApplied {
  /** Real path. */
  readonly path: string;
  readonly cid: number;
}

/**
 * Puts the patch over the disk, under its locks; a disk that this very patch left half patched is finished.
 * @throws VmdkError as `applyPatch`; `disk-locked`, and `descriptor-too-full` where the mark has no room (refused): nothing is
 * written then.
 */
export async function patchDisk(
  patch: RandomAccessFile,
  path: string,
  options: PatchDiskOptions = {},
): Promise<PatchedDisk> {
  const store = storeFor(options.fs);
  const disk = await openDisk(path, { ...options, onFinding: undefined });
  await disk.close();
  await settleChangeSets(store, posix.dirname(disk.path), options);
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  const work = (): Promise<PatchedDisk> =>
    patchLocked(store, patch, { named: path, path: disk.path }, { ...options, locked: 'ignore' });
  return withLocks(store, [path, ...filesOfDisk(disk)], work, { others, signal: options.signal });
}

async function patchLocked(
  store: FileStore,
  patch: RandomAccessFile,
  { named, path }: { named: string; path: string },
  options: PatchDiskOptions,
): Promise<PatchedDisk> {
  const edit = async (edits: DescriptorEdits): Promise<void> => {
    const change = await descriptorChange(store, path, edits);
    if (change === undefined) return;
    const set = { root: posix.dirname(path), label: 'apply', request: JSON.stringify(['apply', path]) };
    const { durable, runs, signal } = options;
    await applyChangeSet(store, { ...set, changes: [change] }, { durable, runs, signal });
  };
  const unmark = (): Promise<void> => edit({ ddb: { [HALF_PATCHED_KEY]: null } });
  // Opened as for writing, so that what cannot be written is refused with nothing changed.
  const before = await openChain(named, 'update', options);
  const plan = await closing(before, () => planPatch(patch, before, options));
  if (plan.already) {
    await unmark();
    return { ...nothingToDo(plan), path, cid: before.leaf.cid };
  }
  await edit({ ddb: { [HALF_PATCHED_KEY]: plan.to } });
  // What is odd about the disk has been told.
  const chain = await openChain(named, 'update', { ...options, onFinding: undefined });
  options.onBegun?.();
  try {
    const applied = await closing(chain, () => writePatchOver(patch, plan, chain, options));
    await unmark();
    return { ...applied, path, cid: chain.leaf.cid };
  } catch (error) {
    // All of the patch is there; that the disk held something else before is another matter.
    if (isVmdkError(error, 'patch-result-differs')) await unmark();
    throw error;
  }
}

async function closing<T>(chain: WritableChain, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await chain.close();
  }
}
