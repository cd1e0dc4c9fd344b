// The partitions of a disk: GPT, or DOS with logical ones, and what lies between. Reads only; damage is told, and what
// can still be listed is.
import type { SectorSource } from '../block/sector-source.ts';
import type { Finding } from '../core/finding.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { isBootSector } from '../format/boot-sector.ts';
import { decodeMbr, PROTECTIVE_TYPE } from '../format/mbr.ts';
import type { Note, PartitionRow, PartitionTable } from './partition-types.ts';
import { readGptRows } from './read-gpt.ts';
import { readMbrRows } from './read-mbr.ts';
import { Volume } from './volume.ts';

/** `path` is what findings call the disk. */
export async function readPartitions(path: string, source: SectorSource): Promise<PartitionTable> {
  return readTable(Volume.whole(path, source));
}

/** The same of a disk that is being looked at already. */
export async function readTable(disk: Volume): Promise<PartitionTable> {
  const findings: Finding[] = [];
  const note: Note = (code, severity, message, sector) => {
    const where = sector === undefined ? '' : ` (sector ${sector} of the disk)`;
    findings.push({ code, severity, message: `${message}${where}`, path: disk.path, repairable: false });
  };
  const none = { scheme: 'none', sectors: disk.count, rows: [], findings } as const;
  const first = await disk.read(0, Math.min(SECTOR_BYTES, disk.bytes));
  const mbr = first.length < SECTOR_BYTES ? undefined : decodeMbr(first);
  if (mbr === undefined || mbr.entries.length === 0) return none;
  const protective = mbr.entries.some(({ type }) => type === PROTECTIVE_TYPE);
  // A boot sector ends in 0xaa55 as well; what stands where a table would have its entries is code.
  const plausible = mbr.entries.every(
    ({ bootIndicator, start }) => (bootIndicator & 0x7f) === 0 && start > 0 && start < disk.count,
  );
  if (!plausible && (isBootSector(first) || mbr.entries.every(({ start }) => start >= disk.count)))
    return none;
  if (protective) {
    const gpt = await readGptRows(disk, note);
    if (gpt !== undefined) return { ...none, scheme: 'gpt', ...gpt, rows: finish(disk, gpt.rows, note) };
  }
  const rows = await readMbrRows(disk, mbr.entries, note);
  const id = (mbr.signature >>> 0).toString(16).padStart(8, '0');
  return { ...none, scheme: 'dos', id, rows: finish(disk, rows, note) };
}

/** In the order of the disk, with what lies in no partition. */
function finish(disk: Volume, rows: readonly PartitionRow[], note: Note): PartitionRow[] {
  const partitions = rows.filter(({ kind }) => kind === 'partition').sort((a, b) => a.start - b.start);
  const gaps: PartitionRow[] = [];
  let end = 0;
  for (const { slot, start, count } of partitions) {
    if (start > end) gaps.push(gap(end, Math.min(start, Math.max(end, disk.count))));
    else if (start < end)
      note('PARTITION-OVERLAP', 'error', `partition ${slot} begins within another`, start);
    if (start + count > disk.count) {
      const message = `partition ${slot} ends at sector ${start + count}, the disk at ${disk.count}`;
      note('PARTITION-OUTSIDE', 'error', message);
    }
    end = Math.max(end, start + count);
  }
  if (end < disk.count) gaps.push(gap(end, disk.count));
  const order = [...rows, ...gaps.filter(({ count }) => count > 0)];
  // Stable: of two that begin together, tables stand before the gap that holds them.
  return order.sort((a, b) => a.start - b.start);
}

function gap(start: number, end: number): PartitionRow {
  return { kind: 'unallocated', slot: '-------', start, count: end - start, description: 'Unallocated' };
}
