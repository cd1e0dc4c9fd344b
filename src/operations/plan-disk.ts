// Plans a disk without a parent. Pure: the same request with the same random bytes gives the same files.
import { usageError, VmdkError } from '../core/errors.ts';
import { MAX_SECTORS, type Sectors } from '../core/units.ts';
import {
  isUsableCid,
  longContentIdFor,
  newCid,
  NO_PARENT_CID,
  type RandomBytes,
} from '../format/content-id.ts';
import { SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import { geometryFor } from '../format/geometry.ts';
import type { DiskPlan } from './disk-plan.ts';
import { creatableType } from './plan-checks.ts';
import { planFiles } from './plan-files.ts';

/** Types of disk that can be made without a parent. */
export const NEW_BASE_TYPES = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'vmfs',
] as const;
/** Types that a disk without a parent can be converted to: some are only written once and whole. */
export const CONVERTED_TYPES = [...NEW_BASE_TYPES, 'streamOptimized', 'seSparse'] as const;
const FLAT_TYPES: ReadonlySet<string> = new Set(['monolithicFlat', 'twoGbMaxExtentFlat', 'vmfs']);
/** Words that ESX accepts for ddb.adapterType; it writes lsilogic for PVSCSI, SATA and NVMe alike. */
export const ADAPTER_TYPES = ['lsilogic', 'buslogic', 'ide', 'legacyESX'] as const;

/** The oldest that tools which write for ESXi use. */
const HARDWARE_VERSION = 10;
const HARDWARE_VERSIONS = { least: 3, most: 99 } as const;

export interface DiskRequest {
  /** Of the descriptor, or of the file that holds it; extents are made beside it. */
  readonly path: string;
  readonly capacity: Sectors;
  /** Any spelling of one of `NEW_BASE_TYPES`. */
  readonly createType: string;
  /** lsilogic unless told. */
  readonly adapterType?: string | undefined;
  /** Sectors, sparse types: 128 unless told. */
  readonly grainSize?: number | undefined;
  /** Most sectors of an extent, split types: 4192256 unless told. */
  readonly splitSectors?: number | undefined;
  /** vmfs: holes in place of zeros, and ddb.thinProvisioned. */
  readonly thin?: boolean | undefined;
  /** Flat types: write every zero, so that the space is taken. True for vmfs unless thin, false for the others. */
  readonly preallocate?: boolean | undefined;
  readonly hardwareVersion?: number | undefined;
  /** Random unless told. */
  readonly cid?: number | undefined;
  readonly random: RandomBytes;
}

/** @throws VmdkError `usage` for what this type cannot have, `unsupported` for types that are not created. */
export function planDisk(
  request: DiskRequest,
  types: readonly (typeof CONVERTED_TYPES)[number][] = NEW_BASE_TYPES,
): DiskPlan {
  const { path, capacity, random } = request;
  const createType = creatableType(request.createType, types, path);
  const adapterType = adapterFor(request.adapterType, createType, path);
  const flat = FLAT_TYPES.has(createType);
  assertOptionsFit(request, createType, flat);
  assertAddressable(capacity, path);
  const thin = request.thin === true;
  const cid = request.cid ?? newCid(random);
  if (!isUsableCid(cid)) throw usageError(`no disk can have the CID ${cid}`);
  const longContentId = longContentIdFor(cid, random(12));
  const uuid = printDiskUuid(random(13));
  const { cylinders, heads, sectors } = geometryFor(capacity, adapterType);
  const shape = {
    path,
    capacity,
    createType,
    grainSize: request.grainSize,
    splitSectors: request.splitSectors,
    fill: flat && (request.preallocate ?? (createType === 'vmfs' && !thin)),
  };
  const { files, notes } = planFiles(shape, {
    cid,
    longContentId,
    ddb: [
      ['ddb.adapterType', adapterType],
      ['ddb.geometry.cylinders', String(cylinders)],
      ['ddb.geometry.heads', String(heads)],
      ['ddb.geometry.sectors', String(sectors)],
      ...(createType === 'seSparse' ? [['ddb.grain', String(SESPARSE_GRAIN)] as const] : []),
      ...(thin ? [['ddb.thinProvisioned', '1'] as const] : []),
      ['ddb.uuid', uuid],
      ['ddb.virtualHWVersion', String(hardwareVersionFor(request.hardwareVersion))],
    ],
  });
  return { descriptorPath: path, createType, capacity, cid, parentCid: NO_PARENT_CID, files, notes };
}

function adapterFor(wanted: string | undefined, createType: string, path: string): string {
  const text = wanted ?? 'lsilogic';
  const found = ADAPTER_TYPES.find((type) => type.toLowerCase() === text.toLowerCase());
  const context = { path, field: 'ddb.adapterType', found: text };
  if (found === undefined) {
    throw new VmdkError('usage', 'unknown-adapter', 'no such adapter type', {
      ...context,
      expected: ADAPTER_TYPES.join(', '),
      hint: 'For PVSCSI, SATA and NVMe controllers VMware writes lsilogic.',
    });
  }
  if (found === 'ide' && createType === 'vmfs') {
    throw new VmdkError('usage', 'adapter-not-for-vmfs', 'ESX does not take vmfs disks with this adapter', {
      ...context,
      expected: 'lsilogic',
      hint: 'ESX keeps lsilogic also for disks on IDE and SATA controllers.',
    });
  }
  return found;
}

function assertOptionsFit(request: DiskRequest, createType: string, flat: boolean): void {
  const { thin, preallocate, grainSize, splitSectors } = request;
  if (thin === true && createType !== 'vmfs')
    throw usageError(`a ${createType} disk cannot be thin: only vmfs can`);
  if (thin === true && preallocate === true) throw usageError('a disk is either thin or preallocated');
  if (preallocate === true && !flat)
    throw usageError(`a ${createType} disk cannot be preallocated: flat types can`);
  if (grainSize !== undefined && flat) throw usageError(`a ${createType} disk has no grains`);
  if (splitSectors !== undefined && !createType.startsWith('twoGb')) {
    throw usageError(`a ${createType} disk is not split: twoGbMaxExtentSparse and twoGbMaxExtentFlat are`);
  }
}

function assertAddressable(capacity: Sectors, path: string): void {
  if (capacity <= MAX_SECTORS) return;
  throw new VmdkError('usage', 'capacity-too-large', 'positions in such a disk cannot be computed', {
    path,
    field: 'capacity',
    found: `${capacity} sectors`,
    expected: `at most ${MAX_SECTORS} sectors`,
  });
}

function hardwareVersionFor(wanted: number | undefined): number {
  const version = wanted ?? HARDWARE_VERSION;
  const { least, most } = HARDWARE_VERSIONS;
  if (Number.isInteger(version) && version >= least && version <= most) return version;
  throw usageError(`not a hardware version: ${version}`, `Versions are whole numbers from ${least} on.`);
}

/** The guest-visible serial number: VMware's NAA, `60 00 C2 9x`, and 100 random bits; `random` has 13 bytes. */
export function printDiskUuid(random: Uint8Array): string {
  const hex = [...random].map((byte) => byte.toString(16).padStart(2, '0'));
  const all = ['60', '00', 'C2', `9${hex[0]![1]!}`, ...hex.slice(1)];
  return `${all.slice(0, 8).join(' ')}-${all.slice(8).join(' ')}`;
}
