// What a conversion is to make: a raw file, a disk of its own, or a delta above a parent that is kept. Pure: what is
// not asked for comes from the disk that is read, so that the machine finds what it knows.
import { posix } from 'node:path';
import { usageError } from '../core/errors.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import { newCid, NO_PARENT_CID, type RandomBytes } from '../format/content-id.ts';
import type { DiskPlan, ParentFacts } from './disk-plan.ts';
import { assertNewName, assertSomeCapacity } from './plan-checks.ts';
import { planDelta } from './plan-delta.ts';
import { ADAPTER_TYPES, CONVERTED_TYPES, planDisk } from './plan-disk.ts';

export interface ConversionShape {
  /** `raw`, or a createType in any spelling; unless told `raw`, or above a parent what VMware would choose. */
  type?: string | undefined;
  /** ddb.adapterType; that of the source unless told. */
  adapter?: string | undefined;
  hardwareVersion?: number | undefined;
  /** Sectors; the type's own unless told. */
  grainSize?: number | undefined;
  /** Most sectors of an extent, split types. */
  splitSectors?: number | undefined;
  /** vmfs: holes in place of zeros, and ddb.thinProvisioned. */
  thin?: boolean | undefined;
  /** Flat types: write every zero, so that the space is taken. True for vmfs unless thin. */
  preallocate?: boolean | undefined;
  /** Of compression, 1 to 9: streamOptimized only. */
  level?: number | undefined;
}

export interface ConversionRequest extends ConversionShape {
  readonly path: string;
  readonly capacity: Sectors;
  /** ddb.adapterType of what is read; undefined for raw. */
  readonly sourceAdapter: string | undefined;
  readonly parent?: { readonly facts: ParentFacts; readonly hint: string } | undefined;
  readonly random: RandomBytes;
}

/** Copies are made of so much at a time. */
const MOST_GRAIN = 2048;
const BASES_ONLY = ['adapter', 'hardwareVersion', 'thin', 'preallocate'] as const;

/** `createType` of the plan is `raw` for a raw file. @throws VmdkError `usage`, `unsupported` for what cannot be. */
export function planConversion(request: ConversionRequest): DiskPlan {
  const { path, capacity, random, parent } = request;
  const type = request.type ?? (parent === undefined ? 'raw' : undefined);
  assertFits(request, type);
  if (type === 'raw') return planRaw(path, capacity);
  if (parent !== undefined) {
    for (const name of BASES_ONLY) {
      if (request[name] === undefined) continue;
      throw usageError(`a delta takes this from its parent: ${name} does not go with a backing disk`);
    }
    return planDelta(parent.facts, {
      path,
      createType: type,
      hint: parent.hint,
      grainSize: request.grainSize,
      splitSectors: request.splitSectors,
      cid: newCid(random),
      random,
    });
  }
  const plan = planDisk(
    {
      path,
      capacity,
      createType: type!,
      adapterType: request.adapter ?? adapterLike(request.sourceAdapter, type!),
      hardwareVersion: request.hardwareVersion,
      grainSize: request.grainSize,
      splitSectors: request.splitSectors,
      thin: request.thin,
      preallocate: request.preallocate,
      random,
    },
    CONVERTED_TYPES,
  );
  if (plan.createType !== 'seSparse') return plan;
  return { ...plan, notes: [...plan.notes, 'a seSparse disk without a parent is nothing that ESXi makes'] };
}

function planRaw(path: string, capacity: Sectors): DiskPlan {
  assertNewName(path);
  assertSomeCapacity(capacity, path);
  const extent = { kind: 'flat', sectors: capacity } as const;
  return {
    descriptorPath: path,
    createType: 'raw',
    capacity,
    cid: NO_PARENT_CID,
    parentCid: NO_PARENT_CID,
    files: [{ path, size: capacity * SECTOR_BYTES, parts: [], extent }],
    notes: [],
  };
}

function assertFits(
  { grainSize, level, parent, ...request }: ConversionRequest,
  type: string | undefined,
): void {
  if (grainSize !== undefined && grainSize > MOST_GRAIN) {
    throw usageError(`grains of ${grainSize} sectors`, `Converted disks have at most ${MOST_GRAIN}.`);
  }
  if (level !== undefined) {
    if (type?.toLowerCase() !== 'streamoptimized')
      throw usageError('only streamOptimized disks are compressed');
    if (!Number.isInteger(level) || level < 1 || level > 9) {
      throw usageError(`no level of compression: ${level}`, 'Levels are 1 (fast) to 9 (small).');
    }
  }
  if (type !== 'raw') return;
  if (parent !== undefined)
    throw usageError('a raw file has no parent', 'Name a type of delta: -O monolithicSparse.');
  for (const name of [...BASES_ONLY, 'splitSectors'] as const) {
    if (request[name] !== undefined) throw usageError(`a raw file has no ${name}`);
  }
  if (grainSize !== undefined) throw usageError('a raw file has no grains');
}

/** What the guest booted from, where the new type can have it; PVSCSI and the like are lsilogic on disk. */
function adapterLike(adapter: string | undefined, type: string): string | undefined {
  const known = ADAPTER_TYPES.find((each) => each.toLowerCase() === adapter?.toLowerCase());
  return known === 'ide' && type.toLowerCase() === 'vmfs' ? undefined : known;
}

/** Names of the files of a plan, without folders. */
export function namesOf(plan: Pick<DiskPlan, 'files'>): string[] {
  return plan.files.map(({ path }) => posix.basename(path));
}
