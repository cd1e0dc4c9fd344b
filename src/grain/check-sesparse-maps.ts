// Compares the free bitmap and the back map of a seSparse extent with its tables. For information only: bit order and
// contents are what QEMU's author inferred (qemu-devel 2020-03-09), not what ESXi is known to keep.
import { SECTOR_BYTES } from '../core/units.ts';
import { SESPARSE_TYPE, seSparseIndex, seSparseType } from '../format/sesparse-entries.ts';
import { SESPARSE_ENTRIES_PER_TABLE, type SeSparseConstHeader } from '../format/sesparse-header.ts';
import { encodeTable } from '../format/tables.ts';
import type { ExtentCheck } from './check-context.ts';
import type { SeSparseJudge } from './check-sesparse-entries.ts';
import { ByteWindow } from './check-window.ts';

const SPAN = 64 << 10;

type RawHeader = ReturnType<typeof SeSparseConstHeader.decode>;

/** `end`: one more than the highest grain index in use. */
export async function compareMaps(
  check: ExtentCheck,
  raw: RawHeader,
  judge: SeSparseJudge,
  end: number,
): Promise<void> {
  const bitmap = regionOf(check, raw.freeBitmapOffset, raw.freeBitmapSize, Math.ceil(end / 8));
  const backMap = regionOf(check, raw.backMapOffset, raw.backMapSize, end * 8);
  if (bitmap === undefined || backMap === undefined || end === 0) return;
  const clear = { count: 0, offset: 0 };
  const elsewhere = { count: 0, offset: 0 };
  for await (const { table, slot, entries } of judge.tables()) {
    const used = Math.min(SESPARSE_ENTRIES_PER_TABLE, judge.grains - table * SESPARSE_ENTRIES_PER_TABLE);
    const wanted = encodeTable(Uint32Array.of(slot, 0));
    for (let at = 0; at < used * 2; at += 2) {
      const high = entries[at + 1]!;
      if (seSparseType(high) !== SESPARSE_TYPE.allocated) continue;
      const index = seSparseIndex(entries[at]!, high);
      const bitAt = bitmap.at + Math.floor(index / 8);
      const bits = bitmap.window.peek(bitAt, 1) ?? (await bitmap.window.get(bitAt, 1));
      if ((bits[0]! & (1 << (index % 8))) === 0 && clear.count++ === 0) clear.offset = bitAt;
      const place = backMap.at + index * 8;
      const back = backMap.window.peek(place, 8) ?? (await backMap.window.get(place, 8));
      if (!back.equals(wanted) && elsewhere.count++ === 0) elsewhere.offset = place;
    }
  }
  const { log, file } = check;
  if (clear.count > 0) {
    const message = () => `the bitmap does not count ${clear.count} grains that tables refer to`;
    log.info('BITMAP', { path: file.path, offset: clear.offset }, message);
  }
  if (elsewhere.count > 0) {
    const message = () => `the back map does not name the grain table of ${elsewhere.count} grains`;
    log.info('BACKMAP', { path: file.path, offset: elsewhere.offset }, message);
  }
}

function regionOf(
  { file, fileBytes }: ExtentCheck,
  offset: bigint,
  size: bigint,
  needed: number,
): { window: ByteWindow; at: number } | undefined {
  const at = Number(offset) * SECTOR_BYTES;
  if (Number(size) * SECTOR_BYTES < needed || at + needed > fileBytes) return undefined;
  return { window: new ByteWindow(file, fileBytes, SPAN), at };
}
