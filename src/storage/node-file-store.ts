// The real file system. Opens regular files only, never waits on a FIFO, never touches the access time of what
// it may read without, and replaces a file whole: temp file, sync, rename, sync of the folder.
import type { BigIntStats, StatsFs } from 'node:fs';
import { fs } from './node-fs.ts';
import { basename, dirname, join } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import type { FileStore, FileTimes, RandomAccessFile, ResolvedPath, WritableFile } from './file-store.ts';
import { loadNatives, type Natives } from './natives.ts';
import { callbackLookUps, kindOf, nodeCall, syncFd, syncLookUps, type LookUps } from './node-calls.ts';
import { nodeReadFile, nodeWritableFile, type NodeFileOptions } from './node-file.ts';
import { errnoOf, notAFile, temporaryName } from './store-errors.ts';

export interface NodeFileStoreOptions {
  /**
   * How files are read; `adaptive` unless given. `adaptive` blocks for up to 1 MiB while reads are as fast as the page
   * cache gives them, and hands all else to threads; signals and timers wait 4 ms, or for the one read that showed the
   * file to be slow. `callback` never blocks. `sync` always does: for long sequential work in a process of its own.
   */
  reads?: 'adaptive' | 'callback' | 'sync' | undefined;
  /**
   * How files are looked up, opened and closed: `sync` where files are read so, else `callback` unless given. `sync`
   * spares a command dozens of waits for a thread, and blocks while a remote file system does not answer.
   */
  lookUps?: 'callback' | 'sync' | undefined;
  /** False never loads the optional native package; holes are then not seen. */
  native?: boolean | undefined;
}

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
// A FIFO must not make us wait, nor a terminal become ours; absent outside Linux and macOS.
const CAREFULLY = (fs.constants.O_NONBLOCK ?? 0) | (fs.constants.O_NOCTTY ?? 0);
const NO_ACCESS_TIME = fs.constants.O_NOATIME ?? 0;
/** `st_blocks` counts these, whatever the file system's own block is. */
const STAT_BLOCK_BYTES = 512n;

/** A store over node:fs. Paths are relative to the current folder of the process. */
export function createNodeFileStore(options: NodeFileStoreOptions = {}): FileStore {
  let natives: Promise<Natives | undefined> | undefined;
  const reads = options.reads ?? 'adaptive';
  const lookUps = (options.lookUps ?? reads) === 'sync' ? syncLookUps : callbackLookUps;
  const fileOptions: NodeFileOptions = {
    reads,
    lookUps,
    natives: () => (natives ??= options.native === false ? Promise.resolve(undefined) : loadNatives()),
  };
  function open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  function open(path: string, mode: 'update'): Promise<WritableFile>;
  async function open(path: string, mode: 'read' | 'update'): Promise<RandomAccessFile> {
    if (mode === 'read') return nodeReadFile(await openToRead(lookUps, path), path, fileOptions);
    return nodeWritableFile(await openRegular(lookUps, 'update', path, O_RDWR), path, fileOptions);
  }
  return {
    open,
    create: async (path) => {
      const fd = await lookUps.open('create', path, O_RDWR | O_CREAT | O_EXCL);
      return nodeWritableFile(fd, path, fileOptions);
    },
    replace: (path, data) => replace(path, data, fileOptions),
    rename: (from, to) => nodeCall('rename', from, (done) => fs.rename(from, to, done)),
    remove: (path) => nodeCall('remove', path, (done) => fs.unlink(path, done)),
    exists: async (path) => (await statIfThere(lookUps, path)) !== undefined,
    list: (folder) => nodeCall('list', folder, (done) => fs.readdir(folder, done)),
    makeFolder: (path) => nodeCall('make folder', path, (done) => fs.mkdir(path, done)),
    removeFolder: (path) => nodeCall('remove folder', path, (done) => fs.rmdir(path, done)),
    syncFolder: (folder) => syncFolder(lookUps, folder),
    resolve: (path) => resolve(lookUps, path),
    times: (path) => timesOf(lookUps, path),
    changeMode: (path, change) => changeMode(lookUps, path, change),
    freeBytes,
  };
}

async function openToRead(lookUps: LookUps, path: string): Promise<number> {
  if (NO_ACCESS_TIME !== 0) {
    try {
      return await openRegular(lookUps, 'open', path, O_RDONLY | NO_ACCESS_TIME);
    } catch (error) {
      // Only the owner of a file may leave its access time alone.
      if (!isVmdkError(error, 'file-not-readable') || errnoOf(error.cause) !== 'EPERM') throw error;
    }
  }
  return openRegular(lookUps, 'open', path, O_RDONLY);
}

