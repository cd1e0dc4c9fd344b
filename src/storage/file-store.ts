// What the engine asks of a file system: narrow enough that node:fs, memfs, memory, archives and remote ranges
// all fit behind it. A file opened for reading has no way to write: that wall is this type.

export type StoredKind = 'file' | 'folder' | 'device' | 'fifo' | 'socket' | 'other';

/** What a path leads to once symbolic links are followed. Sizes in bytes, times in ms since the epoch. */
export interface ResolvedPath {
  /** Absolute, free of symbolic links. */
  readonly path: string;
  readonly kind: StoredKind;
  /** Equal for two paths exactly when they are the same file, hard links included. */
  readonly identity: string;
  /** Equal for two files exactly when one can be renamed beside the other: their file system. Absent where it is all one. */
  readonly device?: string;
  readonly size: number;
  /** Bytes that the file occupies, where the store knows; holes do not count. */
  readonly allocated: number;
  readonly modified: number;
  /** What the store itself tells states of the content apart by: an ETag. */
  readonly version?: string;
}

/** A stretch of a file that holds data (`data`) or nothing but unwritten zeros (a hole). */
export interface FileStretch {
  readonly start: number;
  readonly length: number;
  readonly data: boolean;
}

/** When a file or folder was made, changed and read, in nanoseconds since the epoch. */
export interface FileTimes {
  readonly modified: bigint;
  /** When anything about it was last changed, its names and permissions included. */
  readonly changed: bigint;
  readonly accessed: bigint;
  /** Where the file system keeps it. */
  readonly created?: bigint;
}

export interface RandomAccessFile {
  readonly path: string;
  /** Length in bytes now. */
  size(): Promise<number>;
  /**
   * Fills `into` from byte `at`.
   * @throws VmdkError `file-too-short` when the file ends before `into` is full; `io` errors of the medium.
   */
  readExactly(into: Uint8Array, at: number): Promise<void>;
  /**
   * The stretches of `[start, start + length)` in order, where the store can tell data from holes;
   * undefined where it cannot. May answer only a prefix, at least one stretch.
   */
  stretches?(start: number, length: number): Promise<readonly FileStretch[] | undefined>;
  /**
   * Locks each byte of `held` against exclusive locks of others until the file is closed; then tells whether another
   * opening of the file has any lock on a byte of `contested`. Undefined where the system has no such locks.
   */
  lockBytes?(
    held: readonly number[],
    contested: readonly number[],
  ): Promise<'held' | 'contested' | undefined>;
  close(): Promise<void>;
}

export interface WritableFile extends RandomAccessFile {
  /** Writes all of `data` at byte `at`, growing the file when it ends past its length. */
  write(data: Uint8Array, at: number): Promise<void>;
  /**
   * Gives a range back to the file system, which then reads as zeros; the length stays. False where that is not
   * possible, with nothing changed. Absent where it never is.
   */
  punchHole?(start: number, length: number): Promise<boolean>;
  /** Sets the length in bytes; what is added reads as zeros. */
  resize(size: number): Promise<void>;
  /** Returns once everything written so far would survive a loss of power. */
  sync(): Promise<void>;
}

export interface FileStore {
  /** Present when names that are URLs are opened, too: those that the caller allowed, to be read. */
  readonly opensUrls?: true;
  /** Opens a regular file that exists. @throws VmdkError `file-missing`, `not-a-file`, `file-not-readable`. */
  open(path: string, mode: 'read'): Promise<RandomAccessFile>;
  open(path: string, mode: 'update'): Promise<WritableFile>;
  /** Makes a new, empty file. @throws VmdkError `file-exists`. */
  create(path: string): Promise<WritableFile>;
  /** Puts `data` in the place of the file, whole or not at all, also across a loss of power. */
  replace(path: string, data: Uint8Array): Promise<void>;
  /** Renames within one folder tree, replacing `to`. Durable after `syncFolder` of both folders. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Names in a folder, unsorted, without `.` and `..`. */
  list(folder: string): Promise<string[]>;
  /** Makes a folder. @throws VmdkError `file-exists`; its parent must exist. */
  makeFolder(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  /** Makes creations, renames and removals in `folder` survive a loss of power. */
  syncFolder(folder: string): Promise<void>;
  /** Follows symbolic links. @throws VmdkError `file-missing`. */
  resolve(path: string): Promise<ResolvedPath>;
  /** Symbolic links are followed. Absent where a store knows no times. @throws VmdkError `file-missing`. */
  times?(path: string): Promise<FileTimes>;
  /**
   * Changes the permission bits of a file (`0o644`), where the store has any; gives those it had. What `change` gives
   * back as it was is not written.
   */
  changeMode?(path: string, change: (mode: number) => number): Promise<number>;
  /** Bytes that new files in `folder` may take, where the store knows. */
  freeBytes?(folder: string): Promise<number>;
}
