// What tells volumes apart that have no boot sector of Microsoft's FAT32 kind: FAT16's tail, NTFS, ext4, Linux swap. Only
// the fields that such a head begins with. Names after fatgen103, the Linux kernel (ext4.h, swap.h) and ntfs-3g (layout.h).
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

/** The beginning of an ext superblock, which stands at byte 1024. */
export const ExtSuperblock = defineStruct('ext4_super_block', 136, [
  ['s_inodes_count', 'u32'],
  ['s_blocks_count', 'u32'],
  ['s_r_blocks_count', 'u32'],
  ['s_free_blocks_count', 'u32'],
  ['s_free_inodes_count', 'u32'],
  ['s_first_data_block', 'u32'],
  ['s_log_block_size', 'u32'],
  ['s_log_cluster_size', 'u32'],
  ['s_blocks_per_group', 'u32'],
  ['s_clusters_per_group', 'u32'],
  ['s_inodes_per_group', 'u32'],
  ['s_mtime', 'u32'],
  ['s_wtime', 'u32'],
  ['s_mnt_count', 'u16'],
  ['s_max_mnt_count', 'u16'],
  ['s_magic', 'u16'],
  ['s_state', 'u16'],
  ['s_errors', 'u16'],
  ['s_minor_rev_level', 'u16'],
  ['s_lastcheck', 'u32'],
  ['s_checkinterval', 'u32'],
  ['s_creator_os', 'u32'],
  ['s_rev_level', 'u32'],
  ['s_def_resuid', 'u16'],
  ['s_def_resgid', 'u16'],
  ['s_first_ino', 'u32'],
  ['s_inode_size', 'u16'],
  ['s_block_group_nr', 'u16'],
  ['s_feature_compat', 'u32'],
  ['s_feature_incompat', 'u32'],
  ['s_feature_ro_compat', 'u32'],
  ['s_uuid', 16],
  ['s_volume_name', 16],
]);
export const EXT_SUPERBLOCK_AT = 1024;

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
