// A disk of its own with the contents of a chain: for full clones, and for disks that no delta can stand on. Rule: one
// new file, or a descriptor and its flat file, made under the names that they keep; zeros are not stored.
import { posix } from 'node:path';
import { copySectors } from '../block/copy-sectors.ts';
import { openChain } from '../chain/open-chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { usageError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { flatNameFor } from '../format/file-names.ts';
import type { CloneBase } from '../operations/clone-bases.ts';
import { createDisk } from '../operations/create-disk.ts';
import type { NewFile } from '../operations/file-change.ts';
import { planDisk } from '../operations/plan-disk.ts';
import { storeFor } from '../storage/promises-file-store.ts';

/** Types that a full copy can have. */
export const COPY_TYPES = ['monolithicSparse', 'monolithicFlat', 'vmfs'] as const;
export type CopyType = (typeof COPY_TYPES)[number];

export interface DiskCopy {
  readonly base: CloneBase;
  readonly createType: CopyType;
  /** ddb.adapterType. */
  readonly adapter: 'ide' | 'buslogic' | 'lsilogic';
}

/** Any spelling of one of `COPY_TYPES`; unless told, what suits the platform of the base. */
export function copyTypeFor(asked: string | undefined, base: CloneBase): CopyType {
  if (asked !== undefined) {
    const known = COPY_TYPES.find((type) => type.toLowerCase() === asked.toLowerCase());
    if (known !== undefined) return known;
    throw usageError(`full copies are not made as ${asked}`, `Types: ${COPY_TYPES.join(', ')}.`);
  }
  const esx = base.descriptor.extents.some(({ type }) => type.startsWith('VMFS') || type === 'SESPARSE');
  return esx ? 'vmfs' : 'monolithicSparse';
}

/** Names of the files of a copy called `stem`, the one that opens the disk last. */
export function copyFileNames({ createType }: Pick<DiskCopy, 'createType'>, stem: string): string[] {
  return createType === 'monolithicSparse' ? [`${stem}.vmdk`] : [flatNameFor(`${stem}.vmdk`), `${stem}.vmdk`];
}

/** The files, which copy when they are made. `chain` says how the base is opened. */
export function copyFiles(
  copy: DiskCopy,
  stem: string,
  options: ChainOptions & TaskOptions & { random: RandomBytes },
): NewFile[] {
  const { base, createType, adapter } = copy;
  const name = `${stem}.vmdk`;
  if (createType === 'monolithicSparse') {
    const make = (path: string): Promise<void> => copyIntoSparse(copy, path, options);
    return [{ name, content: { make } }];
  }
  const plan = planDisk({
    path: posix.join('/', name),
    capacity: base.capacity,
    createType,
    adapterType: adapter,
    ...(createType === 'vmfs' ? { thin: true } : {}),
    random: options.random,
  });
  const { path: _, ...descriptor } = plan.files.at(-1)!;
  const make = (path: string): Promise<void> => copyIntoFlat(base, path, options);
  return [
    { name: flatNameFor(name), content: { make } },
    { name, content: descriptor },
  ];
}

async function copyIntoSparse(
  { base, adapter }: DiskCopy,
  path: string,
  options: ChainOptions & TaskOptions & { random: RandomBytes },
): Promise<void> {
  const { fs, random, signal } = options;
  const capacity = bytes(base.capacity * SECTOR_BYTES);
  await createDisk(path, capacity, { fs, random, adapter, durable: false });
  const source = await openChain(base.path, 'read', { ...options, onFinding: undefined });
  try {
    // Without the options for the source: this is a new disk, alone.
    const target = await openChain(path, 'update', { fs });
    try {
      await copySectors(source, (data, at) => target.write((at / SECTOR_BYTES) as Sectors, data), { signal });
      await target.flush();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copyIntoFlat(
  base: CloneBase,
  path: string,
  options: ChainOptions & TaskOptions,
): Promise<void> {
  const { fs, signal } = options;
  const source = await openChain(base.path, 'read', { ...options, onFinding: undefined });
  try {
    const file = await storeFor(fs).create(path);
    try {
      await file.resize(base.capacity * SECTOR_BYTES);
      await copySectors(source, (data, at) => file.write(data, at), { signal });
    } finally {
      await file.close();
    }
  } finally {
    await source.close();
  }
}
