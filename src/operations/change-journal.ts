// The journal of a change set: a hidden folder in its first root, `.vmdkit-change-OWNER-RANDOM.STATE`, with what was
// promised (`journal.json`), what is made so far (`made/`) and what was taken out of its place (`out/`). Every other
// root has a folder of the same random number that points back: a journal leads nowhere its writer could not write.
// Rule: nothing in a journal is believed that was not checked here.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import type { RunOwner } from './journal.ts';

const SCHEMA = 'vmdkit-change-set/v1';
const PART_SCHEMA = 'vmdkit-change-set-part/v1';

/** A change as the journal keeps it: `root` counts the roots, `path` is relative to it. */
interface AtPlace {
  readonly root: number;
  readonly path: string;
}
export type ChangeRecord =
  | (AtPlace & { readonly kind: 'create' | 'remove' | 'remove-folder' })
  | (AtPlace & { readonly kind: 'create-together'; readonly files: readonly string[] })
  | (AtPlace & { readonly kind: 'folder'; readonly files: readonly string[]; readonly optional: boolean })
  /** SHA-256 of the content before and after, in hexadecimal. */
  | (AtPlace & { readonly kind: 'replace'; readonly before: string; readonly after: string })
  | (AtPlace & { readonly kind: 'patch'; readonly at: number; readonly length: number })
  | (AtPlace & { readonly kind: 'rename'; readonly toRoot: number; readonly to: string });

export interface ChangeJournal {
  /** What is done, in a word: `clone`, `snapshot`. */
  readonly label: string;
  /** Equal for two runs of the same command. */
  readonly request: string;
  /** Real paths of the roots but the first, which is where the journal lies. */
  readonly otherRoots: readonly string[];
  readonly changes: readonly ChangeRecord[];
}

/**
 * `new`: undone. `ready`: all is made and promised. `moved`: all that leaves its place has left it. `done`: only the
 * journal itself is left.
 */
export type ChangeState = 'new' | 'ready' | 'moved' | 'done';

export interface ChangeFolder {
  readonly name: string;
  /** Undefined when it was given up. */
  readonly owner: RunOwner | undefined;
  readonly random: string;
  readonly state: ChangeState;
}

export const OUT_FOLDER = 'out';

const FOLDER_NAME =
  /^\.vmdkit-change-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-([0-9a-f]{16})\.(new|ready|moved|done)$/;
const PART_NAME = /^\.vmdkit-change-([0-9a-f]{16})\.part$/;

/** `random` is 16 hex digits. */
export function changeFolderName(
  { host, pid, started }: RunOwner,
  random: string,
  state: ChangeState,
): string {
  return `.vmdkit-change-${host}-${pid}-${started}-${random}.${state}`;
}

/** The folder in another root. */
export function partFolderName(random: string): string {
  return `.vmdkit-change-${random}.part`;
}

/** The same journal in another state. */
export function inState(name: string, state: ChangeState): string {
  return name.replace(/\.[a-z]+$/, `.${state}`);
}

/** The name of a folder whose owner gave it up and lives on. */
export function givenUpName(name: string): string {
  return name.replace(/-\d+-\d+(-[0-9a-f]{16}\.[a-z]+)$/, '-0-0$1');
}

/** Undefined when the name is no such folder's. */
export function parseChangeFolder(name: string): ChangeFolder | undefined {
  const match = FOLDER_NAME.exec(name);
  if (match === null) return undefined;
  const [, host = '', pid, started = '', random = '', state] = match;
  const owner = pid === '0' ? undefined : { host, pid: Number(pid), started };
  return { name, owner, random, state: state as ChangeState };
}

/** The random number of a folder in another root, or undefined. */
export function parsePartFolder(name: string): string | undefined {
  return PART_NAME.exec(name)?.[1];
}

export function encodeChangeJournal(journal: ChangeJournal): Buffer {
  return Buffer.from(`${JSON.stringify({ schema: SCHEMA, ...journal })}\n`);
}

