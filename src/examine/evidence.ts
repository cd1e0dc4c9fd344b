// Evidence: a store that cannot write, and that writes down what was opened, as it was before and as it is after. Results
// go through a second store, which stays out of the folders that evidence lies in.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type {
  FileStore,
  FileTimes,
  RandomAccessFile,
  ResolvedPath,
  WritableFile,
} from '../storage/file-store.ts';
import { isUrl } from '../storage/place-names.ts';
import { digestFile, type FileDigest, type FileHashing } from './file-digest.ts';

export interface EvidenceOptions extends TaskOptions {
  /** Hash every file when it is first opened and again at the end, and how. Left out: sizes and times only. */
  readonly hashes?: FileHashing | undefined;
  /** Let results go into folders that hold evidence. Files of the evidence are never replaced. Default false. */
  readonly besideEvidence?: boolean | undefined;
}

/** A file or folder at one moment. Times in nanoseconds since the epoch; missing where the store knows none. */
export interface EvidenceState extends FileDigest {
  /** Bytes; of a file. */
  readonly size?: number;
  readonly times?: FileTimes;
}

export interface EvidenceItem {
  /** Real path. */
  readonly path: string;
  readonly kind: 'file' | 'folder';
  readonly before: EvidenceState;
  /** Undefined when it is gone. */
  readonly after: EvidenceState | undefined;
  /** Its bytes, size, names or times are not what they were; the time of the last access does not count. */
  readonly changed: boolean;
  /** Reading moved the time of the last access: the system lets only the owner of a file avoid that. */
  readonly accessed: boolean;
}

