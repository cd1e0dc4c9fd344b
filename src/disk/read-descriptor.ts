// Finds the descriptor of a disk: a text file, or the text inside a hosted sparse extent. A bare extent has none, and
// opening it alone would lose the parent: the error names the descriptor it belongs to.
import { isZero } from '../block/zero-scan.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { MAX_DESCRIPTOR_BYTES, parseDescriptor, type Descriptor } from '../format/descriptor.ts';
import { meansFileCalled } from '../format/extent-names.ts';
import { detectFileKind, type FileKind } from '../format/file-kind.ts';
import { descriptorCandidatesFor } from '../format/file-names.ts';
import { parseSparseHeader, SparseExtentHeader } from '../format/sparse-header.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { basename, dirname, join } from '../storage/place-names.ts';
import type { OpenContext } from './open-options.ts';

/** A header and the descriptor as writers place it: 21 sectors, and some more. */
const USUAL_BYTES = 12 << 10;
/** Enough to recognise a descriptor that opens with comments. */
const FIRST_BYTES = 64 << 10;

export interface FoundDescriptor {
  readonly descriptor: Descriptor;
  /** Where the text stands in the sparse file that holds it, in bytes; undefined for a text file. */
  readonly embedded:
    | {
        readonly offset: number;
        readonly length: number;
        /** Of the header, in sectors. */ readonly capacity: number;
      }
    | undefined;
}

/** What looking for a descriptor may touch: the guard judges also the files that only help an error to say more. */
export type DescriptorContext = Pick<OpenContext, 'store' | 'guard'>;

export interface ReadDescriptorOptions {
  /** One of many that are only looked at: a text beyond the usual size is refused, and nothing is opened but the file. */
  glance?: boolean;
}

/** @throws VmdkError `bare-extent`, `not-a-vmdk`, `bad-header`, `descriptor-…`. */
export async function readDescriptor(
  context: DescriptorContext,
  file: RandomAccessFile,
  options: ReadDescriptorOptions = {},
): Promise<FoundDescriptor> {
  const look = { context, glance: options.glance ?? false };
  const size = await file.size();
  let first = await readFirst(file, Math.min(size, USUAL_BYTES));
  let kind = detectFileKind(first);
  if (kind === 'unknown' && size > first.length) {
    first = await readFirst(file, Math.min(size, FIRST_BYTES));
    kind = detectFileKind(first);
  }
  if (kind === 'descriptor')
    return { descriptor: await readText(look, file, first, size), embedded: undefined };
  if (kind === 'sparse' || kind === 'unfinished-sparse') return readEmbedded(look, file, first, size);
  throw await notADisk(look, file.path, kind, size);
}

async function readFirst(file: RandomAccessFile, length: number): Promise<Buffer> {
  const first = Buffer.allocUnsafe(length);
  await file.readExactly(first, 0);
  return first;
}

interface Look {
  readonly context: DescriptorContext;
  readonly glance: boolean;
}

async function readText(
  look: Look,
  file: RandomAccessFile,
  first: Buffer,
  size: number,
): Promise<Descriptor> {
  if (size <= first.length) return parseDescriptor(first, file.path);
  if (look.glance && size > FIRST_BYTES) throw tooLargeToGlance(file.path, size);
  // One byte over the limit is read, so that parsing sees that there is more.
  const text = Buffer.alloc(Math.min(size, MAX_DESCRIPTOR_BYTES + 1));
  await file.readExactly(text, 0);
  return parseDescriptor(text, file.path);
}

