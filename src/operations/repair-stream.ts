// Mends a streamOptimized extent: its end, and the markers of its directory and tables, which say nothing that is not
// known otherwise. Grains are never touched.
import { ceilDiv, roundUp, SECTOR_BYTES } from '../core/units.ts';
import { SparseExtentHeader, ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { GRAIN_MARKER_BYTES, Marker, MARKER_TYPE } from '../format/stream-marker.ts';
import { FindingLog } from '../grain/check-findings.ts';
import { judgeSparseHeader } from '../grain/check-header.ts';
import { checkFooter } from '../grain/check-stream-footer.ts';
import { hasCode, readEntries, type ExtentMend } from './repair-context.ts';
import { shapeOf } from './repair-directories.ts';

export async function mendStream(mend: ExtentMend): Promise<void> {
  const { file, findings } = mend;
  const first = Buffer.alloc(SparseExtentHeader.byteLength);
  await file.readExactly(first, 0);
  const header = judgeSparseHeader(first, file.path, 0, new FindingLog());
  if (header === undefined || hasCode(mend, 'NEWLINE')) return;
  const tail = findings.find(({ code, repairable }) => code === 'TAIL' && repairable)?.offset;
  if (tail !== undefined && tail < (await file.size())) await file.resize(tail);
  for (const { code, offset, repairable } of findings) {
    if (code !== 'FOOTER' || !repairable || offset === undefined) continue;
    if (offset < (await file.size())) await file.write(Buffer.alloc(SECTOR_BYTES), offset);
    else await makeFooter(mend, header, first);
  }
  const directory =
    hasCode(mend, 'MARKER') || hasCode(mend, 'SLACK') ? await directoryOf(mend, header) : undefined;
  if (directory === undefined) return;
  await mendMarkers(mend, header, directory);
  await clearSlack(mend, header, directory);
}

interface FoundDirectory {
  /** Sector that it begins at. */
  readonly sector: number;
  /** Sectors of the tables; 0 where there is none. */
  readonly places: Uint32Array;
}

async function directoryOf(
  { file, task }: ExtentMend,
  header: SparseHeader,
): Promise<FoundDirectory | undefined> {
  const check = { file, fileBytes: await file.size(), log: new FindingLog(), deep: false, task };
  const footer = header.gdOffset === undefined ? await checkFooter(check, header) : { header };
  const sector = footer?.header.gdOffset;
  const places = sector === undefined ? undefined : await readEntries(file, sector, shapeOf(header).tables);
  return sector === undefined || places === undefined ? undefined : { sector, places };
}

/** Entries behind the last grain of the last table. */
async function clearSlack(
  { file, findings }: ExtentMend,
  header: SparseHeader,
  { places }: FoundDirectory,
): Promise<void> {
  if (!findings.some(({ code }) => code === 'SLACK')) return;
  const last = shapeOf(header).tables - 1;
  const place = places[last] ?? 0;
  const used = ceilDiv(header.capacity, header.grainSize) - last * header.numGTEsPerGT;
  if (place <= ZERO_GRAIN) return;
  await file.write(Buffer.alloc((header.numGTEsPerGT - used) * 4), place * SECTOR_BYTES + used * 4);
}

/** Follows the markers to the grain directory and ends the stream anew behind it. */
async function makeFooter({ file }: ExtentMend, header: SparseHeader, first: Buffer): Promise<void> {
  const size = await file.size();
  const sector = Buffer.alloc(SECTOR_BYTES);
  let at = Math.max(1, header.overHead, header.descriptorOffset + header.descriptorSize) * SECTOR_BYTES;
  while (at + SECTOR_BYTES <= size) {
    await file.readExactly(sector, at);
    const { val, size: stored, type } = Marker.decode(sector);
    if (stored > 0) at = roundUp(at + GRAIN_MARKER_BYTES + stored, SECTOR_BYTES);
    else if (type === MARKER_TYPE.grainTable && val <= BigInt(size)) at += (1 + Number(val)) * SECTOR_BYTES;
    else if (type === MARKER_TYPE.grainDirectory) break;
    else at += SECTOR_BYTES;
  }
  const directory = at / SECTOR_BYTES + 1;
  const end = at + (1 + shapeOf(header).directorySectors) * SECTOR_BYTES;
  if (end > size) return;
  const raw = SparseExtentHeader.decode(first);
  const ending = Buffer.concat([
    Marker.encode({ val: 1n, size: 0, type: MARKER_TYPE.footer }),
    SparseExtentHeader.encode({ ...raw, gdOffset: BigInt(directory) }),
    Marker.encode({ val: 0n, size: 0, type: MARKER_TYPE.endOfStream }),
  ]);
  if (size > end + ending.length) await file.resize(end + ending.length);
  await file.write(ending, end);
}

/** The markers before the directory and the tables, by what the footer and the directory say. */
async function mendMarkers(
  { file, findings }: ExtentMend,
  header: SparseHeader,
  directory: FoundDirectory,
): Promise<void> {
  const { tables, tableSectors } = shapeOf(header);
  const places = new Set(directory.places.filter((entry) => entry > ZERO_GRAIN));
  for (const { code, offset, repairable } of findings) {
    if (code !== 'MARKER' || !repairable || offset === undefined) continue;
    const behind = offset / SECTOR_BYTES + 1;
    const marker =
      behind === directory.sector
        ? { type: MARKER_TYPE.grainDirectory, val: BigInt(ceilDiv(tables * 4, SECTOR_BYTES)) }
        : places.has(behind)
          ? { type: MARKER_TYPE.grainTable, val: BigInt(tableSectors) }
          : undefined;
    if (marker !== undefined) await file.write(Marker.encode({ ...marker, size: 0 }), offset);
  }
}
