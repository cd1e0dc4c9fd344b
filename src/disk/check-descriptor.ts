// Finds and judges the descriptor of a disk as far as there is one, without giving up on the file that holds it: a
// damaged text does not keep its grains from being checked.
import { isZero } from '../block/zero-scan.ts';
import { isVmdkError, type VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { CREATE_TYPE_TABLE } from '../format/create-types.ts';
import {
  createTypeOf,
  MAX_DESCRIPTOR_BYTES,
  parseDescriptor,
  type Descriptor,
} from '../format/descriptor.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { descriptorCandidatesFor } from '../format/file-names.ts';
import { SparseExtentHeader } from '../format/sparse-header.ts';
import { FindingLog } from '../grain/check-findings.ts';
import { judgeSparseHeader, withoutPath } from '../grain/check-header.ts';
import type { RandomAccessFile } from '../storage/file-store.ts';
import { basename } from '../storage/place-names.ts';
import { readDescriptor, type DescriptorContext } from './read-descriptor.ts';

const FIRST_BYTES = 64 << 10;
const UNTOLD_EMBEDDED: ReadonlySet<string> = new Set(['desc-nul-tail', 'desc-extent-name-empty']);

/** Opened with a warning, since the way out needs that; the disk by itself does not read as it should. */
const DAMAGE_TO_THE_DISK: ReadonlySet<string> = new Set(['DESC-HALF-MERGED', 'DESC-HALF-PATCHED']);

export interface CheckedDescriptor {
  /** Undefined when there is none that can be read. */
  readonly descriptor: Descriptor | undefined;
  /** The file is (also) an extent. */
  readonly isExtent: boolean;
}

/** @throws VmdkError `not-a-vmdk` when the file is neither a descriptor nor an extent. */
export async function checkDescriptor(
  context: DescriptorContext,
  file: RandomAccessFile,
  log: FindingLog,
): Promise<CheckedDescriptor> {
  const size = await file.size();
  const first = Buffer.alloc(Math.min(size, FIRST_BYTES));
  await file.readExactly(first, 0);
  switch (detectFileKind(first)) {
    case 'descriptor': {
      const text = Buffer.alloc(Math.min(size, MAX_DESCRIPTOR_BYTES + 1));
      await file.readExactly(text, 0);
      return { descriptor: parseNoting(text, file.path, undefined, log), isExtent: false };
    }
    case 'sparse':
    case 'unfinished-sparse':
      return { descriptor: await readEmbedded(context, file, first, size, log), isExtent: true };
    case 'cowd':
    case 'sesparse':
      await noteBare(context, file, log);
      return { descriptor: undefined, isExtent: true };
    case 'change-tracking':
    case 'unknown':
      // It throws, and says what was found and what was expected.
      return { descriptor: (await readDescriptor(context, file)).descriptor, isExtent: false };
  }
}

async function readEmbedded(
  context: DescriptorContext,
  file: RandomAccessFile,
  first: Buffer,
  size: number,
  log: FindingLog,
): Promise<Descriptor | undefined> {
  if (first.length < SparseExtentHeader.byteLength) return undefined;
  // What is wrong with the header is noted when the extent is checked.
  const header = judgeSparseHeader(first, file.path, 0, new FindingLog());
  if (header === undefined) return undefined;
  const offset = header.descriptorOffset * SECTOR_BYTES;
  const length = header.descriptorSize * SECTOR_BYTES;
  if (offset === 0 || length === 0) return noteBare(context, file, log);
  if (length > MAX_DESCRIPTOR_BYTES || offset + length > size) {
    const detail = { path: file.path, offset: SparseExtentHeader.offsetOf('descriptorOffset') };
    const message = () =>
      `the embedded descriptor cannot be ${length} bytes from byte ${offset}: the file ends at byte ${size}`;
    log.error('DESC-RANGE', detail, message);
    return undefined;
  }
  const text = Buffer.alloc(length);
  await file.readExactly(text, offset);
  if (isZero(text)) return noteBare(context, file, log);
  return parseNoting(text, file.path, offset, log);
}

/** `offset`: where an embedded text stands. */
function parseNoting(
  text: Buffer,
  path: string,
  offset: number | undefined,
  log: FindingLog,
): Descriptor | undefined {
  let descriptor: Descriptor;
  try {
    descriptor = parseDescriptor(text, path);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    const code = error.code === 'descriptor-too-large' ? 'DESC-TOO-LARGE' : 'DESC-DAMAGED';
    log.error(code, { path, offset }, () => withoutPath(error));
    return undefined;
  }
  for (const { code, severity, message, line, found, expected } of descriptor.problems) {
    // Embedded, the text is padded by right, and its extent is the file that it stands in, whatever its name.
    if (offset !== undefined && UNTOLD_EMBEDDED.has(code)) continue;
    const where = line === undefined ? '' : ` (line ${line})`;
    const compared = [
      ...(found === undefined ? [] : [`found ${found}`]),
      ...(expected === undefined ? [] : [`expected ${expected}`]),
    ];
    const tail = compared.length === 0 ? '' : `: ${compared.join(', ')}`;
    const known = code.toUpperCase();
    log[DAMAGE_TO_THE_DISK.has(known) ? 'error' : severity](
      known,
      { path },
      () => `${message}${where}${tail}`,
    );
  }
  noteTypeMismatch(descriptor, log);
  return descriptor;
}

/** createType is advisory, yet programs that go by it fail on what is something else. */
function noteTypeMismatch(descriptor: Descriptor, log: FindingLog): void {
  const type = createTypeOf(descriptor.createType ?? '');
  if (type === undefined) return;
  const { extentTypes } = CREATE_TYPE_TABLE[type];
  const odd = descriptor.extents.find((line) => extentTypes.length > 0 && !extentTypes.includes(line.type));
  if (odd === undefined) return;
  const message = () =>
    `a ${type} disk has ${extentTypes.join(' or ')} extents, line ${odd.line} says ${odd.type}`;
  log.warning('DESC-TYPE-MISMATCH', { path: descriptor.path }, message);
}

/** An extent without its descriptor: part of another disk when one beside it names it, else nothing can open it. */
async function noteBare(
  context: DescriptorContext,
  file: RandomAccessFile,
  log: FindingLog,
): Promise<undefined> {
  const reason = await bareReason(context, file);
  const owner = reason?.context.candidates?.find(({ outcome }) => outcome === 'names this file')?.path;
  const detail = { path: file.path };
  if (owner !== undefined) {
    log.info('DESC-ELSEWHERE', detail, () => `this is one extent of ${owner}; only the extent was checked`);
    return undefined;
  }
  const message = () => 'no descriptor is in this file, and none beside it names it: no program can open it';
  // By its name a part of a disk: then the disk may well be whole where it belongs.
  const isPart = descriptorCandidatesFor(basename(file.path)).length > 0;
  log[isPart ? 'warning' : 'error']('DESC-MISSING', detail, message);
  return undefined;
}

async function bareReason(
  context: DescriptorContext,
  file: RandomAccessFile,
): Promise<VmdkError | undefined> {
  try {
    await readDescriptor(context, file);
    return undefined;
  } catch (error) {
    if (isVmdkError(error)) return error;
    throw error;
  }
}
