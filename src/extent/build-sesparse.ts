// A new seSparse extent: complete, closed and never changed again, which is all that is safe without VMware's own
// description. Tables and grains are handed out in ascending guest order; bitmap and back map say the same.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { seSparseEntry, SESPARSE_DIRECTORY_ALLOCATED, SESPARSE_TYPE } from '../format/sesparse-entries.ts';
import { SESPARSE_ENTRIES_PER_TABLE, SESPARSE_GRAIN } from '../format/sesparse-header.ts';
import { encodeSeSparseHeaders, seSparseBytes, type SeSparseLayout } from '../format/sesparse-layout.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { AscendingTable, writeParts, type ExtentBuilder } from './extent-builder.ts';

/** 1 MiB of bits at a time. */
const BITMAP_CHUNK = 1 << 20;

export function buildSeSparse(file: WritableFile, layout: SeSparseLayout): ExtentBuilder {
  const at = (region: { offset: number }, bytes = 0): number => region.offset * SECTOR_BYTES + bytes;
  const region = (where: { offset: number }) => (from: number, data: Uint8Array) =>
    file.write(data, at(where, from));
  const directory = new AscendingTable(layout.tables * 2, region(layout.grainDirectory));
  // One table follows the other: what the guest skips is not stored.
  const tables = new AscendingTable(
    layout.tables * SESPARSE_ENTRIES_PER_TABLE * 2,
    region(layout.grainTables),
  );
  const backMap = new AscendingTable((layout.grains.size / SESPARSE_GRAIN) * 2, region(layout.backMap));
  let table = -1;
  let usedTables = 0;
  let usedGrains = 0;
  const enter = (grain: number, type: number, index: number, pages: Promise<void>[]): void => {
    const keep = (page: Promise<void> | undefined): void => void (page !== undefined && pages.push(page));
    const wanted = Math.floor(grain / SESPARSE_ENTRIES_PER_TABLE);
    if (wanted !== table) {
      table = wanted;
      keep(directory.set(table * 2, usedTables));
      keep(directory.set(table * 2 + 1, SESPARSE_DIRECTORY_ALLOCATED));
      usedTables++;
    }
    const slot = (usedTables - 1) * SESPARSE_ENTRIES_PER_TABLE + (grain % SESPARSE_ENTRIES_PER_TABLE);
    const [low, high] = seSparseEntry(type, index);
    keep(tables.set(slot * 2, low));
    keep(tables.set(slot * 2 + 1, high));
    if (type === SESPARSE_TYPE.allocated) keep(backMap.set(index * 2, usedTables - 1));
  };
  return {
    grainSize: SESPARSE_GRAIN,
    async write(start, data) {
      const first = usedGrains;
      const grains = ceilDiv(data.length, SESPARSE_GRAIN * SECTOR_BYTES);
      usedGrains += grains;
      const pages: Promise<void>[] = [];
      for (let count = 0; count < grains; count++) {
        enter(start / SESPARSE_GRAIN + count, SESPARSE_TYPE.allocated, first + count, pages);
      }
      const offset = at(layout.grains, first * SESPARSE_GRAIN * SECTOR_BYTES);
      await Promise.all([file.write(data, offset), ...pages]);
    },
    async hide(start, count) {
      const pages: Promise<void>[] = [];
      for (let grain = 0; grain * SESPARSE_GRAIN < count; grain++) {
        enter(start / SESPARSE_GRAIN + grain, SESPARSE_TYPE.zero, 0, pages);
      }
      await Promise.all(pages);
    },
    async finish() {
      await Promise.all([directory.flush(), tables.flush(), backMap.flush()]);
      await writeBitmap(file, at(layout.freeBitmap), usedGrains);
      await file.resize(seSparseBytes(layout, usedGrains));
      await writeParts(file, encodeSeSparseHeaders(layout, usedTables));
    },
  };
}

/** Grains are handed out from the first on: all ones, lowest bits first, up to the last that is used. */
async function writeBitmap(file: WritableFile, offset: number, grains: number): Promise<void> {
  const bytes = ceilDiv(grains, 8);
  for (let at = 0; at < bytes; at += BITMAP_CHUNK) {
    const part = new Uint8Array(Math.min(BITMAP_CHUNK, bytes - at)).fill(0xff);
    if (at + part.length === bytes && grains % 8 !== 0) part[part.length - 1] = 2 ** (grains % 8) - 1;
    await file.write(part, offset + at);
  }
}