/** With its digest where `hashes` asks for it. */
export interface EvidenceResult extends FileDigest {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface Evidence {
  /** Reads only; each file that it opens is recorded. */
  readonly store: FileStore;
  /** Where results go. Reads through it are recorded as well, but for what it made itself. */
  readonly outputs: FileStore;
  /** Says what is evidence before it is opened: files, or folders with all below them. What is not there is ignored. */
  claim(paths: readonly string[]): Promise<void>;
  /**
   * A place for a result that is written at the end.
   * @throws VmdkError `evidence-folder` (refused) when it lies in a folder that holds evidence.
   */
  assertOutputAllowed(path: string): Promise<void>;
  /** The files that were made and are still there, by path. */
  results(task?: TaskOptions): Promise<readonly EvidenceResult[]>;
  /** Looks at everything once more. Files first, then the folders that hold them, by path. */
  conclude(task?: TaskOptions): Promise<readonly EvidenceItem[]>;
}

interface Recorded {
  readonly path: string;
  readonly kind: 'file' | 'folder';
  readonly before: EvidenceState;
}

/** Evidence in `inner`, which may be any store. */
export function gatherEvidence(inner: FileStore, options: EvidenceOptions = {}): Evidence {
  const files = new Map<string, Promise<Recorded>>();
  const folders = new Map<string, Promise<Recorded>>();
  /** Folders that results stay out of, free of symbolic links. */
  const closed = new Set<string>();
  const made = new Set<string>();

  const noteFolder = (folder: string): Promise<Recorded> => {
    closed.add(folder);
    let known = folders.get(folder);
    if (known === undefined) {
      known = record(inner, { path: folder, kind: 'folder', identity: '', size: 0 }, {});
      folders.set(folder, known);
    }
    return known;
  };
  const noteFile = async (place: ResolvedPath): Promise<void> => {
    // A URL is in no folder.
    if (!isUrl(place.path)) await noteFolder(posix.dirname(place.path));
    let known = files.get(place.identity);
    if (known === undefined) {
      known = record(inner, { ...place, kind: 'file' }, options);
      files.set(place.identity, known);
    }
    await known;
  };
  const openToRead = async (path: string): Promise<RandomAccessFile> => {
    const place = await inner.resolve(path);
    if (place.kind === 'file' && !made.has(place.path)) await noteFile(place);
    // A lock would be no change, and yet something that others see.
    const file = { ...(await inner.open(path, 'read')) };
    delete file.lockBytes;
    return file;
  };
  const assertOutputAllowed = async (path: string): Promise<void> => {
    const place = await whereItWouldBe(inner, path);
    if (files.has(place.identity ?? '')) throw refusal(place.path, 'it is a file of the evidence');
    const folder = [...closed].find((each) => place.path === each || place.path.startsWith(`${each}/`));
    if (folder === undefined || options.besideEvidence === true) return;
    throw refusal(posix.dirname(place.path), `${folder} holds evidence`);
  };
  const readOnly = readOnlyStore(inner, openToRead);
  return {
    store: readOnly,
    outputs: outputStore(inner, readOnly, made, assertOutputAllowed),
    assertOutputAllowed,
    async claim(paths) {
      for (const path of paths) {
        // A URL is in no folder; whether it answers is for whoever opens it to find out, once.
        if (isUrl(path)) continue;
        const place = await resolvedIfThere(inner, path);
        if (place?.kind === 'folder') closed.add(place.path);
        else if (place?.kind === 'file') closed.add(posix.dirname(place.path));
      }
    },
    async results(task = {}) {
      const found: EvidenceResult[] = [];
      for (const path of [...made].sort()) {
        const place = await resolvedIfThere(inner, path);
        if (place?.kind !== 'file') continue;
        const { hashes } = options;
        const hashed =
          hashes === undefined ? {} : await digestFile(inner, path, hashes, { ...options, ...task });
        found.push({ path, size: place.size, ...hashed });
      }
      return found;
    },
    async conclude(task = {}) {
      const items: EvidenceItem[] = [];
      for (const recorded of [...files.values(), ...folders.values()]) {
        items.push(await compareNow(inner, await recorded, { ...options, ...task }));
      }
      const order = (kind: EvidenceItem['kind']): EvidenceItem[] =>
        items.filter((item) => item.kind === kind).sort((a, b) => (a.path < b.path ? -1 : 1));
      return [...order('file'), ...order('folder')];
    },
  };
}

async function record(
  store: FileStore,
  { path, kind, size }: { path: string; kind: 'file' | 'folder'; identity: string; size: number },
  options: EvidenceOptions,
): Promise<Recorded> {
  const times = await timesOf(store, path);
  const state: EvidenceState = {
    ...(kind === 'file' ? { size } : {}),
    ...(times === undefined ? {} : { times }),
  };
  if (options.hashes === undefined) return { path, kind, before: state };
  return { path, kind, before: { ...state, ...(await digestFile(store, path, options.hashes, options)) } };
}

/** A server tells one time of three at best: none of a URL. */
async function timesOf(store: FileStore, path: string): Promise<FileTimes | undefined> {
  return isUrl(path) ? undefined : store.times?.(path);
}

/** As it was hashed before, so that the two can be compared. */
function digestAgain(
  store: FileStore,
  path: string,
  { sha256, sparseSha256 }: FileDigest,
  task: TaskOptions,
): Promise<FileDigest> {
  if (sha256 !== undefined) return digestFile(store, path, 'whole', task);
  if (sparseSha256 !== undefined) return digestFile(store, path, 'sparse', task);
  return Promise.resolve({});
}

async function compareNow(
  store: FileStore,
  { path, kind, before }: Recorded,
  options: EvidenceOptions,
): Promise<EvidenceItem> {
  const place = await resolvedIfThere(store, path);
  if (place === undefined || place.kind !== kind) {
    return { path, kind, before, after: undefined, changed: true, accessed: false };
  }
  const hashed = await digestAgain(store, path, before, options);
  const times = await timesOf(store, path);
  const after: EvidenceState = {
    ...(kind === 'file' ? { size: place.size } : {}),
    ...(times === undefined ? {} : { times }),
    ...hashed,
  };
  const changed =
    before.size !== after.size ||
    before.sha256 !== after.sha256 ||
    before.sparseSha256 !== after.sparseSha256 ||
    before.times?.modified !== times?.modified ||
    before.times?.changed !== times?.changed;
  return { path, kind, before, after, changed, accessed: before.times?.accessed !== times?.accessed };
}

/** All that a store reads, and a refusal in place of all that it writes. */
function readOnlyStore(inner: FileStore, openToRead: (path: string) => Promise<RandomAccessFile>): FileStore {
  const refuse = (path: string): Promise<never> =>
    Promise.reject(
      new VmdkError('refused', 'evidence-read-only', 'evidence is not written', {
        path,
        hint: 'Nothing that examines a disk may change a file.',
      }),
    );
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    return mode === 'read' ? openToRead(path) : refuse(path);
  }
  return {
    ...(inner.opensUrls === true ? { opensUrls: true as const } : {}),
    open,
    create: refuse,
    replace: refuse,
    rename: refuse,
    remove: refuse,
    makeFolder: refuse,
    removeFolder: refuse,
    syncFolder: refuse,
    changeMode: refuse,
    exists: (path) => inner.exists(path),
    list: (folder) => inner.list(folder),
    resolve: (path) => inner.resolve(path),
    ...(inner.times === undefined ? {} : { times: (path) => inner.times!(path) }),
    ...(inner.freeBytes === undefined ? {} : { freeBytes: (folder) => inner.freeBytes!(folder) }),
  };
}

