// Partition tables as bytes: MBR with logical partitions, GPT with both copies and their checksums.
import { GptEntry, GptHeader } from '../../src/format/gpt.ts';
import { MasterBootRecord, PartitionRecord } from '../../src/format/mbr.ts';
import { crc32 } from '../../src/worker/crc32.ts';

export interface MbrSpec {
  readonly type: number;
  readonly start: number;
  readonly count: number;
  readonly boot?: number;
}

/** One table; logical ones count as the format does. */
export function mbrSector(entries: readonly MbrSpec[], signature = 0x1234abcd): Buffer {
  const records = entries.map(({ type, start, count, boot = 0 }) =>
    PartitionRecord.encode({ BootIndicator: boot, OSType: type, StartingLBA: start, SizeInLBA: count }),
  );
  return MasterBootRecord.encode({
    UniqueMBRDiskSignature: signature,
    PartitionRecord: Buffer.concat(records),
    Signature: 0xaa55,
  });
}

export interface GptSpec {
  readonly name: string;
  readonly start: number;
  readonly last: number;
  readonly type?: string;
}

const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';

/** Writes a protective MBR and both copies of a GPT into a disk of whole sectors. */
export function putGpt(disk: Buffer, partitions: readonly GptSpec[]): void {
  const end = disk.length / 512 - 1;
  disk.set(mbrSector([{ type: 0xee, start: 1, count: end }], 0));
  const array = Buffer.alloc(128 * 128);
  for (const [index, { name, start, last, type = LINUX }] of partitions.entries()) {
    const entry = GptEntry.encode({
      PartitionTypeGUID: guidBytes(type),
      UniquePartitionGUID: Buffer.alloc(16, index + 1),
      StartingLBA: BigInt(start),
      EndingLBA: BigInt(last),
      PartitionName: Buffer.from(name.padEnd(36, '\0').slice(0, 36), 'utf16le'),
    });
    array.set(entry, index * 128);
  }
  const header = (at: number, other: number, arrayAt: number): Buffer => {
    const fields = {
      Signature: Buffer.from('EFI PART'),
      Revision: 0x10000,
      HeaderSize: 92,
      MyLBA: BigInt(at),
      AlternateLBA: BigInt(other),
      FirstUsableLBA: 34n,
      LastUsableLBA: BigInt(end - 33),
      DiskGUID: Buffer.alloc(16, 0xd1),
      PartitionEntryLBA: BigInt(arrayAt),
      NumberOfPartitionEntries: 128,
      SizeOfPartitionEntry: 128,
      PartitionEntryArrayCRC32: crc32(array),
    };
    return GptHeader.encode({ ...fields, HeaderCRC32: crc32(GptHeader.encode(fields)) });
  };
  disk.set(header(1, end, 2), 512);
  disk.set(array, 1024);
  disk.set(array, (end - 32) * 512);
  disk.set(header(end, 1, end - 32), end * 512);
}

function guidBytes(guid: string): Buffer {
  const bytes = Buffer.from(guid.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}
