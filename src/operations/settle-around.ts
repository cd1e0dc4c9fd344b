// Before a disk is rewritten: what a run left that was killed is settled first. Rule: the disk itself may be away just
// then, so its folder is found by name; and by the disk when that is a link to elsewhere.
import { posix } from 'node:path';
import type { FileStore } from '../storage/file-store.ts';
import { assertHere } from '../storage/remote-address.ts';
import { settleChangeSets, type SettledChanges, type SettleOptions } from './settle-changes.ts';

/** Settles the folder of the disk called `path`, and the one that it really is in; what there was to settle. */
export async function settleAround(
  store: FileStore,
  path: string,
  options: SettleOptions = {},
): Promise<readonly SettledChanges[]> {
  assertHere(path);
  const { path: folder } = await store.resolve(posix.dirname(path));
  const settled = await settleChangeSets(store, folder, options);
  if (!(await store.exists(path))) return settled;
  const real = posix.dirname((await store.resolve(path)).path);
  return real === folder ? settled : [...settled, ...(await settleChangeSets(store, real, options))];
}
