// A disk of its own with the contents of a chain: for full clones, and for disks that no delta can stand on. Rule: one
// new file, or a descriptor and its flat file, made under the names that they keep; zeros are not stored.
import { posix } from 'node:path';
import { openChain } from '../chain/open-chain.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { usageError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { RandomBytes } from '../format/content-id.ts';
import { flatNameFor } from '../format/file-names.ts';
import type { CloneBase } from '../operations/clone-bases.ts';
import type { DiskPlan, PlannedFile } from '../operations/disk-plan.ts';
import type { NewFile } from '../operations/file-change.ts';
import { fillDisk } from '../operations/fill-disk.ts';
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
export function copyTypeFor(asked: string | undefined, base: Pick<CloneBase, 'descriptor'>): CopyType {
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
  const { capacity } = base;
  const planAt = (path: string): DiskPlan =>
    planDisk({
      path,
      capacity,
      createType,
      adapterType: adapter,
      ...(createType === 'vmfs' ? { thin: true } : {}),
      random: options.random,
    });
  if (createType === 'monolithicSparse') {
    // Planned where it is made: the name of the file stands in it, and is the one that it keeps.
    return [{ name, content: { make: (path) => fillFrom(copy, planAt(path).files, options) } }];
  }
  const [flat, text] = planAt(posix.join('/', name)).files;
  const { path: _, ...descriptor } = text!;
  return [
    { name: flatNameFor(name), content: { make: (path) => fillFrom(copy, [{ ...flat!, path }], options) } },
    { name, content: descriptor },
  ];
}

/** Makes planned extents with the content of the base. */
async function fillFrom(
  { base }: DiskCopy,
  planned: readonly PlannedFile[],
  options: ChainOptions & TaskOptions,
): Promise<void> {
  const { fs, signal } = options;
  const store = storeFor(fs);
  const source = await openChain(base.path, 'read', { ...options, onFinding: undefined });
  try {
    await fillDisk(planned, source, (path) => store.create(path), { signal });
  } finally {
    await source.close();
  }
}
