// Stretches of a file as they are found: neighbours become one. Rule: there is a most, whatever the file system says.
import { SECTOR_BYTES } from '../core/units.ts';
import { MOST_STRETCHES, type FileStretchOnDisk } from './file-system.ts';
import type { Volume } from './volume.ts';

export class Stretches {
  readonly list: FileStretchOnDisk[] = [];
  readonly #volume: Volume;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /**
   * Continues with `length` bytes of the file from `offset`, which lie at byte `at` of the volume; whole sectors.
   * @throws VmdkError `file-system-damaged` when that is outside of the volume, or there are too many.
   */
  add(offset: number, at: number, length: number, unwritten = false): void {
    if (length === 0) return;
    if (at < 0 || at + length > this.#volume.bytes) {
      const found = `${length} bytes at byte ${at}`;
      throw this.#volume.damaged('a file is placed outside of its volume', {
        found,
        expected: `within ${this.#volume.bytes} bytes`,
      });
    }
    const start = this.#volume.start + at / SECTOR_BYTES;
    const count = length / SECTOR_BYTES;
    const last = this.list.at(-1);
    const continues =
      last !== undefined &&
      last.start + last.count === start &&
      last.offset + last.count * SECTOR_BYTES === offset &&
      (last.unwritten ?? false) === unwritten;
    if (continues) {
      this.list[this.list.length - 1] = { ...last, count: last.count + count };
      return;
    }
    if (this.list.length === MOST_STRETCHES) {
      throw this.#volume.damaged('a file has more pieces than are ever followed', {
        expected: `at most ${MOST_STRETCHES}`,
      });
    }
    this.list.push({ offset, start, count, ...(unwritten ? { unwritten } : {}) });
  }
}
