// The sector that begins a disk with DOS partitions, and each logical partition: boot code, four entries, 0xaa55.
// Names after the UEFI specification 2.10, table 5.1 and 5.2; what types are called, after sleuthkit's mmls.
import { defineStruct } from './struct.ts';

export const MasterBootRecord = defineStruct('MasterBootRecord', 512, [
  ['BootCode', 440],
  ['UniqueMBRDiskSignature', 'u32'],
  ['Unknown', 2],
  ['PartitionRecord', 64],
  ['Signature', 'u16'],
]);

export const PartitionRecord = defineStruct('PartitionRecord', 16, [
  ['BootIndicator', 'u8'],
  ['StartingCHS', 3],
  ['OSType', 'u8'],
  ['EndingCHS', 3],
  ['StartingLBA', 'u32'],
  ['SizeInLBA', 'u32'],
]);

export const MBR_SIGNATURE = 0xaa55;
export const BOOTABLE = 0x80;
/** The type of the entry that keeps others off a disk with a GPT. */
export const PROTECTIVE_TYPE = 0xee;

/** One of four entries; sectors count from where the table stands, or from the first table of a chain. */
export interface MbrEntry {
  readonly index: number;
  readonly bootIndicator: number;
  readonly type: number;
  readonly start: number;
  readonly count: number;
}

/** The entries of a sector that ends in 0xaa55, empty ones left out; undefined where it does not. */
export function decodeMbr(
  sector: Uint8Array,
): { readonly signature: number; readonly entries: readonly MbrEntry[] } | undefined {
  const record = MasterBootRecord.decode(sector);
  if (record.Signature !== MBR_SIGNATURE) return undefined;
  const entries = [0, 1, 2, 3].map((index): MbrEntry => {
    const entry = PartitionRecord.decode(record.PartitionRecord, index * PartitionRecord.byteLength);
    return {
      index,
      bootIndicator: entry.BootIndicator,
      type: entry.OSType,
      start: entry.StartingLBA,
      count: entry.SizeInLBA,
    };
  });
  return {
    signature: record.UniqueMBRDiskSignature,
    entries: entries.filter(({ type, count }) => type !== 0 && count > 0),
  };
}

/** Entries of these types hold further tables, one for each logical partition. */
export function isExtendedType(type: number): boolean {
  return type === 0x05 || type === 0x0f || type === 0x85;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  0x01: 'DOS FAT12',
  0x04: 'DOS FAT16',
  0x05: 'DOS Extended',
  0x06: 'DOS FAT16',
  0x07: 'NTFS / exFAT',
  0x0b: 'Win95 FAT32',
  0x0c: 'Win95 FAT32',
  0x0e: 'Win95 FAT16',
  0x0f: 'Win95 Extended',
  0x11: 'DOS FAT12 Hidden',
  0x12: 'Hibernation',
  0x14: 'DOS FAT16 Hidden',
  0x16: 'DOS FAT16 Hidden',
  0x17: 'Hidden IFS/HPFS',
  0x1b: 'Win95 FAT32 Hidden',
  0x1c: 'Win95 FAT32 Hidden',
  0x1e: 'Win95 FAT16 Hidden',
  0x42: 'Win LVM / Secure FS',
  0x4d: 'QNX 4.x',
  0x4e: 'QNX 4.x',
  0x4f: 'QNX 4.x',
  0x63: 'UNIX System V',
  0x64: 'Novell Netware',
  0x65: 'Novell Netware',
  0x80: 'MINIX <=v1.4a',
  0x82: 'Linux Swap / Solaris x86',
  0x83: 'Linux',
  0x84: 'Hibernation',
  0x85: 'Linux Extended',
  0x86: 'NTFS Volume Set',
  0x87: 'NTFS Volume Set',
  0x8a: 'Linux Kernel',
  0x8e: 'Linux Logical Volume Manager',
  0x93: 'Linux Hidden',
  0xa0: 'Hibernation',
  0xa1: 'Hibernation',
  0xa5: 'BSD/386, 386BSD, NetBSD, FreeBSD',
  0xa6: 'OpenBSD',
  0xa8: 'Mac OS X',
  0xa9: 'NetBSD',
  0xab: 'Mac OS X Boot Partition',
  0xaf: 'Mac OS X HFS',
  0xbe: 'Solaris 8 Boot',
  0xde: 'Dell Utilities FAT',
  0xeb: 'BeOS BFS',
  0xee: 'GPT Safety Partition',
  0xef: 'EFI File System',
  0xfb: 'VMWare File System',
  0xfc: 'VMWare Swap',
  0xfd: 'Linux RAID',
};

/** `Linux (0x83)`, as mmls prints it. */
export function partitionTypeName(type: number): string {
  return `${TYPE_NAMES[type] ?? 'Unknown Type'} (0x${type.toString(16).padStart(2, '0')})`;
}
