// Makes a new descriptor for extents that have lost theirs, from what they and the disks around them say. Rule: sizes
// and types come from the files, the CID from disks that stand on this one, the parent from what proves it.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { composeDescriptor, type NewExtent } from '../format/compose-descriptor.ts';
import { longContentIdFor, newCid } from '../format/content-id.ts';
import { CowdHeaderStruct, parseCowdHeader } from '../format/cowd-header.ts';
import type { CreateType } from '../format/descriptor.ts';
import { detectFileKind, type FileKind } from '../format/file-kind.ts';
import { classifyFileName, descriptorCandidatesFor } from '../format/file-names.ts';
import { geometryFor } from '../format/geometry.ts';
import { parseSeSparseHeader, SeSparseConstHeader } from '../format/sesparse-header.ts';
import { parseSparseHeader, SparseExtentHeader } from '../format/sparse-header.ts';
import { gatherEvidence, type Evidence } from './recover-evidence.ts';
import {
  cidByChildren,
  knownDisks,
  namedParent,
  parentByEvidence,
  type FoundParent,
  type KnownDisk,
  type LostDelta,
} from './recover-parent.ts';
import { missingAtEnd } from './recover-size.ts';
import type { LostPart } from './recover-stream.ts';

/** What --parent says of a disk without one. */
const NO_PARENT = 'none';

export interface RebuiltDescriptor {
  readonly text: Buffer;
  readonly createType: CreateType;
  readonly cid: number;
  /** Where the CID is from. */
  readonly cidFrom: 'children' | 'new';
  /** The disk below, and who says so. */
  readonly parent: FoundParent | undefined;
  readonly extents: readonly NewExtent[];
  readonly lost: readonly LostPart[];
  /** What may be lost, though nothing here says so. */
  readonly warnings: readonly string[];
}

interface FoundExtent extends NewExtent {
  readonly number: number | undefined;
  readonly createType: CreateType;
  readonly isDelta: boolean;
  readonly lost: readonly LostPart[];
}

/**
 * `target` is where it will be; extents lie in the same folder. `parent`: the disk below, or `none`; unless told, what
 * the files around say. `embedded`: the text goes into a copy of the one file, whose real path is given. @throws VmdkError `parent-unknown`, `parent-does-not-fit`, `extent-missing`.
 */
export async function rebuildDescriptor(
  context: OpenContext,
  paths: readonly string[],
  target: string,
  parent: string | undefined,
  { embedded = false }: { embedded?: boolean } = {},
): Promise<RebuiltDescriptor> {
  const hintFrom = posix.dirname(target);
  const folder = embedded ? posix.dirname(paths[0]!) : hintFrom;
  const name = posix.basename(embedded ? paths[0]! : target);
  const found: FoundExtent[] = [];
  for (const path of paths) found.push(await lookAt(context, path, folder));
  found.sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
  assertWhole(found, target);
  if (!embedded) assertNoneBeside(found, await context.store.list(folder), target);
  const extents = found.map(({ sectors, type, fileName }) => ({
    sectors,
    type,
    fileName: embedded ? posix.basename(target) : fileName,
  }));
  const capacity = extents.reduce((sum, { sectors }) => sum + sectors, 0);
  const createType = embedded ? 'monolithicSparse' : found[0]!.createType;
  const known = (await knownDisks(context, folder)).filter((disk) => disk.name !== name);
  const evidence = await gatherEvidence(context.store, folder);
  const knownCid = cidByChildren(known, name);
  const cid = knownCid ?? newCid(randomBytes);
  const isDelta = found.some((each) => each.isDelta);
  const below = await parentOf(context, isDelta, { name, folder, capacity, hintFrom }, parent, {
    known,
    evidence,
  });
  const adapter = evidence.adapters.get(name);
  const text = composeDescriptor({
    cid,
    createType,
    extents,
    ...(below === undefined
      ? { ddb: ddbOf(capacity, adapter ?? 'lsilogic') }
      : { parentCid: below.parentCid, parentFileNameHint: below.parentFileNameHint }),
    longContentId: longContentIdFor(cid, randomBytes(12)),
  });
  const split = found[0]!.number !== undefined;
  // A header knows the size; lengths of files and numbers of parts do not.
  const left = { folder, name, extents: found, split, isBase: below === undefined && !embedded };
  const { lost: end, warnings } = await missingAtEnd(context, left, { known, evidence });
  const lost = [
    ...found.flatMap((each) => each.lost),
    ...end,
    ...unknownOf({ cid: knownCid, adapter, isBase: below === undefined }),
  ];
  return {
    text,
    createType,
    cid,
    cidFrom: knownCid === undefined ? 'new' : 'children',
    parent: below,
    extents,
    lost,
    warnings,
  };
}

