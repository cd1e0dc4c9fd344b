// How the files of a disk are called: `disk.vmdk` and its companions. Rule: names only, no I/O; a path's folder is kept
// as it is. Source: VMware's naming since Workstation 5 and ESX 3.

export type FileRole =
  | 'flat'
  | 'split-flat'
  | 'split-sparse'
  | 'delta'
  | 'sesparse'
  | 'rdm'
  | 'change-tracking'
  | 'digest'
  | 'partition-table'
  | 'redo'
  | 'snapshot'
  | 'disk'
  | 'other';

export interface FileNameParts {
  /** `snapshot` is a descriptor (hosted: data too) called `X-000001.vmdk`; `disk` is any other `.vmdk`. */
  readonly role: FileRole;
  /** The name without what makes the role: of `X-000001-delta.vmdk` it is `X-000001`, of a snapshot `X`. */
  readonly stem: string;
  /** Of a split extent or a snapshot. */
  readonly number?: number;
}

const EXTENSION = /\.vmdk$/i;
const SNAPSHOT = /^(.+)-(\d{6})$/;
const REDO = /^(.+)\.REDO(?:_[A-Za-z0-9]+)?$/i;
const SUFFIXES: readonly (readonly [pattern: RegExp, role: FileRole])[] = [
  [/^(.+)-flat$/i, 'flat'],
  [/^(.+)-f(\d{3,})$/i, 'split-flat'],
  [/^(.+)-s(\d{3,})$/i, 'split-sparse'],
  [/^(.+)-delta$/i, 'delta'],
  [/^(.+)-sesparse$/i, 'sesparse'],
  [/^(.+)-rdmp?$/i, 'rdm'],
  [/^(.+)-ctk$/i, 'change-tracking'],
  [/^(.+)-digest$/i, 'digest'],
  [/^(.+)-pt$/i, 'partition-table'],
];
/** Roles of files that are descriptors themselves, or nothing of ours. */
const OWN_DESCRIPTORS: ReadonlySet<FileRole> = new Set(['disk', 'snapshot', 'digest', 'other']);
const HIGHEST_DELTA = 999_999;

/** `X.vmdk` or `X` to `X-flat.vmdk`. */
export function flatNameFor(diskName: string): string {
  return companion(diskName, 'flat');
}

/** `X.vmdk` to `X-s001.vmdk` (sparse) or `X-f001.vmdk` (flat); `number` counts from 1. */
export function splitNameFor(diskName: string, number: number, kind: 's' | 'f'): string {
  return companion(diskName, `${kind}${String(number).padStart(3, '0')}`);
}

/** `X-000001.vmdk` to `X-000001-delta.vmdk`. */
export function deltaNameFor(diskName: string): string {
  return companion(diskName, 'delta');
}

/** `X-000001.vmdk` to `X-000001-sesparse.vmdk`. */
export function sesparseNameFor(diskName: string): string {
  return companion(diskName, 'sesparse');
}

/**
 * The name of the next delta of a disk: six digits, the lowest number that no name in its folder uses, not even for a
 * companion. All links share the base's name, so the next of `X-000004.vmdk` is again some `X-NNNNNN.vmdk`.
 */
export function nextDeltaName(existingNames: Iterable<string>, diskName: string): string {
  const name = baseName(diskName);
  const { role, stem } = classifyFileName(name);
  const base = role === 'snapshot' ? stem : stemOf(name);
  const start = `${base}-`.toLowerCase();
  const taken = new Set<number>();
  for (const existing of existingNames) {
    const lower = baseName(existing).toLowerCase();
    const digits = lower.startsWith(start) ? /^(\d{6})(?:[-.]|$)/.exec(lower.slice(start.length)) : null;
    if (digits !== null) taken.add(Number(digits[1]));
  }
  for (let number = 1; number <= HIGHEST_DELTA; number++) {
    if (!taken.has(number)) return `${base}-${String(number).padStart(6, '0')}.vmdk`;
  }
  throw new RangeError(`no number is left for a delta of ${diskName}`);
}

/** What a file seems to be by its name alone. Names without `.vmdk` are `other`, redo logs apart. */
export function classifyFileName(fileName: string): FileNameParts {
  const name = baseName(fileName);
  const redo = REDO.exec(name);
  if (redo !== null) return { role: 'redo', stem: stemOf(redo[1]!) };
  if (!EXTENSION.test(name)) return { role: 'other', stem: name };
  const stem = stemOf(name);
  for (const [pattern, role] of SUFFIXES) {
    const match = pattern.exec(stem);
    if (match === null) continue;
    const number = match[2] === undefined ? {} : { number: Number(match[2]) };
    return { role, stem: match[1]!, ...number };
  }
  const snapshot = SNAPSHOT.exec(stem);
  if (snapshot !== null) return { role: 'snapshot', stem: snapshot[1]!, number: Number(snapshot[2]) };
  return { role: 'disk', stem };
}

/**
 * The descriptors that a companion file may belong to, likeliest first; none when the name is no companion's. In the
 * companion's own folder, with its own spelling of the extension first.
 */
export function descriptorCandidatesFor(fileName: string): string[] {
  const { role, stem } = classifyFileName(fileName);
  if (OWN_DESCRIPTORS.has(role)) return [];
  const folder = fileName.slice(0, fileName.length - baseName(fileName).length);
  const extension = EXTENSION.exec(fileName.replace(/\.REDO\w*$/i, ''))?.[0] ?? '.vmdk';
  const names = [`${stem}${extension}`, `${stem}.vmdk`];
  return [...new Set(names)].map((name) => folder + name);
}

function companion(diskName: string, suffix: string): string {
  return `${stemOf(diskName)}-${suffix}.vmdk`;
}

function stemOf(name: string): string {
  return name.replace(EXTENSION, '');
}

function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
