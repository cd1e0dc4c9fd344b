// What all stores share: one translation of a file system's errno into VmdkError, so that a missing file is the
// same error on node:fs, memfs and memory, and the checks of arguments. What has no errno passes unwrapped.
import { type ErrorKind, VmdkError } from '../core/errors.ts';
import type { StoredKind } from './file-store.ts';

/** What was being done to the path; begins the message. */
export type StoreAction =
  | 'open'
  | 'read'
  | 'update'
  | 'create'
  | 'write'
  | 'resize'
  | 'sync'
  | 'close'
  | 'replace'
  | 'rename'
  | 'remove'
  | 'look up'
  | 'list'
  | 'make folder'
  | 'remove folder'
  | 'change the mode';

const WRITING: ReadonlySet<StoreAction> = new Set<StoreAction>([
  'update',
  'create',
  'write',
  'resize',
  'sync',
  'replace',
  'rename',
  'remove',
  'make folder',
  'remove folder',
  'change the mode',
]);

interface Meaning {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly what: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOENT: { kind: 'missing', code: 'file-missing', what: 'there is no such file or folder' },
  ENOTDIR: { kind: 'missing', code: 'file-missing', what: 'part of the path is not a folder' },
  EISDIR: { kind: 'unsupported', code: 'not-a-file', what: 'is a folder, not a file' },
  ENXIO: {
    kind: 'unsupported',
    code: 'not-a-file',
    what: 'is a socket, a FIFO or a device without a driver',
  },
  EEXIST: { kind: 'conflict', code: 'file-exists', what: 'exists already' },
  ENOTEMPTY: { kind: 'conflict', code: 'folder-not-empty', what: 'the folder is not empty' },
  ENOSPC: { kind: 'io', code: 'no-space', what: 'the file system is full' },
  EDQUOT: { kind: 'io', code: 'no-space', what: 'the quota is used up' },
  EFBIG: { kind: 'io', code: 'file-too-large', what: 'the file system does not hold files of this size' },
  EROFS: { kind: 'io', code: 'read-only-file-system', what: 'the file system is read-only' },
  ELOOP: { kind: 'io', code: 'symbolic-link-loop', what: 'symbolic links lead round in a circle' },
  EMFILE: { kind: 'io', code: 'too-many-open-files', what: 'this process has too many files open' },
  ENFILE: { kind: 'io', code: 'too-many-open-files', what: 'the system has too many files open' },
  EXDEV: {
    kind: 'refused',
    code: 'other-file-system',
    what: 'its new name is on another file system or mount',
  },
  ENAMETOOLONG: { kind: 'io', code: 'name-too-long', what: 'the name is too long for the file system' },
};

const KIND_WORDS: Readonly<Record<StoredKind, string>> = {
  file: 'a regular file',
  folder: 'a folder',
  device: 'a device',
  fifo: 'a FIFO',
  socket: 'a socket',
  other: 'neither a file nor a folder',
};

/** An errno error of `action` on `path` as VmdkError, its cause kept; anything else as it is. */
export function storeError(cause: unknown, action: StoreAction, path: string, offset?: number): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  const { kind, code, what } = meaningOf(errno, action);
  const context = { path, ...(offset === undefined ? {} : { offset }) };
  return new VmdkError(kind, code, `cannot ${action}: ${what}`, context, cause);
}

/** The errno name (`ENOENT`) of an error thrown by a file system, if it has one. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** The path leads to something that is not a regular file. */
export function notAFile(path: string, kind: StoredKind): VmdkError {
  const context = { path, found: kindWords(kind), expected: kindWords('file') };
  return new VmdkError('unsupported', 'not-a-file', 'cannot open', context);
}

/** The path leads to something that is not a folder. */
export function notAFolder(path: string, action: StoreAction): VmdkError {
  return new VmdkError('unsupported', 'not-a-folder', `cannot ${action}: is not a folder`, { path });
}

/** `a FIFO`, for messages. */
export function kindWords(kind: StoredKind): string {
  return KIND_WORDS[kind];
}

/** The file ends before `expected` bytes from `offset` on were read; `found` are there. */
export function fileTooShort(path: string, offset: number, found: number, expected: number): VmdkError {
  return new VmdkError('corrupt', 'file-too-short', 'the file ends before the bytes that should be there', {
    path,
    offset,
    found: `${found} bytes`,
    expected: `${expected} bytes`,
  });
}

/** A programmer error: the file was used after `close`. */
export function fileClosed(path: string): TypeError {
  return Object.assign(new TypeError(`${path}: used after it was closed`), { code: 'file-closed' });
}

/** Throws RangeError unless `[at, at + length)` lies within the safe integers; a BigInt is refused as well. */
export function assertPosition(at: number, length: number): void {
  if (!Number.isSafeInteger(at) || at < 0 || !Number.isSafeInteger(at + length) || length < 0) {
    throw new RangeError(`not a range of a file: ${length} bytes from ${at}`);
  }
}

/** A name or path from a file of strangers, for messages: what steers a terminal spelt out, length bounded. */
export function legible(name: string): string {
  const short = name.length > 300 ? `${name.slice(0, 300)}…` : name;
  return short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}

/** No file system has names with a NUL; Node would throw a TypeError without saying which. */
export function assertPath(path: string): void {
  if (!path.includes('\0')) return;
  throw new VmdkError('refused', 'nul-in-name', 'a file name cannot hold a NUL byte', {
    path: legible(path),
  });
}

/** For a file beside `name` that takes its place: hidden, and not to be guessed by who would plant a link there. */
export function temporaryName(name: string): string {
  // Loaded when it is needed: who only reads disks never waits for it.
  const { randomBytes } = process.getBuiltinModule('node:crypto');
  return `.${name.slice(0, 40)}.vmdkit-${randomBytes(8).toString('hex')}.tmp`;
}

function meaningOf(errno: string, action: StoreAction): Meaning {
  if (errno === 'EACCES' || errno === 'EPERM') {
    const code = WRITING.has(action) ? 'file-not-writable' : 'file-not-readable';
    return { kind: 'io', code, what: 'permission is denied' };
  }
  if (errno === 'ENOTDIR' && action === 'list') {
    return { kind: 'unsupported', code: 'not-a-folder', what: 'is not a folder' };
  }
  if (errno === 'ENOENT' && (action === 'create' || action === 'make folder')) {
    return { kind: 'missing', code: 'file-missing', what: 'the folder that should hold it is missing' };
  }
  return MEANINGS[errno] ?? { kind: 'io', code: 'io-error', what: `the system reports ${errno}` };
}