/** Looks before it opens, since opening alone makes some devices act, and again after, since names can change. */
async function openRegular(
  lookUps: LookUps,
  action: 'open' | 'update',
  path: string,
  flags: number,
): Promise<number> {
  const before = kindOf(await lookUps.stat(action, path));
  if (before !== 'file') throw notAFile(path, before);
  const fd = await lookUps.open(action, path, flags | CAREFULLY);
  try {
    const kind = kindOf(await lookUps.statOpen('open', path, fd));
    if (kind !== 'file') throw notAFile(path, kind);
    return fd;
  } catch (error) {
    await lookUps.close(path, fd);
    throw error;
  }
}

/** Through a symbolic link, the file it leads to is replaced. Other hard links keep the old content. */
async function replace(path: string, data: Uint8Array, options: NodeFileOptions): Promise<void> {
  const { lookUps } = options;
  const old = await statIfThere(lookUps, path);
  if (old !== undefined && !old.isFile()) throw notAFile(path, kindOf(old));
  const target = old === undefined ? path : await lookUps.realPath(path);
  const temp = join(dirname(target), temporaryName(basename(target)));
  // Errors name the file that was to be replaced: of the other nobody has heard.
  const fd = await nodeCall<number>('replace', target, (done) =>
    fs.open(temp, O_RDWR | O_CREAT | O_EXCL, done),
  );
  const file = nodeWritableFile(fd, target, options);
  try {
    try {
      if (old !== undefined) await keepOwnerAndMode(fd, target, old);
      await file.write(data, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await nodeCall('replace', target, (done) => fs.rename(temp, target, done));
  } catch (error) {
    // The first failure is what the caller must hear of.
    await new Promise<void>((resolve) => fs.unlink(temp, () => resolve()));
    throw error;
  }
  await syncFolder(lookUps, dirname(target));
}

async function keepOwnerAndMode(fd: number, path: string, old: BigIntStats): Promise<void> {
  // Only root may give files away; for others the new file is theirs, as with any editor.
  await new Promise<void>((resolve) => fs.fchown(fd, Number(old.uid), Number(old.gid), () => resolve()));
  await nodeCall('replace', path, (done) => fs.fchmod(fd, Number(old.mode) & 0o7777, done));
}

async function statIfThere(lookUps: LookUps, path: string): Promise<BigIntStats | undefined> {
  try {
    return await lookUps.stat('look up', path);
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    throw error;
  }
}

async function syncFolder(lookUps: LookUps, folder: string): Promise<void> {
  // Windows opens no folders and keeps its own journal of names.
  if (process.platform === 'win32') return;
  const fd = await lookUps.open('sync', folder, O_RDONLY | (fs.constants.O_DIRECTORY ?? 0));
  try {
    await syncFd(folder, fd);
  } finally {
    await lookUps.close(folder, fd);
  }
}

async function resolve(lookUps: LookUps, path: string): Promise<ResolvedPath> {
  const real = await lookUps.realPath(path);
  const stats = await lookUps.stat('look up', real);
  return {
    path: real,
    kind: kindOf(stats),
    identity: `${stats.dev}:${stats.ino}`,
    device: String(stats.dev),
    size: Number(stats.size),
    allocated: Number(stats.blocks * STAT_BLOCK_BYTES),
    modified: Number(stats.mtimeMs),
  };
}

async function timesOf(lookUps: LookUps, path: string): Promise<FileTimes> {
  const { mtimeNs, ctimeNs, atimeNs, birthtimeNs } = await lookUps.stat('look up', path);
  const times = { modified: mtimeNs, changed: ctimeNs, accessed: atimeNs };
  return birthtimeNs > 0n ? { ...times, created: birthtimeNs } : times;
}

async function changeMode(lookUps: LookUps, path: string, change: (mode: number) => number): Promise<number> {
  const old = Number((await lookUps.stat('change the mode', path)).mode) & 0o7777;
  const wanted = change(old);
  if (wanted !== old) await nodeCall('change the mode', path, (done) => fs.chmod(path, wanted, done));
  return old;
}

/** What is kept for root does not count. */
async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await nodeCall<StatsFs>('look up', folder, (done) => fs.statfs(folder, done));
  return bavail * bsize;
}
