// Changes a disk's descriptor where it stands: a text file is replaced whole, a text inside a sparse file is patched
// within its sectors. Rule: what no edit names stays byte for byte.
import { VmdkError } from '../core/errors.ts';
import { readDescriptor } from '../disk/read-descriptor.ts';
import { editDescriptor, type DescriptorEdits } from '../format/edit-descriptor.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import type { FileChange } from '../operations/file-change.ts';
import type { FileStore } from '../storage/file-store.ts';
import { createPathGuard } from '../storage/path-guard.ts';

/**
 * What makes the edits true of the disk at `path`; undefined when nothing would change. `first` are edits that will have
 * been made by then.
 */
export async function descriptorChange(
  store: FileStore,
  path: string,
  edits: DescriptorEdits,
  first: DescriptorEdits = {},
): Promise<Extract<FileChange, { kind: 'replace' | 'patch' }> | undefined> {
  const file = await store.open(path, 'read');
  try {
    const context = { store, guard: createPathGuard({ store }) };
    const { descriptor: found, embedded } = await readDescriptor(context, file);
    const descriptor = editDescriptor(found, first);
    const before = printDescriptor(descriptor);
    const text = printDescriptor(editDescriptor(descriptor, edits));
    if (text.equals(before)) return undefined;
    if (embedded === undefined) return { kind: 'replace', path, data: text, old: before };
    return { kind: 'patch', path, at: embedded.offset, data: padded(text, embedded, path) };
  } finally {
    await file.close();
  }
}

/** The same at once, for a disk that nobody knows of yet. */
export async function rewriteDescriptor(
  store: FileStore,
  path: string,
  edits: DescriptorEdits,
): Promise<void> {
  const change = await descriptorChange(store, path, edits);
  if (change === undefined) return;
  if (change.kind === 'replace') return store.replace(path, change.data);
  const file = await store.open(path, 'update');
  try {
    await file.write(change.data, change.at);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The text with zeros to the end of its place. */
function padded(text: Buffer, { offset, length }: { offset: number; length: number }, path: string): Buffer {
  let end = text.length;
  while (end > 0 && text[end - 1] === 0) end--;
  if (end > length) {
    throw new VmdkError(
      'refused',
      'descriptor-too-full',
      'the embedded descriptor has no room for the change',
      {
        path,
        offset,
        found: `${end} bytes needed`,
        expected: `at most ${length} bytes, where the grain directory begins`,
        hint: 'Choose a shorter name for the parent, or clone the disk to another type first.',
      },
    );
  }
  const area = Buffer.alloc(length);
  area.set(text.subarray(0, end));
  return area;
}
