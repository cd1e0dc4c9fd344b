// Makes the files of a disk as small as what it holds: grains that are zero or equal to the parent's go, the rest moves
// together, and zeros in flat files become holes. Rule: what the disk reads as stays the same, and so does its CID, so
// that everything above still fits; new files take the places of the old ones in one change set.
import { posix } from 'node:path';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import { nonZeroStretches } from '../block/zero-scan.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { MergedSource, type Chain } from '../chain/chain.ts';
import { openChain } from '../chain/open-chain.ts';
import { VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { openDisk } from '../disk/open-disk.ts';
import type { PlacedExtent } from '../disk/disk.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { applyChangeSet } from './change-set.ts';
import type { FileChange } from './file-change.ts';
import { assertFreeSpace } from './free-space.ts';
import { measureRebuild, rebuildExtent } from './rebuild-extent.ts';
import { settleAround } from './settle-around.ts';
import { filesOfDisk, withLocks } from './with-locks.ts';

const CHUNK_SECTORS = 2048;

export interface CompactedDisk {
  readonly path: string;
  readonly createType: string;
  /** Bytes that the files of the disk occupy. */
  readonly before: number;
  readonly after: number;
  /** Bytes of data that were left out or became holes. */
  readonly dropped: number;
}

export interface CompactOptions extends TaskOptions, ChainOptions {
  /** Read all and tell what would be dropped, `after` as an estimate; change nothing. Default false. */
  dryRun?: boolean | undefined;
}

/**
 * @throws VmdkError `not-compactable` (refused) for types that cannot be written, `no-space`, `disk-locked` (refused);
 * what reading finds. Nothing is changed then.
 */
export async function compactDisk(path: string, options: CompactOptions = {}): Promise<CompactedDisk> {
  const store = storeFor(options.fs);
  if (options.dryRun === true) return compactLocked(store, path, options);
  await settleAround(store, path);
  const found = await openDisk(path, { ...options, onFinding: undefined });
  await found.close();
  const files = filesOfDisk(found);
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  return withLocks(store, [path, ...files], () => compactLocked(store, path, options), {
    others,
    signal: options.signal,
  });
}

async function compactLocked(
  store: FileStore,
  path: string,
  options: CompactOptions,
): Promise<CompactedDisk> {
  const chain = await openChain(path, 'read', options);
  try {
    const { leaf } = chain;
    assertCompactable(chain);
    const files = filesOfDisk(leaf);
    const before = await occupied(store, files);
    let dropped = await (options.dryRun === true ? zerosInFlat : punchFlat)(store, chain, options);
    const below = chain.links.length > 1 ? new MergedSource(chain.links.slice(1)) : undefined;
    const changes: FileChange[] = [];
    for (const placed of leaf.extents) {
      const { extent, start } = placed;
      if (extent.path === undefined || (extent.kind !== 'sparse' && extent.kind !== 'cowd')) continue;
      const shape = {
        kind: extent.kind,
        capacity: extent.capacity,
        grainSize: extent.grainSize,
        descriptor: leaf.embedded && start === 0 ? trimmed(printDescriptor(leaf.descriptor)) : undefined,
      };
      const source = { leaf, below, start, end: start + extent.capacity };
      if (options.dryRun === true) {
        dropped += (await measureRebuild(shape, source, options)) * SECTOR_BYTES;
        continue;
      }
      const make = async (to: string): Promise<void> => {
        dropped += (await rebuildExtent(store, to, shape, source, options)) * SECTOR_BYTES;
      };
      changes.push({ kind: 'remove', path: extent.path });
      changes.push({ kind: 'create', path: extent.path, file: { make } });
    }
    if (changes.length > 0) {
      const folder = posix.dirname(leaf.path);
      await assertFreeSpace(store, folder, before);
      const request = JSON.stringify(['compact', leaf.path]);
      await applyChangeSet(
        store,
        { root: folder, label: 'compact', changes, request },
        { signal: options.signal },
      );
    }
    const after = options.dryRun === true ? Math.max(0, before - dropped) : await occupied(store, files);
    return { path: leaf.path, createType: leaf.createType, before, after, dropped };
  } finally {
    await chain.close();
  }
}

function assertCompactable({ leaf }: Chain): void {
  const odd = leaf.extents.find(({ extent, line }) => {
    const known = ['sparse', 'cowd', 'flat', 'zero'].includes(extent.kind);
    return !known || (line.access !== 'RW' && extent.kind !== 'zero');
  });
  if (odd === undefined) return;
  throw new VmdkError('refused', 'not-compactable', `this ${leaf.createType} disk cannot be compacted`, {
    path: leaf.path,
    found: `an extent of kind ${odd.extent.kind} with access ${odd.line.access}`,
    expected: 'sparse, COWD or flat extents that may be written',
    hint: 'Copy it to a new disk: vmdkit convert writes only what it holds.',
  });
}

/** Gives stretches of zeros in flat files back to the file system. Returns their bytes. */
async function punchFlat(store: FileStore, chain: Chain, task: TaskOptions): Promise<number> {
  let punched = 0;
  for (const placed of chain.leaf.extents) {
    const { extent } = placed;
    if (extent.kind !== 'flat' || extent.path === undefined) continue;
    const file = await store.open(extent.path, 'update');
    try {
      const punch = file.punchHole?.bind(file);
      if (punch === undefined) continue;
      for await (const { from, to } of zeroStretches(placed, task)) {
        // Zeros over zeros: cut short at any moment, the file reads as it did.
        if (await punch(from, to - from)) punched += to - from;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }
  return punched;
}

/** What `punchFlat` would give back where the system can do that. */
async function zerosInFlat(_: FileStore, { leaf }: Chain, task: TaskOptions): Promise<number> {
  let sum = 0;
  for (const placed of leaf.extents) {
    const { extent } = placed;
    if (extent.kind !== 'flat' || extent.path === undefined) continue;
    for await (const { from, to } of zeroStretches(placed, task)) sum += to - from;
  }
  return sum;
}

/** Bytes of the file that hold zeros and take space, in whole pages. */
async function* zeroStretches(
  { extent, line }: PlacedExtent,
  task: TaskOptions,
): AsyncGenerator<{ from: number; to: number }> {
  const shift = line.offset * SECTOR_BYTES;
  for await (const runs of walkRuns(extent, wholeOf(extent))) {
    for (let index = 0; index < runs.length; index++) {
      if (!runs.isDataAt(index)) continue;
      for (let at = runs.startAt(index); at < runs.endAt(index); at += CHUNK_SECTORS) {
        throwIfAborted(task);
        const part = sectorRange(at, Math.min(CHUNK_SECTORS, runs.endAt(index) - at));
        const data = allocateRoom(part.count * SECTOR_BYTES);
        await extent.read(part, data);
        const first = shift + at * SECTOR_BYTES;
        let zero = 0;
        for (const [from, to] of nonZeroStretches(data)) {
          if (from > zero) yield { from: first + zero, to: first + from };
          zero = to;
        }
        if (zero < data.length) yield { from: first + zero, to: first + data.length };
      }
    }
  }
}

async function occupied(store: FileStore, files: readonly string[]): Promise<number> {
  let sum = 0;
  for (const path of files) sum += (await store.resolve(path)).allocated;
  return sum;
}

/** A text without the zeros that fill its place in the file. */
function trimmed(text: Buffer): Buffer {
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  return text.subarray(0, end);
}
