// The node:fs calls as promises over raw descriptors: no FileHandle, whose reads cost two to three times as much.
// Each call translates its errno, so that no raw Node error leaves this folder.
import type { BigIntStats } from 'node:fs';
import { fs } from './node-fs.ts';
import type { StoredKind } from './file-store.ts';
import { assertPath, storeError, type StoreAction } from './store-errors.ts';

/** The last argument of a node:fs call. */
type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void;

/** Runs one callback-style call on `path` and translates what it throws or reports. */
export function nodeCall<T = void>(
  action: StoreAction,
  path: string,
  call: (done: Done<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    assertPath(path);
    call((error, value) => {
      if (error) reject(storeError(error, action, path));
      else resolve(value as T);
    });
  });
}

export function syncFd(path: string, fd: number): Promise<void> {
  return nodeCall('sync', path, (done) => fs.fsync(fd, done));
}

/** The short calls around reading and writing: each takes microseconds, and a thread to wait for it takes longer. */
export interface LookUps {
  open(action: StoreAction, path: string, flags: number): Promise<number>;
  close(path: string, fd: number): Promise<void>;
  /** Follows symbolic links. */
  stat(action: StoreAction, path: string): Promise<BigIntStats>;
  statOpen(action: StoreAction, path: string, fd: number): Promise<BigIntStats>;
  realPath(path: string): Promise<string>;
}

/** Never blocks: for a process that serves others meanwhile. */
export const callbackLookUps: LookUps = {
  open: (action, path, flags) => nodeCall(action, path, (done) => fs.open(path, flags, 0o666, done)),
  close: (path, fd) => nodeCall('close', path, (done) => fs.close(fd, done)),
  stat: (action, path) => nodeCall(action, path, (done) => fs.stat(path, { bigint: true }, done)),
  statOpen: (action, path, fd) => nodeCall(action, path, (done) => fs.fstat(fd, { bigint: true }, done)),
  realPath: (path) => nodeCall('look up', path, (done) => fs.realpath.native(path, done)),
};

/** Blocks for as long as the system takes. */
export const syncLookUps: LookUps = {
  open: (action, path, flags) => syncCall(action, path, () => fs.openSync(path, flags, 0o666)),
  close: (path, fd) => syncCall('close', path, () => fs.closeSync(fd)),
  stat: (action, path) => syncCall(action, path, () => fs.statSync(path, { bigint: true })),
  statOpen: (action, path, fd) => syncCall(action, path, () => fs.fstatSync(fd, { bigint: true })),
  realPath: (path) => syncCall('look up', path, () => fs.realpathSync.native(path)),
};

async function syncCall<T>(action: StoreAction, path: string, call: () => T): Promise<T> {
  assertPath(path);
  try {
    return call();
  } catch (error) {
    throw storeError(error, action, path);
  }
}

export function kindOf(stats: BigIntStats): StoredKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return 'device';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'other';
}
