// Mends the grain directories of a hosted sparse extent from one another: where they stand, and where their tables
// stand. Rule: a table gets back the place that the layout gives it, or one at the end of the file; nothing is written
// where anything else may stand.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { SPARSE_FLAGS, SparseExtentHeader, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { KIND, takeStructures, UNUSABLE } from '../grain/check-sparse-directory.ts';
import { surveySpace } from '../grain/check-space.ts';
import { tableCount } from '../grain/sparse-directory.ts';
import { changeHeader, hasCode, readEntries, writeEntries, type ExtentMend } from './repair-context.ts';

export interface Directory {
  /** Sector. */
  readonly offset: number;
  readonly entries: Uint32Array;
}

/** Both directories as they are after mending; undefined when there are not two that can be told apart. */
export interface Directories {
  readonly primary: Directory;
  readonly copy: Directory;
}

interface Shape {
  readonly header: SparseHeader;
  readonly tables: number;
  readonly tableSectors: number;
  readonly directorySectors: number;
}

export function shapeOf(header: SparseHeader): Shape {
  const tables = tableCount(header);
  return {
    header,
    tables,
    tableSectors: ceilDiv(header.numGTEsPerGT * 4, SECTOR_BYTES),
    directorySectors: ceilDiv(tables * 4, SECTOR_BYTES),
  };
}

export async function mendDirectories(
  mend: ExtentMend,
  header: SparseHeader,
): Promise<Directories | undefined> {
  const shape = shapeOf(header);
  const gdOffset = header.gdOffset ?? 0;
  const rgdOffset = header.rgdOffset;
  if (rgdOffset === undefined || rgdOffset === gdOffset) return undefined;
  // As far apart as VMware's layout has them: then both are where they belong, whatever they hold.
  const regular = gdOffset - rgdOffset === shape.directorySectors + shape.tables * shape.tableSectors;
  const primary = await readDirectory(mend, shape, gdOffset, regular);
  const copy = await readDirectory(mend, shape, rgdOffset, regular);
  if (primary === undefined && copy === undefined) return undefined;
  if (primary === undefined) {
    await findDirectory(mend, shape, copy!, 'primary');
    return undefined;
  }
  if (copy === undefined) {
    await findDirectory(mend, shape, primary, 'copy');
    return undefined;
  }
  if (hasCode(mend, 'GD-RANGE', 'GT-OVERLAP', 'TRUNC')) await mendTables(mend, shape, primary, copy);
  return { primary, copy };
}

/** Undefined when it is not within the file, or, unless it is `certain` to stand there, no entry can be a table. */
async function readDirectory(
  mend: ExtentMend,
  shape: Shape,
  offset: number,
  certain: boolean,
): Promise<Directory | undefined> {
  const entries = await readEntries(mend.file, offset, shape.tables);
  if (entries === undefined) return undefined;
  const size = await mend.file.size();
  const lost = entries.some((entry) => entry > 0) && !entries.some((entry) => isTable(shape, entry, size));
  return lost && !certain ? undefined : { offset, entries };
}

/**
 * A directory is not where the header says. Where the layout of VMware puts it beside the other, if it is there; else
 * the header no longer claims that there are two.
 */
async function findDirectory(
  { file }: ExtentMend,
  shape: Shape,
  other: Directory,
  lost: 'primary' | 'copy',
): Promise<void> {
  const length = shape.directorySectors + shape.tables * shape.tableSectors;
  const offset = lost === 'primary' ? other.offset + length : other.offset - length;
  const found = await readEntries(file, offset, shape.tables);
  const first = offset + shape.directorySectors;
  const regular = found?.every((entry, table) => entry === first + table * shape.tableSectors) === true;
  if (regular && (await sameTables(file, shape, found, other.entries))) {
    const place = BigInt(offset);
    await changeHeader(file, SparseExtentHeader, () =>
      lost === 'primary' ? { gdOffset: place } : { rgdOffset: place },
    );
    return;
  }
  await changeHeader(file, SparseExtentHeader, ({ flags }) => ({
    flags: (flags & ~SPARSE_FLAGS.redundantTables) >>> 0,
    gdOffset: BigInt(other.offset),
    rgdOffset: 0n,
  }));
}

async function sameTables(
  file: ExtentMend['file'],
  { header, tables }: Shape,
  one: Uint32Array,
  other: Uint32Array,
): Promise<boolean> {
  for (let table = 0; table < tables; table++) {
    const a = await readEntries(file, one[table]!, header.numGTEsPerGT);
    const b = await readEntries(file, other[table]!, header.numGTEsPerGT);
    if (a === undefined || b === undefined || !Buffer.from(a.buffer).equals(Buffer.from(b.buffer)))
      return false;
  }
  return true;
}

