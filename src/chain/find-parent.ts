// Finds the disk below a delta: every candidate is looked at in the stated order and taken only when it is a VMDK
// whose CID is the one the delta was made over. What was tried, and why not taken, is part of the error.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OpenedDescriptor } from '../disk/open-disk.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { printCid } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { basename, dirname, join } from '../storage/place-names.ts';
import type { PathMapping } from './chain-options.ts';
import { parentCandidates } from './parent-candidates.ts';

/** Files of one folder that a search by CID looks into, and bytes of descriptors that it reads there. */
const MOST_SEARCHED = 2000;
const MOST_SEARCHED_BYTES = 1 << 20;

const OUTSIDE = 'outside the allowed folders (see --allow)';

export interface ChildLink {
  readonly path: string;
  readonly descriptor: Descriptor;
}

export interface ParentSearch {
  readonly context: OpenContext;
  readonly pathMap: readonly PathMapping[];
  readonly allow: readonly string[];
  readonly acceptMismatch: boolean;
  /** Identities of the links above, to find cycles. */
  readonly above: ReadonlyMap<string, string>;
  /** What searches by CID have found in each folder: one look at a folder serves all links of a chain. */
  readonly searched: Map<string, readonly Candidate[]>;
}

interface Tried {
  readonly path: string;
  readonly outcome: string;
}

export interface Candidate extends Tried {
  readonly place?: ResolvedPath;
  readonly cid?: number | undefined;
  readonly cycle?: boolean;
  readonly parentCid?: number | undefined;
  /** The last part of its own hint. */
  readonly parentName?: string;
  readonly textBytes?: number;
}

/** The disk below a child; `opened` when it was opened to be looked at: whoever takes it closes it. */
export interface FoundParent {
  readonly place: ResolvedPath;
  readonly opened?: OpenedDescriptor;
}

/** The disk below `child`. @throws VmdkError `parent-missing`, `parent-cid-mismatch`, `chain-cycle`. */
export async function findOpenParent(child: ChildLink, search: ParentSearch): Promise<FoundParent> {
  const wanted = child.descriptor.parentCid!;
  const hint = child.descriptor.parentFileNameHint ?? '';
  const tried: Candidate[] = [];
  const paths = hint === '' ? [] : parentCandidates(hint, child.path, search.pathMap);
  for (const path of paths) {
    const { candidate, opened } = await look(path, child, search, { keepOpen: wanted });
    tried.push(candidate);
    if (opened !== undefined) return { place: candidate.place!, opened };
  }
  const acceptable = tried.find(({ place }) => place !== undefined);
  if (search.acceptMismatch && acceptable?.place !== undefined) return { place: acceptable.place };
  const found = await searchByCid(wanted, hint, child, search, tried);
  if (found !== undefined) return { place: found };
  throw explain(child, hint, wanted, tried);
}

/** The place of the disk below `child`; throws as `findOpenParent`. */
export async function findParent(child: ChildLink, search: ParentSearch): Promise<ResolvedPath> {
  const { place, opened } = await findOpenParent(child, search);
  await opened?.file.close();
  return place;
}

