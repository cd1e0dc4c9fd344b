// The node:fs calls as promises over raw descriptors: no FileHandle, whose reads cost two to three times as much.
// Each call translates its errno, so that no raw Node error leaves this folder.
import * as fs from 'node:fs';
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

export function openFd(action: StoreAction, path: string, flags: number): Promise<number> {
  return nodeCall(action, path, (done) => fs.open(path, flags, 0o666, done));
}

export function closeFd(path: string, fd: number): Promise<void> {
  return nodeCall('close', path, (done) => fs.close(fd, done));
}

export function syncFd(path: string, fd: number): Promise<void> {
  return nodeCall('sync', path, (done) => fs.fsync(fd, done));
}

/** Follows symbolic links. */
export function statPath(action: StoreAction, path: string): Promise<fs.BigIntStats> {
  return nodeCall(action, path, (done) => fs.stat(path, { bigint: true }, done));
}

export function statFd(path: string, fd: number): Promise<fs.BigIntStats> {
  return nodeCall('open', path, (done) => fs.fstat(fd, { bigint: true }, done));
}

export function kindOf(stats: fs.BigIntStats): StoredKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return 'device';
  if (stats.isFIFO()) return 'fifo';
  return stats.isSocket() ? 'socket' : 'other';
}
