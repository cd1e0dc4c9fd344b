// Whether there is room for what is about to be made. Asked before anything is, since a full disk in the middle helps
// nobody; where the store cannot tell, the writing itself must.
import { posix } from 'node:path';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';

/** @throws VmdkError `no-space` (refused) when `folder`, or what there is of it, has less than `needed` bytes free. */
export async function assertFreeSpace(store: FileStore, folder: string, needed: number): Promise<void> {
  const free = await freeBytesAt(store, folder);
  if (free === undefined || free >= needed) return;
  throw new VmdkError('refused', 'no-space', 'there is not enough free space', {
    path: folder,
    found: `${free} bytes free`,
    expected: `at least ${needed} bytes`,
    hint: 'Free some space or choose another folder. Nothing was changed.',
  });
}

/** Bytes free in `folder`, or in the nearest folder above it that exists; undefined where nobody can tell. */
async function freeBytesAt(store: FileStore, folder: string): Promise<number | undefined> {
  if (store.freeBytes === undefined) return undefined;
  for (let at = folder; ; at = posix.dirname(at)) {
    try {
      return await store.freeBytes(at);
    } catch (error) {
      if (!isVmdkError(error)) throw error;
      if (!isVmdkError(error, 'file-missing') || posix.dirname(at) === at) return undefined;
    }
  }
}
