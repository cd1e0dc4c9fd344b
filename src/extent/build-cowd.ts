// A new ESX delta: each grain table stands before the first grain that it names, as ESX itself would place it. Zeros
// over data of the parent are stored: no entry means zeros to all readers.
import { roundUp, SECTOR_BYTES } from '../core/units.ts';
import {
  COWD_ENTRIES_PER_TABLE,
  COWD_FLAGS,
  COWD_TABLE_SECTORS,
  encodeCowdHeader,
} from '../format/cowd-header.ts';
import { cowdFileBytes, type CowdLayout } from '../format/cowd-layout.ts';
import { encodeTable } from '../format/tables.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { assertNumbered, type ExtentBuilder } from './extent-builder.ts';

const ZEROS = new Uint8Array(1 << 20);

export function buildCowd(file: WritableFile, layout: CowdLayout): ExtentBuilder {
  const { grainSize } = layout;
  const tableSectors = COWD_ENTRIES_PER_TABLE * grainSize;
  const directory = new Uint32Array((layout.directorySectors * SECTOR_BYTES) / 4);
  let entries: Uint32Array | undefined;
  let table = -1;
  let next = layout.freeSector;
  const flush = (): Promise<void> | undefined => {
    if (entries === undefined) return undefined;
    const data = encodeTable(entries);
    entries = undefined;
    return file.write(data, directory[table]! * SECTOR_BYTES);
  };
  /** Writes what one table names. */
  const writeWithin = (start: number, data: Uint8Array): Promise<void>[] => {
    const wanted = Math.floor(start / tableSectors);
    const pending = wanted === table ? undefined : flush();
    if (entries === undefined) {
      table = wanted;
      entries = new Uint32Array(COWD_ENTRIES_PER_TABLE);
      directory[table] = next;
      next += COWD_TABLE_SECTORS;
    }
    const sectors = data.length / SECTOR_BYTES;
    const at = next;
    next += roundUp(sectors, grainSize);
    assertNumbered(next, file.path);
    const first = (start - table * tableSectors) / grainSize;
    for (let grain = 0; grain * grainSize < sectors; grain++) entries[first + grain] = at + grain * grainSize;
    const writing = file.write(data, at * SECTOR_BYTES);
    return pending === undefined ? [writing] : [pending, writing];
  };
  const write = async (start: number, data: Uint8Array): Promise<void> => {
    const writing: Promise<void>[] = [];
    const end = start + data.length / SECTOR_BYTES;
    for (let at = start; at < end;) {
      const stop = Math.min(end, (Math.floor(at / tableSectors) + 1) * tableSectors);
      const piece = data.subarray((at - start) * SECTOR_BYTES, (stop - start) * SECTOR_BYTES);
      writing.push(...writeWithin(at, piece));
      at = stop;
    }
    await Promise.all(writing);
  };
  return {
    grainSize,
    write,
    // In one go: what comes next must find its place after it.
    hide: (start, count) => {
      const bytes = count * SECTOR_BYTES;
      return write(start, bytes <= ZEROS.length ? ZEROS.subarray(0, bytes) : new Uint8Array(bytes));
    },
    async finish() {
      await flush();
      const used = { ...layout, freeSector: next };
      await file.resize(cowdFileBytes(used));
      await file.write(encodeTable(directory), layout.gdOffset * SECTOR_BYTES);
      await file.write(
        encodeCowdHeader({
          flags: COWD_FLAGS,
          capacity: layout.capacity,
          grainSize,
          gdOffset: layout.gdOffset,
          numGDEntries: layout.entries,
          freeSector: next,
          uncleanShutdown: false,
        }),
        0,
      );
    },
  };
}
