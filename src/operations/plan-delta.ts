// Plans a delta: an empty disk above a parent, with the parent's CID until the first write. Pure: nothing of the
// parent is read or changed, and of its disk database nothing is taken over (it names files that are not the delta's).
import { assertNotMixed } from '../chain/half-merged.ts';
import { VmdkError } from '../core/errors.ts';
import { isUsableCid, longContentIdFor, printCid, type RandomBytes } from '../format/content-id.ts';
import { deltaTypeFor, type DeltaType } from '../format/create-types.ts';
import { SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import type { DiskPlan, ParentFacts } from './disk-plan.ts';
import { creatableType } from './plan-checks.ts';
import { planFiles } from './plan-files.ts';

export const NEW_DELTA_TYPES = [
  'monolithicSparse',
  'twoGbMaxExtentSparse',
  'vmfsSparse',
  'seSparse',
] as const;

export interface DeltaRequest {
  /** Of the descriptor, or of the file that holds it; extents are made beside it. */
  readonly path: string;
  /** Any spelling of one of `NEW_DELTA_TYPES`; what VMware would choose unless told. */
  readonly createType?: string | undefined;
  /** parentFileNameHint, as it is to stand in the descriptor. */
  readonly hint: string;
  /** Sectors; the type's own unless told. */
  readonly grainSize?: number | undefined;
  /** Most sectors of an extent of twoGbMaxExtentSparse: 4192256 unless told. */
  readonly splitSectors?: number | undefined;
  /** Of a delta that is made with content; that of the parent unless told. */
  readonly cid?: number | undefined;
  readonly random: RandomBytes;
}

/** @throws VmdkError `usage` for what this type cannot have; `parent-without-cid`, `half-merged` (refused). */
export function planDelta(parent: ParentFacts, request: DeltaRequest): DiskPlan {
  const { path, hint, random } = request;
  const { descriptor, capacity } = parent;
  const createType = creatableType(
    request.createType ?? deltaTypeFor(descriptor, capacity),
    NEW_DELTA_TYPES,
    path,
  );
  if (request.splitSectors !== undefined && createType !== 'twoGbMaxExtentSparse') {
    throw new VmdkError('usage', 'not-split', `a ${createType} delta is not split`, { path });
  }
  // What it leaves to its parent would change once the merge is finished.
  assertNotMixed([parent]);
  const parentCid = usableCidOf(parent);
  const cid = request.cid ?? parentCid;
  if (hint === '')
    throw new VmdkError('usage', 'empty-hint', 'a delta must say where its parent is', { path });
  const shape = {
    path,
    capacity,
    createType,
    grainSize: request.grainSize,
    splitSectors: request.splitSectors,
  };
  const { files, notes } = planFiles(shape, {
    cid,
    parentCid,
    parentFileNameHint: hint,
    longContentId: longContentIdFor(cid, random(12)),
    ddb: createType === 'seSparse' ? [['ddb.grain', String(SESPARSE_GRAIN)]] : [],
  });
  return {
    descriptorPath: path,
    createType,
    capacity,
    cid,
    parentCid,
    parentFileNameHint: hint,
    files,
    notes: [...notes, ...mixNotes(createType, parent)],
  };
}

/** Same content, same id: a delta that nobody has written to carries its parent's CID, as VMware's do. */
function usableCidOf({ path, descriptor: { cid } }: ParentFacts): number {
  if (cid !== undefined && isUsableCid(cid)) return cid;
  throw new VmdkError('refused', 'parent-without-cid', 'no delta can name this disk as its parent', {
    path,
    field: 'CID',
    found: cid === undefined ? 'none' : printCid(cid),
    expected: 'a CID other than ffffffff',
  });
}

function mixNotes(createType: DeltaType, { descriptor }: ParentFacts): string[] {
  const below = new Set(descriptor.extents.map(({ type }) => type));
  const mixed =
    (createType === 'vmfsSparse' && below.has('SESPARSE')) ||
    (createType === 'seSparse' && below.has('VMFSSPARSE'));
  return mixed ? ['vmfsSparse and seSparse meet in this chain, which VMware does not support'] : [];
}
