// The difference between two disks as a new delta over the first, which then reads as the second. Rule: the delta appears
// whole, with all its files, or not at all; neither disk is written.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { sectorRange } from '../block/sector-range.ts';
import { isZero } from '../block/zero-scan.ts';
import type { Chain } from '../chain/chain.ts';
import { assertNotMixed } from '../chain/half-merged.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { WritableDisk } from '../disk/disk.ts';
import { openContext } from '../disk/open-options.ts';
import { openWritableDiskIn } from '../disk/open-writable-disk.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { applyChangeSet } from './change-set.ts';
import { assertRoomAbove } from './create-delta.ts';
import { differences, type DifferenceOptions } from './differences.ts';
import { carryOutPlan } from './disk-plan.ts';
import { hintNotes, parentHintFor, type HintStyle } from './parent-hint.ts';
import { planDelta } from './plan-delta.ts';
import { settleChangeSets } from './settle-changes.ts';
import { assertSameSize, type DifferenceWritten } from './write-patch.ts';

const MOST_SECTORS = 2048;

export interface DifferenceDeltaOptions extends DifferenceOptions {
  /** createType of the delta: what VMware would choose unless told. */
  type?: string | undefined;
  hint?: HintStyle | undefined;
  /** Folders that parents may be in: for the notes about the hint. */
  allow?: readonly string[] | undefined;
  random?: RandomBytes | undefined;
}

/**
 * Makes the delta `path` over `a`.
 * @throws VmdkError `sizes-differ`, `chain-too-deep`, `target-exists` (refused), what reading finds; nothing is left
 * of a failed attempt.
 */
export async function createDifferenceDelta(
  path: string,
  a: Chain,
  b: Chain,
  options: DifferenceDeltaOptions = {},
): Promise<DifferenceWritten & { readonly notes: readonly string[]; readonly createType: string }> {
  assertSameSize(a, b);
  for (const { links } of [a, b]) assertNotMixed(links);
  assertRoomAbove(a.links.length, a.leaf.path);
  const store = storeFor(options.fs);
  const { path: folder } = await store.resolve(posix.dirname(path));
  const target = posix.join(folder, posix.basename(path));
  const hint = parentHintFor(options.hint ?? 'relative', folder, a.leaf.path);
  const random = options.random ?? randomBytes;
  const plan = planDelta(a.leaf, { path: target, createType: options.type, hint, random });
  const guard = createPathGuard({ store, allow: options.allow });
  const notes = await hintNotes(guard, target, hint, a.leaf);
  const names = plan.files.map((file) => posix.basename(file.path));
  let written: DifferenceWritten = { changed: 0, zeroed: 0 };
  const make = async (staging: string): Promise<void> => {
    const inStaging = (name: string): string => posix.join(staging, posix.basename(name));
    const files = plan.files.map((file) => ({ ...file, path: inStaging(file.path) }));
    await carryOutPlan(store, { ...plan, files }, { signal: options.signal, durable: false });
    const context = openContext({ fs: store, locked: 'ignore' });
    const delta = await openWritableDiskIn(context, await store.resolve(inStaging(target)));
    try {
      written = await fill(delta, a, b, options);
      await delta.flush();
    } finally {
      await delta.close();
    }
  };
  await settleChangeSets(store, folder);
  await applyChangeSet(
    store,
    {
      root: folder,
      label: 'diff',
      changes: [{ kind: 'create-together', path: folder, names, make }],
      request: JSON.stringify(['diff', target, a.leaf.path, b.leaf.path]),
    },
    { signal: options.signal },
  );
  return { ...written, notes: [...plan.notes, ...notes], createType: plan.createType };
}

/** Whole grains with what `b` has there, since the delta answers for all of a grain. */
async function fill(
  delta: WritableDisk,
  a: Chain,
  b: Chain,
  options: DifferenceOptions,
): Promise<DifferenceWritten> {
  const room = allocateRoom(MOST_SECTORS * SECTOR_BYTES);
  let [done, changed, zeroed] = [0, 0, 0];
  for await (const { start, count } of differences(a, b, options)) {
    const last = delta.grainAt(start + count - 1);
    const end = last.start + last.count;
    let at = Math.max(done, delta.grainAt(start).start);
    while (at < end) {
      throwIfAborted(options);
      const { start: from, count: grain } = delta.grainAt(at);
      const most = Math.max(grain, Math.floor(MOST_SECTORS / grain) * grain);
      const part = sectorRange(from, Math.min(most, end - from));
      const length = part.count * SECTOR_BYTES;
      const data = length <= room.length ? room.subarray(0, length) : allocateRoom(length);
      await b.read(part, data);
      if (isZero(data)) {
        await delta.zeroGrains(part, true);
        zeroed += length;
      } else {
        await delta.write(part.start, data);
        changed += length;
      }
      at = part.start + part.count;
    }
    done = Math.max(done, end);
  }
  return { changed, zeroed };
}
