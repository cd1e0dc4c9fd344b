// A file system as it is looked at: folders listed, files found, and which sectors of the disk hold what. Rule: reading
// only, and no number on the disk decides how much work is done; limits do.
import type { Finding } from '../core/finding.ts';
import type { Volume } from './volume.ts';

export type FileSystemKind = 'ext2' | 'ext3' | 'ext4' | 'fat12' | 'fat16' | 'fat32';
export type NodeKind = 'file' | 'folder' | 'link' | 'device' | 'fifo' | 'socket' | 'unknown';

export interface FileNode {
  readonly name: string;
  /** Number by which sleuthkit knows it: the inode, or a FAT entry's place. */
  readonly inode: number;
  readonly kind: NodeKind;
  /** Bytes; of folders what they take where that is told. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modified?: number | undefined;
  readonly accessed?: number | undefined;
  readonly changed?: number | undefined;
  readonly created?: number | undefined;
  /** Permission bits and what they are of: where the file system has any. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Names that it has, where that is told. */
  readonly links?: number;
}

/** A stretch of a file, in whole sectors. Where a file has none, it reads as zeros. */
export interface FileStretchOnDisk {
  /** Byte of the file. */
  readonly offset: number;
  /** First sector of the disk, and how many. */
  readonly start: number;
  readonly count: number;
  /** Reserved but never written: reads as zeros, whatever the sectors hold. */
  readonly unwritten?: true;
}

export interface FileContents {
  /** In the order of the file; up to the end of its last block. */
  readonly stretches: readonly FileStretchOnDisk[];
  /** Of a file that is kept in its own inode. */
  readonly inline?: Uint8Array;
}

export interface FileSystem<N extends FileNode = FileNode> {
  readonly kind: FileSystemKind;
  readonly volume: Volume;
  readonly label: string;
  /** UUID, or a FAT's serial number `1234-ABCD`. */
  readonly id: string;
  /** Bytes that are given out together: a block, a cluster. */
  readonly blockBytes: number;
  /** False where times are by a clock whose zone is not told (FAT). */
  readonly utc: boolean;
  readonly root: N;
  /** What was odd when it was opened. */
  readonly findings: readonly Finding[];
  /**
   * Without `.` and `..`, in the order of the disk.
   * @throws VmdkError `file-system-damaged`.
   */
  list(folder: N): Promise<N[]>;
  /** @throws VmdkError `file-system-damaged`. */
  contents(node: N): Promise<FileContents>;
}

/** Entries of one folder, and stretches of one file: more is damage or an attack. */
export const MOST_ENTRIES = 2_000_000;
export const MOST_STRETCHES = 1 << 20;
