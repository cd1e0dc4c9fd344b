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
/** 64 KiB, a grain of most sparse disks: to which places are told. */
export const PIECE_SECTORS = 128;
/** Of a piece's digest, enough to say where; that anything changed at all, the whole digest says. */
export const PIECE_DIGITS = 8;

/** What is remembered of one chunk. */
export interface ChunkDigest {
  readonly chunk: number;
  /** SHA-256 of those of its pieces: of the bytes of each, and in a delta of what is absent in it. */
  readonly digest: string;
  /** The first digits of the digest of each piece. */
  readonly pieces: string;
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
  const delta = isDelta(disk);
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
        if (digest !== undefined) yield { chunk, ...digest };
        next = chunk + 1;
        const done = Math.min(total, next * CHUNK_SECTORS * SECTOR_BYTES);
        task.onProgress?.({ phase: 'reading', done, total, unit: 'bytes' });
      }
    }
  }
  onMap(layout.digest('hex'));
}

/** `pieces` of a chunk that is not remembered: all zeros, or in a delta all absent. `sectors` are those of the chunk. */
export function silentPieces(disk: Disk, sectors: number): string {
  const absent: [number, number][] = isDelta(disk) ? [[0, sectors]] : [];
  return digestOfPieces(Buffer.alloc(sectors * SECTOR_BYTES), absent).pieces;
}

function isDelta({ descriptor: { parentCid } }: Disk): boolean {
  return parentCid !== undefined && parentCid !== NO_PARENT_CID;
}

/** Undefined for a chunk of a base that is all zeros, however they are stored. */
async function digestOf(
  disk: Disk,
  range: SectorRange,
  buffer: Buffer,
  delta: boolean,
): Promise<Omit<ChunkDigest, 'chunk'> | undefined> {
  const bytes = buffer.subarray(0, range.count * SECTOR_BYTES);
  await disk.read(range, bytes);
  if (!delta) return isZero(bytes) ? undefined : digestOfPieces(bytes, []);
  const absent: [number, number][] = [];
  for await (const runs of walkRuns(disk, range)) {
    for (let index = 0; index < runs.length; index++)
      if (runs.isAbsentAt(index))
        absent.push([runs.startAt(index) - range.start, runs.endAt(index) - range.start]);
  }
  return digestOfPieces(bytes, absent);
}

/** `absent` are stretches from the chunk's first sector on, in order. */
function digestOfPieces(
  bytes: Buffer,
  absent: readonly (readonly [number, number])[],
): Omit<ChunkDigest, 'chunk'> {
  const [whole, holes] = [createHash('sha256'), mergedRuns(absent)];
  let pieces = '';
  for (let first = 0; first * SECTOR_BYTES < bytes.length; first += PIECE_SECTORS) {
    const end = first + PIECE_SECTORS;
    const piece = createHash('sha256').update(bytes.subarray(first * SECTOR_BYTES, end * SECTOR_BYTES));
    for (const [from, to] of holes) {
      if (from < end && to > first) piece.update(`${Math.max(from, first)} ${Math.min(to, end)}\n`);
    }
    const digest = piece.digest();
    whole.update(digest);
    pieces += digest.toString('hex').slice(0, PIECE_DIGITS);
  }
  return { digest: whole.digest('hex'), pieces };
}

/** Neighbours as one, wherever a list was cut. */
function mergedRuns(runs: readonly (readonly [number, number])[]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [start, end] of runs) {
    const last = merged.at(-1);
    if (last?.[1] === start) last[1] = end;
    else merged.push([start, end]);
  }
  return merged;
}
