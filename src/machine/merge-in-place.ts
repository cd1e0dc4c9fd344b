// A merge into a disk where it stands. Rule: from before its first byte until after its last, the disk's descriptor says
// that it is under way, so that no reader takes what an interruption leaves for a disk that somebody had.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { mergedFrom } from '../chain/half-merged.ts';
import type { TaskOptions } from '../core/task.ts';
import type { DescriptorEdits } from '../format/edit-descriptor.ts';
import { HALF_MERGED_KEY } from '../format/half-merged.ts';
import { applyChangeSet } from '../operations/change-set.ts';
import type { FileChange } from '../operations/file-change.ts';
import { parentHintFor } from '../operations/parent-hint.ts';
import type { Runs } from '../operations/run-owner.ts';
import type { FileStore } from '../storage/file-store.ts';
import { descriptorChange } from './descriptor-change.ts';
import {
  assertMergeable,
  assertWritableNow,
  assertWritableUnder,
  keeperOf,
  mergeInPlace,
  type Merge,
} from './merge-links.ts';

/** The edits of a merge, which also ends one that was stopped when that was of one of the same links. */
export function endingHalfMerge(merge: Merge, edits: DescriptorEdits): DescriptorEdits {
  const from = mergedFrom(keeperOf(merge));
  return from !== undefined && merge.links.some(({ path }) => path === from) ? withoutMark(edits) : edits;
}

export interface PlannedMerge {
  /** Moves the data; the caller holds the locks. Stopped, it can be done again. */
  readonly run: () => Promise<void>;
  /** What the descriptor says afterwards: for the change set that follows. */
  readonly changes: readonly FileChange[];
}

/**
 * @throws VmdkError `not-mergeable` (unsupported), `descriptor-too-full`, `extent-read-only` (refused): nothing is written
 * then.
 */
export async function planMergeInPlace(
  store: FileStore,
  merge: Merge,
  edits: DescriptorEdits,
  options: ChainOptions & TaskOptions & { durable?: boolean | undefined; runs?: Runs | undefined },
): Promise<PlannedMerge> {
  const { path, descriptor } = keeperOf(merge);
  assertMergeable(keeperOf(merge));
  await assertWritableUnder(merge, { ...options, fs: store });
  const folder = posix.dirname(path);
  // The writer would drop these lines itself, and then they would not be as planned.
  const untracked = descriptor.changeTrackPath === undefined ? {} : { changeTrackPath: null, version: 1 };
  const first = {
    ddb: { [HALF_MERGED_KEY]: parentHintFor('relative', folder, merge.links[0]!.path) },
    ...untracked,
  };
  const mark = await descriptorChange(store, path, first);
  const last = await descriptorChange(store, path, withoutMark(edits), first);
  const { signal, durable, runs } = options;
  const run = async (): Promise<void> => {
    const set = { root: folder, label: 'merge', request: JSON.stringify(['merge', path]) };
    await assertWritableNow(merge, { ...options, fs: store });
    if (mark !== undefined)
      await applyChangeSet(store, { ...set, changes: [mark] }, { signal, durable, runs });
    // A text that was replaced is another file.
    const { identity } = await store.resolve(path);
    const links = [...merge.links.slice(0, -1), { ...keeperOf(merge), identity }];
    await mergeInPlace({ ...merge, links }, { ...options, fs: store });
  };
  return { run, changes: last === undefined ? [] : [last] };
}

function withoutMark(edits: DescriptorEdits): DescriptorEdits {
  return { ...edits, ddb: { ...edits.ddb, [HALF_MERGED_KEY]: null } };
}
