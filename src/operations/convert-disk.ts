// Converts a chain, or a raw file, to a disk of any type that can be made. Rule: the target appears complete, under its
// name, or not at all; what cannot be read is an error that says where, unless the caller asks to go on without it.
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { salvagingSource, type LostRange } from '../block/salvage.ts';
import type { SectorSource } from '../block/sector-source.ts';
import type { Chain } from '../chain/chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { assertNotMixed } from '../chain/half-merged.ts';
import { openChain } from '../chain/open-chain.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { buildStream, type Append } from '../extent/build-stream.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { copyGrains } from '../block/copy-grains.ts';
import { createPathGuard } from '../storage/path-guard.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { identitiesOf, openSource, type ConvertSource, type SourceFormat } from './convert-source.ts';
import { assertRoomAbove } from './create-delta.ts';
import type { DiskPlan } from './disk-plan.ts';
import { fillDisk, USUAL_LEVEL, type FilledFile } from './fill-disk.ts';
import { hintNotes, parentHintFor, type HintStyle } from './parent-hint.ts';
import { namesOf, planConversion, type ConversionShape } from './plan-conversion.ts';
import type { ByteStream } from './spool-input.ts';
import { makeStaged } from './staged-files.ts';

export interface ConvertOptions extends ConversionShape, ChainOptions, TaskOptions {
  /** What the source is: a disk (`vmdk`) unless told. */
  from?: SourceFormat | undefined;
  /** A disk that the new one is to stand on: only what differs from it is stored. */
  backing?: string | undefined;
  /** How parentFileNameHint is written: relative unless told. */
  hint?: HintStyle | undefined;
  /** Go on where something cannot be read: zeros stand for it, and the result tells. Default false. */
  salvage?: boolean | undefined;
  /** Replace files that are there. Default false: refused. */
  overwrite?: boolean | undefined;
  /** Called before the work for each file that will be replaced; what it throws stops everything. */
  beforeReplace?: ((path: string, source: Chain | undefined) => Promise<void>) | undefined;
  /** Return only once the disk would survive a loss of power. Default true. */
  durable?: boolean | undefined;
  random?: RandomBytes | undefined;
}

export interface ConvertedDisk {
  readonly plan: DiskPlan;
  /** Under their final names, the one that opens the disk last. */
  readonly files: readonly FilledFile[];
  /** Bytes of content that were stored; the rest of the disk reads as zeros, or as its parent. */
  readonly written: number;
  /** What could not be read and is zeros in the new disk: only with `salvage`. */
  readonly lost: readonly LostRange[];
  readonly notes: readonly string[];
}

/**
 * Makes `target` from the disk `source`, which may also be the bytes of a raw disk as they come.
 * @throws VmdkError `usage` for what cannot be; `target-exists`, `target-is-source`, `half-merged`, `chain-too-deep` (refused);
 * `backing-capacity`; whatever reading finds, with its place. Nothing is left of an attempt that failed or was stopped.
 */
export async function convertDisk(
  source: string | ByteStream,
  target: string,
  options: ConvertOptions = {},
): Promise<ConvertedDisk> {
  const { from = 'vmdk', signal, onProgress } = options;
  const spool = { folder: posix.dirname(target), signal, onProgress };
  const opened = await openSource(source, from, readingOptions(options), spool);
  try {
    return await convertOpened(opened, target, options);
  } finally {
    await opened.close();
  }
}

async function convertOpened(
  opened: ConvertSource,
  target: string,
  options: ConvertOptions,
): Promise<ConvertedDisk> {
  const store = storeFor(options.fs);
  const { overwrite, durable, signal, backing } = options;
  throwIfAborted(options);
  const below = backing === undefined ? undefined : await openBacking(backing, opened, options);
  try {
    const { plan, notes } = await planFor(opened, target, below, options);
    const reading = readingOf(opened, options);
    const sources = await identitiesOf(store, [
      opened.chain ?? opened.path,
      ...(below === undefined ? [] : [below]),
    ]);
    const folder = posix.dirname(target);
    for (const { path } of overwrite === true ? plan.files : []) {
      const replaced = posix.join(folder, posix.basename(path));
      if (await store.exists(replaced)) await options.beforeReplace?.(replaced, opened.chain);
    }
    const make = (stage: string) =>
      fillDisk(
        plan.files.map((file) => ({ ...file, path: posix.join(stage, posix.basename(file.path)) })),
        reading.source,
        (path) => store.create(path),
        { ...options, below },
      );
    const made = await makeStaged(store, folder, namesOf(plan), make, {
      overwrite,
      durable,
      signal,
      sources,
    });
    const files = made.files.map(({ path, size }) => ({
      path: posix.join(folder, posix.basename(path)),
      size,
    }));
    return { plan, files, written: made.written, lost: reading.lost(), notes };
  } finally {
    await below?.close();
  }
}

