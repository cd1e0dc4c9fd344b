// Copies a file byte for byte, holes as holes. Rule: the copy is a new file; nothing is ever written over.
import { eachNonZero } from '../block/zero-scan.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import type { FileStore, FileStretch, RandomAccessFile, WritableFile } from '../storage/file-store.ts';

const CHUNK = 1 << 20;

/** Makes the file `to`; zeros are not stored. `onBytes` hears of every stretch that was dealt with. */
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
      const size = await source.size();
      await target.resize(size);
      const room = Buffer.allocUnsafe(Math.min(CHUNK, size));
      for (let at = 0; at < size;) {
        throwIfAborted(task);
        const { length, data } = await nextStretch(source, at, size);
        if (data) await copyChunk(source, target, at, room.subarray(0, length));
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

async function copyChunk(
  source: RandomAccessFile,
  target: WritableFile,
  at: number,
  room: Uint8Array,
): Promise<void> {
  await source.readExactly(room, at);
  const stretches: [number, number][] = [];
  eachNonZero(room, (start, end) => stretches.push([start, end]));
  for (const [start, end] of stretches) await target.write(room.subarray(start, end), at + start);
}
