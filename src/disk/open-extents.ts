// Opens the extents a descriptor names, each as its line and its first bytes say. Every path passes the guard; an
// open that fails half-way closes what it opened.
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { OnFinding } from '../core/finding.ts';
import type { Sectors } from '../core/units.ts';
import { openCowdExtent } from '../extent/cowd-extent.ts';
import type { Extent, WritableExtent } from '../extent/extent.ts';
import { openFlatExtent, openWritableFlatExtent } from '../extent/flat-extent.ts';
import { lostExtent } from '../extent/lost-extent.ts';
import { noAccessExtent, zeroExtent } from '../extent/no-file-extents.ts';
import { openSeSparseExtent } from '../extent/sesparse-extent.ts';
import { openSparseExtent } from '../extent/sparse-extent.ts';
import { openWritableCowdExtent } from '../extent/writable-cowd-extent.ts';
import { openWritableSparseExtent } from '../extent/writable-sparse-extent.ts';
import type { Descriptor, ExtentLine } from '../format/descriptor.ts';
import { extentBaseName, extentSpellings } from '../format/extent-names.ts';
import { detectFileKind } from '../format/file-kind.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { dirname, isAbsolute, join } from '../storage/place-names.ts';
import { legible } from '../storage/store-errors.ts';
import type { PlacedExtent } from './disk.ts';
import type { OpenContext } from './open-options.ts';
import { readOnlyExtent, refusingExtent } from './refusing-extent.ts';

/** Extents that are files, all open at once: 8 TiB of 2 GiB each, the most that VMware splits. */
const MOST_FILES = 4096;
/** Kinds of errors that mean that an extent is lost, not that it must not be opened. */
const DAMAGE: ReadonlySet<string> = new Set(['missing', 'corrupt', 'io']);

/** `container`: the open file that holds the descriptor, when it is embedded; it is the first extent, whatever its line says. */
export async function openExtents(
  context: OpenContext,
  descriptor: Descriptor,
  container: RandomAccessFile | undefined,
  onFinding: OnFinding,
): Promise<PlacedExtent[]> {
  return place(context, descriptor, async (line, index) => {
    try {
      return await openExtent(context, descriptor, line, index === 0 ? container : undefined, onFinding);
    } catch (error) {
      if (context.damaged === 'refuse' || !isVmdkError(error) || !DAMAGE.has(error.kind)) throw error;
      const path = String(error.context.path ?? descriptor.path);
      return lostExtent(line.sectors as Sectors, path, error, context.damaged);
    }
  });
}

export async function openWritableExtents(
  context: OpenContext,
  descriptor: Descriptor,
  container: WritableFile | undefined,
  onFinding: OnFinding,
): Promise<PlacedExtent<WritableExtent>[]> {
  return place(context, descriptor, (line, index) =>
    openWritableExtent(context, descriptor, line, index === 0 ? container : undefined, onFinding),
  );
}

/** Whether the file that holds this descriptor is its first extent, too. If not, all extents are other files. */
export function isFirstExtent({ extents }: Descriptor): boolean {
  const first = extents[0];
  return first !== undefined && first.access !== 'NOACCESS' && first.type !== 'ZERO' && !isFlat(first);
}

async function place<E extends Extent>(
  context: OpenContext,
  descriptor: Descriptor,
  open: (line: ExtentLine, index: number) => Promise<E>,
): Promise<PlacedExtent<E>[]> {
  assertExtentCount(descriptor);
  const outcomes = await Promise.allSettled(descriptor.extents.map(open));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    await Promise.all(opened.map((extent) => extent.close()));
    throw await withLikelyName(context, descriptor, failed.reason);
  }
  const placed: PlacedExtent<E>[] = [];
  let start = 0;
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'rejected') continue;
    placed.push({ start: start as Sectors, extent: outcome.value, line: descriptor.extents[index]! });
    start += outcome.value.capacity;
  }
  return placed;
}

async function openExtent(
  context: OpenContext,
  descriptor: Descriptor,
  line: ExtentLine,
  container: RandomAccessFile | undefined,
  onFinding: OnFinding,
): Promise<Extent> {
  const fileless = filelessExtent(context, descriptor, line);
  if (fileless !== undefined) return fileless;
  const file = container ?? (await context.store.open(await extentPath(context, descriptor, line), 'read'));
  return closingOnFailure(file, async () => {
    if (isFlat(line)) return openFlatExtent(file, line.sectors as Sectors, line.offset as Sectors, context);
    // An embedded descriptor's size is proved against the header of the very file it stands in.
    switch (await sparseKind(file, line)) {
      case 'cowd':
        return openCowdExtent(file, line.sectors, onFinding, context.memory);
      case 'sesparse':
        return openSeSparseExtent(file, line.sectors, context.journal, onFinding, context.memory);
      case 'sparse':
        return openSparseExtent(file, line.sectors, onFinding, context.memory, context.damaged);
    }
  });
}

