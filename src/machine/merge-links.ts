// Makes one link of several, aside: a copy of the link whose name stays, and into that what the others answer. Nothing
// that exists is written; the links below are read only to complete grains. Rule: the result reads as the top did and
// has its CID, so that everything above still fits.
import { posix } from 'node:path';
import { copySectors } from '../block/copy-sectors.ts';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { RunList } from '../block/run-list.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { MergedSource, type Chain } from '../chain/chain.ts';
import { LeafOverBelow } from '../chain/leaf-over-below.ts';
import { openChain } from '../chain/open-chain.ts';
import { LeafWriter } from '../chain/writable-chain.ts';
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { openWritableDiskIn } from '../disk/open-writable-disk.ts';
import type { ExtentLine } from '../format/descriptor.ts';
import { meansFileCalled } from '../format/extent-names.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { copyFile } from './copy-file.ts';
import { rewriteDescriptor } from './descriptor-change.ts';
import type { TreeLink } from './link-tree.ts';

export interface Merge {
  /** Top first: at least two. */
  readonly links: readonly TreeLink[];
  /** Whose name the result has. */
  readonly into: 'top' | 'bottom';
}

/** What a merge has to move, from metadata alone. Sectors. */
export interface MergeSize {
  readonly data: number;
  readonly zero: number;
}

/** The link whose name and files the result has. */
export function keeperOf({ links, into }: Merge): TreeLink {
  return into === 'top' ? links[0]! : links.at(-1)!;
}

/** What the result needs that its keeper does not have: nothing at all after a snapshot that nobody wrote above. */
export async function measureMerge(merge: Merge, options: ChainOptions): Promise<MergeSize> {
  return withSource(merge, options, async (source) => {
    let [data, zero] = [0, 0];
    for await (const runs of walkRuns(source, wholeOf(source))) {
      for (let index = 0; index < runs.length; index++) {
        const count = runs.endAt(index) - runs.startAt(index);
        if (runs.isDataAt(index)) data += count;
        else if (!runs.isAbsentAt(index)) zero += count;
      }
    }
    return { data, zero };
  });
}

/**
 * Makes the result in `folder`, under the names that its files have, and returns these. Its descriptor still says
 * what the keeper's says, under a CID of its own: see `describeMerged`.
 * @throws VmdkError for a disk that cannot be written from here, before anything is made.
 */
export async function stageMerge(
  merge: Merge,
  folder: string,
  options: ChainOptions & TaskOptions,
): Promise<string[]> {
  const store = storeFor(options.fs);
  const keeper = keeperOf(merge);
  assertRemakeable(keeper);
  const names: string[] = [];
  // The file that opens the disk last.
  for (const file of keeper.files.toReversed()) {
    const name = posix.basename(file);
    await copyFile(store, file, posix.join(folder, name), options);
    names.push(name);
  }
  const copy = posix.join(folder, posix.basename(keeper.path));
  await rewriteDescriptor(store, copy, { extents: besideEachOther(keeper) });
  await mergeTo(copy, merge, writing(options), options);
  return names;
}

/** Opens the bottom for writing and closes it again. @throws VmdkError when it cannot be written; nothing is changed. */
export async function assertWritableNow(merge: Merge, options: ChainOptions): Promise<void> {
  const context = writing(options);
  const target = await openWritableDiskIn(context, await context.store.resolve(keeperOf(merge).path));
  await target.close();
}

/**
 * Merges into the bottom where it stands, for which its keeper must be the bottom. It keeps its CID, and whoever reads
 * the top reads the same at every moment: what is written is what the links above hide. Stopped, it can be done again.
 */
export async function mergeInPlace(merge: Merge, options: ChainOptions & TaskOptions): Promise<void> {
  const keeper = keeperOf(merge);
  if (merge.into !== 'bottom') throw new RangeError('a merge in place goes into the bottom');
  await mergeTo(keeper.path, merge, { ...writing(options), keepContentId: true }, options);
}

/** The locks are the caller's, and what tracked changes goes with the merge. */
function writing({ fs, noAccess, journal }: ChainOptions): OpenContext {
  return openContext({ fs, noAccess, journal, dropChangeTracking: true, locked: 'ignore' });
}

async function mergeTo(
  path: string,
  merge: Merge,
  context: OpenContext,
  options: ChainOptions & TaskOptions,
): Promise<void> {
  const target = await openWritableDiskIn(context, await context.store.resolve(path));
  try {
    await withSource(merge, options, async (source, below) => {
      const writer = new LeafWriter(target, new LeafOverBelow(target, below));
      await fill(source, writer, options);
    });
    await target.flush();
  } finally {
    await target.close();
  }
}

/** Lines that lead to the copies, however the keeper spells its files: an absolute name would lead to the keeper itself. */
function besideEachOther({ path: own, extents }: TreeLink): ExtentLine[] {
  return extents.map(({ line, path }) =>
    path === undefined || path === own ? line : { ...line, fileName: posix.basename(path) },
  );
}

