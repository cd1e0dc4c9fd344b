// Files take their places by renames, which end where a file system does. Rule: a place that no rename reaches is
// refused while nothing has changed yet; found out later, the work could be neither finished nor undone.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { emptiedBy, filledBy, type PlannedChange } from './plan-changes.ts';

/** @throws VmdkError `other-file-system` (refused) when files of `from` cannot be renamed into `to`, both folders. */
export async function assertOneFileSystem(store: FileStore, from: string, to: string): Promise<void> {
  const devices = await Promise.all([deviceOf(store, from), deviceOf(store, to)]);
  if (devices.includes(undefined) || devices[0] === devices[1]) return;
  throw new VmdkError('refused', 'other-file-system', 'this folder is on another file system', {
    path: to,
    found: `file system ${devices[1]}`,
    expected: `file system ${devices[0]}, as ${from}`,
    hint: 'Files are only renamed. Copy them there, then vmdkit relink what stands on them.',
  });
}

/** Every place of every change is reached from the root that it is made in, or moved out to. */
export async function assertReached(
  store: FileStore,
  roots: readonly string[],
  planned: readonly PlannedChange[],
): Promise<void> {
  const reached = new Set(
    planned.flatMap(({ record }) => {
      const from = emptiedBy(roots, record);
      const places = from === undefined ? filledBy(roots, record) : [from, ...filledBy(roots, record)];
      return places.map((place) => `${roots[record.root]!}\0${posix.dirname(place)}`);
    }),
  );
  for (const pair of reached) {
    const [root, folder] = pair.split('\0') as [string, string];
    if (root !== folder) await assertOneFileSystem(store, root, folder);
  }
}

async function deviceOf(store: FileStore, folder: string): Promise<string | undefined> {
  return (await store.exists(folder)) ? (await store.resolve(folder)).device : undefined;
}
