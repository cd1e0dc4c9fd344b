// Reads a GUID partition table: both headers and both arrays, each proved by its CRC. Rule: the primary answers when
// it is whole, else the backup; what is wrong with either is told.
import { SECTOR_BYTES } from '../core/units.ts';
import {
  bytesUnderHeaderCrc,
  decodeGptEntries,
  GptEntry,
  GptHeader,
  GPT_SIGNATURE,
  gptTypeName,
  printGuid,
  type GptPartition,
} from '../format/gpt.ts';
import { crc32 } from '../worker/crc32.ts';
import type { Note, PartitionRow } from './partition-types.ts';
import { metaRow, padded } from './read-mbr.ts';
import type { Volume } from './volume.ts';

/** Usual are 16 KiB. */
const MOST_ARRAY_BYTES = 1 << 20;
const LARGEST_ENTRY = 4096;

type RawHeader = ReturnType<typeof GptHeader.decode>;

interface GptCopy {
  readonly at: number;
  readonly raw: RawHeader;
  readonly arrayAt: number;
  readonly arraySectors: number;
  readonly array: Buffer;
  readonly whole: boolean;
}

export interface GptRows {
  readonly id: string;
  readonly header: 'primary' | 'backup';
  readonly rows: PartitionRow[];
}

/** Undefined when neither header is there to be read. */
export async function readGptRows(disk: Volume, note: Note): Promise<GptRows | undefined> {
  const primary = await readCopy(disk, 1, 'primary', note);
  const end = disk.count - 1;
  const named = primary === undefined ? end : Number(primary.raw.AlternateLBA);
  let backup = named > 1 && named <= end ? await readCopy(disk, named, 'backup', note) : undefined;
  if (backup === undefined && named !== end) backup = await readCopy(disk, end, 'backup', note);
  if (backup !== undefined && backup.at !== end) {
    const message = `the backup of the GPT stands at sector ${backup.at}, not in the last one: the disk grew`;
    note('GPT-BACKUP-PLACE', 'warning', message, backup.at);
  }
  if (primary?.whole === true && backup?.whole === true) compareCopies(primary, backup, note);
  const [header, used] =
    primary !== undefined && (primary.whole || backup?.whole !== true)
      ? (['primary', primary] as const)
      : (['backup', backup] as const);
  if (used === undefined) return undefined;
  if (header === 'backup')
    note('GPT-FROM-BACKUP', 'error', 'the primary GPT is damaged: the backup is listed');
  return { header, id: printGuid(used.raw.DiskGUID), rows: rowsOf(used, note) };
}

async function readCopy(
  disk: Volume,
  at: number,
  which: 'primary' | 'backup',
  note: Note,
): Promise<GptCopy | undefined> {
  const code = `GPT-${which.toUpperCase()}`;
  if (at < 1 || at >= disk.count) return undefined;
  const sector = await disk.read(at * SECTOR_BYTES, SECTOR_BYTES);
  const raw = GptHeader.decode(sector);
  if (Buffer.from(raw.Signature).toString('latin1') !== GPT_SIGNATURE) {
    note(`${code}-MISSING`, 'error', `there is no ${which} GPT header`, at);
    return undefined;
  }
  if (raw.HeaderSize < GptHeader.byteLength || raw.HeaderSize > SECTOR_BYTES) {
    note(`${code}-HEADER`, 'error', `the ${which} GPT header says it has ${raw.HeaderSize} bytes`, at);
    return undefined;
  }
  let whole = true;
  const bad = (part: string, message: string): void => {
    whole = false;
    note(`${code}-${part}`, 'error', `the ${which} GPT: ${message}`, at);
  };
  const sum = crc32(bytesUnderHeaderCrc(sector, raw.HeaderSize));
  if (sum !== raw.HeaderCRC32) bad('CRC', `header CRC ${hex(raw.HeaderCRC32)}, its bytes give ${hex(sum)}`);
  if (raw.MyLBA !== BigInt(at)) bad('PLACE', `the header says it stands at sector ${raw.MyLBA}`);
  const length = raw.NumberOfPartitionEntries * raw.SizeOfPartitionEntry;
  const arrayAt = Number(raw.PartitionEntryLBA);
  const sane = raw.SizeOfPartitionEntry >= GptEntry.byteLength && raw.SizeOfPartitionEntry <= LARGEST_ENTRY;
  if (!sane || length > MOST_ARRAY_BYTES || arrayAt * SECTOR_BYTES + length > disk.bytes) {
    note(`${code}-ARRAY`, 'error', `the ${which} GPT: its entries cannot be where it says`, at);
    return undefined;
  }
  const array = await disk.read(arrayAt * SECTOR_BYTES, length);
  const arraySum = crc32(array);
  if (arraySum !== raw.PartitionEntryArrayCRC32) {
    bad('ARRAY-CRC', `array CRC ${hex(raw.PartitionEntryArrayCRC32)}, its bytes give ${hex(arraySum)}`);
  }
  return { at, raw, arrayAt, arraySectors: Math.ceil(length / SECTOR_BYTES), array, whole };
}

/** Two headers that are whole each, yet say different things. */
function compareCopies(primary: GptCopy, backup: GptCopy, note: Note): void {
  const same =
    primary.array.equals(backup.array) &&
    printGuid(primary.raw.DiskGUID) === printGuid(backup.raw.DiskGUID) &&
    primary.raw.FirstUsableLBA === backup.raw.FirstUsableLBA &&
    primary.raw.LastUsableLBA === backup.raw.LastUsableLBA;
  if (!same) {
    note('GPT-COPIES-DIFFER', 'error', 'primary and backup GPT are both whole and differ', backup.at);
  }
}

function rowsOf(copy: GptCopy, note: Note): PartitionRow[] {
  const headerSectors = Math.ceil(copy.raw.HeaderSize / SECTOR_BYTES);
  return [
    metaRow(0, 1, 'Safety Table'),
    metaRow(copy.at, headerSectors, 'GPT Header'),
    metaRow(copy.arrayAt, copy.arraySectors, 'Partition Table'),
    ...decodeGptEntries(copy.array, copy.raw.SizeOfPartitionEntry).flatMap((entry) => rowOf(entry, note)),
  ];
}

function rowOf(entry: GptPartition, note: Note): PartitionRow[] {
  if (entry.last < entry.start || entry.last > BigInt(Number.MAX_SAFE_INTEGER)) {
    const message = `entry ${entry.index} of the GPT ends before it begins, or nowhere: sectors ${entry.start} to ${entry.last}`;
    note('GPT-ENTRY', 'error', message);
    return [];
  }
  const known = gptTypeName(entry.type);
  return [
    {
      kind: 'partition',
      slot: padded(entry.index),
      number: entry.index + 1,
      start: Number(entry.start),
      count: Number(entry.last - entry.start) + 1,
      description: entry.name,
      type: entry.type,
      ...(known === undefined ? {} : { 'type-name': known }),
      guid: entry.guid,
      attributes: `0x${entry.attributes.toString(16).padStart(16, '0')}`,
    },
  ];
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
