// Mends what an ESX delta and a seSparse extent have no second copy of, yet needs no data to be put right: the free
// pointer, and entries behind the last grain.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { COWD_ENTRIES_PER_TABLE, CowdHeaderStruct } from '../format/cowd-header.ts';
import {
  parseSeSparseHeader,
  SESPARSE_ENTRIES_PER_TABLE,
  SESPARSE_GRAIN,
  SESPARSE_TABLE_SECTORS,
  SeSparseConstHeader,
} from '../format/sesparse-header.ts';
import { changeHeader, hasCode, readEntries, type ExtentMend } from './repair-context.ts';

/** `imageEnd`: byte where the last table or grain in use ends. */
export async function mendCowd(mend: ExtentMend, imageEnd: number): Promise<void> {
  const { file } = mend;
  if (hasCode(mend, 'FREE')) {
    const freeSector = ceilDiv(imageEnd, SECTOR_BYTES);
    await changeHeader(file, CowdHeaderStruct, () => ({ freeSector }));
  }
  if (!hasCode(mend, 'SLACK')) return;
  const bytes = Buffer.alloc(CowdHeaderStruct.byteLength);
  await file.readExactly(bytes, 0);
  const { numSectors, grainSize, gdOffset } = CowdHeaderStruct.decode(bytes);
  const grains = ceilDiv(numSectors, grainSize);
  const last = ceilDiv(grains, COWD_ENTRIES_PER_TABLE) - 1;
  const place = (await readEntries(file, gdOffset, last + 1))?.[last] ?? 0;
  if (place === 0) return;
  await clear(mend, place, (grains - last * COWD_ENTRIES_PER_TABLE) * 4, COWD_ENTRIES_PER_TABLE * 4);
}

export async function mendSeSparse(mend: ExtentMend): Promise<void> {
  if (!hasCode(mend, 'SLACK')) return;
  const { file } = mend;
  const bytes = Buffer.alloc(SeSparseConstHeader.byteLength);
  await file.readExactly(bytes, 0);
  const { capacity, grainTablesOffset, grainDirectoryOffset } = parseSeSparseHeader(bytes, file.path);
  const grains = ceilDiv(capacity, SESPARSE_GRAIN);
  const last = ceilDiv(grains, SESPARSE_ENTRIES_PER_TABLE) - 1;
  // An entry is two halves; the low one is the number of the table.
  const slot = (await readEntries(file, grainDirectoryOffset, last * 2 + 2))?.[last * 2];
  if (slot === undefined) return;
  const used = (grains - last * SESPARSE_ENTRIES_PER_TABLE) * 8;
  await clear(mend, grainTablesOffset + slot * SESPARSE_TABLE_SECTORS, used, SESPARSE_ENTRIES_PER_TABLE * 8);
}

/** The rest of a table, which must be the one that the finding is about. */
async function clear(
  { file, findings }: ExtentMend,
  sector: number,
  used: number,
  tableBytes: number,
): Promise<void> {
  const at = sector * SECTOR_BYTES;
  const found = findings.find(({ code }) => code === 'SLACK')?.offset ?? -1;
  if (found < at + used || found >= at + tableBytes) return;
  await file.write(Buffer.alloc(tableBytes - used), at + used);
}
