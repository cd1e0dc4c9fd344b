// Where the files that a .vmx or .vmsd names really are. Rule: every name is judged by the path guard first, and the
// place that the file states goes before one that is guessed from the name alone.
import { posix } from 'node:path';
import type { PathMapping } from '../chain/chain-options.ts';
import { mappedPaths, parentCandidates } from '../chain/parent-candidates.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { showText } from '../format/plain-text.ts';
import type { ResolvedPath } from '../storage/file-store.ts';

export interface MachinePlace {
  readonly context: OpenContext;
  /** Real path of the .vmx. */
  readonly vmxPath: string;
  readonly pathMap: readonly PathMapping[];
  /** Folders besides the .vmx's own where relative names may lie. */
  readonly folders: readonly string[];
}

/** The way out for a disk that is not where the machine says. */
export const WHERE_HINT =
  'Tell where it is: --root DIR for the folder that holds the datastores, or --map FROM=TO.';

export type Located =
  { readonly place: ResolvedPath; readonly guessed: boolean } | { readonly problem: VmdkError };

/** The disk that a machine means by `fileName`; why not, with all that was tried, when it is not to be had. */
export async function locateDisk(machine: MachinePlace, fileName: string): Promise<Located> {
  const tried: { path: string; outcome: string; error: VmdkError }[] = [];
  for (const { path, guessed } of diskCandidates(machine, fileName)) {
    try {
      return { place: await machine.context.guard.assertDiskAllowed(path, machine.vmxPath), guessed };
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      tried.push({ path, outcome: outcomeOf(error), error });
    }
  }
  const candidates = tried.map(({ path, outcome }) => ({ path: showText(path), outcome }));
  const outside = tried.find(({ error }) => error.kind === 'refused');
  // A path of another host is outside by its text alone; to allow it would not bring it here.
  const refused =
    isOfAnotherHost(fileName) && outside?.error.code === 'outside-allowed-folders' ? undefined : outside;
  const what = `the disk "${showText(fileName)}" of the machine`;
  if (refused === undefined) {
    const context = { path: machine.vmxPath, candidates, hint: WHERE_HINT };
    return { problem: new VmdkError('missing', 'disk-missing', `${what} is not there`, context) };
  }
  const { error } = refused;
  const hint = error.context.hint ?? 'Move the disk into the folder of the machine.';
  const context = { ...error.context, path: machine.vmxPath, candidates, hint };
  return { problem: new VmdkError(error.kind, error.code, `${what} may not be opened`, context, error) };
}

/** A file in the machine's own folder, such as its nvram; undefined when it is not there or leads elsewhere. */
export async function locateCompanion(
  { context, vmxPath }: MachinePlace,
  fileName: string,
): Promise<ResolvedPath | undefined> {
  try {
    return await context.guard.assertCompanionAllowed(fileName, vmxPath);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** The folder that `workingDir` means; the machine's own where it says nothing or leads to nothing that is here. */
export async function locateFolder(machine: MachinePlace, named: string | undefined): Promise<string> {
  const own = posix.dirname(machine.vmxPath);
  if (named === undefined || named === '.' || named === './') return own;
  // A folder is no disk: the guard judges a name within it, which need not be there.
  const path = named.replace(/^\[[^\]]*\]\s*/, '').replaceAll('\\', '/');
  const neighbour = isOfAnotherHost(named) ? [posix.join(posix.dirname(own), posix.basename(path))] : [];
  const literal = isOfAnotherHost(named) ? [] : [posix.resolve(own, path)];
  for (const candidate of [...mappedPaths(named, machine.pathMap), ...literal, ...neighbour]) {
    try {
      const folder = await machine.context.store.resolve(await allowedFolder(machine, candidate));
      if (folder.kind === 'folder') return folder.path;
    } catch (error) {
      if (!isVmdkError(error)) throw error;
    }
  }
  return own;
}

async function allowedFolder({ context, vmxPath }: MachinePlace, path: string): Promise<string> {
  try {
    await context.guard.assertDiskAllowed(posix.join(path, '.vmdkit-probe'), vmxPath);
  } catch (error) {
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
  return path;
}

function diskCandidates(
  { vmxPath, pathMap, folders }: MachinePlace,
  fileName: string,
): { path: string; guessed: boolean }[] {
  const own = posix.dirname(vmxPath);
  const path = fileName.replace(/^\[[^\]]*\]\s*/, '').replaceAll('\\', '/');
  const foreign = fileName.startsWith('[') || /^[a-z]:\//i.test(path) || path.startsWith('/');
  const unmapped = parentCandidates(fileName, vmxPath, []);
  const literal = foreign ? [path] : [posix.join(own, fileName), posix.join(own, path)];
  const stated = [
    ...mappedPaths(fileName, pathMap),
    ...unmapped.filter((candidate) => literal.includes(candidate)),
  ];
  const guesses = unmapped.filter((candidate) => !stated.includes(candidate));
  return [
    ...stated.map((candidate) => ({ path: candidate, guessed: false })),
    ...(foreign ? [] : folders.map((folder) => ({ path: posix.join(folder, path), guessed: false }))),
    ...guesses.map((candidate) => ({ path: candidate, guessed: true })),
  ];
}

/** `[ds1] a/b.vmdk`, `/vmfs/volumes/…`, `D:\\…`, `\\\\server\\…` */
function isOfAnotherHost(fileName: string): boolean {
  return /^(\[|\/vmfs\/|[a-z]:[\\/]|\\\\)/i.test(fileName);
}

function outcomeOf(error: VmdkError): string {
  if (error.code === 'file-missing') return 'no such file';
  if (error.code === 'outside-allowed-folders') return 'outside the allowed folders (see --allow)';
  if (error.code === 'not-a-regular-file') return `not a file but ${error.context.found ?? 'something else'}`;
  return error.code.replaceAll('-', ' ');
}
