// Saves what can be read of a damaged streamOptimized file into a raw one, by the markers of its grains. Rule: a grain
// counts only when it inflates to its full length, which proves every byte; what may be missing is listed, never made up.
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import type { SparseHeader } from '../format/sparse-header.ts';
import { GRAIN_MARKER_BYTES, GrainMarker, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';
import { tableCount } from '../grain/sparse-directory.ts';
import { inflateWithin } from '../worker/inflate.ts';

export interface LostPart {
  readonly what: string;
  /** First sector of the disk, and how many. */
  readonly start?: number;
  readonly count?: number;
}

/** Writes every sound grain to its place; gives what may be missing. Grains that were never written stay zeros. */
export async function saveStream(
  file: RandomAccessFile,
  header: SparseHeader,
  target: WritableFile,
  task: TaskOptions,
): Promise<LostPart[]> {
  const size = await file.size();
  const lost: LostPart[] = [];
  const grains = ceilDiv(header.capacity, header.grainSize);
  const directorySectors = ceilDiv(tableCount(header) * 4, SECTOR_BYTES);
  let at = Math.max(1, header.overHead, header.descriptorOffset + header.descriptorSize) * SECTOR_BYTES;
  let next = 0;
  let damagedAt: number | undefined;
  let complete = false;
  const sector = Buffer.alloc(SECTOR_BYTES);
  const missing = (from: number, to: number, what: string): void => {
    const start = from * header.grainSize;
    const end = Math.min(header.capacity, to * header.grainSize);
    if (end > start) lost.push({ what, start, count: end - start });
    // Grains that are not in order: nobody knows which were there.
    else if (damagedAt !== undefined) lost.push({ what });
  };
  while (at + GRAIN_MARKER_BYTES <= size) {
    throwIfAborted(task);
    task.onProgress?.({ phase: 'recovering', done: at, total: size, unit: 'bytes' });
    sector.fill(0);
    await file.readExactly(sector.subarray(0, Math.min(SECTOR_BYTES, size - at)), at);
    const marker = Marker.decode(sector);
    if (marker.size === 0 && marker.type <= MARKER_TYPE.progress && marker.val <= BigInt(size)) {
      // The directory follows the last grain: what stands behind it is no grain.
      complete = marker.type === MARKER_TYPE.footer || isDirectory(marker, directorySectors);
      if (complete) break;
      at += (marker.type === MARKER_TYPE.grainTable ? 1 + Number(marker.val) : 1) * SECTOR_BYTES;
      continue;
    }
    const grain = await readGrain(file, header, size, at, sector);
    if (grain === undefined) {
      damagedAt ??= at;
      at += SECTOR_BYTES;
      continue;
    }
    if (damagedAt !== undefined)
      missing(
        next,
        grain.index,
        `grains between byte ${damagedAt} and byte ${at} of the stream cannot be read`,
      );
    damagedAt = undefined;
    await target.write(grain.data, grain.index * header.grainSize * SECTOR_BYTES);
    next = Math.max(next, grain.index + 1);
    at = roundUp(at + grain.stored, SECTOR_BYTES);
  }
  if (damagedAt !== undefined && complete)
    missing(next, grains, `grains from byte ${damagedAt} of the stream on cannot be read`);
  else if (!complete) missing(next, grains, `the stream was cut short at byte ${damagedAt ?? size}`);
  return lost;
}

function isDirectory({ type, val }: { type: number; val: bigint }, sectors: number): boolean {
  return type === MARKER_TYPE.grainDirectory && val === BigInt(sectors);
}

interface FoundGrain {
  readonly index: number;
  readonly data: Buffer;
  /** Bytes in the stream, marker included. */
  readonly stored: number;
}

async function readGrain(
  file: RandomAccessFile,
  { capacity, grainSize }: SparseHeader,
  size: number,
  at: number,
  sector: Buffer,
): Promise<FoundGrain | undefined> {
  const marker = GrainMarker.decode(sector);
  const lba = Number(marker.lba);
  const length = grainSize * SECTOR_BYTES;
  const stored = GRAIN_MARKER_BYTES + marker.size;
  if (marker.lba >= BigInt(capacity) || lba % grainSize !== 0) return undefined;
  if (marker.size === 0 || marker.size > 2 * length || at + stored > size) return undefined;
  const bytes = Buffer.alloc(marker.size);
  await file.readExactly(bytes, at + GRAIN_MARKER_BYTES);
  try {
    const data = await inflateWithin(bytes, length, (inflated) => Buffer.from(inflated));
    const needed = Math.min(length, (capacity - lba) * SECTOR_BYTES);
    if (data.length < needed) return undefined;
    return { index: lba / grainSize, data: data.subarray(0, needed), stored };
  } catch {
    // No zlib stream, or a damaged one: it is listed as missing.
    return undefined;
  }
}

/** @throws VmdkError `nothing-to-recover` when the header says that there is no stream. */
export function assertStream(header: SparseHeader, path: string): void {
  if (header.compressed && header.markers && header.capacity > 0) return;
  throw new VmdkError(
    'unsupported',
    'nothing-to-recover',
    'this is no stream that could be saved by its markers',
    {
      path,
      hint: 'Tables of other sparse disks are mended by vmdkit check --plan and --repair.',
    },
  );
}
