// A new file for one sparse extent, with what the disk holds there and no more: grains that say nothing new are left out,
// the others stand one after the other. Rule: the file is made aside; the extent that it is to replace is only read.
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { isZero, nonZeroStretches } from '../block/zero-scan.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { ceilDiv, roundUp, SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { WritableExtent } from '../extent/extent.ts';
import { openWritableCowdExtent } from '../extent/writable-cowd-extent.ts';
import { openWritableSparseExtent } from '../extent/writable-sparse-extent.ts';
import { cowdFileBytes, encodeEmptyCowd, layOutCowd } from '../format/cowd-layout.ts';
import { EMBEDDED_DESCRIPTOR_SECTORS, encodeEmptySparse, layOutSparse } from '../format/sparse-layout.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';
import { inOrder } from './in-order.ts';
import { assertCowdFits, assertSparseFits } from './plan-checks.ts';

const CHUNK_SECTORS = 2048;
const PARTS_AHEAD = 4;
const NOTHING = Buffer.alloc(0);

export interface NewExtentFile {
  readonly kind: 'sparse' | 'cowd';
  /** Sectors. */
  readonly capacity: number;
  readonly grainSize: number;
  /** The text to embed; none for an extent with a descriptor of its own. */
  readonly descriptor?: Uint8Array | undefined;
}

export interface RebuildSource {
  /** The disk without its parents. */
  readonly leaf: Pick<SectorSource, 'map' | 'read' | 'capacity'>;
  /** What absent means; undefined for zeros. */
  readonly below: Pick<SectorSource, 'map' | 'read'> | undefined;
  /** First sector of the extent on the disk, and where what it holds ends; 0 sectors for an extent that is new. */
  readonly start: number;
  readonly end: number;
}

/** Makes the file `path`. Returns the sectors of data that were left out. */
export async function rebuildExtent(
  store: FileStore,
  path: string,
  shape: NewExtentFile,
  source: RebuildSource,
  task: TaskOptions,
): Promise<number> {
  const { size, parts } = emptyFile(path, shape);
  const file = withHoles(await store.create(path));
  let extent: WritableExtent | undefined;
  try {
    await file.resize(size);
    for (const { at, data } of parts) await file.write(data, at);
    const open = shape.kind === 'cowd' ? openWritableCowdExtent : openWritableSparseExtent;
    extent = await open(file, shape.capacity, () => {});
    await extent.begin();
    const dropped = await copyGrains(extent, source, task);
    await extent.flush();
    return dropped;
  } finally {
    await (extent ?? file).close();
  }
}

/** Zeros within what is appended are not written: grains that have holes in the old file have them in the new one. */
function withHoles(file: WritableFile): WritableFile {
  let end = 0;
  return {
    ...file,
    async resize(size) {
      end = size;
      await file.resize(size);
    },
    async write(data, at) {
      const fresh = at >= end;
      end = Math.max(end, at + data.length);
      if (!fresh) return file.write(data, at);
      const stretches = nonZeroStretches(data);
      // The last byte gives the file its length.
      if (stretches.at(-1)?.[1] !== data.length) stretches.push([data.length - 1, data.length]);
      for (const [from, to] of stretches) await file.write(data.subarray(from, to), at + from);
    },
  };
}

/** The sectors of data that `rebuildExtent` would leave out; everything is read and nothing made. */
export function measureRebuild(
  { capacity, grainSize }: Pick<NewExtentFile, 'capacity' | 'grainSize'>,
  source: RebuildSource,
  task: TaskOptions,
): Promise<number> {
  const nothing = (): Promise<void> => Promise.resolve();
  return copyGrains({ capacity, grainSize, write: nothing, zero: nothing }, source, task);
}

function emptyFile(
  path: string,
  { kind, capacity, grainSize, descriptor }: NewExtentFile,
): { size: number; parts: { at: number; data: Uint8Array }[] } {
  if (kind === 'cowd') {
    assertCowdFits(capacity as Sectors, path);
    const layout = layOutCowd(capacity, grainSize);
    return { size: cowdFileBytes(layout), parts: encodeEmptyCowd(layout) };
  }
  const room = descriptor === undefined ? 0 : ceilDiv(descriptor.length, SECTOR_BYTES);
  const layout = layOutSparse(
    capacity,
    grainSize,
    descriptor === undefined ? 0 : Math.max(EMBEDDED_DESCRIPTOR_SECTORS, room),
  );
  assertSparseFits(layout, path);
  return { size: layout.overHead * SECTOR_BYTES, parts: encodeEmptySparse(layout, descriptor) };
}

/** Sectors of one run of the disk, whole grains of the extent but for the last. */
interface Part {
  readonly range: SectorRange;
  /** Data; else zeros. */
  readonly isData: boolean;
}

