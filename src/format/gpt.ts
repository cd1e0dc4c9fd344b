// The GUID partition table: a header, which another at the end of the disk repeats, and an array of entries. Both are
// proved by CRC-32. Names after the UEFI specification 2.10, tables 5.5 and 5.6.
import { defineStruct } from './struct.ts';

export const GptHeader = defineStruct('GptHeader', 92, [
  ['Signature', 8],
  ['Revision', 'u32'],
  ['HeaderSize', 'u32'],
  ['HeaderCRC32', 'u32'],
  ['Reserved', 'u32'],
  ['MyLBA', 'u64'],
  ['AlternateLBA', 'u64'],
  ['FirstUsableLBA', 'u64'],
  ['LastUsableLBA', 'u64'],
  ['DiskGUID', 16],
  ['PartitionEntryLBA', 'u64'],
  ['NumberOfPartitionEntries', 'u32'],
  ['SizeOfPartitionEntry', 'u32'],
  ['PartitionEntryArrayCRC32', 'u32'],
]);

export const GptEntry = defineStruct('GptPartitionEntry', 128, [
  ['PartitionTypeGUID', 16],
  ['UniquePartitionGUID', 16],
  ['StartingLBA', 'u64'],
  ['EndingLBA', 'u64'],
  ['Attributes', 'u64'],
  ['PartitionName', 72],
]);

export const GPT_SIGNATURE = 'EFI PART';

export interface GptPartition {
  readonly index: number;
  readonly type: string;
  readonly guid: string;
  readonly start: bigint;
  /** The last sector, as the format counts. */
  readonly last: bigint;
  readonly attributes: bigint;
  readonly name: string;
}

/** The bytes that a header's own CRC is taken over: `HeaderSize` bytes with the CRC as zeros. */
export function bytesUnderHeaderCrc(sector: Uint8Array, headerSize: number): Uint8Array {
  const copy = Uint8Array.from(sector.subarray(0, headerSize));
  const at = GptHeader.offsetOf('HeaderCRC32');
  copy.fill(0, at, at + 4);
  return copy;
}

/** The entries of an array that are in use. `size` is what the header says one takes. */
export function decodeGptEntries(array: Uint8Array, size: number): GptPartition[] {
  const found: GptPartition[] = [];
  for (let index = 0; (index + 1) * size <= array.length; index++) {
    const entry = GptEntry.decode(array, index * size);
    if (entry.PartitionTypeGUID.every((byte) => byte === 0)) continue;
    found.push({
      index,
      type: printGuid(entry.PartitionTypeGUID),
      guid: printGuid(entry.UniquePartitionGUID),
      start: entry.StartingLBA,
      last: entry.EndingLBA,
      attributes: entry.Attributes,
      name: new TextDecoder('utf-16le').decode(entry.PartitionName).replace(/\0.*$/s, ''),
    });
  }
  return found;
}

/** The first three parts of a GUID stand little-endian. */
export function printGuid(bytes: Uint8Array): string {
  const hex = (...order: number[]): string =>
    order.map((index) => bytes[index]!.toString(16).padStart(2, '0')).join('');
  const tail = hex(10, 11, 12, 13, 14, 15);
  return `${hex(3, 2, 1, 0)}-${hex(5, 4)}-${hex(7, 6)}-${hex(8, 9)}-${tail}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'EFI System',
  '21686148-6449-6e6f-744e-656564454649': 'BIOS Boot',
  'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7': 'Microsoft Basic Data',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae': 'Microsoft Reserved',
  'de94bba4-06d1-4d40-a16a-bfd50179d6ac': 'Windows Recovery',
  '0fc63daf-8483-4772-8e79-3d69d8477de4': 'Linux Filesystem',
  '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f': 'Linux Swap',
  'e6d6d379-f507-44c2-a23c-238f2a3df928': 'Linux LVM',
  'a19d880f-05fc-4d3b-a006-743f0f84911e': 'Linux RAID',
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709': 'Linux Root (x86-64)',
  '933ac7e1-2eb4-4f13-b844-0e14e2aef915': 'Linux Home',
  'bc13c2ff-59e6-4262-a352-b275fd6f7172': 'Linux Extended Boot',
  'aa31e02a-400f-11db-9590-000c2911d1b8': 'VMware VMFS',
  '9d275380-40ad-11db-bf97-000c2911d1b8': 'VMware Diagnostic',
  '9198effc-31c0-11db-8f78-000c2911d1b8': 'VMware Reserved',
  '48465300-0000-11aa-aa11-00306543ecac': 'Apple HFS+',
  '7c3457ef-0000-11aa-aa11-00306543ecac': 'Apple APFS',
};

/** What a type is called; undefined for one that is not known. */
export function gptTypeName(guid: string): string | undefined {
  return TYPE_NAMES[guid];
}
