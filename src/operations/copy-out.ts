// The bytes of a disk, in order, to wherever they are wanted: a pipe, a terminal, a file that is no disk. Rule: as
// fast as the reader takes them, never more than a few chunks ahead.
import { createReadStream } from '../block/streams.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';

export interface ByteRange {
  /** First byte. */
  readonly start: number;
  /** Byte after the last. */
  readonly end: number;
}

/** Hands the bytes of `range` to `write`, chunk by chunk; waits for each. */
export async function copyOut(
  source: SectorSource,
  range: ByteRange,
  write: (data: Uint8Array) => Promise<void>,
  task: TaskOptions = {},
): Promise<void> {
  const { signal, onProgress } = task;
  const total = range.end - range.start;
  let done = 0;
  for await (const chunk of createReadStream(source, { ...range, signal })) {
    throwIfAborted(task);
    const data = chunk as Uint8Array;
    await write(data);
    done += data.length;
    onProgress?.({ phase: 'copying', done, total, unit: 'bytes' });
  }
}
