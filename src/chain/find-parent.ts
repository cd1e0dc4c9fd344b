// Finds the disk below a delta: every candidate is looked at in the stated order and taken only when it is a VMDK
// whose CID is the one the delta was made over. What was tried, and why not taken, is part of the error.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OpenedDescriptor } from '../disk/open-disk.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { printCid } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import type { ResolvedPath } from '../storage/file-store.ts';
import { basename, dirname } from '../storage/place-names.ts';
import type { PathMapping } from './chain-options.ts';
import { freshAbove } from './fresh-above.ts';
import { parentCandidates } from './parent-candidates.ts';
import { disksIn } from './searched-folders.ts';

/** Bytes of descriptors that a search by CID reads in one folder, and disks of one that its error lists one by one. */
const MOST_SEARCHED_BYTES = 1 << 20;
const MOST_LISTED = 8;

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

/**
 * Looks at the disks beside the child and below the allowed roots; several different ones with the CID is no answer. What was
 * looked at in vain is `tried`.
 */
async function searchByCid(
  wanted: number,
  hint: string,
  child: ChildLink,
  search: ParentSearch,
  tried: Candidate[],
): Promise<ResolvedPath | undefined> {
  const known = new Set([child.path, ...tried.map(({ path }) => path)]);
  const fitting: Candidate[] = [];
  const seen: Candidate[] = [];
  const inVain: Tried[] = [];
  for (const folder of new Set([dirname(child.path), ...search.allow])) {
    const others: Tried[] = [];
    let empty = 'searched: no other disk is there or below';
    for (const candidate of await candidatesIn(folder, child, search)) {
      const { path, place, cid, outcome } = candidate;
      if (path === folder) {
        // It says that this was not all.
        tried.push(candidate);
        empty = '';
      }
      if (path === folder || known.has(path)) continue;
      known.add(path);
      seen.push(candidate);
      const usable = place !== undefined && !search.above.has(place.identity);
      if (usable && cid === wanted) fitting.push(candidate);
      else if (usable && cid !== undefined) others.push({ path, outcome });
      else if (outcome === OUTSIDE) empty = outcome;
    }
    if (others.length > 0) inVain.push(...shortened(folder, others));
    else if (empty !== '' && search.allow.includes(folder)) inVain.push({ path: folder, outcome: empty });
  }
  // Made over what the child was once, or over what it is.
  const deltas = fitting.filter(
    ({ parentCid }) =>
      parentCid === wanted || (parentCid !== undefined && parentCid === child.descriptor.cid),
  );
  const above = freshAbove(child.path, deltas, seen);
  const chosen = likeliest(
    fitting.filter((candidate) => !above.has(candidate)),
    wanted,
    nameIn(hint),
  );
  const identities = new Set(chosen.map(({ place }) => place!.identity));
  if (identities.size === 1) return chosen[0]!.place;
  for (const { path } of chosen)
    tried.push({ path, outcome: 'has the CID, but so have others: name one with --map' });
  if (chosen.length === 0) {
    const why = (candidate: Candidate): string =>
      above.has(candidate)
        ? 'has the CID, but stands on this disk'
        : 'has the CID, but as a delta of the same parent';
    tried.push(...fitting.map((one) => ({ path: one.path, outcome: why(one) })), ...inVain);
  }
  return undefined;
}

/** The first disks of a folder that a search looked into, and how many more there were. */
function shortened(folder: string, others: readonly Tried[]): Tried[] {
  const more = others.length - MOST_LISTED;
  const outcome = `searched: ${more} more disks, none with the CID`;
  return [...others.slice(0, MOST_LISTED), ...(more > 0 ? [{ path: folder, outcome }] : [])];
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

/** All disks of a folder, or below an allowed root, that a child may have as parents. */
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
  const below = search.allow.includes(folder);
  const { paths, complete } = await disksIn(search.context.store, folder, { below });
  if (!complete) candidates.push({ path: folder, outcome: 'searched in part only: too much lies there' });
  let bytes = 0;
  for (const path of paths) {
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
