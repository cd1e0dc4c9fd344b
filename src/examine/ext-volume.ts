// ext2, ext3 and ext4, read as they stand: superblock, groups, inodes, folders. The journal is not replayed; where that
// was due it is told. Folders with an index are read block by block, as every ext folder can be.
import type { Finding } from '../core/finding.ts';
import { isVmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import {
  decodeExtEntries,
  EXT_COMPAT_JOURNAL,
  EXT_INCOMPAT,
  EXT_INODE_FLAGS,
  EXT_MAGIC,
  EXT_RO_COMPAT,
  EXT_ROOT,
  EXT_SUPERBLOCK_AT,
  ExtGroup,
  ExtGroupHigh,
  ExtInode,
  ExtInodeExtra,
  ExtSuperBlock,
  inlineAttribute,
} from '../format/ext.ts';
import { extentStretches, mappedStretches } from './ext-blocks.ts';
import {
  MOST_ENTRIES,
  type FileContents,
  type FileNode,
  type FileSystem,
  type FileSystemKind,
  type NodeKind,
} from './file-system.ts';
import type { Volume } from './volume.ts';

type SuperBlock = ReturnType<typeof ExtSuperBlock.decode>;
type RawInode = ReturnType<typeof ExtInode.decode>;

interface ExtNode extends FileNode {
  readonly raw: RawInode;
  /** All bytes of the inode. */
  readonly whole: Uint8Array;
}

/** Groups looked at: 2^32 blocks of 4 KiB and more have 128 Ki; a small volume that claims more is damaged. */
const MOST_GROUPS = 1 << 22;
const LARGEST_FOLDER = 1 << 30;

/** Undefined when there is no superblock. @throws VmdkError `file-system-damaged`, `file-system-unsupported`. */
export async function openExt(volume: Volume): Promise<FileSystem | undefined> {
  if (volume.bytes < EXT_SUPERBLOCK_AT + ExtSuperBlock.byteLength) return undefined;
  const superBlock = ExtSuperBlock.decode(await volume.read(EXT_SUPERBLOCK_AT, ExtSuperBlock.byteLength));
  if (superBlock.s_magic !== EXT_MAGIC) return undefined;
  assertReadable(volume, superBlock);
  const ext = new ExtVolume(volume, superBlock);
  await ext.begin();
  return ext;
}

function assertReadable(volume: Volume, raw: SuperBlock): void {
  const refuse = (field: string, found: string | number, expected: string): never => {
    throw volume.damaged('the ext superblock makes no sense', { field, found, expected });
  };
  if (raw.s_log_block_size > 6) refuse('s_log_block_size', raw.s_log_block_size, 'at most 6 (64 KiB)');
  const unknown = raw.s_feature_incompat & ~EXT_INCOMPAT.understood;
  if (unknown !== 0) {
    throw volume.unsupported('this ext file system has features that are not read', {
      field: 's_feature_incompat',
      found: `0x${(raw.s_feature_incompat >>> 0).toString(16)}`,
      expected: `nothing outside 0x${EXT_INCOMPAT.understood.toString(16)}`,
    });
  }
  if (raw.s_inodes_per_group === 0) refuse('s_inodes_per_group', 0, 'at least 1');
  if (raw.s_blocks_per_group === 0) refuse('s_blocks_per_group', 0, 'at least 1');
  const size = inodeBytes(raw);
  if (size < 128 || size > 4096 || size % 4 !== 0) refuse('s_inode_size', size, '128 to 4096');
  if (groupBytes(raw) < 32 || groupBytes(raw) > 1024) refuse('s_desc_size', raw.s_desc_size, '32 to 1024');
  const groups = groupCount(raw);
  if (groups > MOST_GROUPS) refuse('s_blocks_count', `${groups} groups`, `at most ${MOST_GROUPS}`);
}

function inodeBytes(raw: SuperBlock): number {
  return raw.s_rev_level === 0 ? 128 : raw.s_inode_size;
}

function groupBytes(raw: SuperBlock): number {
  return (raw.s_feature_incompat & EXT_INCOMPAT.wide) !== 0 ? raw.s_desc_size : 32;
}

function blockCount(raw: SuperBlock): number {
  const high = (raw.s_feature_incompat & EXT_INCOMPAT.wide) !== 0 ? raw.s_blocks_count_hi : 0;
  return high * 2 ** 32 + raw.s_blocks_count_lo;
}

function groupCount(raw: SuperBlock): number {
  return Math.max(1, Math.ceil((blockCount(raw) - raw.s_first_data_block) / raw.s_blocks_per_group));
}

class ExtVolume implements FileSystem<ExtNode> {
  readonly kind: FileSystemKind;
  readonly volume: Volume;
  readonly label: string;
  readonly id: string;
  readonly blockBytes: number;
  readonly utc = true;
  readonly findings: Finding[] = [];
  root!: ExtNode;
  readonly #raw: SuperBlock;
  /** Where the inode table of each group begins that was looked up. */
  readonly #tables = new Map<number, number>();

  constructor(volume: Volume, raw: SuperBlock) {
    this.volume = volume;
    this.#raw = raw;
    this.blockBytes = 1024 << raw.s_log_block_size;
    this.label = Buffer.from(raw.s_volume_name).toString('utf8').replace(/\0.*$/s, '');
    this.id = Buffer.from(raw.s_uuid)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const later = EXT_INCOMPAT.extents | EXT_INCOMPAT.wide | EXT_INCOMPAT.flexibleGroups;
    const journal = (raw.s_feature_compat & EXT_COMPAT_JOURNAL) !== 0;
    this.kind = (raw.s_feature_incompat & later) !== 0 ? 'ext4' : journal ? 'ext3' : 'ext2';
  }

  async begin(): Promise<void> {
    if ((this.#raw.s_feature_incompat & EXT_INCOMPAT.recover) !== 0) {
      this.findings.push({
        code: 'FS-JOURNAL',
        severity: 'warning',
        message: `the journal of the ${this.kind} file system at sector ${this.volume.start} was not replayed: files are shown without what it holds`,
        path: this.volume.path,
        repairable: false,
      });
    }
    this.root = await this.#node(EXT_ROOT, '');
    if (this.root.kind !== 'folder')
      throw this.volume.damaged('the root of the ext file system is no folder');
  }

  async list(folder: ExtNode): Promise<ExtNode[]> {
    const nodes: ExtNode[] = [];
    for await (const block of this.#folderBlocks(folder)) {
      const entries = decodeExtEntries(block);
      if (entries === undefined) {
        throw this.volume.damaged(`a block of folder ${folder.inode} is damaged`);
      }
      for (const { inode, name } of entries) {
        const text = Buffer.from(name).toString('utf8');
        if (text === '.' || text === '..') continue;
        if (nodes.length === MOST_ENTRIES) throw this.volume.damaged('a folder has too many entries');
        nodes.push(await this.#nodeOrUnknown(inode, text));
      }
    }
    return nodes;
  }

  async contents(node: ExtNode): Promise<FileContents> {
    const { raw, whole, size } = node;
    if ((raw.i_flags & EXT_INODE_FLAGS.inlineData) !== 0) {
      const inline = Buffer.concat([raw.i_block, inlineAttribute(whole)]).subarray(0, size);
      return { stretches: [], inline };
    }
    if (node.kind === 'link' && size < 60 && (raw.i_flags & EXT_INODE_FLAGS.extents) === 0) {
      return { stretches: [], inline: raw.i_block.subarray(0, size) };
    }
    if (node.kind !== 'file' && node.kind !== 'folder' && node.kind !== 'link') return { stretches: [] };
    const stretches =
      (raw.i_flags & EXT_INODE_FLAGS.extents) !== 0
        ? await extentStretches(this.volume, this.blockBytes, raw.i_block)
        : await mappedStretches(this.volume, this.blockBytes, raw.i_block, Math.ceil(size / this.blockBytes));
    return { stretches };
  }

  /** The blocks of a folder; one that is kept in its inode as one or two. */
  async *#folderBlocks(folder: ExtNode): AsyncGenerator<Uint8Array> {
    if ((folder.raw.i_flags & EXT_INODE_FLAGS.inlineData) !== 0) {
      // The first four bytes are the parent's inode.
      yield folder.raw.i_block.subarray(4);
      const more = inlineAttribute(folder.whole);
      if (more.length > 0) yield more;
      return;
    }
    if (folder.size > LARGEST_FOLDER) throw this.volume.damaged(`folder ${folder.inode} is too long`);
    const { stretches } = await this.contents(folder);
    for (const { start, count, offset, unwritten } of stretches) {
      if (unwritten === true) continue;
      const first = (start - this.volume.start) * SECTOR_BYTES;
      for (let at = 0; at < count * SECTOR_BYTES && offset + at < folder.size; at += this.blockBytes) {
        yield this.volume.read(first + at, this.blockBytes);
      }
    }
  }

  /** An entry that leads nowhere does not hide the others of its folder. */
  async #nodeOrUnknown(inode: number, name: string): Promise<ExtNode> {
    try {
      return await this.#node(inode, name);
    } catch (error) {
      if (!isVmdkError(error, 'file-system-damaged')) throw error;
      const nothing = new Uint8Array(ExtInode.byteLength);
      return { name, inode, kind: 'unknown', size: 0, raw: ExtInode.decode(nothing), whole: nothing };
    }
  }

  async #node(inode: number, name: string): Promise<ExtNode> {
    if (inode < 1 || inode > this.#raw.s_inodes_count) {
      throw this.volume.damaged('a folder names an inode that cannot be', {
        found: inode,
        expected: `1 to ${this.#raw.s_inodes_count}`,
      });
    }
    const group = Math.floor((inode - 1) / this.#raw.s_inodes_per_group);
    const index = (inode - 1) % this.#raw.s_inodes_per_group;
    const size = inodeBytes(this.#raw);
    const table = await this.#tableOf(group);
    const whole = await this.volume.read(table * this.blockBytes + index * size, size);
    const raw = ExtInode.decode(whole);
    const extra = size >= 152 ? ExtInodeExtra.decode(whole, 128) : undefined;
    const has = (bytes: number): boolean => extra !== undefined && extra.i_extra_isize >= bytes;
    return {
      name,
      inode,
      kind: kindOf(raw.i_mode),
      size: (isRegular(raw.i_mode) || isFolder(raw.i_mode) ? raw.i_size_high : 0) * 2 ** 32 + raw.i_size_lo,
      modified: timeOf(raw.i_mtime, has(12) ? extra!.i_mtime_extra : 0),
      accessed: timeOf(raw.i_atime, has(16) ? extra!.i_atime_extra : 0),
      changed: timeOf(raw.i_ctime, has(8) ? extra!.i_ctime_extra : 0),
      created: has(24) ? timeOf(extra!.i_crtime, extra!.i_crtime_extra) : undefined,
      mode: raw.i_mode,
      uid: raw.l_i_uid_high * 65_536 + raw.i_uid,
      gid: raw.l_i_gid_high * 65_536 + raw.i_gid,
      links: raw.i_links_count,
      raw,
      whole,
    };
  }

  async #tableOf(group: number): Promise<number> {
    const known = this.#tables.get(group);
    if (known !== undefined) return known;
    const size = groupBytes(this.#raw);
    const perBlock = Math.floor(this.blockBytes / size);
    const block = this.#groupBlock(Math.floor(group / perBlock), perBlock);
    const at = block * this.blockBytes + (group % perBlock) * size;
    const { bg_inode_table_lo: low } = ExtGroup.decode(await this.volume.read(at, ExtGroup.byteLength));
    const high =
      size < 64
        ? 0
        : ExtGroupHigh.decode(await this.volume.read(at + 32, ExtGroupHigh.byteLength)).bg_inode_table_hi;
    const table = high * 2 ** 32 + low;
    this.#tables.set(group, table);
    return table;
  }

  /** The block that holds descriptors: all behind the superblock, or spread over the groups they describe. */
  #groupBlock(index: number, perBlock: number): number {
    const spread = (this.#raw.s_feature_incompat & EXT_INCOMPAT.metaGroups) !== 0;
    // The superblock ends at byte 2048: with blocks of 1 KiB that is the end of block 1.
    const behind = this.blockBytes === 1024 ? 2 : 1;
    if (!spread || index < this.#raw.s_first_meta_bg) return behind + index;
    const group = index * perBlock;
    if (group === 0) return behind;
    return (
      this.#raw.s_first_data_block +
      group * this.#raw.s_blocks_per_group +
      (this.#hasSuperBlock(group) ? 1 : 0)
    );
  }

  #hasSuperBlock(group: number): boolean {
    if (group <= 1 || (this.#raw.s_feature_ro_compat & EXT_RO_COMPAT.sparseSuper) === 0) return true;
    return [3, 5, 7].some((base) => {
      let power = base;
      while (power < group) power *= base;
      return power === group;
    });
  }
}

function isRegular(mode: number): boolean {
  return (mode & 0xf000) === 0x8000;
}

function isFolder(mode: number): boolean {
  return (mode & 0xf000) === 0x4000;
}

const KINDS: Readonly<Record<number, NodeKind>> = {
  0x1: 'fifo',
  0x2: 'device',
  0x4: 'folder',
  0x6: 'device',
  0x8: 'file',
  0xa: 'link',
  0xc: 'socket',
};

function kindOf(mode: number): NodeKind {
  return KINDS[mode >>> 12] ?? 'unknown';
}

/** Two bits more of seconds, then nanoseconds; the seconds are signed. */
function timeOf(seconds: number, extra: number): number | undefined {
  if (seconds === 0 && extra === 0) return undefined;
  return ((seconds | 0) + (extra & 3) * 2 ** 32) * 1000 + Math.floor((extra >>> 2) / 1_000_000);
}
