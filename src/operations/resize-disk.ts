// Gives a disk another size. Rule: what is cut off is proved to be zeros unless the caller forces it; the new size shows
// in one change set, and an interruption leaves the old disk or the new one.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import { isZero } from '../block/zero-scan.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, type Bytes } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { openDisk } from '../disk/open-disk.ts';
import type { OpenOptions } from '../disk/open-options.ts';
import { cidWidth, editDescriptor, rollContentId } from '../format/edit-descriptor.ts';
import { newCid, NO_PARENT_CID } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { geometryFor } from '../format/geometry.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { applyChangeSet } from './change-set.ts';
import type { FileChange } from './file-change.ts';
import { assertFreeSpace } from './free-space.ts';
import { planResize, type ResizePlan } from './plan-resize.ts';
import { rebuildExtent } from './rebuild-extent.ts';
import { settleAround } from './settle-around.ts';
import { filesOfDisk, withLocks } from './with-locks.ts';

export interface ResizeOptions extends TaskOptions, OpenOptions {
  /** Make it smaller, when what is cut off is zeros. Default false: refused. */
  shrink?: boolean | undefined;
  /** Cut off whatever is there. Default false. */
  force?: boolean | undefined;
}

export interface ResizedDisk {
  readonly path: string;
  readonly createType: string;
  /** Bytes. */
  readonly before: number;
  readonly after: number;
  readonly cid: number | undefined;
}

/**
 * @throws VmdkError `delta-has-parents-size`, `shrink-not-asked`, `tail-in-use`, `change-tracking`, `not-resizable`,
 * `disk-locked` (refused); nothing is changed then. Who stands on the disk is the caller's to look for.
 */
export async function resizeDisk(
  path: string,
  size: Bytes,
  options: ResizeOptions = {},
): Promise<ResizedDisk> {
  if (size % SECTOR_BYTES !== 0 || size <= 0) {
    throw usageError(
      `${size} bytes are no size of a disk`,
      `Disks are whole sectors of ${SECTOR_BYTES} bytes.`,
    );
  }
  const store = storeFor(options.fs);
  const capacity = size / SECTOR_BYTES;
  await settleAround(store, path);
  const work = async (): Promise<ResizedDisk> => {
    const disk = await openDisk(path, options);
    try {
      const before = disk.capacity * SECTOR_BYTES;
      const facts = { path: disk.path, createType: disk.createType, before };
      assertResizable(disk, capacity, options);
      if (capacity === disk.capacity) return { ...facts, after: before, cid: disk.descriptor.cid };
      if (capacity < disk.capacity && options.force !== true) await assertTailZero(disk, capacity, options);
      const plan = planResize(disk, capacity);
      const descriptor = resized(disk.descriptor, plan, capacity);
      await carryOut(store, disk, plan, descriptor, options);
      return { ...facts, after: size, cid: descriptor.cid };
    } finally {
      await disk.close();
    }
  };
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  const found = await openDisk(path, { ...options, onFinding: undefined });
  await found.close();
  return withLocks(store, [path, ...filesOfDisk(found)], work, { others });
}

function assertResizable(disk: Disk, capacity: number, { shrink }: ResizeOptions): void {
  const { descriptor, path } = disk;
  if (descriptor.parentCid !== NO_PARENT_CID) {
    throw new VmdkError('refused', 'delta-has-parents-size', 'a delta must be as large as its parent', {
      path,
      found: `${disk.capacity} sectors, as in the parent`,
      expected: 'a disk without a parent',
      hint: 'Merge the chain first (delete its snapshots, or convert it to a disk of its own), then resize that.',
    });
  }
  if (descriptor.changeTrackPath !== undefined) {
    throw new VmdkError(
      'refused',
      'change-tracking',
      'the disk has change tracking, which knows its old size',
      {
        path,
        field: 'changeTrackPath',
        found: descriptor.changeTrackPath,
        hint: 'Turn change tracking off in the machine first; the next backup will then be a full one.',
      },
    );
  }
  if (capacity >= disk.capacity || shrink === true) return;
  throw new VmdkError('refused', 'shrink-not-asked', 'the disk would become smaller', {
    path,
    found: `${capacity} sectors`,
    expected: `at least the ${disk.capacity} that it has`,
    hint: 'Pass --shrink: then it is done when what is cut off is nothing but zeros.',
  });
}

