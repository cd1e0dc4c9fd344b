// What a change set can do to files, told before anything is done. Rule: a path is the business of one change only,
// but for a place that one change empties and another fills, and for patches of one file that do not overlap; a file that
// is renamed can be patched where it comes to.
import type { PlannedFile } from './disk-plan.ts';

/** What a new file is to hold: bytes, a plan of them, a copy, or whatever `make` puts at the path it is given. */
export type FileContent =
  | Uint8Array
  | Omit<PlannedFile, 'path'>
  | { readonly copyOf: string }
  | { readonly make: (path: string) => Promise<void> };

export interface NewFile {
  /** One file name. */
  readonly name: string;
  readonly content: FileContent;
}

/** A new file. There must be nothing in its place, unless the same change set removes or renames that. */
export interface CreateChange {
  readonly kind: 'create';
  readonly path: string;
  readonly file: FileContent;
}

/** New files of one folder that are made together, under their own names, by `make` in a folder that it is given. */
export interface CreateTogetherChange {
  readonly kind: 'create-together';
  /** The folder that they are for; it exists. */
  readonly path: string;
  readonly names: readonly string[];
  readonly make: (stagingFolder: string) => Promise<void>;
}

/** A new folder with its files, which appears whole. */
export interface FolderChange {
  readonly kind: 'folder';
  readonly path: string;
  readonly files: readonly NewFile[];
  /** When it cannot be made, the rest is made without it. Default false. */
  readonly optional?: boolean;
}

/** The whole content of a small file that exists; its owner and mode stay. */
export interface ReplaceChange {
  readonly kind: 'replace';
  readonly path: string;
  readonly data: Uint8Array;
  /** What the caller read and edited; when the file holds something else by now, nothing is changed. */
  readonly old?: Uint8Array;
}

/** Bytes inside a big file that exists, its length unchanged. */
export interface PatchChange {
  readonly kind: 'patch';
  readonly path: string;
  /** Byte offset. */
  readonly at: number;
  readonly data: Uint8Array;
  /** Where the file still is, when a rename of the same change set brings it to `path`. */
  readonly from?: string;
}

/** A file or folder under another name, on the same file system. */
export interface RenameChange {
  readonly kind: 'rename';
  readonly from: string;
  readonly to: string;
}

/** A file that goes; a symbolic link goes itself. */
export interface RemoveChange {
  readonly kind: 'remove';
  readonly path: string;
}

/** A folder that goes if it is empty once all else is done, and stays if not. */
export interface RemoveFolderChange {
  readonly kind: 'remove-folder';
  readonly path: string;
}

export type FileChange =
  | CreateChange
  | CreateTogetherChange
  | FolderChange
  | ReplaceChange
  | PatchChange
  | RenameChange
  | RemoveChange
  | RemoveFolderChange;
