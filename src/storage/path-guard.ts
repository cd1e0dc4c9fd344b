// Which files a disk may lead to: the one policy against descriptors that name files of the host. Names are judged
// as text first, so that nothing outside is even looked up, and again once symbolic links are followed. What the
// guard returns is what to open: never the name again.
import { posix } from 'node:path';
import { isVmdkError, usageError, VmdkError } from '../core/errors.ts';
import type { FileStore, ResolvedPath } from './file-store.ts';
import { resolveNamed } from './explain-name.ts';
import { assertFileName } from './file-names.ts';
import { isUrl } from './place-names.ts';
import { originNotAllowed } from './remote-address.ts';
import { assertPath, kindWords, legible } from './store-errors.ts';

export interface PathGuardOptions {
  store: FileStore;
  /** Folders that extents and parents may lie in besides their own. */
  allow?: readonly string[] | undefined;
  /** The folder that everything must lie in, the disk named by the user and `allow` included. */
  confine?: string | undefined;
}

export interface PathGuard {
  /**
   * The file behind an extent's name. `extentPath` is as written or already joined to the descriptor's folder;
   * `descriptorRealPath` is free of symbolic links.
   * @throws VmdkError `outside-allowed-folders`, `not-a-regular-file`, `not-a-file-name`, `nul-in-name`, `file-missing`.
   */
  assertExtentAllowed(extentPath: string, descriptorRealPath: string): Promise<ResolvedPath>;
  /** The file behind a parent's name; the same errors. `childRealPath` is free of symbolic links. */
  assertParentAllowed(parentPath: string, childRealPath: string): Promise<ResolvedPath>;
  /** The file behind a disk's name in the .vmx at `machineRealPath`, by the rule for parents; the same errors. */
  assertDiskAllowed(diskPath: string, machineRealPath: string): Promise<ResolvedPath>;
  /** The file behind another name in a .vmx (nvram and the like), by the rule for extents; the same errors. */
  assertCompanionAllowed(path: string, machineRealPath: string): Promise<ResolvedPath>;
  /**
   * What the user named: any path, within `confine` when there is one. Kinds are left to `open`.
   * @throws VmdkError `file-missing`; `not-a-file-name` where that looks like a URL or the like; `usage` for no name.
   */
  assertNamedAllowed(path: string): Promise<ResolvedPath>;
}

const UNFOLLOWED = 'a symbolic link that cannot be followed';

/** A folder with all below it; the root of the file system counts only for the files directly in it. */
type Folder = string;

/** Absolute folders as the user wrote them and as they are, since hints may go through either. */
interface Roots {
  readonly allow: readonly Folder[];
  readonly allowReal: readonly Folder[];
  readonly confine: Folder | undefined;
  readonly confineReal: Folder | undefined;
}

/** One judgement: what is asked for, where that may be, and how to say so. */
interface Question {
  readonly name: string;
  readonly what: 'extent' | 'parent' | 'disk' | 'file';
  /** The disk or machine that names it. */
  readonly by: string;
  readonly within: Folder;
}

/** A guard over `store`; `allow` and `confine` are looked up when first needed. @throws VmdkError `usage` then, for a root that is missing. */
export function createPathGuard(options: PathGuardOptions): PathGuard {
  const { store } = options;
  let looking: Promise<Roots> | undefined;
  const roots = (): Promise<Roots> => (looking ??= lookUpRoots(options));
  const ownFolder = async (what: Question['what'], name: string, by: string): Promise<ResolvedPath> =>
    judge(store, { name, what, by, within: posix.dirname(by) }, await roots());
  const neighbours = async (what: Question['what'], name: string, by: string): Promise<ResolvedPath> => {
    const own = posix.dirname(by);
    const holder = posix.dirname(own);
    // Below `/` lies everything: there, neighbours are not worth that.
    return judge(store, { name, what, by, within: holder === '/' ? own : holder }, await roots());
  };
  return {
    assertExtentAllowed: (path, descriptor) => ownFolder('extent', path, descriptor),
    assertParentAllowed: (path, child) => neighbours('parent', path, child),
    assertDiskAllowed: (path, machine) => neighbours('disk', path, machine),
    assertCompanionAllowed: (path, machine) => ownFolder('file', path, machine),
    assertNamedAllowed: async (path) => {
      assertPath(path);
      if (isUrl(path)) return resolveUrl(store, path);
      const { confineReal } = await roots();
      if (confineReal === undefined) return resolveNamed(store, path);
      const { resolved, leadsTo, failure } = await follow(store, path);
      if (leadsTo === undefined || !isBelow(confineReal, leadsTo))
        throw outsideConfine(path, leadsTo, confineReal);
      if (resolved === undefined) throw failure;
      return resolved;
    },
  };
}

