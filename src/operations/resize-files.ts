// The files of a disk, or of several at once, at another size. Rule: sparse extents are made anew beside the old ones and
// change places in one set; flat files grow before it and shrink after it, since a longer file is lawful at any moment.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { SectorSource } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Disk } from '../disk/disk.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { editDescriptor, rollContentId } from '../format/edit-descriptor.ts';
import { geometryFor } from '../format/geometry.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import type { FileStore } from '../storage/file-store.ts';
import { applyChangeSet } from './change-set.ts';
import type { FileChange } from './file-change.ts';
import { assertFreeSpace } from './free-space.ts';
import { planResize, type ResizedExtent, type ResizePlan } from './plan-resize.ts';
import { rebuildExtent } from './rebuild-extent.ts';

/** A disk to be read while its new files are made. */
export interface OpenMember {
  readonly disk: Pick<Disk, 'map' | 'read' | 'capacity'>;
  /** What absent means in it; undefined for zeros. */
  readonly below: Pick<SectorSource, 'map' | 'read'> | undefined;
  close(): Promise<void>;
}

export interface NewSize {
  /** Sectors. */
  readonly capacity: number;
  readonly cid: number;
  /** Of a delta, whose parent gets another CID as well. */
  readonly parentCid?: number | undefined;
}

export interface ResizedFiles {
  readonly path: string;
  readonly descriptor: Descriptor;
  readonly changes: readonly FileChange[];
  /** Files that get longer or shorter in place. */
  readonly flats: readonly ResizedExtent[];
  /** Bytes that the new files take at most while the old ones are there. */
  readonly needed: number;
}

/** What is to be done to the files of `disk`; `open` opens it again when its new files are made. */
export async function planResizedFiles(
  store: FileStore,
  disk: Disk,
  size: NewSize,
  open: () => Promise<OpenMember>,
  task: TaskOptions,
): Promise<ResizedFiles> {
  const plan = planResize(disk, size.capacity);
  const descriptor = resized(disk.descriptor, plan, size);
  const text = printDescriptor(descriptor);
  const changes: FileChange[] = plan.removed.map((path) => ({ kind: 'remove', path }));
  let needed = 0;
  for (const extent of plan.extents) {
    if (extent.file === 'kept' || extent.file === 'resized') continue;
    if (extent.file === 'rebuilt') {
      changes.push({ kind: 'remove', path: extent.path });
      needed += (await store.resolve(extent.path)).allocated;
    }
    changes.push({
      kind: 'create',
      path: extent.path,
      file: contentOf(store, disk, extent, text, open, task),
    });
  }
  if (!changes.some((change) => 'path' in change && change.kind === 'create' && change.path === disk.path)) {
    changes.push(...descriptorChanges(disk, text));
  }
  const flats = plan.extents.filter(({ file }) => file === 'resized');
  return { path: disk.path, descriptor, changes, flats, needed };
}

function descriptorChanges(disk: Disk, text: Buffer): FileChange[] {
  if (disk.embedded) return [];
  return [{ kind: 'replace', path: disk.path, data: text, old: printDescriptor(disk.descriptor) }];
}

function resized(
  descriptor: Descriptor,
  plan: ResizePlan,
  { capacity, cid, parentCid }: NewSize,
): Descriptor {
  const ddb: Record<string, string> = {};
  const geometry = geometryFor(capacity, descriptor.ddb.get('ddb.adaptertype') ?? 'lsilogic');
  for (const name of ['cylinders', 'heads', 'sectors'] as const) {
    if (descriptor.ddb.has(`ddb.geometry.${name}`)) ddb[`ddb.geometry.${name}`] = String(geometry[name]);
  }
  const edited = editDescriptor(descriptor, {
    extents: plan.extents.map(({ line }) => line),
    ddb,
    ...(parentCid === undefined ? {} : { parentCid }),
  });
  return rollContentId(edited, cid, randomBytes(12).toString('hex'));
}

function contentOf(
  store: FileStore,
  disk: Disk,
  extent: ResizedExtent,
  text: Buffer,
  open: () => Promise<OpenMember>,
  task: TaskOptions,
): Extract<FileChange, { kind: 'create' }>['file'] {
  if (extent.kind === 'flat') return { size: extent.bytes, parts: [] };
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  const embedded = disk.embedded && extent.start === 0 ? text.subarray(0, end) : undefined;
  const capacity = extent.line.sectors;
  const shape = { kind: extent.kind, capacity, grainSize: extent.grainSize, descriptor: embedded };
  const held = Math.min(extent.start + capacity, disk.capacity);
  const range = { start: extent.start, end: Math.max(extent.start, held) };
  return {
    make: async (path) => {
      const member = await open();
      try {
        const source = { leaf: member.disk, below: member.below, ...range };
        await rebuildExtent(store, path, shape, source, task);
      } finally {
        await member.close();
      }
    },
  };
}

/** Returns the folders of the disks. @throws VmdkError `no-space` (refused) for one that is too full. */
export async function assertRoomFor(store: FileStore, resizes: readonly ResizedFiles[]): Promise<string[]> {
  const needs = new Map<string, number>();
  for (const { path, needed } of resizes) {
    const folder = posix.dirname(path);
    needs.set(folder, (needs.get(folder) ?? 0) + needed);
  }
  for (const [folder, needed] of needs) await assertFreeSpace(store, folder, needed);
  return [...needs.keys()];
}

/** Carries out the plans of all disks as one. `root` holds the journal. */
export async function applyResizes(
  store: FileStore,
  resizes: readonly ResizedFiles[],
  { root, request }: { root: string; request: string },
  task: TaskOptions,
): Promise<void> {
  const folders = await assertRoomFor(store, resizes);
  const flats = resizes.flatMap((one) => one.flats);
  const growing = flats.filter(({ bytes, oldBytes }) => bytes > oldBytes);
  for (const { path, bytes } of growing) await setLength(store, path, bytes);
  const otherRoots = folders.filter((folder) => folder !== root);
  const changes = resizes.flatMap((one) => one.changes);
  try {
    await applyChangeSet(
      store,
      { root, otherRoots, label: 'resize', changes, request },
      { signal: task.signal },
    );
  } catch (error) {
    const undone = !(error instanceof VmdkError) || error.code !== 'not-finished';
    if (undone) {
      for (const { path, oldBytes } of growing) await setLength(store, path, oldBytes).catch(() => {});
    }
    throw error;
  }
  for (const { path, bytes, oldBytes } of flats) if (bytes < oldBytes) await setLength(store, path, bytes);
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
