// Copies a file byte for byte, holes as holes and full ones full. Rule: the copy is a new file; nothing is ever written over.
import { nonZeroStretches } from '../block/zero-scan.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileStore, FileStretch, RandomAccessFile, WritableFile } from '../storage/file-store.ts';

const CHUNK = 1 << 20;

/** Makes the file `to`; zeros of a file with holes are not stored. `onBytes` hears of every stretch that was dealt with. */
export async function copyFile(
  store: FileStore,
  from: string,
  to: string,
  task: TaskOptions & { onBytes?: (count: number) => void } = {},
): Promise<void> {
  const source = await store.open(from, 'read');
  try {
    const target = await store.create(to);
    try {
      const { size, allocated } = await store.resolve(from);
      // What takes its full space keeps it: such a disk was made so on purpose.
      const write = allocated >= size ? writeAll : writeData;
      await target.resize(size);
      const room = Buffer.allocUnsafe(Math.min(CHUNK, size));
      for (let at = 0; at < size;) {
        throwIfAborted(task);
        const { length, data } = await nextStretch(source, at, size);
        if (data) {
          const chunk = room.subarray(0, length);
          await source.readExactly(chunk, at);
          await write(target, chunk, at);
        }
        task.onBytes?.(length);
        at += length;
      }
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function nextStretch(
  source: RandomAccessFile,
  at: number,
  size: number,
): Promise<Pick<FileStretch, 'length' | 'data'>> {
  const [stretch] = (await source.stretches?.(at, size - at)) ?? [];
  if (stretch === undefined) return { length: Math.min(CHUNK, size - at), data: true };
  return { length: stretch.data ? Math.min(CHUNK, stretch.length) : stretch.length, data: stretch.data };
}

function writeAll(target: WritableFile, chunk: Uint8Array, at: number): Promise<void> {
  return target.write(chunk, at);
}

async function writeData(target: WritableFile, chunk: Uint8Array, at: number): Promise<void> {
  for (const [start, end] of nonZeroStretches(chunk))
    await target.write(chunk.subarray(start, end), at + start);
}
