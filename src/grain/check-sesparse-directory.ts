// The grain directory of a seSparse extent, entry by entry: which tables can be walked. Tables are named by their
// slot among the tables, handed out in the order of first use.
import { ceilDiv, SECTOR_BYTES } from '../core/units.ts';
import { SESPARSE_DIRECTORY_ALLOCATED } from '../format/sesparse-entries.ts';
import {
  SESPARSE_TABLE_SECTORS,
  SeSparseConstHeader,
  seSparseTableCount,
  type SeSparseHeader,
} from '../format/sesparse-header.ts';
import { decodeTable } from '../format/tables.ts';
import type { ExtentCheck } from './check-context.ts';

/** In place of the slot of a table that is not there or cannot be used. */
export const NO_SLOT = 0xffffffff;
const READ_AT_ONCE = 1 << 20;
/** 128 TiB of guest: twice what vSphere allows. */
const MOST_TABLES = 8 << 20;

export interface SeSparseDirectory {
  /** Slot of each table, or NO_SLOT. */
  readonly slots: Uint32Array;
  /** One more than the highest slot in use. */
  readonly used: number;
}

/** Undefined when the directory cannot be read. */
export async function checkSeSparseDirectory(
  check: ExtentCheck,
  header: SeSparseHeader,
): Promise<SeSparseDirectory | undefined> {
  const { log, file, fileBytes } = check;
  const tables = seSparseTableCount(header.capacity);
  const start = header.grainDirectoryOffset * SECTOR_BYTES;
  const where = { path: file.path, offset: SeSparseConstHeader.offsetOf('grainDirectoryOffset') };
  if (tables > MOST_TABLES) {
    log.error(
      'GD-RANGE',
      where,
      () => `the disk would have ${tables} grain tables, more than ${MOST_TABLES}`,
    );
    return undefined;
  }
  if (start < SECTOR_BYTES || start >= fileBytes) {
    const message = () =>
      `the grain directory cannot be at byte ${start}: the file ends at byte ${fileBytes}`;
    log.error('GD-RANGE', where, message);
    return undefined;
  }
  if (start + tables * 8 > fileBytes) {
    const message = () =>
      `the file ends at byte ${fileBytes}, within the grain directory, which ends at byte ${start + tables * 8}`;
    log.error('TRUNC', { path: file.path, offset: fileBytes }, message);
    return undefined;
  }
  const slots = new Uint32Array(tables).fill(NO_SLOT);
  const taken = new SlotSet(Math.floor(header.grainTablesSize / SESPARSE_TABLE_SECTORS));
  const state = { used: 0 };
  for (let done = 0; done < tables; done += READ_AT_ONCE / 8) {
    const count = Math.min(READ_AT_ONCE / 8, tables - done);
    const bytes = Buffer.allocUnsafe(count * 8);
    await file.readExactly(bytes, start + done * 8);
    judgeEntries(check, header, decodeTable(bytes), done, slots, taken, state);
  }
  return { slots, used: state.used };
}

function judgeEntries(
  { log, file, fileBytes }: ExtentCheck,
  header: SeSparseHeader,
  halves: Uint32Array,
  first: number,
  slots: Uint32Array,
  taken: SlotSet,
  state: { used: number },
): void {
  for (let index = 0; index * 2 < halves.length; index++) {
    const low = halves[index * 2]!;
    const high = halves[index * 2 + 1]!;
    if (low === 0 && high === 0) continue;
    const table = first + index;
    const detail = { path: file.path, offset: header.grainDirectoryOffset * SECTOR_BYTES + table * 8 };
    if (high !== SESPARSE_DIRECTORY_ALLOCATED || low >= taken.room) {
      const found = `0x${hex(high)}${hex(low)}`;
      const expected = `0, or 0x10000000 and a slot below ${taken.room}`;
      log.error(
        'GD-RANGE',
        detail,
        () => `the directory entry of grain table ${table} is ${found}, expected ${expected}`,
      );
      continue;
    }
    const start = (header.grainTablesOffset + low * SESPARSE_TABLE_SECTORS) * SECTOR_BYTES;
    if (start + SESPARSE_TABLE_SECTORS * SECTOR_BYTES > fileBytes) {
      const message = () =>
        `the file ends at byte ${fileBytes}, before grain table ${table} ends, which starts at byte ${start}`;
      log.error('TRUNC', detail, message);
      continue;
    }
    if (taken.take(low)) {
      log.error(
        'GT-OVERLAP',
        detail,
        () => `grain table ${table} has slot ${low}, which another table has too`,
      );
      continue;
    }
    slots[table] = low;
    state.used = Math.max(state.used, low + 1);
  }
}

/** A bit per slot. Slots lie within the file, so that bits are made as they are needed. */
class SlotSet {
  readonly room: number;
  #bits = new Uint8Array(0);

  constructor(room: number) {
    this.room = room;
  }

  /** True when it was taken before. Slots were checked against the end of the file. */
  take(slot: number): boolean {
    const at = slot >>> 3;
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(1024, ceilDiv(at + 1, 1024) * 2048));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (slot & 7);
    const before = (this.#bits[at]! & bit) !== 0;
    this.#bits[at]! |= bit;
    return before;
  }
}

function hex(half: number): string {
  return half.toString(16).padStart(8, '0');
}