async function judge(store: FileStore, question: Question, roots: Roots): Promise<ResolvedPath> {
  const { name, by, what, within } = question;
  if (isUrl(by) && !isUrl(name)) throw leadsBack(question);
  if (isUrl(name) && store.opensUrls === true) return resolveUrl(store, name);
  const folder = posix.dirname(by);
  assertPath(name);
  assertFileName(asWritten(name, folder), what, by);
  const path = posix.resolve(folder, name);
  const allowed = [...roots.allow, ...roots.allowReal];
  if (!isWithin(within, path) && !allowed.some((root) => isAllowed(root, path)))
    throw outside(question, path, roots);
  const confines = [roots.confine, roots.confineReal].filter((root) => root !== undefined);
  if (confines.length > 0 && !confines.some((root) => isBelow(root, path)))
    throw outside(question, path, roots);

  const { resolved, leadsTo, failure } = await follow(store, path);
  const { confineReal } = roots;
  if (
    leadsTo === undefined ||
    (!isWithin(within, leadsTo) && !roots.allowReal.some((root) => isAllowed(root, leadsTo))) ||
    (confineReal !== undefined && !isBelow(confineReal, leadsTo))
  ) {
    throw outside(question, leadsTo, roots);
  }
  if (resolved === undefined) throw failure;
  if (resolved.kind !== 'file') {
    throw new VmdkError('refused', 'not-a-regular-file', `the ${what} named by ${by} is not a file`, {
      path: resolved.path,
      found: kindWords(resolved.kind),
      expected: kindWords('file'),
    });
  }
  return resolved;
}

/** What lies below the prefixes that the caller allowed is trusted, as what lies in an allowed folder. */
async function resolveUrl(store: FileStore, url: string): Promise<ResolvedPath> {
  if (store.opensUrls !== true) throw originNotAllowed(url);
  return store.resolve(url);
}

/** A remote disk may not lead to files here: whoever writes it would choose what is read. */
function leadsBack({ name, what, by }: Question): VmdkError {
  return new VmdkError(
    'refused',
    'outside-allowed-folders',
    `may not lead to the ${what} "${legible(name)}"`,
    {
      path: by,
      found: name === '' ? 'no name' : 'a file on this machine',
      expected: 'a URL: a remote disk stands on remote files alone',
    },
  );
}

/** Where a path leads. `leadsTo` is undefined when a symbolic link leads to nothing that can be looked at. */
interface Followed {
  readonly resolved: ResolvedPath | undefined;
  readonly leadsTo: string | undefined;
  readonly failure?: unknown;
}

/**
 * Resolves `path`; when that fails, finds where it would lie by its nearest folder that exists, so that a path
 * leading outside is answered alike whether or not there is something.
 */
async function follow(store: FileStore, path: string): Promise<Followed> {
  try {
    const resolved = await store.resolve(path);
    return { resolved, leadsTo: resolved.path };
  } catch (failure) {
    if (!isVmdkError(failure)) throw failure;
    let rest = '';
    for (let at = posix.resolve(path); at !== '/';) {
      const name = posix.basename(at);
      at = posix.dirname(at);
      const folder = await resolvedOrUndefined(store, at);
      if (folder !== undefined) {
        if (await holdsName(store, folder, name)) return { resolved: undefined, leadsTo: undefined, failure };
        return { resolved: undefined, leadsTo: posix.join(folder.path, name, rest), failure };
      }
      rest = posix.join(name, rest);
    }
    throw failure;
  }
}

