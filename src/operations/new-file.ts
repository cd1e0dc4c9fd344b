// A file that appears whole, under its own name, or not at all: written beside its place, then renamed.
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { Chain } from '../chain/chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';

/**
 * Makes the file `path` from what `fill` writes. `source` is what it is made from: its files are never replaced.
 * @throws VmdkError `target-exists`, `target-is-source` (refused); nothing is left of an attempt that failed or was
 * stopped.
 */
export async function writeNewFile<T>(
  store: FileStore,
  path: string,
  source: Chain,
  overwrite: boolean,
  fill: (file: WritableFile) => Promise<T>,
): Promise<T> {
  await assertFree(store, path, source, overwrite);
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const file = await store.create(temporary);
  try {
    let result: T;
    try {
      result = await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
    // Somebody else may have been faster.
    await assertFree(store, path, source, overwrite);
    await store.rename(temporary, path);
    await store.syncFolder(folder);
    return result;
  } catch (error) {
    await removeIfThere(store, temporary);
    throw error;
  }
}

async function assertFree(store: FileStore, path: string, source: Chain, overwrite: boolean): Promise<void> {
  if (!(await store.exists(path))) return;
  const { identity, kind } = await store.resolve(path);
  if (kind !== 'file') {
    throw new VmdkError('refused', 'target-is-no-file', 'the target is there and is no file', { path });
  }
  if (!overwrite) {
    throw new VmdkError('refused', 'target-exists', 'the target exists already', {
      path,
      hint: 'Pass --force to replace it.',
    });
  }
  // Replacing a file of the very chain that is read would destroy it.
  const files = source.links.flatMap((link) => [link.path, ...link.extents.map(({ extent }) => extent.path)]);
  for (const file of files) {
    if (file === undefined || (await store.resolve(file)).identity !== identity) continue;
    throw new VmdkError('refused', 'target-is-source', 'the target is a file of the disk that is read', {
      path,
    });
  }
}

async function removeIfThere(store: FileStore, path: string): Promise<void> {
  try {
    await store.remove(path);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
  }
}
