// Makes a new descriptor for extents that have lost theirs, from what they and the disks around them say. Rule: sizes
// and types come from the files, the CID from disks that stand on this one; a parent is taken only when it is named.
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { composeDescriptor, type NewExtent } from '../format/compose-descriptor.ts';
import { longContentIdFor, newCid, UNWRITTEN_CID } from '../format/content-id.ts';
import { CowdHeaderStruct, parseCowdHeader } from '../format/cowd-header.ts';
import type { CreateType } from '../format/descriptor.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { classifyFileName } from '../format/file-names.ts';
import { parseSeSparseHeader } from '../format/sesparse-header.ts';
import { parseSparseHeader } from '../format/sparse-header.ts';
import { parentHintFor } from './parent-hint.ts';
import type { LostPart } from './recover-stream.ts';

/** Names of a folder that are looked at for disks that stand on the lost one. */
const MOST_SIBLINGS = 2000;

export interface RebuiltDescriptor {
  readonly text: Buffer;
  readonly createType: CreateType;
  readonly cid: number;
  /** Where the CID is from. */
  readonly cidFrom: 'children' | 'new';
  readonly extents: readonly NewExtent[];
  readonly lost: readonly LostPart[];
}

interface FoundExtent extends NewExtent {
  readonly number: number | undefined;
  readonly createType: CreateType;
  readonly isDelta: boolean;
  readonly lost: readonly LostPart[];
}

/** `target` is where it will be; extents lie in the same folder. @throws VmdkError `parent-unknown`, `extent-missing`. */
export async function rebuildDescriptor(
  context: OpenContext,
  paths: readonly string[],
  target: string,
  parent: string | undefined,
): Promise<RebuiltDescriptor> {
  const folder = posix.dirname(target);
  const found: FoundExtent[] = [];
  for (const path of paths) found.push(await lookAt(context, path, folder));
  found.sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
  assertWhole(found, target);
  const extents = found.map(({ sectors, type, fileName }) => ({ sectors, type, fileName }));
  const capacity = extents.reduce((sum, { sectors }) => sum + sectors, 0);
  const { createType } = found[0]!;
  const known = await cidByChildren(context, target);
  const cid = known ?? newCid(randomBytes);
  const below = await parentOf(context, found, parent, capacity, folder);
  const text = composeDescriptor({
    cid,
    createType,
    extents,
    ...below,
    ddb: [['ddb.adapterType', 'lsilogic']],
    longContentId: longContentIdFor(cid, randomBytes(12)),
  });
  const lost = [
    ...found.flatMap((each) => each.lost),
    { what: 'the disk database: adapter type, geometry, UUID; the adapter is set to lsilogic' },
    ...(known === undefined ? [{ what: 'the CID: no disk here stands on this one, it has a new one' }] : []),
  ];
  return { text, createType, cid, cidFrom: known === undefined ? 'new' : 'children', extents, lost };
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
    const base = { fileName, number, isDelta: false, lost: [] };
    switch (detectFileKind(first)) {
      case 'sparse': {
        const { capacity, compressed } = parseSparseHeader(first, place.path);
        const single = compressed ? 'streamOptimized' : 'monolithicSparse';
        const createType = number === undefined ? single : 'twoGbMaxExtentSparse';
        return { ...base, sectors: capacity, type: 'SPARSE', createType };
      }
      case 'cowd': {
        const { capacity } = parseCowdHeader(first, place.path);
        return { ...base, sectors: capacity, type: 'VMFSSPARSE', createType: 'vmfsSparse', isDelta: true };
      }
      case 'sesparse': {
        const { capacity } = parseSeSparseHeader(first, place.path);
        return { ...base, sectors: capacity, type: 'SESPARSE', createType: 'seSparse', isDelta: true };
      }
      case 'change-tracking':
      case 'descriptor':
      case 'unfinished-sparse':
      case 'unknown':
        return flat(place.path, size, name.role, base);
    }
  } finally {
    await file.close();
  }
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

async function parentOf(
  context: OpenContext,
  found: readonly FoundExtent[],
  parent: string | undefined,
  capacity: number,
  folder: string,
): Promise<{ parentCid?: number; parentFileNameHint?: string }> {
  if (parent === undefined) {
    if (!found.some(({ isDelta }) => isDelta)) return {};
    throw new VmdkError('refused', 'parent-unknown', 'this is a delta, and it does not say of which disk', {
      path: posix.join(folder, found[0]!.fileName ?? ''),
      hint: 'Name the disk below it with --parent DISK; the .vmsd and the logs of the machine may tell which.',
    });
  }
  const place = await context.guard.assertNamedAllowed(parent);
  const file = await context.store.open(place.path, 'read');
  try {
    const { descriptor } = await readDescriptor(context, file);
    const below = descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0);
    if (below !== capacity || descriptor.cid === undefined) {
      throw new VmdkError('refused', 'parent-does-not-fit', 'this cannot be the disk below', {
        path: place.path,
        found: `${below} sectors`,
        expected: `${capacity} sectors, and a CID`,
      });
    }
    return {
      parentCid: descriptor.cid,
      parentFileNameHint: parentHintFor('relative', folder, place.path),
    };
  } finally {
    await file.close();
  }
}

/** The CID that all disks of the folder that name the target as their parent were made over. */
async function cidByChildren(context: OpenContext, target: string): Promise<number | undefined> {
  const folder = posix.dirname(target);
  const cids = new Set<number>();
  const names = (await context.store.list(folder)).filter((name) => /\.vmdk$/i.test(name));
  for (const name of names.slice(0, MOST_SIBLINGS)) {
    try {
      const file = await context.store.open(posix.join(folder, name), 'read');
      try {
        const { descriptor } = await readDescriptor(context, file, { glance: true });
        const hint = posix.basename((descriptor.parentFileNameHint ?? '').replaceAll('\\', '/'));
        if (hint === posix.basename(target) && descriptor.parentCid !== undefined)
          cids.add(descriptor.parentCid);
      } finally {
        await file.close();
      }
    } catch (error) {
      // What is no descriptor says nothing.
      if (!isVmdkError(error)) throw error;
    }
  }
  const [cid] = cids;
  return cids.size === 1 && cid !== undefined && cid < UNWRITTEN_CID ? cid : undefined;
}