async function readEmbedded(
  look: Look,
  file: RandomAccessFile,
  first: Buffer,
  size: number,
): Promise<FoundDescriptor> {
  if (first.length < SparseExtentHeader.byteLength) throw await notADisk(look, file.path, 'sparse', size);
  const header = parseSparseHeader(first, file.path);
  const offset = header.descriptorOffset * SECTOR_BYTES;
  const length = header.descriptorSize * SECTOR_BYTES;
  if (offset === 0 || length === 0) throw await bareExtent(look, file.path, 'a hosted sparse extent');
  if (length > MAX_DESCRIPTOR_BYTES || offset + length > size) {
    throw new VmdkError(
      'corrupt',
      'descriptor-out-of-range',
      'the embedded descriptor cannot be where the header says',
      {
        path: file.path,
        offset: SparseExtentHeader.offsetOf('descriptorOffset'),
        field: 'descriptorOffset, descriptorSize',
        found: `${length} bytes at byte ${offset}`,
        expected: `at most ${MAX_DESCRIPTOR_BYTES} bytes within the file's ${size}`,
      },
    );
  }
  if (look.glance && length > FIRST_BYTES) throw tooLargeToGlance(file.path, length);
  let text = first.subarray(offset, offset + length);
  if (text.length < length) {
    text = Buffer.alloc(length);
    await file.readExactly(text, offset);
  }
  // QEMU leaves an empty descriptor area in the extents of split disks.
  if (isZero(text)) throw await bareExtent(look, file.path, 'a hosted sparse extent');
  return {
    descriptor: parseDescriptor(text, file.path),
    embedded: { offset, length, capacity: header.capacity },
  };
}

const EXTENT_KINDS: Partial<Record<FileKind, string>> = {
  cowd: 'an ESX delta extent (COWD)',
  sesparse: 'a space-efficient sparse extent (seSparse)',
  'change-tracking': 'a change tracking file',
};

async function notADisk(look: Look, path: string, kind: FileKind, size: number): Promise<VmdkError> {
  const what = EXTENT_KINDS[kind];
  if (what !== undefined) return bareExtent(look, path, what);
  if (descriptorCandidatesFor(basename(path)).length > 0) {
    const bare = await bareExtent(look, path, 'part of a disk by its name');
    if ((bare.context.candidates ?? []).length > 0) return bare;
  }
  return new VmdkError('corrupt', 'not-a-vmdk', 'this is not a VMDK disk', {
    path,
    offset: 0,
    found: size === 0 ? 'an empty file' : 'neither a descriptor nor the header of an extent',
    expected: 'a descriptor (first line "version=1") or a sparse extent ("KDMV")',
  });
}

/** The file is real but only part of a disk. */
async function bareExtent({ context, glance }: Look, path: string, what: string): Promise<VmdkError> {
  const owners: { path: string; outcome: string }[] = [];
  for (const name of glance ? [] : descriptorCandidatesFor(basename(path))) {
    const candidate = join(dirname(path), name);
    const outcome = await describeOwner(context, candidate, path);
    if (outcome !== undefined) owners.push({ path: candidate, outcome });
  }
  const owner = owners.find(({ outcome }) => outcome === 'names this file');
  return new VmdkError(
    'unsupported',
    'bare-extent',
    `this is ${what}, not a disk that can be opened by itself`,
    {
      path,
      ...(owners.length === 0 ? {} : { candidates: owners }),
      hint:
        owner === undefined
          ? 'Open the descriptor (.vmdk text file) that names it; none was found beside it, and vmdkit recover makes one from what the extents say.'
          : `Open its descriptor instead: ${owner.path}`,
    },
  );
}

async function describeOwner(
  { store, guard }: DescriptorContext,
  path: string,
  extentPath: string,
): Promise<string | undefined> {
  const extentName = basename(extentPath);
  try {
    const place = await guard.assertExtentAllowed(path, extentPath);
    const file = await store.open(place.path, 'read');
    try {
      const text = Buffer.alloc(Math.min(await file.size(), FIRST_BYTES));
      await file.readExactly(text, 0);
      const { extents } = parseDescriptor(text, path);
      return extents.some(({ fileName }) => meansFileCalled(fileName, extentName))
        ? 'names this file'
        : 'names other files';
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error, 'file-missing')) return undefined;
    if (isVmdkError(error, 'outside-allowed-folders')) return 'outside the allowed folders (see --allow)';
    if (isVmdkError(error)) return 'not a descriptor';
    throw error;
  }
}

function tooLargeToGlance(path: string, found: number): VmdkError {
  const context = { path, found: `${found} bytes`, expected: `at most ${FIRST_BYTES}` };
  return new VmdkError(
    'unsupported',
    'descriptor-too-large',
    'not looked into: its descriptor is too long',
    context,
  );
}