/** Reads as evidence, writes where results may go. */
function outputStore(
  inner: FileStore,
  readOnly: FileStore,
  made: Set<string>,
  assertAllowed: (path: string) => Promise<void>,
): FileStore {
  const allowed = async <T>(paths: readonly string[], work: () => Promise<T>): Promise<T> => {
    for (const path of paths) await assertAllowed(path);
    return work();
  };
  const noteMade = async (path: string): Promise<void> => {
    made.add((await inner.resolve(path)).path);
  };
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    return mode === 'read' ? readOnly.open(path, 'read') : allowed([path], () => inner.open(path, 'update'));
  }
  return {
    ...readOnly,
    open,
    create: (path) =>
      allowed([path], async () => {
        const file = await inner.create(path);
        await noteMade(path);
        return file;
      }),
    replace: (path, data) =>
      allowed([path], async () => {
        await inner.replace(path, data);
        await noteMade(path);
      }),
    rename: (from, to) =>
      allowed([from, to], async () => {
        await inner.rename(from, to);
        await noteMade(to);
      }),
    remove: (path) => allowed([path], () => inner.remove(path)),
    makeFolder: (path) => allowed([path], () => inner.makeFolder(path)),
    removeFolder: (path) => allowed([path], () => inner.removeFolder(path)),
    syncFolder: (folder) => inner.syncFolder(folder),
  };
}

/** The real path that a new file would have, and the identity of the one that is there. */
async function whereItWouldBe(store: FileStore, path: string): Promise<{ path: string; identity?: string }> {
  const there = await resolvedIfThere(store, path);
  if (there !== undefined) return there;
  const absolute = posix.resolve(path);
  const folder = posix.dirname(absolute);
  if (folder === absolute) return { path: absolute };
  const holder = await whereItWouldBe(store, folder);
  return { path: posix.join(holder.path, posix.basename(absolute)) };
}

async function resolvedIfThere(store: FileStore, path: string): Promise<ResolvedPath | undefined> {
  try {
    return await store.resolve(path);
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

function refusal(path: string, why: string): VmdkError {
  return new VmdkError('refused', 'evidence-folder', 'no result goes here', {
    path,
    found: why,
    expected: 'a folder apart from the evidence',
    hint: 'Name another folder, or pass --beside-evidence; a file of the evidence is never replaced.',
  });
}
