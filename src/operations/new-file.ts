// A file that appears whole, under its own name, or not at all: made aside, as conversions are, then renamed. Rule: what
// it is made from is never replaced by it.
import { posix } from 'node:path';
import type { Chain } from '../chain/chain.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';
import { identitiesOf } from './convert-source.ts';
import { makeStaged } from './staged-files.ts';

/**
 * Makes the file `path` from what `fill` writes. `source` is what it is made from: its files are never replaced.
 * @throws VmdkError `target-exists`, `target-is-source`, `target-is-no-file` (refused); nothing is left of an attempt that
 * failed or was stopped, and what a killed one left is cleared by the next in that folder.
 */
export async function writeNewFile<T>(
  store: FileStore,
  path: string,
  source: Chain,
  overwrite: boolean,
  fill: (file: WritableFile) => Promise<T>,
): Promise<T> {
  const name = posix.basename(path);
  const make = async (stage: string): Promise<T> => {
    const file = await store.create(posix.join(stage, name));
    try {
      return await fill(file);
    } finally {
      await file.close();
    }
  };
  const sources = await identitiesOf(store, [source]);
  return makeStaged(store, posix.dirname(path), [name], make, { overwrite, sources });
}
