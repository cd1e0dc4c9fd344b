// A new file for one sparse extent, with what the disk holds there and no more: grains that say nothing new are left out,
// the others stand one after the other. Rule: the file is made aside; the extent that it is to replace is only read.
import { walkRuns } from '../block/read-runs.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { isZero } from '../block/zero-scan.ts';
import { allocateRoom } from '../core/room.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { ceilDiv, SECTOR_BYTES, type Sectors } from '../core/units.ts';
import type { WritableExtent } from '../extent/extent.ts';
import { openWritableCowdExtent } from '../extent/writable-cowd-extent.ts';
import { openWritableSparseExtent } from '../extent/writable-sparse-extent.ts';
import { cowdFileBytes, encodeEmptyCowd, layOutCowd } from '../format/cowd-layout.ts';
import { EMBEDDED_DESCRIPTOR_SECTORS, encodeEmptySparse, layOutSparse } from '../format/sparse-layout.ts';
import type { FileStore } from '../storage/file-store.ts';
import { assertCowdFits, assertSparseFits } from './plan-checks.ts';

const CHUNK_SECTORS = 2048;

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
  const file = await store.create(path);
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

async function copyGrains(
  target: WritableExtent,
  { leaf, below, start, end }: RebuildSource,
  task: TaskOptions,
): Promise<number> {
  const { grainSize } = target;
  const step = Math.max(grainSize, Math.floor(CHUNK_SECTORS / grainSize) * grainSize);
  let dropped = 0;
  for await (const runs of walkRuns({ ...leaf, close: async () => {} }, sectorRange(start, end - start))) {
    for (let index = 0; index < runs.length; index++) {
      if (runs.isAbsentAt(index)) continue;
      for (let at = runs.startAt(index); at < runs.endAt(index); at += step) {
        throwIfAborted(task);
        const part = sectorRange(at, Math.min(step, runs.endAt(index) - at));
        if (runs.isDataAt(index)) dropped += await copyPart(target, { leaf, below, start, end }, part);
        else if (below !== undefined) await target.zero(sectorRange(at - start, part.count), true);
        task.onProgress?.({
          phase: 'rewriting',
          done: (at - start) * SECTOR_BYTES,
          total: (end - start) * SECTOR_BYTES,
          unit: 'bytes',
        });
      }
    }
  }
  return dropped;
}

/** Returns the sectors that need not be stored. */
async function copyPart(
  target: WritableExtent,
  { leaf, below, start }: RebuildSource,
  part: ReturnType<typeof sectorRange>,
): Promise<number> {
  const length = part.count * SECTOR_BYTES;
  const data = allocateRoom(length);
  await leaf.read(part, data);
  let under: Buffer | undefined;
  if (below !== undefined) {
    under = allocateRoom(length);
    await below.read(part, under);
  }
  let dropped = 0;
  for (let at = 0; at < part.count; at += target.grainSize) {
    const count = Math.min(target.grainSize, part.count - at);
    const [from, to] = [at * SECTOR_BYTES, (at + count) * SECTOR_BYTES];
    const grain = data.subarray(from, to);
    const zero = isZero(grain);
    if (under === undefined ? zero : grain.equals(under.subarray(from, to))) {
      dropped += count;
      continue;
    }
    const place = part.start + at - start;
    if (zero) {
      await target.zero(sectorRange(place, count), true);
      continue;
    }
    await target.write(place as Sectors, wholeGrain(target, place, grain));
  }
  return dropped;
}

/** A grain that the end of a smaller disk had cut, made whole with zeros as far as the new extent goes. */
function wholeGrain(target: WritableExtent, place: number, grain: Buffer): Uint8Array {
  const count = Math.min(target.grainSize, target.capacity - place);
  const missing = count * SECTOR_BYTES - grain.length;
  return missing <= 0 ? grain : Buffer.concat([grain, Buffer.alloc(missing)]);
}
