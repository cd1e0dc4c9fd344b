// Which files a search by CID looks into: the disks of a folder and, where the caller allowed a root, of the folders
// below it. Rule: it ends, whatever lies there, and says when it ended early.
import { isVmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { join } from '../storage/place-names.ts';

/** Disks that a search looks into, and names that it looks up to tell folders from files. */
const MOST_DISKS = 2000;
const MOST_LOOKED_UP = 10_000;

/** Files that a machine's folder is full of; no folder is called so. */
const FILE_NAME = /\.(vmdk|vmx|vmxf|vmsd|vmsn|vmss|vmem|vswp|nvram|log|lck|iso|raw|img)$/i;
const EXTENT_NAME = /-(flat|delta|sesparse|ctk|[sf]\d{3,})\.vmdk$/i;

export interface FolderDisks {
  readonly paths: readonly string[];
  /** False when there was more than is looked into. */
  readonly complete: boolean;
}

/** The disks in `folder` and, with `below`, in the folders in it, the nearest first; none where it cannot be read. Links are not followed. */
export async function disksIn(
  store: FileStore,
  folder: string,
  { below }: { below: boolean },
): Promise<FolderDisks> {
  const paths: string[] = [];
  const queue = [folder];
  let lookedUp = 0;
  for (let current = queue.shift(); current !== undefined; current = queue.shift()) {
    for (const name of await namesIn(store, current)) {
      const path = join(current, name);
      if (/\.vmdk$/i.test(name)) {
        if (EXTENT_NAME.test(name)) continue;
        if (paths.length === MOST_DISKS) return { paths, complete: false };
        paths.push(path);
      } else if (below && !name.startsWith('.') && !FILE_NAME.test(name)) {
        if (++lookedUp > MOST_LOOKED_UP) return { paths, complete: false };
        if (await isFolder(store, current, name)) queue.push(path);
      }
    }
  }
  return { paths, complete: true };
}

async function namesIn(store: FileStore, folder: string): Promise<string[]> {
  try {
    return (await store.list(folder)).sort();
  } catch (error) {
    if (isVmdkError(error)) return [];
    throw error;
  }
}

/** A link to a folder is none: it is met under its own name, or leads out. */
async function isFolder(store: FileStore, folder: string, name: string): Promise<boolean> {
  try {
    const { path: real } = await store.resolve(folder);
    const { kind, path } = await store.resolve(join(folder, name));
    return kind === 'folder' && path === join(real, name);
  } catch (error) {
    if (isVmdkError(error)) return false;
    throw error;
  }
}
