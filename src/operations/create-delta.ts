// Makes an empty delta above a disk. The parent is opened for reading only, with everything below it, so that a delta
// is never made on a chain that does not hold.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { MOST_SUPPORTED_LINKS, type ChainOptions } from '../chain/chain-options.ts';
import { assertNotMixed } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { carryOutPlan, type DiskPlan } from './disk-plan.ts';
import { hintNotes, parentHintFor, type HintStyle } from './parent-hint.ts';
import { planDelta, type DeltaRequest } from './plan-delta.ts';

export interface CreateDeltaOptions
  extends
    TaskOptions,
    Omit<ChainOptions, 'dropChangeTracking'>,
    Partial<Omit<DeltaRequest, 'path' | 'createType' | 'hint'>> {
  /** createType, in any spelling: what VMware would choose unless told. */
  type?: string | undefined;
  /** How parentFileNameHint is written: relative unless told. */
  hint?: HintStyle | undefined;
  /** It will never be VMware's: the chain may be longer than VMware supports. Default false. */
  throwAway?: boolean | undefined;
  /** Return only once the delta would survive a loss of power. Default true. */
  durable?: boolean | undefined;
}

/**
 * Makes an empty delta at `path` above the disk at `parentPath`, and tells what was made.
 * @throws VmdkError `chain-too-deep` and `target-exists` (refused), `usage` for what cannot be, and whatever opening
 * the parent's chain finds; nothing is left of a failed attempt, and nothing of the parent is changed by any.
 */
export async function createDelta(
  path: string,
  parentPath: string,
  options: CreateDeltaOptions = {},
): Promise<DiskPlan> {
  const store = storeFor(options.fs);
  throwIfAborted(options);
  const chain = await openChain(parentPath, 'read', { ...options, fs: store });
  try {
    assertNotMixed(chain.links);
    if (options.throwAway !== true) assertRoomAbove(chain.links.length, chain.leaf.path);
    const { path: folder } = await store.resolve(posix.dirname(path));
    const hint = parentHintFor(options.hint ?? 'relative', folder, chain.leaf.path);
    const plan = planDelta(chain.leaf, {
      path,
      createType: options.type,
      hint,
      grainSize: options.grainSize,
      splitSectors: options.splitSectors,
      random: options.random ?? randomBytes,
    });
    const guard = createPathGuard({ store, allow: options.allow, confine: options.confine });
    const notes = await hintNotes(guard, posix.join(folder, posix.basename(path)), hint, chain.leaf);
    await carryOutPlan(store, plan, options);
    return { ...plan, notes: [...plan.notes, ...notes] };
  } finally {
    await chain.close();
  }
}

/** @throws VmdkError `chain-too-deep` when one more link would be more than VMware supports. */
export function assertRoomAbove(links: number, path: string): void {
  if (links < MOST_SUPPORTED_LINKS) return;
  throw new VmdkError('refused', 'chain-too-deep', 'the chain cannot grow', {
    path,
    found: `${links} links`,
    expected: `at most ${MOST_SUPPORTED_LINKS - 1} below a new delta`,
    hint: `VMware supports ${MOST_SUPPORTED_LINKS} links in all: delete snapshots, or go on from a full copy (vmdkit shadow; of a machine: vmdkit clone --full).`,
  });
}