async function lookAt(context: OpenContext, path: string, folder: string): Promise<FoundExtent> {
  const place = await context.guard.assertNamedAllowed(path);
  if (posix.dirname(place.path) !== folder) {
    throw new VmdkError('refused', 'extent-elsewhere', 'the descriptor goes into the folder of its extents', {
      path: place.path,
      expected: `a file in ${folder}`,
    });
  }
  const fileName = posix.basename(place.path);
  const name = classifyFileName(fileName);
  const number = name.role.startsWith('split') ? name.number : undefined;
  const file = await context.store.open(place.path, 'read');
  try {
    const size = await file.size();
    const first = Buffer.alloc(Math.min(size, CowdHeaderStruct.byteLength));
    await file.readExactly(first, 0);
    const owner = descriptorCandidatesFor(fileName)[0] ?? fileName;
    const isDelta = classifyFileName(owner).role === 'snapshot';
    const base = { fileName, number, isDelta, lost: [] };
    const kind = detectFileKind(first);
    assertHeaderWhole(kind, first, place.path);
    switch (kind) {
      case 'sparse': {
        const { capacity, compressed } = parseSparseHeader(first, place.path);
        // Only this type is read with its text beside it, also when it has one part.
        if (!compressed)
          return { ...base, sectors: capacity, type: 'SPARSE', createType: 'twoGbMaxExtentSparse' };
        return { ...base, sectors: capacity, type: 'SPARSE', createType: 'streamOptimized' };
      }
      case 'cowd': {
        const { capacity } = parseCowdHeader(first, place.path);
        return { ...base, sectors: capacity, type: 'VMFSSPARSE', createType: 'vmfsSparse', isDelta: true };
      }
      case 'sesparse': {
        const { capacity } = parseSeSparseHeader(first, place.path);
        return { ...base, sectors: capacity, type: 'SESPARSE', createType: 'seSparse', isDelta: true };
      }
      case 'descriptor':
        throw new VmdkError('unsupported', 'nothing-to-recover', 'this is a descriptor, which is not lost', {
          path: place.path,
          found: `a text of ${size} bytes`,
          expected: 'an extent, a sparse disk in one file or a stream',
          hint: 'vmdkit check says what is wrong with its disk, vmdkit convert --salvage copies what can be read. To have another text, move this one away and name its extents.',
        });
      case 'change-tracking':
      case 'unfinished-sparse':
      case 'unknown':
        return flat(place.path, size, name.role, base);
    }
  } finally {
    await file.close();
  }
}

/** @throws VmdkError `file-too-short` for a file that ends within its header. */
function assertHeaderWhole(kind: FileKind, first: Uint8Array, path: string): void {
  const headers: Partial<Record<FileKind, number>> = {
    sparse: SparseExtentHeader.byteLength,
    cowd: CowdHeaderStruct.byteLength,
    sesparse: SeSparseConstHeader.byteLength,
  };
  const needed = headers[kind] ?? 0;
  if (first.length >= needed) return;
  throw new VmdkError('corrupt', 'file-too-short', 'the file ends within its header', {
    path,
    found: `${first.length} bytes`,
    expected: `at least ${needed} bytes`,
  });
}

function flat(
  path: string,
  size: number,
  role: string,
  base: Pick<FoundExtent, 'fileName' | 'number' | 'isDelta' | 'lost'>,
): FoundExtent {
  if ((role !== 'flat' && role !== 'split-flat') || size < SECTOR_BYTES) {
    throw new VmdkError('unsupported', 'nothing-to-recover', 'this file is no extent that is known', {
      path,
      found: `${size} bytes without the mark of an extent`,
      expected: 'a header, or a name that ends in -flat.vmdk or -f001.vmdk',
    });
  }
  const sectors = Math.floor(size / SECTOR_BYTES);
  const rest = size % SECTOR_BYTES;
  const lost = rest === 0 ? [] : [{ what: `${path}: the last ${rest} bytes are no whole sector` }];
  return role === 'flat'
    ? { ...base, sectors, type: 'VMFS', createType: 'vmfs', lost }
    : { ...base, sectors, type: 'FLAT', createType: 'twoGbMaxExtentFlat', lost };
}

