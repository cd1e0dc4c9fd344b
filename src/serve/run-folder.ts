// A folder that only its owner may enter, for the socket and the throw-away overlays of one server. Its name says which
// process works in it, so that what a killed one left is removed by the next.
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { localRuns, type Runs } from '../operations/run-owner.ts';
import type { FileStore } from '../storage/file-store.ts';

const NAME = /^vmdkit-serve-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{8}$/;
const OWNER_ONLY = 0o700;

export interface RunFolder {
  readonly path: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** Makes it in the system's folder for temporary files unless told otherwise. */
export async function makeRunFolder(
  store: FileStore,
  parent: string = tmpdir(),
  runs: Runs = localRuns(),
): Promise<RunFolder> {
  await removeAbandoned(store, parent, runs);
  const { host, pid, started } = runs.self;
  const name = `vmdkit-serve-${host}-${pid}-${started}-${randomBytes(4).toString('hex')}`;
  const path = posix.join(parent, name);
  await store.makeFolder(path);
  await store.changeMode?.(path, () => OWNER_ONLY);
  return { path, remove: () => removeFolder(store, path) };
}

async function removeAbandoned(store: FileStore, parent: string, runs: Runs): Promise<void> {
  for (const name of await store.list(parent)) {
    const [, host, pid, started] = NAME.exec(name) ?? [];
    if (host === undefined || runs.stateOf({ host, pid: Number(pid), started: started! }) !== 'gone')
      continue;
    // Somebody else's, or removed by another run in this moment: not ours to worry about.
    await removeFolder(store, posix.join(parent, name)).catch(() => {});
  }
}

/** Files and sockets alone are ever in it. */
async function removeFolder(store: FileStore, path: string): Promise<void> {
  try {
    for (const name of await store.list(path)) await store.remove(posix.join(path, name));
    await store.removeFolder(path);
  } catch (error) {
    if (!isVmdkError(error, 'file-missing')) throw error;
  }
}
