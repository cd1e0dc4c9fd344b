// Whether the end of a disk is gone that is put together from its extents: what was split names no number of parts. Rule:
// what anybody says of its size is told with who says it; that nothing contradicts what is left proves nothing where the
// last part is as long as the others.
import { posix } from 'node:path';
import { isVmdkError } from '../core/errors.ts';
import { SECTOR_BYTES, type Sectors } from '../core/units.ts';
import { sectorRange } from '../block/sector-range.ts';
import type { OpenContext } from '../disk/open-options.ts';
import { openFlatExtent } from '../extent/flat-extent.ts';
import { openSparseExtent } from '../extent/sparse-extent.ts';
import type { NewExtent } from '../format/compose-descriptor.ts';
import { bytesUnderHeaderCrc, GptHeader, GPT_SIGNATURE } from '../format/gpt.ts';
import { BOOTABLE, decodeMbr, PROTECTIVE_TYPE } from '../format/mbr.ts';
import { crc32 } from '../worker/crc32.ts';
import { SPLIT_SECTORS } from './plan-files.ts';
import type { Evidence } from './recover-evidence.ts';
import type { KnownDisk } from './recover-parent.ts';
import type { LostPart } from './recover-stream.ts';

export interface LeftOfDisk {
  readonly folder: string;
  /** Of its descriptor. */
  readonly name: string;
  readonly extents: readonly NewExtent[];
  /** Whether it is in parts with numbers. */
  readonly split: boolean;
  readonly isBase: boolean;
}

/** A statement about the size of a disk, in sectors. */
interface SizeClaim {
  readonly sectors: number;
  /** `vmware.log:12 opened it with 300 sectors`. */
  readonly says: string;
  /** It tells how long the disk is, not only how long at least. */
  readonly exact: boolean;
}

/** Stretches behind the end that somebody knows of, and what may be missing though nobody says so. */
export async function missingAtEnd(
  context: OpenContext,
  disk: LeftOfDisk,
  { known, evidence }: { known: readonly KnownDisk[]; evidence: Evidence },
): Promise<{ lost: LostPart[]; warnings: string[] }> {
  const capacity = disk.extents.reduce((sum, { sectors }) => sum + sectors, 0);
  const claims: SizeClaim[] = known
    .filter(({ parentName }) => parentName === disk.name)
    .map(({ name, capacity: sectors }) => ({
      sectors,
      says: `${name}, which stands on it, has ${sectors} sectors`,
      exact: true,
    }));
  const logged = evidence.sizes.get(disk.name);
  if (logged !== undefined) {
    const { sectors, by } = logged;
    claims.push({ sectors, says: `by ${by} it had ${sectors} sectors`, exact: true });
  }
  if (disk.isBase) claims.push(...(await partitionClaims(context, disk)));
  const lost = claims.flatMap(({ sectors, says }) =>
    sectors <= capacity
      ? []
      : [{ what: `the end of the disk: ${says}`, start: capacity, count: sectors - capacity }],
  );
  const proved = claims.some(({ sectors, exact }) => exact && sectors === capacity);
  return { lost, warnings: lost.length > 0 || proved ? [] : openEnd(disk) };
}

/** All parts of a split disk are equally long but the last. */
function openEnd({ extents, split }: LeftOfDisk): string[] {
  const [first, last] = [extents[0]!, extents.at(-1)!];
  const full = extents.length > 1 ? first.sectors : SPLIT_SECTORS;
  if (!split || last.sectors !== full) return [];
  return [
    `the last part that is here, ${last.fileName}, is as long as any part: the disk may have had more, and nothing here tells`,
  ];
}

/** What a partition table says, whose first sectors are those of the disk. */
async function partitionClaims(context: OpenContext, disk: LeftOfDisk): Promise<SizeClaim[]> {
  const sectors = await firstSectors(context, disk);
  if (sectors === undefined) return [];
  const gpt = gptSectors(sectors.subarray(SECTOR_BYTES));
  if (gpt !== undefined)
    return [{ sectors: gpt, says: `its GPT has its copy in sector ${gpt - 1}`, exact: true }];
  const { entries = [] } = decodeMbr(sectors.subarray(0, SECTOR_BYTES)) ?? {};
  // The first sector of a file system ends in the same mark, and has code where a table has its entries.
  const sound = entries.every(
    ({ bootIndicator, start }) => (bootIndicator === 0 || bootIndicator === BOOTABLE) && start > 0,
  );
  const ends = entries
    .filter(({ type }) => type !== PROTECTIVE_TYPE)
    .map(({ start, count }) => start + count);
  if (!sound || ends.length === 0) return [];
  const end = Math.max(...ends);
  return [{ sectors: end, says: `its partition table reaches up to sector ${end}`, exact: false }];
}

/** Sectors of a disk whose GPT header is sound. */
function gptSectors(sector: Uint8Array): number | undefined {
  const { Signature, HeaderSize, HeaderCRC32, MyLBA, AlternateLBA } = GptHeader.decode(sector);
  if (Buffer.from(Signature).toString('latin1') !== GPT_SIGNATURE || MyLBA !== 1n) return undefined;
  if (HeaderSize < GptHeader.byteLength || HeaderSize > SECTOR_BYTES) return undefined;
  if (crc32(bytesUnderHeaderCrc(sector, HeaderSize)) !== HeaderCRC32) return undefined;
  const last = Number(AlternateLBA);
  return Number.isSafeInteger(last + 1) && last > 1 ? last + 1 : undefined;
}

/** The first two sectors; undefined where they cannot be read. */
async function firstSectors(
  context: OpenContext,
  { folder, extents }: LeftOfDisk,
): Promise<Buffer | undefined> {
  const [first] = extents;
  const flat = first?.type === 'FLAT' || first?.type === 'VMFS';
  if (first === undefined || first.sectors < 2 || (!flat && first.type !== 'SPARSE')) return undefined;
  try {
    const file = await context.store.open(posix.join(folder, first.fileName!), 'read');
    try {
      const sectors = first.sectors as Sectors;
      const extent = flat
        ? await openFlatExtent(file, sectors, 0 as Sectors, context)
        : await openSparseExtent(file, sectors, () => {});
      const bytes = Buffer.alloc(2 * SECTOR_BYTES);
      await extent.read(sectorRange(0, 2), bytes);
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    // What cannot be read says nothing.
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}
