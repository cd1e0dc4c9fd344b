// A hosted sparse extent that was cut off within its own metadata, while its redundant tables are whole and have no grain:
// nothing else was ever in it, so all of it is known. Rule: what is left must be as it is made anew; where any table has a
// grain, or a redundant one is cut as well, nobody can tell what was behind, and nothing is done.
import { SECTOR_BYTES } from '../core/units.ts';
import { throwIfAborted } from '../core/task.ts';
import { ZERO_GRAIN, type SparseHeader } from '../format/sparse-header.ts';
import { decodeTable, encodeTable } from '../format/tables.ts';
import type { ExtentMend } from './repair-context.ts';
import { shapeOf } from './repair-directories.ts';

const CHUNK = 1 << 20;

/** Makes the file whole again where that invents nothing. */
export async function mendCutMetadata(mend: ExtentMend, header: SparseHeader): Promise<void> {
  const { file } = mend;
  const { overHead, uncleanShutdown } = header;
  const size = await file.size();
  // After a crash the redundant tables may lag.
  if (uncleanShutdown || size >= overHead * SECTOR_BYTES) return;
  const halves = halvesOf(header);
  if (halves === undefined || size < halves.primary.at || !(await isEmpty(mend, halves, size))) return;
  for await (const { at, data } of primaryOf(mend, halves)) await file.write(data, at);
  await file.resize(overHead * SECTOR_BYTES);
}

interface Half {
  /** Byte where the directory begins. */
  readonly at: number;
  readonly directory: Buffer;
  /** Byte where the tables begin. */
  readonly tables: number;
}

interface Halves {
  readonly copy: Half;
  readonly primary: Half;
  /** Bytes of all tables of one half. */
  readonly length: number;
}

/** As VMware and QEMU lay them out, the redundant half first; undefined when the header says otherwise. */
function halvesOf(header: SparseHeader): Halves | undefined {
  const { rgdOffset, gdOffset = 0, overHead } = header;
  const { tables, tableSectors, directorySectors } = shapeOf(header);
  const half = directorySectors + tables * tableSectors;
  if (rgdOffset === undefined || gdOffset - rgdOffset !== half || gdOffset + half > overHead)
    return undefined;
  const halfAt = (offset: number): Half => {
    const first = offset + directorySectors;
    const entries = Uint32Array.from({ length: tables }, (_, table) => first + table * tableSectors);
    return { at: offset * SECTOR_BYTES, directory: encodeTable(entries), tables: first * SECTOR_BYTES };
  };
  return {
    copy: halfAt(rgdOffset),
    primary: halfAt(gdOffset),
    length: tables * tableSectors * SECTOR_BYTES,
  };
}

/** Whether the redundant half is whole and without a grain, and what is left of the other is the same. */
async function isEmpty(mend: ExtentMend, halves: Halves, size: number): Promise<boolean> {
  const { copy, primary, length } = halves;
  if (!(await beginsAs(mend, copy.directory, copy.at, size))) return false;
  for await (const { at, data } of primaryOf(mend, halves)) {
    if (at > primary.at && decodeTable(data).some((entry) => entry > ZERO_GRAIN)) return false;
    if (!(await beginsAs(mend, data, at, size))) return false;
  }
  for (let at = primary.tables + length; at < size; at += CHUNK)
    if (!(await beginsAs(mend, Buffer.alloc(CHUNK), at, size))) return false;
  return true;
}

/** The primary half as the redundant one has it. */
async function* primaryOf(
  { file, task }: ExtentMend,
  { copy, primary, length }: Halves,
): AsyncGenerator<{ at: number; data: Buffer }> {
  yield { at: primary.at, data: primary.directory };
  for (let done = 0; done < length; done += CHUNK) {
    throwIfAborted(task);
    const data = Buffer.alloc(Math.min(CHUNK, length - done));
    await file.readExactly(data, copy.tables + done);
    yield { at: primary.tables + done, data };
  }
}

/** Whether what the file has from `at` on, as far as it goes, is the start of `data`. */
async function beginsAs({ file }: ExtentMend, data: Buffer, at: number, size: number): Promise<boolean> {
  const found = Buffer.alloc(Math.max(0, Math.min(data.length, size - at)));
  if (found.length > 0) await file.readExactly(found, at);
  return found.equals(data.subarray(0, found.length));
}
