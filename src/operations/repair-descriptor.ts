// Mends what is wrong with a descriptor and can be told without guessing: change tracking that is stale, a size that
// header and descriptor disagree on, and, when the user chose so, the CID of the parent.
import { findParent } from '../chain/find-parent.ts';
import type { ChainOptions } from '../chain/chain-options.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import { ceilDiv } from '../core/units.ts';
import { checkDescriptor } from '../disk/check-descriptor.ts';
import { extentPath } from '../disk/open-extents.ts';
import { openContext, type OpenContext } from '../disk/open-options.ts';
import { readDescriptor, type FoundDescriptor } from '../disk/read-descriptor.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { editDescriptor, rollContentId, type DescriptorEdits } from '../format/edit-descriptor.ts';
import { CowdHeaderStruct } from '../format/cowd-header.ts';
import { detectFileKind } from '../format/file-kind.ts';
import { geometryFor } from '../format/geometry.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import { SparseExtentHeader } from '../format/sparse-header.ts';
import { SPARSE_FLAGS } from '../format/sparse-header.ts';
import { FindingLog } from '../grain/check-findings.ts';
import { changeHeader } from './repair-context.ts';
import type { ScratchStore } from './scratch-store.ts';

export interface LinkFile {
  /** Real path. */
  readonly path: string;
  /** Of the descriptor's line; undefined for an extent that is looked at alone. */
  readonly sectors: number | undefined;
  /** Has grains, and so tables that can be mended. */
  readonly grains: boolean;
}

/** The descriptor of a disk as far as it can be read, and the files of its extents that are there. */
export async function filesOfLink(
  context: OpenContext,
  path: string,
): Promise<{ descriptor: Descriptor | undefined; files: LinkFile[] }> {
  const file = await context.store.open(path, 'read');
  try {
    const { descriptor, isExtent } = await checkDescriptor(context, file, new FindingLog());
    if (descriptor === undefined)
      return { descriptor, files: isExtent ? [{ path, sectors: undefined, grains: true }] : [] };
    const files: LinkFile[] = [];
    for (const [index, line] of descriptor.extents.entries()) {
      if (line.access === 'NOACCESS' || line.type === 'ZERO') continue;
      try {
        const real = index === 0 && isExtent ? path : await extentPath(context, descriptor, line);
        const grains = line.type !== 'FLAT' && line.type !== 'VMFS';
        files.push({ path: real, sectors: line.sectors, grains });
      } catch (error) {
        // What is missing or outside is a finding of its own; the others can be mended.
        if (!isVmdkError(error)) throw error;
      }
    }
    return { descriptor, files };
  } finally {
    await file.close();
  }
}

/** Writes the descriptor anew where it stands. @throws VmdkError `descriptor-too-full` when it has no room there. */
export async function changeDescriptor(
  scratch: ScratchStore,
  path: string,
  change: (descriptor: Descriptor) => Descriptor,
): Promise<void> {
  const context = openContext({ fs: scratch });
  const file = await scratch.open(path, 'update');
  try {
    const { descriptor, embedded } = await readDescriptor(context, file);
    const text = printDescriptor(change(descriptor));
    if (embedded === undefined) {
      await file.write(text, 0);
      return await file.resize(text.length);
    }
    await file.write(paddedTo(text, embedded, path), embedded.offset);
  } finally {
    await file.close();
  }
}

function paddedTo(
  text: Buffer,
  { offset, length }: NonNullable<FoundDescriptor['embedded']>,
  path: string,
): Buffer {
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
        expected: `at most ${length} bytes`,
      },
    );
  }
  const area = Buffer.alloc(length);
  area.set(text.subarray(0, end));
  return area;
}

/** Stale change tracking is dropped: the next backup is then a full one. */
export function dropTracking(scratch: ScratchStore, path: string): Promise<void> {
  return editText(scratch, path, { changeTrackPath: null });
}

function editText(scratch: ScratchStore, path: string, edits: DescriptorEdits): Promise<void> {
  return changeDescriptor(scratch, path, (descriptor) => editDescriptor(descriptor, edits));
}

/** A new content id from 32 hex digits. */
export function rollTo(scratch: ScratchStore, path: string, digits: string): Promise<void> {
  const cid = Number.parseInt(digits.slice(24), 16);
  return changeDescriptor(scratch, path, (old) => rollContentId(old, cid, digits.slice(0, 24)));
}