/** What the folder in another root holds: the way to the journal. */
export function encodePart(firstRoot: string): Buffer {
  return Buffer.from(`${JSON.stringify({ schema: PART_SCHEMA, root: firstRoot })}\n`);
}

/** The first root, or undefined when this was not written to its end. */
export function parsePart(bytes: Uint8Array): string | undefined {
  const { schema, root } = fieldsOf(bytes) ?? {};
  return schema === PART_SCHEMA && typeof root === 'string' && isAbsolute(root) ? root : undefined;
}

/** The journal, or undefined when it was not written to its end. @throws VmdkError `bad-journal` when it is forged. */
export function parseChangeJournal(bytes: Uint8Array, path: string): ChangeJournal | undefined {
  const fields = fieldsOf(bytes);
  if (fields === undefined) return undefined;
  const { schema, label, request, otherRoots, changes } = fields;
  if (schema !== SCHEMA || typeof label !== 'string' || !/^[a-z][a-z-]{0,39}$/.test(label))
    throw badJournal(path, 'other fields', `the fields of ${SCHEMA}`);
  if (typeof request !== 'string' || !Array.isArray(otherRoots) || !Array.isArray(changes))
    throw badJournal(path, 'other fields', `the fields of ${SCHEMA}`);
  if (!otherRoots.every((root) => typeof root === 'string' && isAbsolute(root)))
    throw badJournal(path, 'other roots', 'absolute paths of folders');
  const records = changes.map((change, index) => {
    const record = parseRecord(change, otherRoots.length + 1);
    if (record === undefined) throw badJournal(path, `change ${index}`, 'a change within the roots');
    return record;
  });
  return { label, request, otherRoots: otherRoots as string[], changes: records };
}

function fieldsOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.endsWith('\n')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The record with nothing but its known fields, or undefined when it is not one that a run could have written. */
function parseRecord(value: unknown, roots: number): ChangeRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, root, path, files, optional, before, after, at, length, toRoot, to } = value as Record<
    string,
    unknown
  >;
  if (!isRoot(root, roots) || typeof path !== 'string') return undefined;
  if (!isWithin(path) && !(kind === 'create-together' && path === '')) return undefined;
  switch (kind) {
    case 'create':
    case 'remove':
    case 'remove-folder':
      return { kind, root, path };
    case 'create-together':
      return areNames(files) ? { kind, root, path, files } : undefined;
    case 'folder':
      return areNames(files) ? { kind, root, path, files, optional: optional === true } : undefined;
    case 'replace':
      return isHash(before) && isHash(after) ? { kind, root, path, before, after } : undefined;
    case 'patch':
      return isCount(at) && isCount(length) ? { kind, root, path, at, length } : undefined;
    case 'rename':
      return isRoot(toRoot, roots) && typeof to === 'string' && isWithin(to)
        ? { kind, root, path, toRoot, to }
        : undefined;
    default:
      return undefined;
  }
}

/** Whether a relative path stays below its root, and out of journals. */
export function isWithin(path: string): boolean {
  return path !== '' && path.split('/').every(isName);
}

/** Whether this is the name of one file that a change set may touch. */
export function isName(name: string): boolean {
  return !['', '.', '..'].includes(name) && !/[/\0]/.test(name) && !name.startsWith('.vmdkit-');
}

function areNames(names: unknown): names is string[] {
  return Array.isArray(names) && names.every((name) => typeof name === 'string' && isName(name));
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/') && posix.normalize(path) === path && !path.includes('\0');
}

function isRoot(value: unknown, roots: number): value is number {
  return isCount(value) && value < roots;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

/** What looks like a journal and is none of ours. */
export function badJournal(path: string, found: string, expected: string): VmdkError {
  return new VmdkError(
    'corrupt',
    'bad-journal',
    'the journal of an interrupted run was not written by vmdkit',
    {
      path,
      found,
      expected,
      hint: 'Nothing was touched. Look at the folder, and remove it by hand.',
    },
  );
}
