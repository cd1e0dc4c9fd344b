// A stream that is kept in a file, since whoever reads it needs its length or reads it twice. Rule: it lies in a hidden
// folder beside what it is for, which is removed however the work ends, and by the next run when this one is killed.
import { posix } from 'node:path';
import { nonZeroStretches } from '../block/zero-scan.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileStore } from '../storage/file-store.ts';
import { clearStages, openStage, removeStage } from './staged-files.ts';

/** Bytes as they come, of a pipe for one; they are read once. */
export type ByteStream = AsyncIterable<Uint8Array>;

/** Where a stream is kept: a folder for the hidden one. */
export interface SpoolPlace extends TaskOptions {
  readonly folder: string;
}

/** Reads the stream to its end into a file called `name`; `remove` takes it away again. */
export async function spoolInput(
  store: FileStore,
  from: ByteStream,
  name: string,
  place: SpoolPlace,
): Promise<{ path: string; remove: () => Promise<void> }> {
  await clearStages(store, place.folder);
  const { stage } = await openStage(store, place.folder);
  const path = posix.join(stage, name);
  const remove = (): Promise<void> => removeStage(store, stage);
  try {
    await spoolInto(store, path, from, place);
    return { path, remove };
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

/** Zeros become holes. */
async function spoolInto(store: FileStore, path: string, from: ByteStream, task: TaskOptions): Promise<void> {
  const file = await store.create(path);
  try {
    let end = 0;
    for await (const piece of from) {
      throwIfAborted(task);
      for (const [start, stop] of nonZeroStretches(piece))
        await file.write(piece.subarray(start, stop), end + start);
      end += piece.length;
      task.onProgress?.({ phase: 'reading', done: end, total: end, unit: 'bytes' });
    }
    await file.resize(end);
  } finally {
    await file.close();
  }
}