/** @throws VmdkError `not-mergeable` (unsupported) for a disk whose files cannot be made anew beside each other. */
export function assertRemakeable(keeper: TreeLink): void {
  assertMergeable(keeper);
  const { path: own, extents } = keeper;
  const folder = posix.dirname(own);
  // The file that holds the descriptor is the first extent, whatever its line calls it.
  const odd = extents.find(({ line: { fileName }, path }) => {
    if (path === undefined || path === own) return false;
    return posix.dirname(path) !== folder || !meansFileCalled(fileName, posix.basename(path));
  });
  if (odd !== undefined) {
    throw cannotMerge(
      keeper,
      `the extent ${odd.path}`,
      'extents that lie beside the descriptor, under their own names; --in-place takes any',
    );
  }
}

/** @throws VmdkError `not-mergeable` (unsupported) for a type that no merge can go into. */
export function assertMergeable(keeper: TreeLink): void {
  if (keeper.createType === 'seSparse' || keeper.createType === 'streamOptimized') {
    throw cannotMerge(keeper, keeper.createType, 'a type that can be written');
  }
}

/**
 * @throws VmdkError `extent-read-only` (refused) when something would be merged into an extent that must not be written:
 * found before the first byte, since a merge in place that cannot be finished leaves a mix for good.
 */
export async function assertWritableUnder(merge: Merge, options: ChainOptions): Promise<void> {
  const { path, descriptor } = keeperOf(merge);
  let end = 0;
  for (const { access, type, sectors, line } of descriptor.extents) {
    const start = end;
    end += sectors;
    if (access === 'RW' && type !== 'ZERO') continue;
    await withSource(merge, options, async (source) => {
      for await (const runs of walkRuns(source, sectorRange(start, sectors))) {
        for (let index = 0; index < runs.length; index++) {
          if (runs.isAbsentAt(index)) continue;
          throw new VmdkError('refused', 'extent-read-only', 'the extent must not be written', {
            path,
            line,
            found: `${access} ${type}, and other content for it from sector ${runs.startAt(index)} on`,
            expected: 'RW and a type that stores data',
            hint: 'Without --in-place the disk is made anew, of extents that can be written.',
          });
        }
      }
    });
  }
}

function cannotMerge({ path }: TreeLink, found: string, expected: string): VmdkError {
  return new VmdkError('unsupported', 'not-mergeable', 'nothing can be merged into this disk from here', {
    path,
    found,
    expected,
    hint: 'With --keep-disks the snapshot goes and all disks stay; VMware can consolidate them later.',
  });
}

async function fill(source: SectorSource, writer: LeafWriter, task: TaskOptions): Promise<void> {
  await copySectors(source, (data, at) => writer.write((at / SECTOR_BYTES) as Sectors, data), {
    ...task,
    keepZeros: true,
  });
  // After the data: grains that are new hold what was below, and zeros go over that.
  for await (const runs of walkRuns(source, wholeOf(source))) {
    throwIfAborted(task);
    for (let index = 0; index < runs.length; index++) {
      if (runs.isDataAt(index) || runs.isAbsentAt(index)) continue;
      await writer.zero(sectorRange(runs.startAt(index), runs.endAt(index) - runs.startAt(index)));
    }
  }
}

/** Calls `work` with what the keeper lacks, and with the disks below the merged links. */
async function withSource<T>(
  merge: Merge,
  options: ChainOptions,
  work: (source: SectorSource, below: MergedSource | undefined) => Promise<T>,
): Promise<T> {
  const { links, into } = merge;
  // What is odd has been told when the machine was looked at.
  const chain = await openChain(links[0]!.path, 'read', { ...options, onFinding: undefined });
  try {
    assertSameLinks(chain, links);
    const merged =
      into === 'top' ? chain.links.slice(0, links.length) : chain.links.slice(0, links.length - 1);
    const rest = chain.links.slice(links.length);
    const below = rest.length === 0 ? undefined : new MergedSource(rest);
    const all = new MergedSource(merged);
    const source = { ...sourceOf(all), map: (range: SectorRange) => all.map(range) };
    return await work(into === 'top' ? withoutTop(all) : source, below);
  } finally {
    await chain.close();
  }
}

function sourceOf(merged: MergedSource): SectorSource {
  return {
    capacity: merged.capacity,
    map: (range) => merged.map(range),
    read: (range, into) => merged.read(range, into),
    close: async () => {},
  };
}

/** What the top says itself counts as absent: the keeper has it. */
function withoutTop(merged: MergedSource): SectorSource {
  return {
    ...sourceOf(merged),
    async map(range) {
      const runs = await merged.map(range);
      const rest = new RunList(runs.start, runs.length);
      for (let index = 0; index < runs.length; index++) {
        const from = runs.startAt(index);
        const count = runs.endAt(index) - from;
        if (runs.depthAt(index) === 0) rest.addAbsent(count);
        else rest.addPart(runs, index, from, count);
      }
      return rest;
    },
  };
}

function assertSameLinks(chain: Chain, links: readonly TreeLink[]): void {
  const wrong = links.findIndex(({ identity }, index) => chain.links[index]?.identity !== identity);
  if (wrong < 0) return;
  throw new VmdkError('conflict', 'disk-changed', 'the chain is no longer what it was a moment ago', {
    path: links[0]!.path,
    found: chain.links[wrong]?.path ?? 'no link',
    expected: links[wrong]!.path,
    hint: 'Stop whatever works on this machine, then run again.',
  });
}
