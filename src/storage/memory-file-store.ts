// A file system in memory, for tests and fixtures: POSIX paths, `/` always there, everything else made first, as
// on a real one. Files are kept in pages, so that a disk of a terabyte with a few grains costs a few grains.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import type { FileStore, RandomAccessFile, ResolvedPath, WritableFile } from './file-store.ts';
import { PagedBytes } from './paged-bytes.ts';
import {
  assertPath,
  fileClosed,
  fileTooShort,
  notAFile,
  notAFolder,
  type StoreAction,
} from './store-errors.ts';

/** What a name leads to; open files hold it beyond `remove`, as on a real file system. */
interface Entry {
  readonly number: number;
  /** Undefined for a folder. */
  readonly content: PagedBytes | undefined;
  modified: number;
  /** Permission bits. */
  mode: number;
}

/** Path to entry, and of each folder the names in it: changed together, by `put` and `drop` alone. */
interface Tree {
  readonly entries: Map<string, Entry>;
  readonly names: Map<string, Set<string>>;
  next: number;
}

/** A store that holds `initial` (path to bytes, copied) and the folders these need. Relative paths count from `/`. */
export function createMemoryFileStore(initial: Readonly<Record<string, Uint8Array>> = {}): FileStore {
  const tree: Tree = { entries: new Map(), names: new Map(), next: 1 };
  addFolder(tree, '/');
  for (const [path, bytes] of Object.entries(initial)) addInitial(tree, absolute(path), bytes);
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    const entry = found(tree, path);
    if (entry.content === undefined) throw notAFile(path, 'folder');
    if (mode === 'update' && (entry.mode & 0o200) === 0) {
      const what = 'cannot update: no permission to write it';
      throw new VmdkError('io', 'file-not-writable', what, { path });
    }
    const use = whileOpen(path, entry.content);
    return mode === 'read' ? readingHalf(path, use) : writableFile(path, use, entry);
  }
  return {
    open,
    create: async (path) => {
      assertFree(tree, path, 'create');
      const entry = addFile(tree, absolute(path));
      return writableFile(path, whileOpen(path, entry.content), entry);
    },
    replace: async (path, data) => {
      const old = tree.entries.get(absolute(path));
      if (old !== undefined && old.content === undefined) throw notAFile(path, 'folder');
      if (old === undefined) assertFree(tree, path, 'replace');
      const file = addFile(tree, absolute(path));
      file.mode = old?.mode ?? file.mode;
      file.content.write(data, 0);
    },
    rename: async (from, to) => rename(tree, from, to),
    remove: async (path) => {
      if (found(tree, path).content === undefined) throw notAFile(path, 'folder');
      drop(tree, absolute(path));
    },
    exists: async (path) => tree.entries.has(absolute(path)),
    list: async (folder) => {
      assertFolder(tree, folder, 'list');
      return namesIn(tree, absolute(folder));
    },
    makeFolder: async (path) => {
      assertFree(tree, path, 'make folder');
      addFolder(tree, absolute(path));
    },
    removeFolder: async (path) => {
      assertFolder(tree, path, 'remove folder');
      if (namesIn(tree, absolute(path)).length > 0) {
        throw new VmdkError('conflict', 'folder-not-empty', 'cannot remove folder: the folder is not empty', {
          path,
        });
      }
      drop(tree, absolute(path));
    },
    syncFolder: async (folder) => assertFolder(tree, folder, 'sync'),
    changeMode: async (path, change) => {
      const entry = found(tree, path);
      const old = entry.mode;
      entry.mode = change(old);
      return old;
    },
    resolve: async (path): Promise<ResolvedPath> => {
      const { number, content, modified } = found(tree, path);
      return {
        path: absolute(path),
        kind: content === undefined ? 'folder' : 'file',
        identity: `memory:${number}`,
        size: content?.size ?? 0,
        allocated: content?.allocated ?? 0,
        modified,
      };
    },
  };
}

/** The content of an open file, for as long as it is open. */
interface Use {
  (): PagedBytes;
  close(): void;
}

function whileOpen(path: string, content: PagedBytes): Use {
  let closed = false;
  const use = (): PagedBytes => {
    if (closed) throw fileClosed(path);
    return content;
  };
  return Object.assign(use, { close: () => void (closed = true) });
}

