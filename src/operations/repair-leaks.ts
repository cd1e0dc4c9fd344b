// Cuts off lost space at the end of a hosted sparse file. Rule: only when nothing else is wrong with the file, since an entry
// that is mended may want what is there; and what holds anything but zeros only when the user says so, since where an entry
// was lost it is the only copy there is. The undo record keeps it either way.
import { isZero } from '../block/zero-scan.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { ExtentMend } from './repair-context.ts';

export type CutLeaks = 'none' | 'zeros' | 'all';

/** What stands in a record of its own is read into memory whole. */
const MOST_CUT_BYTES = 16 << 20;
/** Findings that no mending of this file will ever answer with a use for lost space. */
const HARMLESS: ReadonlySet<string> = new Set(['LEAK', 'UNCLEAN', 'GTE-ALIGN']);

/** `imageEnd`: byte behind the last structure or grain in use. */
export async function cutLeakedTail(
  { file, findings }: ExtentMend,
  imageEnd: number,
  cut: CutLeaks,
): Promise<void> {
  const codes = findings.map(({ code }) => code);
  if (cut === 'none' || !codes.includes('LEAK') || codes.some((code) => !HARMLESS.has(code))) return;
  const length = (await file.size()) - imageEnd;
  if (length < SECTOR_BYTES || length > MOST_CUT_BYTES) return;
  if (cut === 'zeros') {
    const tail = Buffer.alloc(length);
    await file.readExactly(tail, imageEnd);
    if (!isZero(tail)) return;
  }
  await file.resize(imageEnd);
}
