// Files take their places by renames, which end where a file system does. Rule: a place that no rename reaches is
// refused while nothing has changed yet; found out later, the work could be neither finished nor undone.
import { posix } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { emptiedBy, filledBy, type PlannedChange } from './plan-changes.ts';

/** @throws VmdkError `other-file-system` (refused) when files of `from` cannot be renamed into `to`, both folders. */
export async function assertOneFileSystem(store: FileStore, from: string, to: string): Promise<void> {
  assertSameDevice([from, await deviceOf(store, from)], [to, await deviceOf(store, to)]);
}

type OnDevice = readonly [folder: string, device: string | undefined];

function assertSameDevice([from, wanted]: OnDevice, [to, found]: OnDevice): void {
  if (wanted === undefined || found === undefined || wanted === found) return;
  throw new VmdkError('refused', 'other-file-system', 'this folder is on another file system', {
    path: to,
    found: `file system ${found}`,
    expected: `file system ${wanted}, as ${from}`,
    hint: 'Files are only renamed. Copy them there, then vmdkit relink what stands on them.',
  });
}

/** Every place of every change is reached from the root that it is made in, or moved out to. */
export async function assertReached(
  store: FileStore,
  roots: readonly string[],
  planned: readonly PlannedChange[],
): Promise<void> {
  const reached = new Map(roots.map((root) => [root, new Set<string>()]));
  for (const { record } of planned) {
    const root = roots[record.root]!;
    const from = emptiedBy(roots, record);
    const places = from === undefined ? filledBy(roots, record) : [from, ...filledBy(roots, record)];
    for (const place of places) reached.get(root)!.add(posix.dirname(place));
  }
  for (const [root, folders] of reached) {
    const device = await deviceOf(store, root);
    for (const folder of folders) assertSameDevice([root, device], [folder, await deviceOf(store, folder)]);
  }
}

export async function deviceOf(store: FileStore, folder: string): Promise<string | undefined> {
  return (await store.exists(folder)) ? (await store.resolve(folder)).device : undefined;
}
