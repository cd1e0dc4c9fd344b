// A store over anything shaped like node:fs/promises: memfs, or a file system of the caller's own. Only the
// methods listed here are called. memfs lets a file opened for reading be written, so our read file has no write.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore, RandomAccessFile, StoredKind, WritableFile } from './file-store.ts';
import { createNodeFileStore } from './node-file-store.ts';
import * as failure from './store-errors.ts';

export interface PromisesStats {
  readonly dev: number | bigint;
  readonly ino: number | bigint;
  readonly size: number | bigint;
  readonly mtimeMs: number | bigint;
  readonly mode: number | bigint;
  /** Of 512 bytes each. */
  readonly blocks?: number | bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
}

export interface PromisesFileHandle {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(
    data: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  truncate(size: number): Promise<void>;
  /** Preferred to `datasync`, which says less about folders; the types of memfs lack it. */
  sync?(): Promise<void>;
  datasync(): Promise<void>;
  stat(): Promise<{ readonly size: number | bigint; isFile(): boolean }>;
  chmod?(mode: number): Promise<void>;
  close(): Promise<void>;
}

/** The part of node:fs/promises that is used. */
export interface PromisesFs {
  open(path: string, flags: string): Promise<PromisesFileHandle>;
  stat(path: string, options: { bigint: true }): Promise<PromisesStats>;
  /** A string; memfs declares a Buffer as well. */
  realpath(path: string): Promise<unknown>;
  readdir(path: string): Promise<unknown[]>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string): Promise<unknown>;
  rmdir(path: string): Promise<void>;
  chmod?(path: string, mode: number): Promise<void>;
}

const STAT_BLOCK_BYTES = 512;

/** What every `fs` option takes: a store, node:fs/promises or the like of it, or what has that as its `promises`. */
export type AnyFs = FileStore | PromisesFs | { readonly promises: PromisesFs };

/** The store for an `fs` argument: a store as it is, a promises-shaped object wrapped, nothing the real files. */
export function storeFor(fs: AnyFs | undefined): FileStore {
  if (fs === undefined) return createNodeFileStore();
  if ('syncFolder' in fs) return fs;
  return createFileStore('promises' in fs ? fs.promises : fs);
}

/** A store over a promises-shaped file system. Paths are its own, with forward slashes. */
export function createFileStore(fs: PromisesFs): FileStore {
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    const action = mode === 'read' ? 'open' : 'update';
    // Looks first: opening a FIFO would wait for ever.
    const kind = kindOf(await call(action, path, () => fs.stat(path, { bigint: true })));
    if (kind !== 'file') throw failure.notAFile(path, kind);
    const handle = await call(action, path, () => fs.open(path, mode === 'read' ? 'r' : 'r+'));
    return mode === 'read' ? readingHalf(whileOpen(handle, path)) : writableFile(whileOpen(handle, path));
  }
  return {
    open,
    create: async (path) => {
      const handle = await call('create', path, () => fs.open(path, 'wx+'));
      return writableFile(whileOpen(handle, path));
    },
    replace: (path, data) => replace(fs, path, data),
    rename: (from, to) => call('rename', from, () => fs.rename(from, to)),
    remove: (path) => call('remove', path, () => fs.unlink(path)),
    exists: async (path) => (await statIfThere(fs, path)) !== undefined,
    list: async (folder) => (await call('list', folder, () => fs.readdir(folder))).map(String),
    makeFolder: async (path) => void (await call('make folder', path, () => fs.mkdir(path))),
    removeFolder: (path) => call('remove folder', path, () => fs.rmdir(path)),
    syncFolder: (folder) => syncFolder(fs, folder),
    ...(fs.chmod === undefined ? {} : { changeMode: (path, change) => changeMode(fs, path, change) }),
    resolve: async (path) => {
      const real = String(await call('look up', path, () => fs.realpath(path)));
      const stats = await call('look up', real, () => fs.stat(real, { bigint: true }));
      const size = Number(stats.size);
      return {
        path: real,
        kind: kindOf(stats),
        identity: `${stats.dev}:${stats.ino}`,
        device: String(stats.dev),
        size,
        allocated: stats.blocks === undefined ? size : Number(stats.blocks) * STAT_BLOCK_BYTES,
        modified: Number(stats.mtimeMs),
      };
    },
  };
}

/** A handle that is refused once closed; in-flight calls are the handle's own affair. */
interface Use {
  readonly path: string;
  handle(): PromisesFileHandle;
  close(): Promise<void>;
}

