// A hosted sparse disk in one file whose tables or descriptor are damaged: a copy of it in which all that has another
// copy is put right, and the text inside is written anew where it is lost. Rule: the damaged file is only read.
import { nonZeroStretches } from '../block/zero-scan.ts';
import { isVmdkError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { editDescriptor } from '../format/edit-descriptor.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import { SparseExtentHeader } from '../format/sparse-header.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { workOutRepair } from './plan-repair.ts';
import type { LostPart } from './recover-stream.ts';

const CHUNK = 1 << 20;

/** Room for the text of a descriptor inside the file. */
export interface TextRoom {
  readonly at: number;
  readonly length: number;
}

/** Where the header says that the text is; undefined when it has none, as the parts of a split disk. */
export function textRoomOf(first: Uint8Array): TextRoom | undefined {
  const { descriptorOffset, descriptorSize } = SparseExtentHeader.decode(first);
  const [at, length] = [descriptorOffset, descriptorSize].map((value) => Number(value) * SECTOR_BYTES);
  return at! < SECTOR_BYTES || length! < SECTOR_BYTES || length! > CHUNK
    ? undefined
    : { at: at!, length: length! };
}

/** The text of the disk, if it can still be read. */
export async function embeddedText(
  context: OpenContext,
  file: RandomAccessFile,
): Promise<Descriptor | undefined> {
  try {
    return (await readDescriptor(context, file)).descriptor;
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** Zeros become holes. */
export async function copyWhole(from: RandomAccessFile, to: WritableFile, task: TaskOptions): Promise<void> {
  const size = await from.size();
  const room = allocateRoom(CHUNK);
  for (let at = 0; at < size; at += CHUNK) {
    throwIfAborted(task);
    const data = room.subarray(0, Math.min(CHUNK, size - at));
    await from.readExactly(data, at);
    for (const [start, end] of nonZeroStretches(data)) await to.write(data.subarray(start, end), at + start);
    task.onProgress?.({ phase: 'recovering', done: at + data.length, total: size, unit: 'bytes' });
  }
  await to.resize(size);
}

/** The text with the name that the file will have; undefined when that does not fit. */
export function renamedText(descriptor: Descriptor, name: string, room: TextRoom): Buffer | undefined {
  const [first, ...others] = descriptor.extents;
  if (first === undefined || others.length > 0) return undefined;
  const edited = editDescriptor(descriptor, { extents: [{ ...first, fileName: name }] });
  return fitted(printDescriptor(edited), room);
}

/** Filled up with zeros; undefined when it is too long. */
export function fitted(text: Buffer, { length }: TextRoom): Buffer | undefined {
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  return end > length ? undefined : Buffer.concat([text.subarray(0, end), Buffer.alloc(length - end)]);
}

/**
 * Puts right in the file at `path` what can be; gives what stays. It is our own new file, so no record is needed; and it
 * is not in its place yet, so its chain says nothing.
 */
export async function mendCopy(context: OpenContext, path: string): Promise<LostPart[]> {
  const { plan, edits } = await workOutRepair(path, { fs: context.store });
  for (const edit of edits) {
    const file = await context.store.open(edit.path, 'update');
    try {
      for (const { at, data } of edit.patches) await file.write(data, at);
      if (edit.sizeAfter !== edit.sizeBefore) await file.resize(edit.sizeAfter);
    } finally {
      await file.close();
    }
  }
  return lostBy(plan.left);
}

/** What a check finds that may be a loss: lost space may be all that is left of entries that no table has. */
export function lostBy(problems: readonly Finding[]): LostPart[] {
  return problems
    .filter(({ severity, code }) =>
      code === 'LEAK' ? severity !== 'info' : severity === 'error' && !code.startsWith('CHAIN-'),
    )
    .map(({ code, message }) => ({ what: `${code}: ${message}` }));
}
