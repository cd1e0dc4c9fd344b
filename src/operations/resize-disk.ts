// Gives a disk without a parent another size. Rule: what is cut off is proved to be zeros unless the caller forces it; an
// interruption leaves the old disk or the new one.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { isZero } from '../block/zero-scan.ts';
import { usageError, VmdkError } from '../core/errors.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, type Bytes } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { openDisk } from '../disk/open-disk.ts';
import type { OpenOptions } from '../disk/open-options.ts';
import { newCid, NO_PARENT_CID } from '../format/content-id.ts';
import { cidWidth } from '../format/edit-descriptor.ts';
import { storeFor } from '../storage/promises-file-store.ts';
import { applyResizes, assertRoomFor, planResizedFiles } from './resize-files.ts';
import { settleAround } from './settle-around.ts';
import { filesOfDisk, withLocks } from './with-locks.ts';

export interface ResizeOptions extends TaskOptions, OpenOptions {
  /** Make it smaller, when what is cut off is zeros. Default false: refused. */
  shrink?: boolean | undefined;
  /** Cut off whatever is there. Default false. */
  force?: boolean | undefined;
  /** Prove that it can be done, and change nothing. Default false. */
  dryRun?: boolean | undefined;
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
  const dryRun = options.dryRun === true;
  if (!dryRun) await settleAround(store, path);
  const work = async (): Promise<ResizedDisk> => {
    const disk = await openDisk(path, options);
    try {
      const before = disk.capacity * SECTOR_BYTES;
      const facts = { path: disk.path, createType: disk.createType, before };
      assertNoParent(disk);
      assertSizeAllowed(disk, capacity, options);
      if (capacity === disk.capacity) return { ...facts, after: before, cid: disk.descriptor.cid };
      if (capacity < disk.capacity && options.force !== true)
        await assertTailZero(disk, disk.path, capacity, options);
      const cid = newCid(randomBytes, cidWidth(disk.descriptor));
      const open = () => Promise.resolve({ disk, below: undefined, close: () => Promise.resolve() });
      const files = await planResizedFiles(store, disk, { capacity, cid }, open, options);
      const request = JSON.stringify(['resize', disk.path, capacity]);
      if (dryRun) await assertRoomFor(store, [files]);
      else await applyResizes(store, [files], { root: posix.dirname(disk.path), request }, options);
      return { ...facts, after: size, cid: dryRun ? disk.descriptor.cid : cid };
    } finally {
      await disk.close();
    }
  };
  if (dryRun) return work();
  const others = options.locked === 'ignore' ? 'ignore' : 'refuse';
  const found = await openDisk(path, { ...options, onFinding: undefined });
  await found.close();
  return withLocks(store, [path, ...filesOfDisk(found)], work, { others, signal: options.signal });
}

function assertNoParent({ descriptor, path, capacity }: Disk): void {
  if (descriptor.parentCid === NO_PARENT_CID) return;
  throw new VmdkError('refused', 'delta-has-parents-size', 'a delta must be as large as its parent', {
    path,
    found: `${capacity} sectors, as in the parent`,
    expected: 'a disk without a parent',
    hint: 'Pass --tree to resize its base and everything that stands on that together, or convert it to a disk of its own.',
  });
}

/** @throws VmdkError `change-tracking`, `shrink-not-asked` (refused). */
export function assertSizeAllowed(
  { descriptor, path, capacity: before }: Disk,
  capacity: number,
  { shrink }: Pick<ResizeOptions, 'shrink'>,
): void {
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
  if (capacity >= before || shrink === true) return;
  throw new VmdkError('refused', 'shrink-not-asked', 'the disk would become smaller', {
    path,
    found: `${capacity} sectors`,
    expected: `at least the ${before} that it has`,
    hint: 'Pass --shrink: then it is done when what is cut off is nothing but zeros.',
  });
}

/** @throws VmdkError `tail-in-use` that names the first sector that is not zero. */
export async function assertTailZero(
  disk: SectorSource,
  path: string,
  capacity: number,
  task: TaskOptions,
): Promise<void> {
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
          path,
          sector,
          found: 'data',
          expected: `zeros from sector ${capacity} on`,
          hint: 'Shrink the partitions and file systems in it first, and zero what they leave; --force cuts it off as it is.',
        });
      }
    }
  }
}
