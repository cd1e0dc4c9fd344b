// Very large disks as sparse files: their tables are spread all over, their data hardly takes space.
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { composeDescriptor } from '../../src/format/compose-descriptor.ts';
import { NO_PARENT_CID } from '../../src/format/content-id.ts';
import {
  SESPARSE_DIRECTORY_ALLOCATED,
  SESPARSE_TYPE,
  seSparseEntry,
} from '../../src/format/sesparse-entries.ts';
import { SESPARSE_ENTRIES_PER_TABLE, SESPARSE_TABLE_SECTORS } from '../../src/format/sesparse-header.ts';
import { encodeSeSparseHeaders, layOutSeSparse, seSparseBytes } from '../../src/format/sesparse-layout.ts';
import { encodeTable } from '../../src/format/tables.ts';
import { createDisk } from '../../src/operations/create-disk.ts';

const GRAINS = 2000;

export interface LargeImage {
  readonly path: string;
  /** Grains that hold data, no two of them neighbours. */
  readonly grains: number;
}

export async function sparseDiskWithScatteredGrains(
  folder: string,
  capacity: Sectors,
  grains = GRAINS,
): Promise<LargeImage> {
  const path = join(folder, 'large.vmdk');
  await createDisk(path, bytes(capacity * SECTOR_BYTES), { type: 'monolithicSparse' });
  const chain = await openChain(path, 'update');
  const data = randomBytes(4096);
  const step = Math.floor(capacity / grains / 128) * 128;
  for (let grain = 0; grain < grains; grain++) await chain.write((grain * step) as Sectors, data);
  await chain.close();
  return { path, grains };
}

/** A complete seSparse disk without a parent: one grain in each of many tables, from the first to the last. */
export async function seSparseDiskWithScatteredGrains(
  folder: string,
  capacity: Sectors,
  grains = GRAINS,
): Promise<LargeImage> {
  const layout = layOutSeSparse(capacity);
  const path = join(folder, 'huge.vmdk');
  const descriptor = composeDescriptor({
    cid: 0x12345678,
    parentCid: NO_PARENT_CID,
    createType: 'seSparse',
    extents: [{ sectors: capacity, type: 'SESPARSE', fileName: 'huge-sesparse.vmdk' }],
  });
  const text = await open(path, 'w');
  await text.write(descriptor);
  await text.close();
  const file = await open(join(folder, 'huge-sesparse.vmdk'), 'w');
  for (const { at, data } of encodeSeSparseHeaders(layout, grains))
    await file.write(data, 0, data.length, at);
  const step = Math.floor(layout.tables / grains);
  for (let grain = 0; grain < grains; grain++) {
    const directoryEntry = encodeTable(new Uint32Array([grain, SESPARSE_DIRECTORY_ALLOCATED]));
    const directoryAt = layout.grainDirectory.offset * SECTOR_BYTES + grain * step * 8;
    await file.write(directoryEntry, 0, 8, directoryAt);
    const tableAt = (layout.grainTables.offset + grain * SESPARSE_TABLE_SECTORS) * SECTOR_BYTES;
    const entry = encodeTable(new Uint32Array(seSparseEntry(SESPARSE_TYPE.allocated, grain)));
    const place = (grain * 7) % SESPARSE_ENTRIES_PER_TABLE;
    await file.write(entry, 0, 8, tableAt + place * 8);
  }
  await file.truncate(seSparseBytes(layout, grains));
  await file.close();
  return { path, grains };
}
