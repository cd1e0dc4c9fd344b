// What tells volumes apart that have no boot sector of Microsoft's FAT32 kind: FAT16's tail, NTFS, Linux swap (ext has a file of its own, ext.ts). Only
// the fields that such a head begins with. Names after fatgen103, the Linux kernel (swap.h) and ntfs-3g (layout.h).
import { defineStruct } from './struct.ts';

/** What FAT12 and FAT16 have from byte 36 of their boot sector on, where FAT32 has more. */
export const Fat16Tail = defineStruct('Fat16Tail', 26, [
  ['BS_DrvNum', 'u8'],
  ['BS_Reserved1', 'u8'],
  ['BS_BootSig', 'u8'],
  ['BS_VolID', 'u32'],
  ['BS_VolLab', 11],
  ['BS_FilSysType', 8],
]);
export const FAT16_TAIL_AT = 36;

/** What NTFS has from byte 36 of its boot sector on. */
export const NtfsTail = defineStruct('NtfsTail', 44, [
  ['physical_drive', 'u8'],
  ['current_head', 'u8'],
  ['extended_boot_signature', 'u8'],
  ['reserved2', 'u8'],
  ['number_of_sectors', 'u64'],
  ['mft_lcn', 'u64'],
  ['mftmirr_lcn', 'u64'],
  ['clusters_per_mft_record', 'u8'],
  ['reserved0', 3],
  ['clusters_per_index_record', 'u8'],
  ['reserved1', 3],
  ['volume_serial_number', 'u64'],
]);
export const NTFS_TAIL_AT = 36;

/** The header of a swap area, at byte 1024 of its first page; the page ends with `SWAPSPACE2`. */
export const SwapHeader = defineStruct('swap_header', 44, [
  ['version', 'u32'],
  ['last_page', 'u32'],
  ['nr_badpages', 'u32'],
  ['sws_uuid', 16],
  ['sws_volume', 16],
]);
export const SWAP_HEADER_AT = 1024;
export const SWAP_PAGE = 4096;
export const SWAP_SIGNATURE = 'SWAPSPACE2';
