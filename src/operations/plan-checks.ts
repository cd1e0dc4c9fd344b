// What may be asked of a new disk, whatever its type. Rule: refused here, before anything is made, with the number
// found and the number allowed.
import { posix } from 'node:path';
import { VmdkError, isVmdkError } from '../core/errors.ts';
import { ceilDiv, isPowerOfTwo, type Sectors } from '../core/units.ts';
import { COWD_MAX_CAPACITY } from '../format/cowd-layout.ts';
import { createTypeOf } from '../format/descriptor.ts';
import { SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import { SESPARSE_MAX_CAPACITY } from '../format/sesparse-layout.ts';
import { fullSparseSectors, SPARSE_FILE_SECTORS, type SparseLayout } from '../format/sparse-layout.ts';
import { assertFileName } from '../storage/file-names.ts';

/** Grains of a hosted sparse extent, in sectors: what readers accept, and what all of them do. */
const SPARSE_GRAINS = { least: 1, most: 2 ** 21, usualLeast: 8, usualMost: 128 } as const;
/** Compressed grains are inflated whole, several at a time. */
const STREAM_GRAINS = { least: 8, usual: 128, most: 2048 } as const;
const COWD_GRAINS = { least: 1, most: 2048 } as const;
/** More would not fit the longest descriptor that programs read. */
export const MOST_EXTENTS = 32_768;

/**
 * The canonical spelling of a wanted createType, which must be one of `among`.
 * @throws VmdkError `usage` `unknown-create-type`; `unsupported` `create-type-not-created`.
 */
export function creatableType<T extends string>(text: string, among: readonly T[], path?: string): T {
  const known = createTypeOf(text);
  const found = among.find((type) => type === known);
  if (found !== undefined) return found;
  const context = {
    ...(path === undefined ? {} : { path }),
    field: 'createType',
    found: text,
    expected: among.join(', '),
  };
  if (known === undefined)
    throw new VmdkError('usage', 'unknown-create-type', 'no such type of disk', context);
  const hint =
    known === 'streamOptimized'
      ? 'A streamOptimized disk is written once and whole: convert a disk into one.'
      : known === 'vmfsSparse' || known === 'seSparse'
        ? 'This is a type of delta: name its parent.'
        : undefined;
  throw new VmdkError('unsupported', 'create-type-not-created', 'a disk of this type is not created here', {
    ...context,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** @throws VmdkError `usage`: a name that would be read as a URL, protocol or device, or cannot be a file's. */
export function assertNewName(path: string): void {
  const name = posix.basename(path);
  if (name === '' || name === '.' || name === '..' || path.endsWith('/')) {
    throw new VmdkError('usage', 'not-a-file-name', 'a new disk needs the name of a file', { path });
  }
  try {
    assertFileName(name, 'extent', path);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    const hint = 'Choose a name that no program takes for an address.';
    throw new VmdkError('usage', 'not-a-file-name', 'this cannot be the name of a disk', {
      path,
      found: error.context.found ?? name,
      expected: 'the name of a file',
      hint,
    });
  }
}

/** @throws VmdkError `usage` `empty-disk`. */
export function assertSomeCapacity(capacity: Sectors, path: string): void {
  if (capacity > 0) return;
  throw new VmdkError('usage', 'empty-disk', 'a disk needs at least one sector', {
    path,
    field: 'capacity',
    found: capacity,
    expected: 'at least 1 sector',
  });
}

/** What other tools may make of the grain. @throws VmdkError `usage` `bad-grain-size`. */
export function sparseGrainNotes(grainSize: number, path: string): string[] {
  assertGrain(grainSize, SPARSE_GRAINS.least, SPARSE_GRAINS.most, path);
  if (grainSize >= SPARSE_GRAINS.usualLeast && grainSize <= SPARSE_GRAINS.usualMost) return [];
  return [`grains of ${grainSize} sectors are outside the 8 to 128 that every program reads`];
}

/** What other tools may make of the grain. @throws VmdkError `usage` `bad-grain-size`. */
export function streamGrainNotes(grainSize: number, path: string): string[] {
  assertGrain(grainSize, STREAM_GRAINS.least, STREAM_GRAINS.most, path);
  if (grainSize === STREAM_GRAINS.usual) return [];
  return [`compressed grains of ${grainSize} sectors: every VMware product writes ${STREAM_GRAINS.usual}`];
}

/** What other tools may make of the grain. @throws VmdkError `usage` `bad-grain-size`. */
export function cowdGrainNotes(grainSize: number, path: string): string[] {
  assertGrain(grainSize, COWD_GRAINS.least, COWD_GRAINS.most, path);
  return grainSize === 1
    ? []
    : [`grains of ${grainSize} sectors: ESX writes 1, and some programs read no other`];
}

/** @throws VmdkError `usage` `bad-grain-size`. */
export function assertSeSparseGrain(grainSize: number, path: string): void {
  assertGrain(grainSize, SESPARSE_GRAIN, SESPARSE_GRAIN, path);
}

/** @throws VmdkError `usage` `capacity-too-large`: a full disk would need sectors that 32 bits cannot number. */
export function assertSparseFits(layout: SparseLayout, path: string): void {
  if (fullSparseSectors(layout) <= SPARSE_FILE_SECTORS) return;
  const most = SPARSE_FILE_SECTORS - layout.overHead;
  const hint = 'Take twoGbMaxExtentSparse, or a flat type.';
  throw tooLarge('a hosted sparse extent ends below 2 TiB', layout.capacity, most, path, hint);
}

/** @throws VmdkError `usage` `capacity-too-large`. */
export function assertCowdFits(capacity: Sectors, path: string): void {
  if (capacity <= COWD_MAX_CAPACITY) return;
  const hint = 'Take seSparse, as ESXi does from 2 TiB on.';
  throw tooLarge('a vmfsSparse delta ends below 2 TiB', capacity, COWD_MAX_CAPACITY, path, hint);
}

/** @throws VmdkError `usage` `capacity-too-large`. */
export function assertSeSparseFits(capacity: Sectors, path: string): void {
  if (capacity <= SESPARSE_MAX_CAPACITY) return;
  throw tooLarge('nothing is known of seSparse beyond 64 TiB', capacity, SESPARSE_MAX_CAPACITY, path);
}

/** @throws VmdkError `usage` `bad-split-size` unless it is whole grains; `too-many-extents`. */
export function assertSplit(capacity: Sectors, splitSectors: number, grainSize: number, path: string): void {
  if (!Number.isSafeInteger(splitSectors) || splitSectors <= 0 || splitSectors % grainSize !== 0) {
    throw new VmdkError('usage', 'bad-split-size', 'extents must hold whole grains', {
      path,
      field: 'split size',
      found: `${splitSectors} sectors`,
      expected: `a multiple of ${grainSize} sectors`,
    });
  }
  const extents = ceilDiv(capacity, splitSectors);
  if (extents <= MOST_EXTENTS) return;
  throw new VmdkError('usage', 'too-many-extents', 'a descriptor cannot name so many extents', {
    path,
    found: extents,
    expected: `at most ${MOST_EXTENTS}`,
    hint: 'Split into larger extents, or take a type that is not split.',
  });
}

function assertGrain(grainSize: number, least: number, most: number, path: string): void {
  if (isPowerOfTwo(grainSize) && grainSize >= least && grainSize <= most) return;
  throw new VmdkError('usage', 'bad-grain-size', 'a grain cannot have this size', {
    path,
    field: 'grain size',
    found: `${grainSize} sectors`,
    expected: least === most ? `${least} sectors` : `a power of two, ${least} to ${most} sectors`,
  });
}

function tooLarge(what: string, found: number, most: number, path: string, hint?: string): VmdkError {
  return new VmdkError('usage', 'capacity-too-large', what, {
    path,
    field: 'capacity',
    found: `${found} sectors`,
    expected: `at most ${most} sectors`,
    ...(hint === undefined ? {} : { hint }),
  });
}
