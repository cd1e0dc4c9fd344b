// The contents of one link as a guarded base is remembered: a digest for each chunk that says anything, in order. Rule:
// bounded memory, and equal for two disks exactly when no disk above can tell them apart.
import { createHash } from 'node:crypto';
import { walkRuns, wholeOf } from '../block/read-runs.ts';
import { sectorRange, type SectorRange } from '../block/sector-range.ts';
import { isZero } from '../block/zero-scan.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { Disk } from '../disk/disk.ts';
import { NO_PARENT_CID } from '../format/content-id.ts';

/** 1 MiB. */
export const CHUNK_SECTORS = 2048;

/** `2 <SHA-256>`: the chunk's number, the digest of its bytes, and in a delta that of what is absent in it. */
export interface ChunkDigest {
  readonly chunk: number;
  readonly digest: string;
}

/**
 * The chunks that are not all zeros, or in a delta not all absent. `onMap` is given a digest of the layout in the end:
 * which sectors are absent, zero or data.
 */
export async function* digestsOf(
  disk: Disk,
  task: TaskOptions = {},
  onMap: (digest: string) => void = () => undefined,
): AsyncGenerator<ChunkDigest> {
  const { parentCid } = disk.descriptor;
  const delta = parentCid !== undefined && parentCid !== NO_PARENT_CID;
  const layout = createHash('sha256');
  const total = disk.capacity * SECTOR_BYTES;
  const buffer = Buffer.alloc(CHUNK_SECTORS * SECTOR_BYTES);
  let next = 0;
  for await (const runs of walkRuns(disk, wholeOf(disk))) {
    for (let index = 0; index < runs.length; index++) {
      const [start, end] = [runs.startAt(index), runs.endAt(index)];
      const state = runs.isAbsentAt(index) ? 'absent' : runs.isDataAt(index) ? 'data' : 'zero';
      layout.update(`${state} ${start} ${end - start}\n`);
      // Below a base there are zeros, so that zeros of its own say nothing.
      if (state === 'absent' || (state === 'zero' && !delta)) continue;
      const first = Math.max(next, Math.floor(start / CHUNK_SECTORS));
      for (let chunk = first; chunk * CHUNK_SECTORS < end; chunk++) {
        throwIfAborted(task);
        const from = chunk * CHUNK_SECTORS;
        const range = sectorRange(from, Math.min(CHUNK_SECTORS, disk.capacity - from));
        const digest = await digestOf(disk, range, buffer, delta);
        if (digest !== undefined) yield { chunk, digest };
        next = chunk + 1;
        const done = Math.min(total, next * CHUNK_SECTORS * SECTOR_BYTES);
        task.onProgress?.({ phase: 'reading', done, total, unit: 'bytes' });
      }
    }
  }
  onMap(layout.digest('hex'));
}

/** Undefined for a chunk of a base that is all zeros, however they are stored. */
async function digestOf(
  disk: Disk,
  range: SectorRange,
  buffer: Buffer,
  delta: boolean,
): Promise<string | undefined> {
  const bytes = buffer.subarray(0, range.count * SECTOR_BYTES);
  await disk.read(range, bytes);
  if (!delta) return isZero(bytes) ? undefined : sha256(bytes);
  const absent: string[] = [];
  for await (const runs of walkRuns(disk, range)) {
    for (let index = 0; index < runs.length; index++)
      if (runs.isAbsentAt(index)) absent.push(`${runs.startAt(index)} ${runs.endAt(index)}`);
  }
  return `${sha256(bytes)}${absent.length === 0 ? '' : sha256(Buffer.from(mergedAbsent(absent))).slice(0, 16)}`;
}

/** Neighbours as one, wherever a list was cut. */
function mergedAbsent(runs: readonly string[]): string {
  const merged: [number, number][] = [];
  for (const run of runs) {
    const [start, end] = run.split(' ').map(Number) as [number, number];
    const last = merged.at(-1);
    if (last?.[1] === start) last[1] = end;
    else merged.push([start, end]);
  }
  return merged.join('\n');
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