/** What is at `path`; with `keepOpen`, a disk of that CID stays open. */
async function look(
  path: string,
  child: ChildLink,
  { context, above }: Pick<ParentSearch, 'context' | 'above'>,
  { glance = false, keepOpen }: { glance?: boolean; keepOpen?: number } = {},
): Promise<{ candidate: Candidate; opened?: OpenedDescriptor }> {
  try {
    const place = await context.guard.assertParentAllowed(path, child.path);
    if (above.has(place.identity))
      return { candidate: { path, outcome: 'already a link of this chain: a cycle', cycle: true } };
    const file = await context.store.open(place.path, 'read');
    let kept = false;
    try {
      const found = await readDescriptor(context, file, { glance });
      const { descriptor } = found;
      const { cid, parentCid } = descriptor;
      const textBytes = descriptor.lines.reduce((sum, { raw }) => sum + raw.length, 0);
      const outcome =
        cid === undefined ? 'a VMDK without a readable CID' : `a VMDK with CID ${printCid(cid)}`;
      const parentName = nameIn(descriptor.parentFileNameHint ?? '');
      const candidate = { path, outcome, place, cid, parentCid, parentName, textBytes };
      kept = cid !== undefined && cid === keepOpen;
      return kept ? { candidate, opened: { file, found } } : { candidate };
    } finally {
      if (!kept) await file.close();
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    return { candidate: { path, outcome: outcomeOf(error) } };
  }
}

function outcomeOf(error: VmdkError): string {
  if (error.code === 'file-missing') return 'no such file';
  if (error.code === 'not-a-vmdk') return 'not a VMDK';
  if (error.code === 'outside-allowed-folders') return OUTSIDE;
  if (error.code === 'origin-not-allowed') return 'outside the allowed origins (see --allow-origin)';
  if (error.code === 'remote-failed') return `cannot be read over the network (${error.context.found})`;
  return error.code.replaceAll('-', ' ');
}

/** Looks at the disks beside the child and in the allowed roots; several different ones with the CID is no answer. */
async function searchByCid(
  wanted: number,
  hint: string,
  child: ChildLink,
  search: ParentSearch,
  tried: Candidate[],
): Promise<ResolvedPath | undefined> {
  const known = new Set(tried.map(({ path }) => path));
  const fitting: Candidate[] = [];
  for (const folder of new Set([dirname(child.path), ...search.allow])) {
    for (const candidate of await candidatesIn(folder, child, search)) {
      const { path, place, cid } = candidate;
      if (path === folder) tried.push(candidate);
      if (known.has(path) || cid !== wanted || place === undefined || search.above.has(place.identity))
        continue;
      known.add(path);
      fitting.push(candidate);
    }
  }
  const chosen = likeliest(fitting, wanted, nameIn(hint));
  const identities = new Set(chosen.map(({ place }) => place!.identity));
  if (identities.size === 1) return chosen[0]!.place;
  for (const { path } of chosen)
    tried.push({ path, outcome: 'has the CID, but so have others: name one with --map' });
  return undefined;
}

/**
 * Deltas that nobody wrote to have their parent's CID too. One of the same parent as the child is a sibling, never its
 * parent; of the others, the disk itself is likelier than a delta of it, and what is named as in the hint likeliest.
 */
function likeliest(fitting: readonly Candidate[], wanted: number, name: string): readonly Candidate[] {
  const named = fitting.filter(({ path }) => basename(path) === name);
  if (named.length > 0) return named;
  const written = fitting.filter(({ parentCid }) => parentCid !== wanted);
  if (written.length > 0) return written;
  return fitting.filter(({ parentName }) => parentName !== name);
}

/** The file's name in a hint of any style. */
function nameIn(hint: string): string {
  return basename(hint.replaceAll('\\', '/'));
}

/** All disks of a folder that a child there may have as parents. */
async function candidatesIn(
  folder: string,
  child: ChildLink,
  search: ParentSearch,
): Promise<readonly Candidate[]> {
  // The child's own folder decides what it may lead to.
  const key = `${dirname(child.path)}\0${folder}`;
  const known = search.searched.get(key);
  if (known !== undefined) return known;
  const candidates: Candidate[] = [];
  let bytes = 0;
  for (const path of await disksIn(folder, search)) {
    if (bytes > MOST_SEARCHED_BYTES) {
      candidates.push({ path: folder, outcome: 'searched in part only: its descriptors are too long' });
      break;
    }
    const looking = { context: search.context, above: new Map<string, string>() };
    const { candidate } = await look(path, child, looking, { glance: true });
    bytes += candidate.textBytes ?? 0;
    candidates.push(candidate);
  }
  search.searched.set(key, candidates);
  return candidates;
}

async function disksIn(folder: string, search: ParentSearch): Promise<string[]> {
  try {
    const names = await search.context.store.list(folder);
    const disks = names.filter(
      (name) => /\.vmdk$/i.test(name) && !/-(flat|delta|sesparse|ctk|[sf]\d{3,})\.vmdk$/i.test(name),
    );
    return disks
      .sort()
      .slice(0, MOST_SEARCHED)
      .map((name) => join(folder, name));
  } catch (error) {
    if (isVmdkError(error)) return [];
    throw error;
  }
}

function explain(child: ChildLink, hint: string, wanted: number, tried: readonly Candidate[]): VmdkError {
  const candidates = tried.map(({ path, outcome }) => ({ path, outcome }));
  const other = tried.find(({ place }) => place !== undefined);
  if (other !== undefined) {
    const found = other.cid === undefined ? 'no readable CID' : `CID ${printCid(other.cid)}`;
    return new VmdkError(
      'corrupt',
      'parent-cid-mismatch',
      'the parent was changed after this delta was made, or it is another disk',
      {
        path: child.path,
        field: 'parentCID',
        found: `${found} in ${other.path}`,
        expected: `CID ${printCid(wanted)}`,
        candidates,
        hint: 'Pass --accept-mismatch to read on anyway: sectors that come from the parent may be wrong.',
      },
    );
  }
  if (tried.some(({ cycle }) => cycle === true)) {
    return new VmdkError('corrupt', 'chain-cycle', 'the chain leads back to itself', {
      path: child.path,
      field: 'parentFileNameHint',
      found: hint,
      expected: `a disk below it with CID ${printCid(wanted)}`,
      candidates,
    });
  }
  // What another host calls its datastores is no folder here.
  const outside = tried.find(({ path, outcome }) => outcome === OUTSIDE && !path.startsWith('/vmfs/'));
  const folder = outside === undefined ? 'DIR' : dirname(outside.path);
  return new VmdkError('missing', 'parent-missing', 'the parent of this delta cannot be found', {
    path: child.path,
    field: 'parentFileNameHint',
    found: hint === '' ? 'no hint' : `"${hint}"`,
    expected: `a disk with CID ${printCid(wanted)}`,
    candidates,
    hint: `Tell where it is with --map FROM=TO, or name its folder with --allow ${folder}. If it moved for good: vmdkit relink.`,
  });
}