/** Entries of either directory that cannot be right get a table, made from the other copy. */
async function mendTables(
  mend: ExtentMend,
  shape: Shape,
  primary: Directory,
  copy: Directory,
): Promise<void> {
  const size = await mend.file.size();
  const clashing = await clashesOf(mend, shape, primary, copy);
  for (let table = 0; table < shape.tables; table++) {
    const state = clashing[table]!;
    const copyEntry = copy.entries[table]!;
    const copySound = isTable(shape, copyEntry, size) && (state & 2) === 0;
    const entry = primary.entries[table]!;
    const lawful = entry === 0 ? !copySound : isLawful(shape, entry, size);
    const sound = lawful && (state & 1) === 0;
    if (!sound && copySound) await makeTable(mend, shape, primary, copy, table);
    else if (sound && entry > ZERO_GRAIN && (!isLawful(shape, copyEntry, size) || (state & 2) !== 0))
      await makeTable(mend, shape, copy, primary, table);
  }
}

/** Bit 1: the table lies over something that came before it; bit 2: its copy does. */
async function clashesOf(
  { file }: ExtentMend,
  shape: Shape,
  primary: Directory,
  copy: Directory,
): Promise<Uint8Array> {
  const { header, tables, tableSectors } = shape;
  const size = await file.size();
  const usable = ({ entries }: Directory): Uint32Array =>
    entries.map((entry) => (isTable(shape, entry, size) ? entry : UNUSABLE));
  const directories = {
    header,
    tables,
    tableSectors,
    offset: primary.offset,
    copyOffset: copy.offset,
    places: usable(primary),
    copies: usable(copy),
    footer: 0,
  };
  const clashing = new Uint8Array(tables);
  const fileSectors = ceilDiv(size, SECTOR_BYTES);
  await surveySpace({
    walk: (take) => takeStructures(directories, fileSectors, take),
    from: 0,
    to: fileSectors,
    onClash(kind, index) {
      if (kind === KIND.table) clashing[index]! |= 1;
      if (kind === KIND.copyTable) clashing[index]! |= 2;
    },
  });
  return clashing;
}

/** Gives `to` a table of its own for one that only `from` has. */
async function makeTable(
  { file }: ExtentMend,
  shape: Shape,
  to: Directory,
  from: Directory,
  table: number,
): Promise<void> {
  const { header, tableSectors, directorySectors } = shape;
  const entries = await readEntries(file, from.entries[table]!, header.numGTEsPerGT);
  if (entries === undefined || to.offset + directorySectors > header.overHead) return;
  const regular = to.offset + directorySectors + table * tableSectors;
  const usual = regular + tableSectors <= header.overHead && isFree(shape, regular, to, from, table);
  const place = usual ? regular : roundUp(ceilDiv(await file.size(), SECTOR_BYTES), header.grainSize);
  const there = usual ? await readEntries(file, place, header.numGTEsPerGT) : undefined;
  if (there === undefined || !(await isPlausible(file, shape, there)))
    await writeEntries(file, place, entries);
  to.entries[table] = place;
  await writeEntries(file, to.offset, to.entries);
}

/** Whether no directory and no other table stands where a table would go. */
function isFree(shape: Shape, place: number, to: Directory, from: Directory, table: number): boolean {
  const { tableSectors, directorySectors } = shape;
  const apart = (start: number, count: number): boolean =>
    start >= place + tableSectors || start + count <= place;
  const first = Math.max(1, shape.header.descriptorOffset + shape.header.descriptorSize);
  return (
    place >= first &&
    apart(to.offset, directorySectors) &&
    apart(from.offset, directorySectors) &&
    from.entries.every((entry) => apart(entry, tableSectors)) &&
    to.entries.every((entry, index) => index === table || apart(entry, tableSectors))
  );
}

/** A table that may be what it looks like: something in it, and nothing impossible. */
async function isPlausible(file: ExtentMend['file'], shape: Shape, entries: Uint32Array): Promise<boolean> {
  const { overHead } = shape.header;
  const last = Math.floor((await file.size()) / SECTOR_BYTES);
  const possible = (entry: number): boolean => entry <= ZERO_GRAIN || (entry >= overHead && entry < last);
  return entries.some((entry) => entry > 0) && entries.every(possible);
}

function isLawful(shape: Shape, entry: number, size: number): boolean {
  if (entry === ZERO_GRAIN) return (shape.header.flags & SPARSE_FLAGS.zeroedGrains) !== 0;
  return entry === 0 || isTable(shape, entry, size);
}

function isTable({ header, tableSectors }: Shape, entry: number, size: number): boolean {
  const first = Math.max(2, header.descriptorOffset + header.descriptorSize);
  return entry >= first && (entry + tableSectors) * SECTOR_BYTES <= size;
}
