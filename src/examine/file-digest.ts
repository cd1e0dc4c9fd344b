// One digest of a file, for the record: SHA-256 of all its bytes, or, where nearly all of them are holes, of its blocks that
// are not zeros. Rule: which of the two it is stands in the name of the value, never in the reader's memory.
import type { TaskOptions } from '../core/task.ts';
import { hashSparse } from '../operations/content-hash.ts';
import type { FileStore } from '../storage/file-store.ts';
import { hashBytes, wholeFile } from './hash-bytes.ts';

/**
 * `whole` is what sha256sum says; `sparse` is as `hashSparse`, and costs data alone; `auto` is whole but for files of more
 * than 16 GiB of holes, whose zeros take longer to hash than anything else here: 62 TiB of them half a day.
 */
export type FileHashing = 'whole' | 'sparse' | 'auto';

/** Hexadecimal; one of them. */
export interface FileDigest {
  readonly sha256?: string;
  readonly sparseSha256?: string;
}

/** Bytes of zeros beyond which `auto` leaves them out: ten seconds of hashing. */
export const MOST_ZEROS = 16 * 2 ** 30;

export async function digestFile(
  store: FileStore,
  path: string,
  how: FileHashing,
  task: TaskOptions = {},
): Promise<FileDigest> {
  const { size, allocated } = await store.resolve(path);
  const whole = how === 'whole' || (how === 'auto' && size - allocated <= MOST_ZEROS);
  const file = await store.open(path, 'read');
  try {
    const source = await wholeFile(file);
    if (whole) return { sha256: (await hashBytes(source, ['sha256'], task)).digests.sha256! };
    const digest = await hashSparse(
      {
        bytes: source.bytes,
        async *data() {
          for await (const stretch of source.stretches()) if (!stretch.zero) yield stretch;
        },
        read: (into, start) => source.read(into, start),
      },
      task,
    );
    return { sparseSha256: digest.toString('hex') };
  } finally {
    await file.close();
  }
}
