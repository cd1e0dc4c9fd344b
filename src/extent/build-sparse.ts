// A new hosted sparse extent: grains one after the other behind the tables, both copies of the tables equal.
import { allOf } from '../core/settled.ts';
import { roundUp, SECTOR_BYTES } from '../core/units.ts';
import { encodeSparseHeader, SPARSE_FLAGS, ZERO_GRAIN } from '../format/sparse-header.ts';
import {
  encodeEmptySparse,
  headerOfLayout,
  SPARSE_ENTRIES_PER_TABLE,
  type SparseLayout,
} from '../format/sparse-layout.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { AscendingTable, writeParts, type ExtentBuilder } from './extent-builder.ts';

/** `descriptor` is the text to embed, where the layout keeps room for one. */
export function buildSparse(
  file: WritableFile,
  layout: SparseLayout,
  descriptor: Uint8Array | undefined,
): ExtentBuilder {
  const { grainSize, directorySectors, rgdOffset, gdOffset } = layout;
  const copies = [gdOffset, rgdOffset].map((offset) => (offset + directorySectors) * SECTOR_BYTES);
  const table = new AscendingTable(layout.tables * SPARSE_ENTRIES_PER_TABLE, async (at, data) => {
    for (const copy of copies) await file.write(data, copy + at);
  });
  let next = layout.overHead;
  let zeroGrains = false;
  const enter = (start: number, sectors: number, value: (grain: number) => number): Promise<void>[] => {
    const first = start / grainSize;
    const pages: Promise<void>[] = [];
    for (let grain = 0; grain * grainSize < sectors; grain++) {
      const leaving = table.set(first + grain, value(grain));
      if (leaving !== undefined) pages.push(leaving);
    }
    return pages;
  };
  return {
    grainSize,
    write(start, data) {
      const sectors = data.length / SECTOR_BYTES;
      const at = next;
      next += roundUp(sectors, grainSize);
      const pages = enter(start, sectors, (grain) => at + grain * grainSize);
      return allOf([file.write(data, at * SECTOR_BYTES), ...pages]);
    },
    hide(start, count) {
      zeroGrains = true;
      return allOf(enter(start, count, () => ZERO_GRAIN));
    },
    async finish() {
      await table.flush();
      await file.resize(next * SECTOR_BYTES);
      const parts = encodeEmptySparse(layout, descriptor);
      const front = parts.at(-1)!.data;
      if (zeroGrains) front.set(headerWithZeroGrains(layout));
      await writeParts(file, parts);
    },
  };
}

/** Zero entries are lawful in version 2 only. */
function headerWithZeroGrains(layout: SparseLayout): Buffer {
  const header = headerOfLayout(layout);
  return encodeSparseHeader({ ...header, version: 2, flags: header.flags | SPARSE_FLAGS.zeroedGrains });
}
