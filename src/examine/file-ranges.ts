// Which sectors of a disk hold which file: the map behind "which file is this?" and "which files changed?". Files are
// found in every file system of the disk that can be read. Rule: what could not be read is told, never left out silently.
import type { SectorSource } from '../block/sector-source.ts';
import { isVmdkError } from '../core/errors.ts';
import type { TaskOptions } from '../core/task.ts';
import type { FileContents, FileNode, FileStretchOnDisk, FileSystem } from './file-system.ts';
import { findFileSystems, type FoundFileSystems, type FoundVolume } from './find-file-systems.ts';
import { walkFiles } from './walk-files.ts';

export interface MappedFile {
  /** As `ls --partition` counts; 0 is a disk without partitions. */
  readonly partition: number;
  /** `/etc/hosts` */
  readonly path: string;
  readonly node: FileNode;
  /** In the order of the file, in sectors of the disk, up to the end of its last block. */
  readonly stretches: readonly FileStretchOnDisk[];
  /** Of a file that is kept in its own inode. */
  readonly inline?: Uint8Array;
}

export interface FileRangesOptions extends TaskOptions {
  /** What was found already, so that it is not looked for again. */
  found?: FoundFileSystems | undefined;
  /** Entries walked in each file system; 5 million unless told. */
  most?: number | undefined;
  /** What could not be read; the rest goes on. */
  onProblem?: ((partition: number, path: string, message: string) => void) | undefined;
}

/** Every file and folder of every file system, with where its contents are. `path` is what messages call the disk. */
export async function* fileRanges(
  path: string,
  source: SectorSource,
  options: FileRangesOptions = {},
): AsyncGenerator<MappedFile> {
  const { volumes } = options.found ?? (await findFileSystems(path, source));
  for (const volume of volumes) {
    if (volume.fileSystem !== undefined) yield* filesOf(volume, volume.fileSystem, options);
  }
}

async function* filesOf(
  { number: partition }: FoundVolume,
  fileSystem: FileSystem,
  options: FileRangesOptions,
): AsyncGenerator<MappedFile> {
  const say = (where: string, message: string): void => options.onProblem?.(partition, where, message);
  const root = { path: '/', node: fileSystem.root };
  yield { partition, ...root, ...(await contentsOf(fileSystem, root.node, root.path, say)) };
  const { signal, most } = options;
  for await (const { path, node } of walkFiles(fileSystem, fileSystem.root, '', {
    signal,
    most,
    onProblem: say,
  })) {
    yield { partition, path, node, ...(await contentsOf(fileSystem, node, path, say)) };
  }
}

async function contentsOf(
  fileSystem: FileSystem,
  node: FileNode,
  path: string,
  say: (path: string, message: string) => void,
): Promise<FileContents> {
  try {
    return await fileSystem.contents(node);
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    say(path, error.message);
    return { stretches: [] };
  }
}

/** Answers which file holds a sector, once all files were added. Where two claim one, all are given. */
export class FileIndex {
  #entries: { start: number; end: number; file: MappedFile }[] = [];
  /** The furthest end of this entry and all before it. */
  #ends: Float64Array = new Float64Array(0);
  #sorted = true;

  add(file: MappedFile): void {
    for (const { start, count } of file.stretches) this.#entries.push({ start, end: start + count, file });
    this.#sorted = false;
  }

  /** The files that hold any of these sectors, each once, with how many of them it holds. */
  within(start: number, count: number): Map<MappedFile, number> {
    this.#sort();
    const end = start + count;
    const found = new Map<MappedFile, number>();
    for (let index = this.#firstEndingAfter(start); index < this.#entries.length; index++) {
      const entry = this.#entries[index]!;
      if (entry.start >= end) break;
      const held = Math.min(end, entry.end) - Math.max(start, entry.start);
      if (held > 0) found.set(entry.file, (found.get(entry.file) ?? 0) + held);
    }
    return found;
  }

  /** The stretches of these sectors that files hold, in order of their start; they may overlap. */
  pieces(start: number, count: number): [start: number, end: number][] {
    this.#sort();
    const end = start + count;
    const found: [number, number][] = [];
    for (let index = this.#firstEndingAfter(start); index < this.#entries.length; index++) {
      const entry = this.#entries[index]!;
      if (entry.start >= end) break;
      if (entry.end > start) found.push([Math.max(start, entry.start), Math.min(end, entry.end)]);
    }
    return found;
  }

  #sort(): void {
    if (this.#sorted) return;
    this.#entries.sort((a, b) => a.start - b.start);
    this.#ends = new Float64Array(this.#entries.length);
    let end = 0;
    for (const [index, entry] of this.#entries.entries()) {
      end = Math.max(end, entry.end);
      this.#ends[index] = end;
    }
    this.#sorted = true;
  }

  #firstEndingAfter(start: number): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! > start) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