/** @throws VmdkError `tail-in-use` that names the first sector that is not zero. */
async function assertTailZero(disk: Disk, capacity: number, task: TaskOptions): Promise<void> {
  const step = 2048;
  for await (const runs of walkRuns(disk, sectorRange(capacity, disk.capacity - capacity))) {
    for (let index = 0; index < runs.length; index++) {
      if (!runs.isDataAt(index)) continue;
      for (let at = runs.startAt(index); at < runs.endAt(index); at += step) {
        throwIfAborted(task);
        const part = sectorRange(at, Math.min(step, runs.endAt(index) - at));
        const data = allocateRoom(part.count * SECTOR_BYTES);
        await disk.read(part, data);
        if (isZero(data)) continue;
        const sector = at + Math.floor(data.findIndex((byte) => byte !== 0) / SECTOR_BYTES);
        throw new VmdkError('refused', 'tail-in-use', 'what would be cut off is in use', {
          path: disk.path,
          sector,
          found: 'data',
          expected: `zeros from sector ${capacity} on`,
          hint: 'Shrink the partitions and file systems in it first, and zero what they leave; --force cuts it off as it is.',
        });
      }
    }
  }
}

function resized(descriptor: Descriptor, plan: ResizePlan, capacity: number): Descriptor {
  const ddb: Record<string, string> = {};
  const geometry = geometryFor(capacity, descriptor.ddb.get('ddb.adaptertype') ?? 'lsilogic');
  for (const name of ['cylinders', 'heads', 'sectors'] as const) {
    if (descriptor.ddb.has(`ddb.geometry.${name}`)) ddb[`ddb.geometry.${name}`] = String(geometry[name]);
  }
  const edited = editDescriptor(descriptor, { extents: plan.extents.map(({ line }) => line), ddb });
  return rollContentId(edited, newCid(randomBytes, cidWidth(descriptor)), randomBytes(12).toString('hex'));
}

async function carryOut(
  store: FileStore,
  disk: Disk,
  plan: ResizePlan,
  descriptor: Descriptor,
  options: ResizeOptions,
): Promise<void> {
  const text = printDescriptor(descriptor);
  const changes: FileChange[] = plan.removed.map((path) => ({ kind: 'remove', path }));
  for (const extent of plan.extents) {
    if (extent.file === 'kept' || extent.file === 'resized') continue;
    if (extent.file === 'rebuilt') changes.push({ kind: 'remove', path: extent.path });
    changes.push({ kind: 'create', path: extent.path, file: contentOf(store, disk, extent, text, options) });
  }
  if (!disk.embedded) {
    changes.push({ kind: 'replace', path: disk.path, data: text, old: printDescriptor(disk.descriptor) });
  }
  let needed = 0;
  for (const { file, path } of plan.extents) {
    if (file === 'rebuilt') needed += (await store.resolve(path)).allocated;
  }
  await assertFreeSpace(store, posix.dirname(disk.path), needed);
  const flat = plan.extents.find(({ file }) => file === 'resized');
  // A file longer than its descriptor says is lawful: so it grows before the descriptor does, and shrinks after it.
  if (flat !== undefined && flat.bytes > flat.oldBytes) await setLength(store, flat.path, flat.bytes);
  const request = JSON.stringify(['resize', disk.path, plan.extents.map(({ line }) => line.sectors)]);
  try {
    const set = { root: posix.dirname(disk.path), label: 'resize', changes, request };
    await applyChangeSet(store, set, { signal: options.signal });
  } catch (error) {
    const undone = !(error instanceof VmdkError) || error.code !== 'not-finished';
    if (flat !== undefined && flat.bytes > flat.oldBytes && undone) {
      await setLength(store, flat.path, flat.oldBytes).catch(() => {});
    }
    throw error;
  }
  if (flat !== undefined && flat.bytes < flat.oldBytes) await setLength(store, flat.path, flat.bytes);
}

function contentOf(
  store: FileStore,
  disk: Disk,
  extent: ResizePlan['extents'][number],
  text: Buffer,
  options: ResizeOptions,
): Extract<FileChange, { kind: 'create' }>['file'] {
  if (extent.kind === 'flat') return { size: extent.bytes, parts: [] };
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  const embedded = disk.embedded && extent.start === 0 ? text.subarray(0, end) : undefined;
  const capacity = extent.line.sectors;
  const shape = { kind: extent.kind, capacity, grainSize: extent.grainSize, descriptor: embedded };
  const held = Math.min(extent.start + capacity, disk.capacity);
  const source = { leaf: disk, below: undefined, start: extent.start, end: Math.max(extent.start, held) };
  return {
    make: async (path) => {
      await rebuildExtent(store, path, shape, source, options);
    },
  };
}

async function setLength(store: FileStore, path: string, bytes: number): Promise<void> {
  const file = await store.open(path, 'update');
  try {
    await file.resize(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
