// The permission bits of a guarded disk's files. Rule: what was taken away is remembered by the caller and given back;
// where a store has no permissions, nothing is done.
import { posix } from 'node:path';
import type { FileStore } from '../storage/file-store.ts';

const WRITING = 0o222;
const OWNER_WRITES = 0o200;

/** Takes the right to write away from all; gives the bits there were, by file name. `look` changes nothing. */
export async function makeReadOnly(
  store: FileStore,
  files: readonly string[],
  look: boolean,
): Promise<Record<string, number>> {
  const modes: Record<string, number> = {};
  for (const path of files) {
    const mode = await store.changeMode?.(path, (old) => (look ? old : old & ~WRITING));
    if (mode !== undefined) modes[posix.basename(path)] = mode;
  }
  return modes;
}

/** Gives back what was taken; the owner may write in any case. */
export async function makeWritable(
  store: FileStore,
  files: readonly string[],
  modes: Readonly<Record<string, number>>,
): Promise<void> {
  for (const path of files) {
    const given = (modes[posix.basename(path)] ?? 0) & WRITING;
    await store.changeMode?.(path, (old) => old | given | OWNER_WRITES);
  }
}

/** Whether nobody may write to any of the files. */
export async function areReadOnly(store: FileStore, files: readonly string[]): Promise<boolean> {
  if (store.changeMode === undefined) return false;
  for (const path of files) {
    const mode = await store.changeMode(path, (old) => old);
    if ((mode & WRITING) !== 0) return false;
  }
  return true;
}