interface ReadPart extends Part {
  readonly data: Buffer;
  readonly under: Buffer | undefined;
}

type GrainTarget = Pick<WritableExtent, 'write' | 'zero'> & {
  readonly capacity: number;
  readonly grainSize: number;
};

async function copyGrains(target: GrainTarget, source: RebuildSource, task: TaskOptions): Promise<number> {
  const { below, start, end } = source;
  const rooms: Buffer[] = [];
  const reading = (part: Part): Promise<ReadPart> => readPart(source, part, rooms);
  let dropped = 0;
  for await (const part of inOrder(partsOf(target.grainSize, source), reading, PARTS_AHEAD)) {
    throwIfAborted(task);
    const { range, isData } = part;
    if (isData) dropped += await writePart(target, start, part);
    else if (below !== undefined) await target.zero(sectorRange(range.start - start, range.count), true);
    if (part.data.length > 0) rooms.push(part.data);
    if (part.under !== undefined) rooms.push(part.under);
    task.onProgress?.({
      phase: 'rewriting',
      done: (range.start - start) * SECTOR_BYTES,
      total: (end - start) * SECTOR_BYTES,
      unit: 'bytes',
    });
  }
  return dropped;
}

async function* partsOf(grainSize: number, { leaf, start, end }: RebuildSource): AsyncGenerator<Part> {
  const step = Math.max(grainSize, Math.floor(CHUNK_SECTORS / grainSize) * grainSize);
  for await (const runs of walkRuns({ ...leaf, close: async () => {} }, sectorRange(start, end - start))) {
    for (let index = 0; index < runs.length; index++) {
      if (runs.isAbsentAt(index)) continue;
      for (let at = runs.startAt(index); at < runs.endAt(index); at += step) {
        const range = sectorRange(at, Math.min(step, runs.endAt(index) - at));
        yield { range, isData: runs.isDataAt(index) };
      }
    }
  }
}

async function readPart({ leaf, below }: RebuildSource, part: Part, rooms: Buffer[]): Promise<ReadPart> {
  if (!part.isData) return { ...part, data: NOTHING, under: undefined };
  const length = part.range.count * SECTOR_BYTES;
  const read = async (from: Pick<SectorSource, 'read'>): Promise<Buffer> => {
    // Fresh memory for every part costs as much as reading into it.
    const known = rooms.pop();
    const fits = known !== undefined && known.length >= length;
    const room = fits ? known : allocateRoom(Math.max(length, CHUNK_SECTORS * SECTOR_BYTES));
    await from.read(part.range, room.subarray(0, length));
    return room;
  };
  const outcomes = await Promise.allSettled([read(leaf), ...(below === undefined ? [] : [read(below)])]);
  const [data, under] = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
  return { ...part, data: data!, under };
}

/** Neighbouring grains that have to be stored go in one write. Returns the sectors that need not be. */
async function writePart(target: GrainTarget, start: number, { range, ...read }: ReadPart): Promise<number> {
  const length = range.count * SECTOR_BYTES;
  const data = read.data.subarray(0, length);
  const bytes = target.grainSize * SECTOR_BYTES;
  let [dropped, from] = [0, 0];
  let kind: GrainKind = 'left out';
  const take = async (to: number): Promise<void> => {
    const count = (to - from) / SECTOR_BYTES;
    const place = range.start - start + from / SECTOR_BYTES;
    if (kind === 'left out') dropped += count;
    else if (kind === 'zero') await target.zero(sectorRange(place, count), true);
    else await target.write(place as Sectors, wholeGrains(target, place, data.subarray(from, to)));
    from = to;
  };
  for (let at = 0; at < length; at += bytes) {
    const now = kindOf(data, read.under, at, Math.min(at + bytes, length));
    if (now !== kind && at > from) await take(at);
    kind = now;
  }
  await take(length);
  return dropped;
}

type GrainKind = 'left out' | 'zero' | 'data';

function kindOf(data: Buffer, under: Buffer | undefined, from: number, to: number): GrainKind {
  const zero = isZero(data.subarray(from, to));
  if (under === undefined ? zero : data.compare(under, from, to, from, to) === 0) return 'left out';
  return zero ? 'zero' : 'data';
}

/** A grain that the end of a smaller disk had cut, made whole with zeros as far as the new extent goes. */
function wholeGrains(target: GrainTarget, place: number, grains: Buffer): Uint8Array {
  const end = place + grains.length / SECTOR_BYTES;
  const missing = Math.min(roundUp(end, target.grainSize), target.capacity) - end;
  return missing <= 0 ? grains : Buffer.concat([grains, Buffer.alloc(missing * SECTOR_BYTES)]);
}