function whileOpen(handle: PromisesFileHandle, path: string): Use {
  let closing: Promise<void> | undefined;
  let underWay = 0;
  let whenIdle: (() => void) | undefined;
  const counted = <T>(work: () => Promise<T>): Promise<T> => {
    underWay++;
    return work().finally(() => {
      underWay--;
      if (underWay === 0) whenIdle?.();
    });
  };
  const closeWhenIdle = async (): Promise<void> => {
    if (underWay > 0) await new Promise<void>((resolve) => (whenIdle = resolve));
    await call('close', path, () => handle.close());
  };
  const guarded: PromisesFileHandle = {
    read: (...args) => counted(() => handle.read(...args)),
    write: (...args) => counted(() => handle.write(...args)),
    truncate: (size) => counted(() => handle.truncate(size)),
    datasync: () => counted(() => syncHandle(handle)),
    stat: () => counted(() => handle.stat()),
    close: () => handle.close(),
  };
  return {
    path,
    handle: () => {
      if (closing !== undefined) throw failure.fileClosed(path);
      return guarded;
    },
    close: () => (closing ??= closeWhenIdle()),
  };
}

function readingHalf(use: Use): RandomAccessFile {
  const { path } = use;
  return {
    path,
    size: async () => {
      const handle = use.handle();
      return Number((await call('look up', path, () => handle.stat())).size);
    },
    readExactly: async (into, at) => {
      failure.assertPosition(at, into.length);
      const handle = use.handle();
      for (let filled = 0; filled < into.length;) {
        const from = filled;
        const { bytesRead } = await call('read', path, () =>
          handle.read(into, from, into.length - from, at + from),
        );
        if (bytesRead === 0) throw failure.fileTooShort(path, at, filled, into.length);
        filled += bytesRead;
      }
    },
    close: () => use.close(),
  };
}

function writableFile(use: Use): WritableFile {
  const { path } = use;
  return {
    ...readingHalf(use),
    write: async (data, at) => {
      failure.assertPosition(at, data.length);
      const handle = use.handle();
      for (let written = 0; written < data.length;) {
        const from = written;
        const { bytesWritten } = await call('write', path, () =>
          handle.write(data, from, data.length - from, at + from),
        );
        written += bytesWritten;
      }
    },
    resize: async (size) => {
      failure.assertPosition(size, 0);
      const handle = use.handle();
      await call('resize', path, () => handle.truncate(size));
    },
    sync: async () => {
      const handle = use.handle();
      await call('sync', path, () => handle.datasync());
    },
  };
}

/** Same steps as on the real file system: temp file beside, sync, rename, sync of the folder. */
async function replace(fs: PromisesFs, path: string, data: Uint8Array): Promise<void> {
  const old = await statIfThere(fs, path);
  if (old !== undefined && !old.isFile()) throw failure.notAFile(path, kindOf(old));
  const target = old === undefined ? path : String(await call('replace', path, () => fs.realpath(path)));
  const folder = posix.dirname(target);
  const temp = posix.join(folder, failure.temporaryName(posix.basename(target)));
  // Errors name the file that was to be replaced: of the other nobody has heard.
  const handle = await call('replace', target, () => fs.open(temp, 'wx+'));
  const file = writableFile(whileOpen(handle, target));
  try {
    try {
      if (old !== undefined) await handle.chmod?.(Number(old.mode) & 0o7777);
      await file.write(data, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await call('replace', target, () => fs.rename(temp, target));
  } catch (error) {
    // The first failure is what the caller must hear of.
    await fs.unlink(temp).catch(() => undefined);
    throw error;
  }
  await syncFolder(fs, folder);
}

/** Many file systems in memory cannot open a folder: they have nothing to sync. */
async function syncFolder(fs: PromisesFs, folder: string): Promise<void> {
  const stats = await call('sync', folder, () => fs.stat(folder, { bigint: true }));
  if (!stats.isDirectory()) throw failure.notAFolder(folder, 'sync');
  try {
    const handle = await fs.open(folder, 'r');
    try {
      await syncHandle(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const errno = failure.errnoOf(error);
    if (errno !== 'EISDIR' && errno !== 'EINVAL' && errno !== 'ENOTSUP') {
      throw failure.storeError(error, 'sync', folder);
    }
  }
}

async function changeMode(fs: PromisesFs, path: string, change: (mode: number) => number): Promise<number> {
  const stats = await call('change the mode', path, () => fs.stat(path, { bigint: true }));
  const old = Number(stats.mode) & 0o7777;
  const wanted = change(old);
  if (wanted !== old) await call('change the mode', path, () => fs.chmod!(path, wanted));
  return old;
}

function syncHandle(handle: PromisesFileHandle): Promise<void> {
  return handle.sync === undefined ? handle.datasync() : handle.sync();
}

async function statIfThere(fs: PromisesFs, path: string): Promise<PromisesStats | undefined> {
  try {
    return await call('look up', path, () => fs.stat(path, { bigint: true }));
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}

function kindOf(stats: PromisesStats): StoredKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return 'device';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'other';
}

async function call<T>(action: failure.StoreAction, path: string, work: () => Promise<T>): Promise<T> {
  failure.assertPath(path);
  try {
    return await work();
  } catch (error) {
    throw failure.storeError(error, action, path);
  }
}
