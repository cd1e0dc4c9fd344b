// Makes a disk without a parent: plans it, then carries the plan out, all of it or nothing.
import { randomBytes } from 'node:crypto';
import { usageError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES, sectors, type Bytes } from '../core/units.ts';
import { storeFor, type AnyFs } from '../storage/promises-file-store.ts';
import { carryOutPlan, type DiskPlan } from './disk-plan.ts';
import { planDisk, type DiskRequest } from './plan-disk.ts';

export interface CreateDiskOptions
  extends TaskOptions, Partial<Omit<DiskRequest, 'path' | 'capacity' | 'createType' | 'adapterType'>> {
  /** A FileStore, or anything shaped like node:fs/promises (memfs). Default: the real file system. */
  fs?: AnyFs | undefined;
  /** createType, in any spelling: monolithicSparse unless told. */
  type?: string | undefined;
  /** ddb.adapterType: lsilogic unless told. */
  adapter?: string | undefined;
  /** Return only once the disk would survive a loss of power. Default true. */
  durable?: boolean | undefined;
}

/**
 * Makes an empty disk of `capacity` bytes at `path`, and tells what was made.
 * @throws VmdkError `usage` for what cannot be, `refused` `target-exists`; nothing is left of a failed attempt.
 */
export async function createDisk(
  path: string,
  capacity: Bytes,
  options: CreateDiskOptions = {},
): Promise<DiskPlan> {
  if (capacity % SECTOR_BYTES !== 0) {
    const below = capacity - (capacity % SECTOR_BYTES);
    const sizes = below === 0 ? `${SECTOR_BYTES}` : `${below} or ${below + SECTOR_BYTES}`;
    const hint = `Disks are whole sectors: ${sizes} bytes.`;
    throw usageError(`${capacity} bytes are not a multiple of ${SECTOR_BYTES}`, hint);
  }
  const { fs, type = 'monolithicSparse', adapter, random = randomBytes, ...rest } = options;
  const plan = planDisk({
    ...rest,
    path,
    capacity: sectors(capacity / SECTOR_BYTES),
    createType: type,
    adapterType: adapter,
    random,
  });
  await carryOutPlan(storeFor(fs), plan, options);
  return plan;
}
