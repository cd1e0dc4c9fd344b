// A disk as a raw file: the bytes the guest sees, zeros as holes.
import { copySectors } from '../block/copy-sectors.ts';
import type { Chain } from '../chain/chain.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor, type PromisesFs } from '../storage/promises-file-store.ts';
import { writeNewFile } from './new-file.ts';

export interface ConvertRawOptions extends TaskOptions {
  /** A FileStore, or anything shaped like node:fs/promises. Default: the real file system. */
  fs?: FileStore | PromisesFs | undefined;
  /** Replace a file that is there. Default false: refused. */
  overwrite?: boolean | undefined;
}

export interface ConvertedRaw {
  /** Length of the file in bytes. */
  readonly size: number;
  /** Bytes that were written; the rest are holes. */
  readonly written: number;
}

/**
 * Writes all of `source` to the file `path`.
 * @throws VmdkError `target-exists`, `target-is-source` (refused); nothing is left of an attempt that failed or was
 * stopped.
 */
export function convertRaw(
  source: Chain,
  path: string,
  options: ConvertRawOptions = {},
): Promise<ConvertedRaw> {
  const size = source.capacity * SECTOR_BYTES;
  return writeNewFile(storeFor(options.fs), path, source, options.overwrite === true, async (file) => {
    await file.resize(size);
    const written = await copySectors(source, (data, at) => file.write(data, at), options);
    // Stopped at the very end is stopped too.
    throwIfAborted(options);
    return { size, written };
  });
}
