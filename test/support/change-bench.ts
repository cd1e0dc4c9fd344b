// What the tests of change sets look at: every file of a store with its text.
import type { FileStore } from '../../src/storage/file-store.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import { filesBelow } from './clone-bench.ts';

/** The text of every file below `folder`, hidden ones too, by path; empty folders are left out. */
export async function textsBelow(store: FileStore, folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of await filesBelow(store, folder)) {
    if (!path.endsWith('/')) found[path] = (await readWhole(store, path)).toString();
  }
  return found;
}