async function openWritableExtent(
  context: OpenContext,
  descriptor: Descriptor,
  line: ExtentLine,
  container: WritableFile | undefined,
  onFinding: OnFinding,
): Promise<WritableExtent> {
  if (line.access !== 'RW' || line.type === 'ZERO') {
    return readOnlyExtent(
      await openExtent(context, descriptor, line, container, onFinding),
      descriptor.path,
      line,
    );
  }
  const file = container ?? (await context.store.open(await extentPath(context, descriptor, line), 'update'));
  return closingOnFailure(file, async () => {
    if (isFlat(line)) return openWritableFlatExtent(file, line.sectors as Sectors, line.offset as Sectors);
    switch (await sparseKind(file, line)) {
      case 'cowd':
        return openWritableCowdExtent(file, line.sectors, onFinding, context.memory);
      case 'sesparse':
        throw refusingExtent(file.path);
      case 'sparse':
        return openWritableSparseExtent(file, line.sectors, onFinding, context.memory);
    }
  });
}

function assertExtentCount({ path, extents }: Descriptor): void {
  const files = extents.filter(({ access, type }) => access !== 'NOACCESS' && type !== 'ZERO').length;
  if (files <= MOST_FILES) return;
  throw new VmdkError('unsupported', 'too-many-extents', 'the disk consists of too many files', {
    path,
    found: `${files} extents in files`,
    expected: `at most ${MOST_FILES}`,
  });
}

function filelessExtent(context: OpenContext, descriptor: Descriptor, line: ExtentLine): Extent | undefined {
  const capacity = line.sectors as Sectors;
  if (line.access === 'NOACCESS') {
    return context.noAccess === 'zeros'
      ? zeroExtent(capacity)
      : noAccessExtent(capacity, descriptor.path, line.line);
  }
  return line.type === 'ZERO' ? zeroExtent(capacity) : undefined;
}

function isFlat(line: ExtentLine): boolean {
  return line.type === 'FLAT' || line.type === 'VMFS';
}

/** Line types and magics of grains disagree in real files: the file's own first bytes decide. */
async function sparseKind(file: RandomAccessFile, line: ExtentLine): Promise<'sparse' | 'cowd' | 'sesparse'> {
  const first = Buffer.alloc(8);
  if ((await file.size()) >= first.length) await file.readExactly(first, 0);
  const kind = detectFileKind(first);
  if (kind === 'sparse' || kind === 'cowd' || kind === 'sesparse') return kind;
  if (kind === 'unfinished-sparse') return 'sparse';
  throw new VmdkError('corrupt', 'not-an-extent', `this is not the ${line.type} extent its descriptor says`, {
    path: file.path,
    offset: 0,
    found: first.toString('hex'),
    expected: 'KDMV (4b444d56), COWD (434f5744) or seSparse (bebafeca)',
  });
}

/** The file an extent line means, allowed and existing. */
export async function extentPath(
  context: OpenContext,
  descriptor: Descriptor,
  line: ExtentLine,
): Promise<string> {
  const name = line.fileName ?? '';
  let missing: unknown;
  for (const spelling of extentSpellings(name)) {
    const path = isAbsolute(spelling) ? spelling : join(dirname(descriptor.path), spelling);
    try {
      return (await context.guard.assertExtentAllowed(spelling === '' ? spelling : path, descriptor.path))
        .path;
    } catch (error) {
      if (!isVmdkError(error, 'file-missing')) throw error;
      missing ??= error;
    }
  }
  throw new VmdkError(
    'missing',
    'extent-missing',
    `extent "${name}" is missing`,
    {
      path: descriptor.path,
      line: line.line,
      found: 'no such file',
      expected: `${line.sectors} sectors in ${join(dirname(descriptor.path), name)}`,
    },
    missing,
  );
}

/** Names a file beside the descriptor that a missing extent may be: on Windows case does not count, here it does. */
async function withLikelyName(
  { store }: OpenContext,
  { path, extents }: Descriptor,
  error: unknown,
): Promise<unknown> {
  if (!isVmdkError(error, 'extent-missing')) return error;
  const name = extentBaseName(extents.find(({ line }) => line === error.context.line)?.fileName ?? '');
  try {
    const there = await store.list(dirname(path));
    const likely = there.find((one) => one.toLowerCase() === name.toLowerCase());
    if (likely === undefined || likely === name) return error;
    const hint = `There is ${legible(likely)}, which differs in case alone: give one of them the other's spelling.`;
    return new VmdkError(error.kind, error.code, error.what, { ...error.context, hint }, error.cause);
  } catch (failure) {
    // What cannot be listed gives no hint.
    if (isVmdkError(failure)) return error;
    throw failure;
  }
}

async function closingOnFailure<T>(file: RandomAccessFile, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await file.close();
    throw error;
  }
}
