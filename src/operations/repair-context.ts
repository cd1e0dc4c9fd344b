// What the mending of an extent is given: its file over a scratch store, what is wrong with it, and a note of what it
// did to the guest's contents. Rule: nothing is invented; what cannot be judged stays as it is.
import { SECTOR_BYTES } from '../core/units.ts';
import type { Finding } from '../core/finding.ts';
import type { TaskOptions } from '../core/task.ts';
import type { Struct } from '../format/struct.ts';
import { decodeTable, encodeTable } from '../format/tables.ts';
import type { RandomAccessFile, WritableFile } from '../storage/file-store.ts';

export interface ExtentMend {
  readonly file: WritableFile;
  readonly findings: readonly Finding[];
  readonly task: TaskOptions;
  /** What the guest sees is other than before; what could not be read before does not count. */
  noteContent(): void;
}

export function hasCode({ findings }: Pick<ExtentMend, 'findings'>, ...codes: readonly string[]): boolean {
  return findings.some(({ code }) => codes.includes(code));
}

/** As `check` has it: no directory of a disk is longer. */
const LARGEST_TABLE_BYTES = 64 << 20;

/** Table entries from sector `sector` on; undefined when the file ends before. */
export async function readEntries(
  file: RandomAccessFile,
  sector: number,
  count: number,
): Promise<Uint32Array | undefined> {
  if (
    count * 4 > LARGEST_TABLE_BYTES ||
    sector < 1 ||
    sector * SECTOR_BYTES + count * 4 > (await file.size())
  )
    return undefined;
  const bytes = Buffer.alloc(count * 4);
  await file.readExactly(bytes, sector * SECTOR_BYTES);
  return decodeTable(bytes);
}

export async function writeEntries(file: WritableFile, sector: number, entries: Uint32Array): Promise<void> {
  await file.write(encodeTable(entries), sector * SECTOR_BYTES);
}

/** Changes fields of a structure at the start of the file. */
export async function changeHeader<V>(
  file: WritableFile,
  struct: Struct<V>,
  change: (raw: V) => Partial<V>,
): Promise<void> {
  const bytes = Buffer.alloc(struct.byteLength);
  await file.readExactly(bytes, 0);
  const raw = struct.decode(bytes);
  await file.write(struct.encode({ ...raw, ...change(raw) }), 0);
}