/** CID and size of the disk that stands where the parent should, whether or not it is the one meant. */
export async function parentFacts(
  scratch: ScratchStore,
  path: string,
  descriptor: Descriptor,
  options: ChainOptions,
): Promise<{ cid: number | undefined; capacity: number } | undefined> {
  if (descriptor.parentCid === undefined || descriptor.parentCid === NO_PARENT_CID) return undefined;
  const context = openContext({ ...options, fs: scratch, onFinding: undefined });
  const { identity } = await scratch.resolve(path);
  try {
    const place = await findParent(
      { path, descriptor },
      {
        context,
        pathMap: options.pathMap ?? [],
        allow: options.allow ?? [],
        acceptMismatch: true,
        above: new Map([[identity, path]]),
        searched: new Map(),
      },
    );
    const file = await scratch.open(place.path, 'read');
    try {
      const parent = (await readDescriptor(context, file)).descriptor;
      return { cid: parent.cid, capacity: capacityOf(parent) };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** Sets parentCID to what the parent has now: only the user can know that it is the right one. */
export async function fitCid(
  scratch: ScratchStore,
  path: string,
  descriptor: Descriptor,
  options: ChainOptions,
): Promise<void> {
  const parent = await parentFacts(scratch, path, descriptor, options);
  if (parent?.cid === undefined) return;
  await editText(scratch, path, { parentCid: parent.cid });
}

function capacityOf({ extents }: Descriptor): number {
  return extents.reduce((sum, { sectors }) => sum + sectors, 0);
}

/**
 * A disk of one extent whose header and line disagree: mended when everything else that knows the size (the parent,
 * the room that the header's tables have, the geometry) sides with one of them. True when something was changed.
 */
export async function mendCapacity(
  scratch: ScratchStore,
  path: string,
  descriptor: Descriptor,
  extent: LinkFile,
  options: ChainOptions,
): Promise<boolean> {
  const line = descriptor.extents[0]!;
  if (descriptor.extents.length !== 1) return false;
  const file = await scratch.open(extent.path, 'update');
  try {
    const first = Buffer.alloc(Math.min(await file.size(), CowdHeaderStruct.byteLength));
    await file.readExactly(first, 0);
    const kind = detectFileKind(first);
    const size = headerSize(kind, first);
    if (size === undefined) return false;
    const witnesses = [
      equal((await parentFacts(scratch, path, descriptor, options))?.capacity, size.header, line.sectors),
      kind === 'sparse' ? byLayout(first, size.header, line.sectors) : undefined,
      byGeometry(descriptor, size.header, line.sectors),
    ].filter((each) => each !== undefined);
    if (witnesses.length === 0 || new Set(witnesses).size !== 1) return false;
    if (witnesses[0] === 'header') {
      await editText(scratch, path, { extents: [{ ...line, sectors: size.header }] });
    } else if (kind === 'sparse') {
      await changeHeader(file, SparseExtentHeader, () => ({ capacity: BigInt(line.sectors) }));
    } else await changeHeader(file, CowdHeaderStruct, () => ({ numSectors: line.sectors }));
    return true;
  } finally {
    await file.close();
  }
}

type Witness = 'header' | 'line' | undefined;

function headerSize(kind: string, first: Buffer): { header: number } | undefined {
  if (kind === 'sparse' && first.length >= SparseExtentHeader.byteLength) {
    const { capacity } = SparseExtentHeader.decode(first);
    return capacity > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { header: Number(capacity) };
  }
  if (kind !== 'cowd' || first.length < CowdHeaderStruct.byteLength) return undefined;
  return { header: CowdHeaderStruct.decode(first).numSectors };
}

function equal(capacity: number | undefined, header: number, line: number): Witness {
  if (capacity === header) return 'header';
  return capacity === line ? 'line' : undefined;
}

/** VMware leaves exactly the room for one set of tables between the two directories. */
function byLayout(first: Buffer, header: number, line: number): Witness {
  const { flags, rgdOffset, gdOffset, grainSize, numGTEsPerGT } = SparseExtentHeader.decode(first);
  if ((flags & SPARSE_FLAGS.redundantTables) === 0 || grainSize === 0n || numGTEsPerGT === 0)
    return undefined;
  const room = Number(gdOffset - rgdOffset);
  const fits = (capacity: number): boolean => {
    const tables = ceilDiv(ceilDiv(capacity, Number(grainSize)), numGTEsPerGT);
    return room === ceilDiv(tables * 4, 512) + tables * ceilDiv(numGTEsPerGT * 4, 512);
  };
  return oneOf(fits(header), fits(line));
}

function byGeometry(descriptor: Descriptor, header: number, line: number): Witness {
  const cylinders = Number(descriptor.ddb.get('ddb.geometry.cylinders'));
  const adapter = descriptor.ddb.get('ddb.adaptertype');
  if (adapter === undefined || !Number.isInteger(cylinders)) return undefined;
  const fits = (capacity: number): boolean => geometryFor(capacity, adapter).cylinders === cylinders;
  return oneOf(fits(header), fits(line));
}

function oneOf(header: boolean, line: boolean): Witness {
  if (header === line) return undefined;
  return header ? 'header' : 'line';
}
