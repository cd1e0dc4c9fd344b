// The disk below one that has lost its descriptor: as the caller says, as the machine's files and logs say, or the only
// one that fits by name and size. Rule: nothing is guessed; claims that disagree, or fit no file, are an error with all.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import { extentBaseName } from '../format/extent-names.ts';
import { classifyFileName, descriptorCandidatesFor } from '../format/file-names.ts';
import type { Evidence } from './recover-evidence.ts';
import { parentHintFor } from './parent-hint.ts';

/** Names of a folder that are looked at. */
const MOST_SIBLINGS = 2000;

/** A disk of the folder whose descriptor is there. */
export interface KnownDisk {
  readonly name: string;
  readonly cid: number | undefined;
  readonly parentCid: number | undefined;
  /** The last part of its hint. */
  readonly parentName: string | undefined;
  /** Sectors. */
  readonly capacity: number;
  /** Names of its extents' files. */
  readonly files: readonly string[];
}

export interface FoundParent {
  readonly parentCid: number;
  readonly parentFileNameHint: string;
  readonly path: string;
  /** Who says so. */
  readonly by: string;
}

export interface LostDelta {
  /** The name of the descriptor that is to be made, and its folder. */
  readonly name: string;
  readonly folder: string;
  readonly capacity: number;
  /** The folder that its hint is written from, where it is another. */
  readonly hintFrom?: string;
}

/** Every disk of a folder that has its descriptor. */
export async function knownDisks(context: OpenContext, folder: string): Promise<KnownDisk[]> {
  const names = (await context.store.list(folder)).filter((name) => /\.vmdk$/i.test(name)).sort();
  const found: KnownDisk[] = [];
  for (const name of names.slice(0, MOST_SIBLINGS)) {
    try {
      const file = await context.store.open(posix.join(folder, name), 'read');
      try {
        const { descriptor } = await readDescriptor(context, file, { glance: true });
        const { cid, parentCid, parentFileNameHint: hint, extents } = descriptor;
        found.push({
          name,
          cid,
          parentCid,
          parentName: hint === undefined ? undefined : posix.basename(hint.replaceAll('\\', '/')),
          capacity: extents.reduce((sum, { sectors }) => sum + sectors, 0),
          files: extents.flatMap(({ fileName }) =>
            fileName === undefined ? [] : [extentBaseName(fileName)],
          ),
        });
      } finally {
        await file.close();
      }
    } catch (error) {
      // What is no descriptor says nothing.
      if (!isVmdkError(error)) throw error;
    }
  }
  return found;
}

/** The CID that all disks of the folder that name `name` as their parent were made over. */
export function cidByChildren(known: readonly KnownDisk[], name: string): number | undefined {
  const cids = new Set(
    known.flatMap(({ parentName, parentCid }) =>
      parentName === name && parentCid !== undefined ? [parentCid] : [],
    ),
  );
  const [cid] = cids;
  return cids.size === 1 && cid !== undefined && cid !== NO_PARENT_CID ? cid : undefined;
}

/** @throws VmdkError `parent-does-not-fit` (refused) when the size differs, or it has no CID. */
export async function namedParent(
  context: OpenContext,
  lost: LostDelta,
  path: string,
  by: string,
): Promise<FoundParent> {
  const place = await context.guard.assertNamedAllowed(path);
  const file = await context.store.open(place.path, 'read');
  try {
    const { descriptor } = await readDescriptor(context, file);
    const below = descriptor.extents.reduce((sum, { sectors }) => sum + sectors, 0);
    if (below !== lost.capacity || descriptor.cid === undefined) {
      throw new VmdkError('refused', 'parent-does-not-fit', 'this cannot be the disk below', {
        path: place.path,
        found: `${below} sectors`,
        expected: `${lost.capacity} sectors, and a CID (by ${by})`,
      });
    }
    const hint = parentHintFor('relative', lost.hintFrom ?? lost.folder, place.path);
    return { parentCid: descriptor.cid, parentFileNameHint: hint, path: place.path, by };
  } finally {
    await file.close();
  }
}

/** Undefined when nothing says which it is. @throws VmdkError `parent-unknown` when more than one is said. */
export async function parentByEvidence(
  context: OpenContext,
  lost: LostDelta,
  known: readonly KnownDisk[],
  { parents }: Evidence,
): Promise<FoundParent | undefined> {
  const claims = parents.filter(({ child }) => child === lost.name);
  const named = [...new Set(claims.map(({ parent }) => parent))];
  if (named.length > 1) {
    throw new VmdkError('refused', 'parent-unknown', 'what is said about the disk below does not agree', {
      path: posix.join(lost.folder, lost.name),
      found: claims.map(({ parent, by }) => `${parent} (${by})`).join(', '),
      expected: 'one disk',
      hint: 'Say which it is with --parent DISK.',
    });
  }
  if (named[0] !== undefined) {
    const by = claims.map((claim) => claim.by).join(', ');
    const path = posix.join(lost.folder, named[0]);
    if (await context.store.exists(path)) return namedParent(context, lost, path, by);
    throw new VmdkError(
      'missing',
      'parent-missing',
      'the disk below is not here, or has lost its descriptor too',
      {
        path: posix.join(lost.folder, lost.name),
        found: `no ${named[0]}, which is the parent by ${by}`,
        hint: 'Recover that one first, or all together: vmdkit recover FOLDER -o FOLDER.',
      },
    );
  }
  const fitting = known.filter((disk) => fits(disk, lost, known));
  if (fitting.length !== 1 || (await hasOtherLost(context, lost, known))) return undefined;
  const path = posix.join(lost.folder, fitting[0]!.name);
  return namedParent(context, lost, path, 'its name and size: no other disk fits');
}

/** Whether another link of the same disk has lost its descriptor as well: then either may be the one below. */
async function hasOtherLost(
  { store }: OpenContext,
  lost: LostDelta,
  known: readonly KnownDisk[],
): Promise<boolean> {
  const { stem } = familyOf(lost.name);
  const named = new Set(known.flatMap(({ files }) => files));
  return (await store.list(lost.folder)).some((file) => {
    const [candidate] = named.has(file) ? [] : descriptorCandidatesFor(file);
    if (candidate === undefined || candidate === lost.name) return false;
    return classifyFileName(file).role !== 'change-tracking' && familyOf(candidate).stem === stem;
  });
}

/** A disk of the same machine disk and size, older by its number, that nothing stands on, and that does not stand on the lost one. */
function fits(disk: KnownDisk, lost: LostDelta, known: readonly KnownDisk[]): boolean {
  if (disk.name === lost.name || disk.capacity !== lost.capacity || disk.cid === undefined) return false;
  const [own, other] = [familyOf(lost.name), familyOf(disk.name)];
  if (own.stem !== other.stem || other.number >= own.number) return false;
  return disk.parentName !== lost.name && !known.some(({ parentName }) => parentName === disk.name);
}

function familyOf(name: string): { stem: string; number: number } {
  const { role, stem, number = 0 } = classifyFileName(name);
  return {
    stem: role === 'snapshot' ? stem : name.replace(/\.vmdk$/i, ''),
    number: role === 'snapshot' ? number : 0,
  };
}