/** Extents of one kind; of a split disk all from the first on, as far as their numbers tell. */
function assertWhole(found: readonly FoundExtent[], path: string): void {
  const types = [...new Set(found.map(({ createType }) => createType))];
  if (types.length > 1 || (found.length > 1 && found.some(({ number }) => number === undefined))) {
    throw new VmdkError('refused', 'not-one-disk', 'these files are not the extents of one disk', {
      path,
      found: types.join(', '),
      expected: 'parts of one split disk, or a single extent',
    });
  }
  for (const [index, { number }] of found.entries()) {
    if (number === undefined || number === index + 1) continue;
    throw new VmdkError('missing', 'extent-missing', `part ${index + 1} of the split disk was not named`, {
      path,
      found: found.map(({ fileName }) => fileName).join(', '),
      expected: 'all parts, from 1 on',
      hint: 'Its size is known to nobody else: find it before the disk is put together.',
    });
  }
}

/** A part that lies there and was not named would be missing from the end, and nothing would say so. */
function assertNoneBeside(found: readonly FoundExtent[], names: readonly string[], path: string): void {
  const last = found.at(-1)!;
  if (last.number === undefined) return;
  const { role, stem } = classifyFileName(last.fileName ?? '');
  const beside = names.filter((name) => {
    const other = classifyFileName(name);
    return other.role === role && other.stem === stem && other.number! > last.number!;
  });
  if (beside.length === 0) return;
  throw new VmdkError('refused', 'extent-not-named', 'more parts of the split disk lie beside those named', {
    path,
    found: beside.sort().join(', '),
    expected: `no part after ${last.fileName}`,
    hint: 'Name all parts; move away what is of another disk.',
  });
}

/** @throws VmdkError `parent-unknown` for a delta of which nothing says on which disk it stands. */
async function parentOf(
  context: OpenContext,
  isDelta: boolean,
  lost: LostDelta,
  parent: string | undefined,
  around: { known: readonly KnownDisk[]; evidence: Evidence },
): Promise<FoundParent | undefined> {
  if (parent === NO_PARENT) return undefined;
  if (parent !== undefined) return namedParent(context, lost, parent, '--parent');
  if (!isDelta && !around.evidence.parents.some(({ child }) => child === lost.name)) return undefined;
  const found = await parentByEvidence(context, lost, around.known, around.evidence);
  if (found !== undefined) return found;
  throw new VmdkError('refused', 'parent-unknown', 'this is a delta, and nothing says of which disk', {
    path: posix.join(lost.folder, lost.name),
    found: 'no word in the .vmx, .vmsd and logs beside it, and not one disk alone that fits by name and size',
    hint: `Name the disk below it with --parent DISK; --parent ${NO_PARENT} if there is none.`,
  });
}

function ddbOf(capacity: number, adapter: string): (readonly [string, string])[] {
  const { cylinders, heads, sectors } = geometryFor(capacity, adapter);
  return [
    ['ddb.adapterType', adapter],
    ['ddb.geometry.cylinders', String(cylinders)],
    ['ddb.geometry.heads', String(heads)],
    ['ddb.geometry.sectors', String(sectors)],
  ];
}

/** What of the text could only be set as usual. */
function unknownOf(disk: {
  cid: number | undefined;
  adapter: string | undefined;
  isBase: boolean;
}): LostPart[] {
  const adapter = disk.adapter === undefined ? 'the adapter type, which is set to lsilogic, ' : '';
  return [
    ...(disk.isBase
      ? [{ what: `of the disk database: ${adapter}the geometry, which is the usual one, and the UUID` }]
      : []),
    ...(disk.cid === undefined
      ? [{ what: 'the CID: no disk here stands on this one, it has a new one' }]
      : []),
  ];
}
