// Gives grains of an ESX delta their place and their contents: grains and, on first use, grain tables go to the end
// of the file. freeSector is moved before anything points past it, so that a crash only leaks.
import { SECTOR_BYTES } from '../core/units.ts';
import { COWD_ENTRIES_PER_TABLE, COWD_TABLE_SECTORS } from '../format/cowd-header.ts';
import { encodeTable } from '../format/tables.ts';
import type { WritableFile } from '../storage/file-store.ts';
import type { CowdGrains } from './cowd-grains.ts';
import { PendingPointers } from './pending-pointers.ts';
import { reserveAtEnd, writeByMap } from './place-grains.ts';

const MOST_PENDING = 16_384;
const ENTRIES_PER_SECTOR = SECTOR_BYTES / 4;

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
    await writeByMap(this.#file, this.#grains, start, data, (first, count, place) =>
      this.#setEntries(first, count, place),
    );
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

  async #setEntries(first: number, count: number, place: number): Promise<void> {
    const { grainSize } = this.#grains;
    let done = 0;
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

  #noteSector(table: number, entry: number, entries: Uint32Array): void {
    const { directory, header } = this.#grains;
    if (directory[table] === 0) {
      const place = reserveAtEnd(this.#file, this.#grains, COWD_TABLE_SECTORS, 1);
      directory[table] = place;
      this.#pending.noteFresh(place * SECTOR_BYTES, () => encodeTable(entries));
      const first = table - (table % ENTRIES_PER_SECTOR);
      this.#pending.note(undefined, header.gdOffset * SECTOR_BYTES + first * 4, () =>
        encodeTable(directory.subarray(first, first + ENTRIES_PER_SECTOR)),
      );
    }
    const first = entry - (entry % ENTRIES_PER_SECTOR);
    const at = directory[table]! * SECTOR_BYTES + first * 4;
    this.#pending.note(table, at, () => encodeTable(entries.subarray(first, first + ENTRIES_PER_SECTOR)));
  }
}