/**
 * Sends the disk `source` as a streamOptimized disk to `append`, from first byte to last.
 * @throws VmdkError as `convertDisk`.
 */
export async function convertToStream(
  source: string | ByteStream,
  append: Append,
  options: Omit<ConvertOptions, 'type' | 'backing' | 'hint' | 'overwrite' | 'durable'> = {},
): Promise<ConvertedDisk> {
  const { from = 'vmdk', signal, onProgress } = options;
  const spool = { folder: tmpdir(), signal, onProgress };
  const opened = await openSource(source, from, readingOptions(options), spool);
  try {
    const { plan, notes } = await planFor(opened, 'stream.vmdk', undefined, {
      ...options,
      type: 'streamOptimized',
    });
    const reading = readingOf(opened, options);
    const shape = plan.files[0]!.extent!;
    if (shape.kind !== 'stream') throw new RangeError(`planned as ${shape.kind}`);
    let size = 0;
    const counted: Append = (data) => {
      size += data.length;
      return append(data);
    };
    const target = { path: 'stdout', append: counted };
    const builder = buildStream(target, shape.layout, shape.descriptor, options.level ?? USUAL_LEVEL);
    const written = await copyGrains(reading.source, builder, options);
    throwIfAborted(options);
    await builder.finish();
    return { plan, files: [{ path: '-', size }], written, lost: reading.lost(), notes };
  } finally {
    await opened.close();
  }
}

/** What is damaged is opened as far as it goes, when the rest is to be saved. */
export function readingOptions(options: Pick<ConvertOptions, 'salvage'> & ChainOptions): ChainOptions {
  return options.salvage === true ? { ...options, damaged: 'open' } : options;
}

interface Reading {
  readonly source: SectorSource;
  lost(): readonly LostRange[];
}

export function readingOf({ source }: ConvertSource, { salvage }: Pick<ConvertOptions, 'salvage'>): Reading {
  if (salvage !== true) return { source, lost: () => [] };
  const salvaging = salvagingSource(source);
  return { source: salvaging, lost: () => salvaging.lost() };
}

/** @throws VmdkError `backing-capacity` (refused): a delta has the size of its parent. */
export async function openBacking(
  path: string,
  { source }: ConvertSource,
  options: ConvertOptions,
): Promise<Chain> {
  const below = await openChain(path, 'read', options);
  try {
    assertNotMixed(below.links);
    assertRoomAbove(below.links.length, below.leaf.path);
    if (below.capacity === source.capacity) return below;
    throw new VmdkError('refused', 'backing-capacity', 'a delta and its parent have the same size', {
      path,
      field: 'capacity',
      found: `${below.capacity} sectors`,
      expected: `${source.capacity} sectors, as the disk that is converted`,
      hint: 'Name the disk that it was made from, or convert without --backing.',
    });
  } catch (error) {
    await below.close();
    throw error;
  }
}

/** What will be made, and what a user should know of it. */
export async function planFor(
  { source, chain }: ConvertSource,
  target: string,
  below: Chain | undefined,
  options: ConvertOptions,
): Promise<{ plan: DiskPlan; notes: readonly string[] }> {
  const request = {
    ...options,
    path: target,
    capacity: source.capacity,
    sourceAdapter: chain?.links.at(-1)!.descriptor.ddb.get('ddb.adaptertype'),
    random: options.random ?? randomBytes,
  };
  if (below === undefined) {
    if (options.hint !== undefined)
      throw usageError('a disk without a parent has no hint', 'Name the parent with --backing.');
    const plan = planConversion(request);
    return { plan, notes: plan.notes };
  }
  const store = storeFor(options.fs);
  const { path: folder } = await store.resolve(posix.dirname(target));
  const hint = parentHintFor(options.hint ?? 'relative', folder, below.leaf.path);
  const plan = planConversion({ ...request, parent: { facts: below.leaf, hint } });
  const guard = createPathGuard({ store, allow: options.allow, confine: options.confine });
  const place = posix.join(folder, posix.basename(target));
  return { plan, notes: [...plan.notes, ...(await hintNotes(guard, place, hint, below.leaf))] };
}