function readingHalf(path: string, use: Use): RandomAccessFile {
  return {
    path,
    size: async () => use().size,
    readExactly: async (into, at) => {
      const there = use().read(into, at);
      if (there < into.length) throw fileTooShort(path, at, there, into.length);
    },
    stretches: async (start, length) => use().stretches(start, length),
    close: async () => use.close(),
  };
}

function writableFile(path: string, use: Use, entry: Entry): WritableFile {
  return {
    ...readingHalf(path, use),
    write: async (data, at) => {
      use().write(data, at);
      entry.modified = Date.now();
    },
    resize: async (size) => {
      use().resize(size);
      entry.modified = Date.now();
    },
    sync: async () => void use(),
  };
}

function addInitial(tree: Tree, path: string, bytes: Uint8Array): void {
  for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1)) {
    if (!tree.entries.has(path.slice(0, at))) addFolder(tree, path.slice(0, at));
  }
  addFile(tree, path).content.write(bytes, 0);
}

function addFolder(tree: Tree, path: string): void {
  put(tree, path, { number: tree.next++, content: undefined, modified: Date.now(), mode: 0o755 });
}

function addFile(tree: Tree, path: string): Entry & { content: PagedBytes } {
  const entry = { number: tree.next++, content: new PagedBytes(), modified: Date.now(), mode: 0o644 };
  put(tree, path, entry);
  return entry;
}

function rename(tree: Tree, from: string, to: string): void {
  const entry = found(tree, from);
  const [source, target] = [absolute(from), absolute(to)];
  const old = tree.entries.get(target);
  if (old === entry) return;
  if (old?.content === undefined) assertFree(tree, to, 'rename');
  if (entry.content === undefined) {
    if (target.startsWith(`${source}/`)) {
      throw new VmdkError('io', 'io-error', 'cannot rename: a folder cannot go into itself', { path: from });
    }
    if (old !== undefined)
      throw new VmdkError('conflict', 'file-exists', 'cannot rename: exists already', { path: to });
    move(tree, source, target);
    return;
  }
  drop(tree, source);
  put(tree, target, entry);
}

/** A folder with all below it. */
function move(tree: Tree, source: string, target: string): void {
  const entry = tree.entries.get(source)!;
  const names = namesIn(tree, source);
  put(tree, target, entry);
  for (const name of names) {
    const [from, to] = [posix.join(source, name), posix.join(target, name)];
    const below = tree.entries.get(from)!;
    if (below.content === undefined) move(tree, from, to);
    else {
      drop(tree, from);
      put(tree, to, below);
    }
  }
  drop(tree, source);
}

function put(tree: Tree, path: string, entry: Entry): void {
  tree.entries.set(path, entry);
  if (entry.content === undefined && !tree.names.has(path)) tree.names.set(path, new Set());
  if (path !== '/') tree.names.get(posix.dirname(path))!.add(posix.basename(path));
}

function drop(tree: Tree, path: string): void {
  tree.entries.delete(path);
  tree.names.delete(path);
  tree.names.get(posix.dirname(path))?.delete(posix.basename(path));
}

function found(tree: Tree, path: string): Entry {
  const entry = tree.entries.get(absolute(path));
  if (entry === undefined || path === '') throw missing(path, 'there is no such file or folder');
  return entry;
}

/** The name is free and the folder that would hold it is there. */
function assertFree(tree: Tree, path: string, action: string): void {
  const name = absolute(path);
  const holder = tree.entries.get(posix.dirname(name));
  if (holder === undefined || holder.content !== undefined) {
    throw missing(path, `cannot ${action}: the folder that should hold it is missing`);
  }
  if (tree.entries.has(name)) {
    throw new VmdkError('conflict', 'file-exists', `cannot ${action}: exists already`, { path });
  }
}

function assertFolder(tree: Tree, path: string, action: StoreAction): void {
  if (found(tree, path).content === undefined) return;
  throw notAFolder(path, action);
}

function missing(path: string, what: string): VmdkError {
  return new VmdkError('missing', 'file-missing', what, { path });
}

function namesIn(tree: Tree, folder: string): string[] {
  return [...(tree.names.get(folder) ?? [])];
}

function absolute(path: string): string {
  assertPath(path);
  return posix.resolve('/', path);
}
