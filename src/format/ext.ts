// What ext2, ext3 and ext4 keep on disk, as far as files are found by it. Names after the kernel's own documentation
// (Documentation/filesystems/ext4, "Data Structures"); 32-bit halves of one number stand apart there, too.
import { defineStruct } from './struct.ts';

export const ExtSuperBlock = defineStruct('ext4_super_block', 1024, [
  ['s_inodes_count', 'u32'],
  ['s_blocks_count_lo', 'u32'],
  ['s_r_blocks_count_lo', 'u32'],
  ['s_free_blocks_count_lo', 'u32'],
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
  ['s_last_mounted', 64],
  ['s_algorithm_usage_bitmap', 'u32'],
  ['s_prealloc_blocks', 'u8'],
  ['s_prealloc_dir_blocks', 'u8'],
  ['s_reserved_gdt_blocks', 'u16'],
  ['s_journal_uuid', 16],
  ['s_journal_inum', 'u32'],
  ['s_journal_dev', 'u32'],
  ['s_last_orphan', 'u32'],
  ['s_hash_seed', 16],
  ['s_def_hash_version', 'u8'],
  ['s_jnl_backup_type', 'u8'],
  ['s_desc_size', 'u16'],
  ['s_default_mount_opts', 'u32'],
  ['s_first_meta_bg', 'u32'],
  ['s_mkfs_time', 'u32'],
  ['s_jnl_blocks', 68],
  ['s_blocks_count_hi', 'u32'],
  ['rest', 684],
]);

export const ExtGroup = defineStruct('ext4_group_desc', 32, [
  ['bg_block_bitmap_lo', 'u32'],
  ['bg_inode_bitmap_lo', 'u32'],
  ['bg_inode_table_lo', 'u32'],
  ['bg_free_blocks_count_lo', 'u16'],
  ['bg_free_inodes_count_lo', 'u16'],
  ['bg_used_dirs_count_lo', 'u16'],
  ['bg_flags', 'u16'],
  ['bg_exclude_bitmap_lo', 'u32'],
  ['bg_block_bitmap_csum_lo', 'u16'],
  ['bg_inode_bitmap_csum_lo', 'u16'],
  ['bg_itable_unused_lo', 'u16'],
  ['bg_checksum', 'u16'],
]);

/** Behind it where descriptors have 64 bytes. */
export const ExtGroupHigh = defineStruct('ext4_group_desc (64 bit)', 32, [
  ['bg_block_bitmap_hi', 'u32'],
  ['bg_inode_bitmap_hi', 'u32'],
  ['bg_inode_table_hi', 'u32'],
  ['rest', 20],
]);

export const ExtInode = defineStruct('ext4_inode', 128, [
  ['i_mode', 'u16'],
  ['i_uid', 'u16'],
  ['i_size_lo', 'u32'],
  ['i_atime', 'u32'],
  ['i_ctime', 'u32'],
  ['i_mtime', 'u32'],
  ['i_dtime', 'u32'],
  ['i_gid', 'u16'],
  ['i_links_count', 'u16'],
  ['i_blocks_lo', 'u32'],
  ['i_flags', 'u32'],
  ['osd1', 'u32'],
  ['i_block', 60],
  ['i_generation', 'u32'],
  ['i_file_acl_lo', 'u32'],
  ['i_size_high', 'u32'],
  ['i_obso_faddr', 'u32'],
  ['l_i_blocks_high', 'u16'],
  ['l_i_file_acl_high', 'u16'],
  ['l_i_uid_high', 'u16'],
  ['l_i_gid_high', 'u16'],
  ['l_i_checksum_lo', 'u16'],
  ['l_i_reserved', 'u16'],
]);

/** Behind the first 128 bytes of larger inodes, as far as `i_extra_isize` says. */
export const ExtInodeExtra = defineStruct('ext4_inode (extra)', 24, [
  ['i_extra_isize', 'u16'],
  ['i_checksum_hi', 'u16'],
  ['i_ctime_extra', 'u32'],
  ['i_mtime_extra', 'u32'],
  ['i_atime_extra', 'u32'],
  ['i_crtime', 'u32'],
  ['i_crtime_extra', 'u32'],
]);

const ExtentHeader = defineStruct('ext4_extent_header', 12, [
  ['eh_magic', 'u16'],
  ['eh_entries', 'u16'],
  ['eh_max', 'u16'],
  ['eh_depth', 'u16'],
  ['eh_generation', 'u32'],
]);

const ExtentIndex = defineStruct('ext4_extent_idx', 12, [
  ['ei_block', 'u32'],
  ['ei_leaf_lo', 'u32'],
  ['ei_leaf_hi', 'u16'],
  ['ei_unused', 'u16'],
]);

const ExtentLeaf = defineStruct('ext4_extent', 12, [
  ['ee_block', 'u32'],
  ['ee_len', 'u16'],
  ['ee_start_hi', 'u16'],
  ['ee_start_lo', 'u32'],
]);

const DirectoryEntry = defineStruct('ext4_dir_entry_2', 8, [
  ['inode', 'u32'],
  ['rec_len', 'u16'],
  ['name_len', 'u8'],
  ['file_type', 'u8'],
]);

