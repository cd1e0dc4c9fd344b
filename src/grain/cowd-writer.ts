// Gives grains of an ESX delta their place and their contents: grains and, on first use, grain tables go to the end
// of the file. freeSector is moved before anything points past it, so that a crash only leaks.
import { RunList } from '../block/run-list.ts';
import { sectorRange } from '../block/sector-range.ts';
import { VmdkError } from '../core/errors.ts';
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { COWD_ENTRIES_PER_TABLE, COWD_TABLE_SECTORS } from '../format/cowd-header.ts';
import { encodeTable } from '../format/tables.ts';
import type { WritableFile } from '../storage/file-store.ts';
import type { CowdGrains } from './cowd-grains.ts';
import { PendingPointers } from './pending-pointers.ts';

const MOST_PENDING = 16_384;
const ENTRIES_PER_SECTOR = SECTOR_BYTES / 4;
const FILE_LIMIT_SECTORS = 2 ** 32;

export class CowdGrainWriter {
  readonly #file: WritableFile;
  readonly #grains: CowdGrains;
  readonly #pending = new PendingPointers();
  readonly #writeFreeSector: (freeSector: number) => Promise<void>;

  /** `writeFreeSector` stores the header's freeSector; it is made durable together with the data. */
  constructor(
    file: WritableFile,
    grains: CowdGrains,
    writeFreeSector: (freeSector: number) => Promise<void>,
  ) {
    this.#file = file;
    this.#grains = grains;
    this.#writeFreeSector = writeFreeSector;
  }

  /** Writes sectors; those not yet allocated must come as whole grains (the last may end with the extent). */
  async write(start: number, data: Uint8Array): Promise<void> {
    const end = start + data.length / SECTOR_BYTES;
    let at = start;
    while (at < end) {
      const runs = new RunList(at);
      await this.#grains.addRuns(sectorRange(at, end - at), runs);
      for (let index = 0; index < runs.length; index++) {
        const from = runs.startAt(index);
        const part = data.subarray((from - start) * SECTOR_BYTES, (runs.endAt(index) - start) * SECTOR_BYTES);
        if (runs.isDataAt(index)) await this.#file.write(part, runs.offsetAt(index));
        else await this.#allocate(from, part);
      }
      at = runs.end;
    }
    if (this.#pending.size > MOST_PENDING) await this.flush();
  }

  flush(): Promise<void> {
    const { pages } = this.#grains;
    return this.#pending.flush(
      this.#file,
      (table) => pages.unpin(table),
      () => this.#writeFreeSector(this.#grains.fileSectors),
    );
  }

  async #allocate(start: number, data: Uint8Array): Promise<void> {
    const { grainSize, header } = this.#grains;
    const end = start + data.length / SECTOR_BYTES;
    if (start % grainSize !== 0 || (end % grainSize !== 0 && end < header.capacity)) {
      throw new RangeError(`sectors ${start} to ${end} are not whole grains of ${grainSize} sectors`);
    }
    const count = ceilDiv(end - start, grainSize);
    const place = this.#reserve(count * grainSize);
    const short = count * grainSize * SECTOR_BYTES - data.length;
    await this.#file.write(
      short === 0 ? data : Buffer.concat([data, Buffer.alloc(short)]),
      place * SECTOR_BYTES,
    );
    let done = 0;
    const first = start / grainSize;
    while (done < count) {
      const table = Math.floor((first + done) / COWD_ENTRIES_PER_TABLE);
      const stop = Math.min(count, (table + 1) * COWD_ENTRIES_PER_TABLE - first);
      await this.#grains.pages.change(table, (entries) => {
        for (; done < stop; done++) {
          const entry = (first + done) % COWD_ENTRIES_PER_TABLE;
          entries[entry] = place + done * grainSize;
          if (done === 0 || entry % ENTRIES_PER_SECTOR === 0) this.#noteSector(table, entry, entries);
        }
      });
    }
  }

  #reserve(sectors: number): number {
    const place = this.#grains.fileSectors;
    if (place + sectors > FILE_LIMIT_SECTORS) {
      throw new VmdkError('unsupported', 'extent-full', 'a COWD extent cannot grow past 2 TiB', {
        path: this.#file.path,
        offset: place * SECTOR_BYTES,
        found: `${place + sectors} sectors`,
        expected: `at most ${FILE_LIMIT_SECTORS} sectors`,
      });
    }
    this.#grains.fileSectors = place + sectors;
    return place;
  }

  #noteSector(table: number, entry: number, entries: Uint32Array): void {
    const { directory, header } = this.#grains;
    if (directory[table] === 0) {
      const place = this.#reserve(COWD_TABLE_SECTORS);
      directory[table] = place;
      this.#pending.noteFresh(place * SECTOR_BYTES, () => encodeTable(entries));
      const first = table - (table % ENTRIES_PER_SECTOR);
      this.#pending.note(undefined, header.gdOffset * SECTOR_BYTES + first * 4, undefined, () =>
        encodeTable(directory.subarray(first, first + ENTRIES_PER_SECTOR)),
      );
    }
    const first = entry - (entry % ENTRIES_PER_SECTOR);
    const at = directory[table]! * SECTOR_BYTES + first * 4;
    this.#pending.note(table, at, undefined, () =>
      encodeTable(entries.subarray(first, first + ENTRIES_PER_SECTOR)),
    );
  }
}
