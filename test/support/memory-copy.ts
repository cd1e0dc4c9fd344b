// Copies of a store, so that a machine that took a while to build is built once for many tests.
import { posix } from 'node:path';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

/** Every file below `folder`, whole: for small files. */
export async function filesBelow(store: FileStore, folder: string): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const name of await store.list(folder)) {
    const path = posix.join(folder, name);
    if ((await store.resolve(path)).kind === 'folder') {
      Object.assign(files, await filesBelow(store, path));
      continue;
    }
    const file = await store.open(path, 'read');
    const bytes = new Uint8Array(await file.size());
    await file.readExactly(bytes, 0);
    await file.close();
    files[path] = bytes;
  }
  return files;
}

/** A store in memory with all that `from` has. */
export async function memoryCopyOf(from: FileStore): Promise<FileStore> {
  return createMemoryFileStore(await filesBelow(from, '/'));
}
