// Byte ranges over sectors: the unaligned ends are read whole and cut, or read, changed and written back.
import { allocateRoom } from '../core/room.ts';
import { roundDown, roundUp, SECTOR_BYTES, type Bytes, type Sectors } from '../core/units.ts';
import { sectorRange } from './sector-range.ts';
import type { SectorSource, SectorTarget } from './sector-source.ts';

/** Fills `into` from byte `at` of the contents. @throws RangeError past the end of the disk. */
export async function readBytes(source: SectorSource, at: Bytes, into: Uint8Array): Promise<void> {
  assertInside(source, at, into.length);
  const start = roundDown(at, SECTOR_BYTES);
  const end = roundUp(at + into.length, SECTOR_BYTES);
  const range = sectorRange(start / SECTOR_BYTES, (end - start) / SECTOR_BYTES);
  if (start === at && end === at + into.length) return source.read(range, into);
  const whole = allocateRoom(end - start);
  await source.read(range, whole);
  into.set(whole.subarray(at - start, at - start + into.length));
}

/** Whether metadata alone say that the `length` bytes from `at` on are zeros. @throws RangeError past the end of the disk. */
export async function readsAsZeros(source: SectorSource, at: Bytes, length: number): Promise<boolean> {
  assertInside(source, at, length);
  const start = roundDown(at, SECTOR_BYTES) / SECTOR_BYTES;
  const end = roundUp(at + length, SECTOR_BYTES) / SECTOR_BYTES;
  const range = sectorRange(start, end - start);
  const runs = await (source.plan?.(range) ?? source.map(range));
  if (runs.end < end) return false;
  for (let index = 0; index < runs.length; index++) if (runs.isDataAt(index)) return false;
  return true;
}

/**
 * Writes `data` at byte `at`. Sectors at unaligned ends are read first, so two writers must not share a sector.
 * @throws RangeError past the end of the disk.
 */
export async function writeBytes(target: SectorTarget, at: Bytes, data: Uint8Array): Promise<void> {
  assertInside(target, at, data.length);
  if (data.length === 0) return;
  const start = roundDown(at, SECTOR_BYTES);
  const end = roundUp(at + data.length, SECTOR_BYTES);
  if (start === at && end === at + data.length) return target.write((start / SECTOR_BYTES) as Sectors, data);
  const whole = Buffer.alloc(end - start);
  const last = end - SECTOR_BYTES;
  await readSector(target, start, whole.subarray(0, SECTOR_BYTES));
  if (last !== start) await readSector(target, last, whole.subarray(last - start));
  whole.set(data, at - start);
  await target.write((start / SECTOR_BYTES) as Sectors, whole);
}

function readSector(source: SectorSource, at: number, into: Uint8Array): Promise<void> {
  return source.read(sectorRange(at / SECTOR_BYTES, 1), into);
}

function assertInside(source: SectorSource, at: number, length: number): void {
  const size = source.capacity * SECTOR_BYTES;
  if (Number.isSafeInteger(at) && at >= 0 && at + length <= size) return;
  throw new RangeError(`bytes ${at} + ${length} do not lie within a disk of ${size} bytes`);
}