async function resolvedOrUndefined(store: FileStore, path: string): Promise<ResolvedPath | undefined> {
  try {
    return await store.resolve(path);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** A name that is there and yet leads nowhere is a symbolic link to what is missing or closed to us. */
async function holdsName(store: FileStore, folder: ResolvedPath, name: string): Promise<boolean> {
  if (folder.kind !== 'folder') return false;
  try {
    return (await store.list(folder.path)).includes(name);
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

/** Of the folder that a file lies in: below `/` lies everything, so that there only what is beside the file counts. */
function isWithin(folder: Folder, path: string): boolean {
  return folder === '/' ? posix.dirname(path) === '/' : isBelow(folder, path);
}

/** Of a folder that the caller named. Segment by segment: `/ds-evil` is not in `/ds`. */
function isBelow(folder: Folder, path: string): boolean {
  return folder === '/' || path.startsWith(`${folder}/`);
}

/** Of what the caller allowed: a folder, or the file itself. */
function isAllowed(root: string, path: string): boolean {
  return path === root || isBelow(root, path);
}

/** The name as the descriptor has it, when the caller joined it to the folder already. */
function asWritten(name: string, folder: string): string {
  const prefix = folder === '/' ? '/' : `${folder}/`;
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

async function lookUpRoots({ store, allow = [], confine }: PathGuardOptions): Promise<Roots> {
  return {
    allow: allow.map((root) => posix.resolve(root)),
    allowReal: await Promise.all(allow.map((root) => lookUpRoot(store, root, '--allow'))),
    confine: confine === undefined ? undefined : posix.resolve(confine),
    confineReal: confine === undefined ? undefined : await lookUpRoot(store, confine, '--confine'),
  };
}

/** A file may be allowed by itself. */
async function lookUpRoot(store: FileStore, root: string, option: '--allow' | '--confine'): Promise<string> {
  const resolved = await resolvedOrUndefined(store, root);
  if (resolved?.kind === 'folder' || (resolved?.kind === 'file' && option === '--allow'))
    return resolved.path;
  const found = resolved === undefined ? 'is missing' : `is ${kindWords(resolved.kind)}`;
  const taken = option === '--allow' ? 'a folder or a file' : 'a folder';
  throw usageError(`${option} ${root}: ${found}`, `${option} takes ${taken} that exists.`);
}

function outside(question: Question, leadsTo: string | undefined, roots: Roots): VmdkError {
  const { name, what, by, within } = question;
  if (roots.confineReal !== undefined && (leadsTo === undefined || !isBelow(roots.confineReal, leadsTo))) {
    return outsideConfine(name, leadsTo, roots.confineReal, by);
  }
  const rule = within === '/' ? 'a file directly in /' : `a file below ${within}`;
  const root = leadsTo === undefined ? 'ROOT' : legible(posix.dirname(leadsTo));
  return new VmdkError(
    'refused',
    'outside-allowed-folders',
    `may not lead to the ${what} "${legible(name)}"`,
    {
      path: by,
      found: leadsTo === undefined ? UNFOLLOWED : legible(leadsTo),
      expected: [rule, ...roots.allowReal.map((folder) => `or below ${folder}`)].join(' '),
      hint: `To trust it, allow its folder: --allow ${root}`,
    },
  );
}

function outsideConfine(name: string, leadsTo: string | undefined, confine: string, by = name): VmdkError {
  return new VmdkError('refused', 'outside-allowed-folders', `"${legible(name)}" is outside the confines`, {
    path: by,
    found: leadsTo === undefined ? UNFOLLOWED : legible(leadsTo),
    expected: `a file below ${confine}`,
    hint: 'Everything must lie in the folder given by --confine.',
  });
}
