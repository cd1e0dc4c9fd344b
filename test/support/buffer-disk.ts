// Sectors in memory behind the interfaces of the engine, with every read counted; and the naive model of a run list:
// one entry per sector.
import { RunList, type DataOrigin, type SectorRun } from '../../src/block/run-list.ts';
import { readMapped } from '../../src/block/read-runs.ts';
import type { SectorTarget } from '../../src/block/sector-source.ts';
import { SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';

export interface OneRead {
  readonly offset: number;
  readonly length: number;
  readonly sector: number;
}

/** A file of which each byte tells its offset, near enough that no two sectors are alike. */
export function fileBytes(length: number, seed = 0): Buffer {
  const words = new Uint32Array(length / 4);
  for (let index = 0; index < words.length; index++) words[index] = index * 2654435761 + seed * 97;
  return Buffer.from(words.buffer);
}

/** An origin over `content`; `reads` collects what is asked of it. */
export function bufferOrigin(
  content: Buffer,
  path = '/file',
  compressed = false,
): DataOrigin & { reads: OneRead[] } {
  const reads: OneRead[] = [];
  return {
    path,
    compressed,
    reads,
    async read(into, offset, sector) {
      reads.push({ offset, length: into.length, sector });
      await Promise.resolve();
      content.copy(into, 0, offset, offset + into.length);
    },
  };
}

/** What one sector is, by the naive model. */
export interface Cell {
  readonly state: 'absent' | 'zero' | 'data';
  readonly depth: number;
  readonly origin?: DataOrigin;
  /** Byte offset of this very sector in the file; of its grain when compressed. */
  readonly offset?: number;
  readonly sector?: number;
}

/** The runs of a list, sector by sector. */
export function cellsOf(list: RunList): Cell[] {
  const cells: Cell[] = [];
  for (let index = 0; index < list.length; index++) {
    const run: SectorRun = list.runAt(index);
    const origin = list.originAt(index);
    for (let at = 0; at < run.count; at++) {
      const { state, depth } = run;
      if (origin === undefined) cells.push({ state, depth });
      else if (origin.compressed) {
        cells.push({ state, depth, origin, offset: list.offsetAt(index), sector: list.sectorAt(index) + at });
      } else
        cells.push({ state, depth, origin, offset: list.offsetAt(index) + at * SECTOR_BYTES, sector: 0 });
    }
  }
  return cells;
}

/** A disk in memory: absent where nothing was written, unless `content` is given. Counts its reads and writes. */
export function bufferTarget(
  capacity: number,
  content?: Buffer,
): SectorTarget & {
  readonly content: Buffer;
  readonly log: { reads: number; writes: OneRead[]; flushes: number };
} {
  const bytes = content ?? Buffer.alloc(capacity * SECTOR_BYTES);
  const written = new Uint8Array(capacity).fill(content === undefined ? 0 : 1);
  const origin = bufferOrigin(bytes);
  const log = { reads: 0, writes: [] as OneRead[], flushes: 0 };
  const target: SectorTarget & { content: Buffer; log: typeof log } = {
    content: bytes,
    log,
    capacity: capacity as Sectors,
    async map(range) {
      const runs = new RunList(range.start);
      for (let sector: number = range.start; sector < range.start + range.count; sector++) {
        if (written[sector] === 1) runs.addData(1, origin, sector * SECTOR_BYTES);
        else runs.addAbsent(1);
      }
      return runs;
    },
    read(range, into) {
      log.reads++;
      return readMapped(target, range, into);
    },
    async write(start, data) {
      log.writes.push({ offset: start * SECTOR_BYTES, length: data.length, sector: start });
      await Promise.resolve();
      bytes.set(data, start * SECTOR_BYTES);
      written.fill(1, start, start + data.length / SECTOR_BYTES);
    },
    async zero(range) {
      bytes.fill(0, range.start * SECTOR_BYTES, (range.start + range.count) * SECTOR_BYTES);
    },
    async flush() {
      log.flushes++;
    },
    async close() {},
  };
  return target;
}