const AttributeEntry = defineStruct('ext4_xattr_entry', 16, [
  ['e_name_len', 'u8'],
  ['e_name_index', 'u8'],
  ['e_value_offs', 'u16'],
  ['e_value_inum', 'u32'],
  ['e_value_size', 'u32'],
  ['e_hash', 'u32'],
]);

const BlockNumber = defineStruct('block number', 4, [['block', 'u32']]);

export const EXT_SUPERBLOCK_AT = 1024;
export const EXT_MAGIC = 0xef53;
export const EXT_ROOT = 2;

export const EXT_INCOMPAT = {
  compression: 0x1,
  fileType: 0x2,
  recover: 0x4,
  journalDevice: 0x8,
  metaGroups: 0x10,
  extents: 0x40,
  wide: 0x80,
  flexibleGroups: 0x200,
  /** All that do not change where files are, with those above that are read. */
  understood: 0x3e7d6,
} as const;
export const EXT_COMPAT_JOURNAL = 0x4;
export const EXT_RO_COMPAT = { sparseSuper: 0x1 } as const;
export const EXT_INODE_FLAGS = { encrypted: 0x800, extents: 0x80000, inlineData: 0x10000000 } as const;

const EXTENT_MAGIC = 0xf30a;
const ATTRIBUTE_MAGIC = Buffer.from([0x00, 0x00, 0x02, 0xea]);
/** `system.data`: what does not fit into `i_block` of a file that is kept in its inode. */
const SYSTEM_INDEX = 7;
/** Longer lengths mark space that is reserved and reads as zeros. */
const LONGEST_WRITTEN = 32_768;

export interface ExtExtent {
  /** First block of the file. */
  readonly block: number;
  readonly count: number;
  /** First block of the volume. */
  readonly start: number;
  /** Reserved, never written: reads as zeros. */
  readonly unwritten: boolean;
}

/** One node of an extent tree: leaves at depth 0, else the blocks of the nodes below. Undefined when it is no node. */
export function decodeExtentNode(
  node: Uint8Array,
): { readonly depth: number; readonly extents: ExtExtent[]; readonly below: number[] } | undefined {
  const header = ExtentHeader.decode(node);
  const room = Math.floor(node.length / 12) - 1;
  if (header.eh_magic !== EXTENT_MAGIC || header.eh_entries > room) return undefined;
  const result = { depth: header.eh_depth, extents: [] as ExtExtent[], below: [] as number[] };
  for (let index = 1; index <= header.eh_entries; index++) {
    if (header.eh_depth > 0) {
      const { ei_leaf_lo: low, ei_leaf_hi: high } = ExtentIndex.decode(node, index * 12);
      result.below.push(high * 2 ** 32 + low);
      continue;
    }
    const leaf = ExtentLeaf.decode(node, index * 12);
    const unwritten = leaf.ee_len > LONGEST_WRITTEN;
    result.extents.push({
      block: leaf.ee_block,
      count: unwritten ? leaf.ee_len - LONGEST_WRITTEN : leaf.ee_len,
      start: leaf.ee_start_hi * 2 ** 32 + leaf.ee_start_lo,
      unwritten,
    });
  }
  return result;
}

/** Block number `index` of an array of them: `i_block` without extents, and indirect blocks. */
export function blockNumberAt(blocks: Uint8Array, index: number): number {
  return BlockNumber.decode(blocks, index * 4).block;
}

export interface ExtEntry {
  readonly inode: number;
  readonly name: Uint8Array;
}

/** The entries in use of one block of a folder, as far as it is sound; undefined when its lengths make no sense. */
export function decodeExtEntries(block: Uint8Array, from = 0): ExtEntry[] | undefined {
  const found: ExtEntry[] = [];
  let at = from;
  while (at + DirectoryEntry.byteLength <= block.length) {
    const entry = DirectoryEntry.decode(block, at);
    const length = entry.rec_len === 0 || entry.rec_len === 0xffff ? 0x10000 : entry.rec_len;
    const tooLong = at + length > block.length || entry.name_len + 8 > length;
    if (length < 8 || length % 4 !== 0 || tooLong) return undefined;
    if (entry.inode !== 0 && entry.name_len > 0) {
      found.push({ inode: entry.inode, name: block.slice(at + 8, at + 8 + entry.name_len) });
    }
    at += length;
  }
  return found;
}

/** The second part of data that is kept in an inode; empty where there is none. */
export function inlineAttribute(inode: Uint8Array): Uint8Array {
  const none = new Uint8Array(0);
  if (inode.length < 160) return none;
  const first = 128 + ExtInodeExtra.decode(inode, 128).i_extra_isize + 4;
  if (first + AttributeEntry.byteLength > inode.length) return none;
  if (!ATTRIBUTE_MAGIC.equals(inode.subarray(first - 4, first))) return none;
  let at = first;
  while (at + AttributeEntry.byteLength <= inode.length) {
    const entry = AttributeEntry.decode(inode, at);
    if (entry.e_name_len === 0 && entry.e_name_index === 0 && entry.e_value_offs === 0) return none;
    const name = inode.subarray(at + 16, at + 16 + entry.e_name_len);
    if (entry.e_name_index === SYSTEM_INDEX && Buffer.from(name).toString('latin1') === 'data') {
      const start = first + entry.e_value_offs;
      return inode.subarray(start, start + entry.e_value_size);
    }
    at += Math.ceil((16 + entry.e_name_len) / 4) * 4;
  }
  return none;
}
