// Before a file is replaced whole, by a copy of some disk: it may be part of a base. Rule: what other disks stand on is
// never overwritten, whatever was forced, since the file could as well have another name.
import { mergeNotOver } from '../chain/half-merged.ts';
import { VmdkError } from '../core/errors.ts';
import type { FileStore } from '../storage/file-store.ts';
import { dependantsOf } from './forest.ts';
import { nameFew } from './name-few.ts';
import { findSharers, type SharerOptions } from './sharers.ts';

/**
 * Nothing for a file that is not there.
 * @throws VmdkError `base-has-children` (refused), which names them; `half-merged` (refused) when the file is what is left of
 * the content of a disk that is half merged.
 */
export async function assertReplaceable(
  store: FileStore,
  path: string,
  options: SharerOptions = {},
): Promise<void> {
  if (!(await store.exists(path)) || (await store.resolve(path)).kind !== 'file') return;
  const { forest, path: real, unconfirmed } = await findSharers(store, path, options);
  const owners = forest.disks.filter((disk) => disk.path === real || disk.files.includes(real));
  const half = forest.disks.find(({ merging }) => owners.some((owner) => owner.path === merging));
  if (half !== undefined) throw mergeNotOver(half.merging!, half.path);
  const above = owners.flatMap((disk) => dependantsOf(forest, disk.path));
  const all = [...above, ...unconfirmed].map((disk) => disk.path);
  if (all.length === 0) return;
  throw new VmdkError(
    'refused',
    'base-has-children',
    'replacing this file would break the disks that stand on it',
    {
      path: real,
      found: `${all.length === 1 ? '1 disk' : `${all.length} disks`}: ${nameFew(all)}`,
      expected: 'a file that no disk stands on',
      hint: 'Choose another name for the copy.',
    },
  );
}
