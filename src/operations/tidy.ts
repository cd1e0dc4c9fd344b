// Small steps that journals share: removing what may be gone already, taking a name with an empty file, and telling
// what was made here from what a link leads to. Rule: a claim is only ever an empty file, and nothing else is removed
// as one.
import { isVmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';

export async function removeIfThere(store: FileStore, path: string): Promise<void> {
  await ifThere(() => store.remove(path));
}

export async function removeFolderIfThere(store: FileStore, path: string): Promise<void> {
  await ifThere(() => store.removeFolder(path));
}

async function ifThere(removal: () => Promise<void>): Promise<void> {
  try {
    await removal();
  } catch (error) {
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
}

/** Makes a folder. False when it is there by now: another run needed it as well. */
export async function makeFolderIfMissing(store: FileStore, path: string): Promise<boolean> {
  try {
    await store.makeFolder(path);
    return true;
  } catch (error) {
    if (!isVmdkError(error, 'file-exists') || (await store.resolve(path)).kind !== 'folder') throw error;
    return false;
  }
}

/** A file of our making that has no content yet; what a link leads to is none. */
export async function isEmptyFile(store: FileStore, path: string): Promise<boolean> {
  try {
    const found = await store.resolve(path);
    return found.kind === 'file' && found.size === 0 && found.path === path;
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}

/** Takes a name. False when anything has it, be it a link that leads nowhere. */
export async function claimName(store: FileStore, path: string): Promise<boolean> {
  try {
    await (await store.create(path)).close();
    return true;
  } catch (error) {
    if (isVmdkError(error, 'file-exists')) return false;
    throw error;
  }
}

/** The whole of a small file. */
export async function readWhole(store: FileStore, path: string): Promise<Buffer> {
  const file = await store.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.size());
    await file.readExactly(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}

/** A new file with this content; `durable`: it survives a loss of power, its name apart. */
export async function writeWhole(
  store: FileStore,
  path: string,
  data: Uint8Array,
  durable: boolean,
): Promise<void> {
  const file = await store.create(path);
  try {
    await file.write(data, 0);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}
