// Which files differ between two states of a disk. Rule: only files that metadata does not show to be untouched are
// read, and one is called changed only when its bytes are.
import type { Chain } from '../chain/chain.ts';
import { isVmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { differences, joined, type DifferenceOptions } from '../operations/differences.ts';
import { FileIndex, fileRanges, type MappedFile } from './file-ranges.ts';
import type { FileSystem } from './file-system.ts';
import { findFileSystems, type FoundFileSystems } from './find-file-systems.ts';
import { readFile } from './read-file.ts';

/** `metadata`: the bytes are the same, but not owner, permissions or times. */
export type FileChange = 'added' | 'removed' | 'changed' | 'metadata';

export interface ChangedFile {
  readonly change: FileChange;
  readonly partition: number;
  readonly path: string;
  readonly a: MappedFile | undefined;
  readonly b: MappedFile | undefined;
  /** Bytes of sectors that differ where it lies, in A or in B. */
  readonly touched: number;
}

export interface ChangedFiles {
  /** By partition and path. */
  readonly files: readonly ChangedFile[];
  /** The file systems of B, then those that only A has. */
  readonly found: { readonly a: FoundFileSystems; readonly b: FoundFileSystems };
  /** Bytes of sectors that differ. */
  readonly differing: number;
  /** Of these, bytes that no file has: structures of file systems, free space, gaps between partitions. */
  readonly inNoFile: number;
  /** What could not be looked at. */
  readonly problems: readonly string[];
}

interface Side {
  readonly chain: Chain;
  readonly found: FoundFileSystems;
  readonly files: Map<string, MappedFile>;
  readonly index: FileIndex;
}

/** `a` is the earlier state, `b` the later one. */
export async function changedFiles(
  a: Chain,
  b: Chain,
  options: DifferenceOptions = {},
): Promise<ChangedFiles> {
  const problems: string[] = [];
  const before = await mapSide(a, 'A', problems, options);
  const after = await mapSide(b, 'B', problems, options);
  const touched = new Map<MappedFile, number>();
  let [differing, inNoFile] = [0, 0];
  for await (const { start, count } of joined(differences(a, b, options))) {
    differing += count;
    let covered = 0;
    for (const side of [before, after]) {
      for (const [file, held] of side.index.within(start, count))
        touched.set(file, (touched.get(file) ?? 0) + held);
    }
    for (const piece of union(before.index.pieces(start, count), after.index.pieces(start, count)))
      covered += piece;
    inNoFile += count - covered;
  }
  const files: ChangedFile[] = [];
  for (const key of new Set([...before.files.keys(), ...after.files.keys()])) {
    throwIfAborted(options);
    const [fileA, fileB] = [before.files.get(key), after.files.get(key)];
    const change = await changeOf(before, after, fileA, fileB, touched, problems, options);
    if (change === undefined) continue;
    const { partition, path } = (fileB ?? fileA)!;
    const sectors = Math.max(touched.get(fileA!) ?? 0, touched.get(fileB!) ?? 0);
    files.push({ change, partition, path, a: fileA, b: fileB, touched: sectors * SECTOR_BYTES });
  }
  files.sort((x, y) => x.partition - y.partition || (x.path < y.path ? -1 : 1));
  return {
    files,
    found: { a: before.found, b: after.found },
    differing: differing * SECTOR_BYTES,
    inNoFile: inNoFile * SECTOR_BYTES,
    problems,
  };
}

async function mapSide(chain: Chain, name: string, problems: string[], task: TaskOptions): Promise<Side> {
  const found = await findFileSystems(chain.leaf.path, chain);
  const side: Side = { chain, found, files: new Map(), index: new FileIndex() };
  const say = (where: string, message: string): void => void problems.push(`${name}: ${where}: ${message}`);
  for (const { number, problem } of found.volumes) {
    if (problem !== undefined) say(`partition ${number}`, problem.message.split('\n')[0]!);
  }
  const onProblem = (partition: number, path: string, message: string): void =>
    say(`${partition}:${path}`, message);
  const options = { found, onProblem, signal: task.signal };
  for await (const file of fileRanges(chain.leaf.path, chain, options)) {
    const key = `${file.partition}\0${file.path}`;
    // Of two entries of one name, which only damage makes, the first is what a guest finds.
    if (!side.files.has(key)) side.files.set(key, file);
    side.index.add(file);
  }
  return side;
}

async function changeOf(
  before: Side,
  after: Side,
  a: MappedFile | undefined,
  b: MappedFile | undefined,
  touched: ReadonlyMap<MappedFile, number>,
  problems: string[],
  task: TaskOptions,
): Promise<FileChange | undefined> {
  if (a === undefined) return 'added';
  if (b === undefined) return 'removed';
  const { node: one } = a;
  const { node: other } = b;
  if (one.kind !== other.kind) return 'changed';
  if (one.kind === 'file' || one.kind === 'link') {
    if (one.size !== other.size) return 'changed';
    const samePlace = !touched.has(a) && !touched.has(b) && sameStretches(a, b);
    if (!samePlace && !(await sameBytes(before, a, after, b, problems, task))) return 'changed';
  }
  const same =
    one.modified === other.modified &&
    one.mode === other.mode &&
    one.uid === other.uid &&
    one.gid === other.gid;
  // A folder's time changes with each entry, which is told of by itself.
  return same || one.kind === 'folder' ? undefined : 'metadata';
}

function sameStretches(a: MappedFile, b: MappedFile): boolean {
  if (a.inline !== undefined || b.inline !== undefined) return false;
  return (
    a.stretches.length === b.stretches.length &&
    a.stretches.every((stretch, index) => {
      const other = b.stretches[index]!;
      return (
        stretch.start === other.start &&
        stretch.count === other.count &&
        stretch.offset === other.offset &&
        stretch.unwritten === other.unwritten
      );
    })
  );
}

async function sameBytes(
  before: Side,
  a: MappedFile,
  after: Side,
  b: MappedFile,
  problems: string[],
  task: TaskOptions,
): Promise<boolean> {
  try {
    const [left, right] = [bytesOf(before, a, task), bytesOf(after, b, task)];
    let one: Uint8Array = new Uint8Array(0);
    let other: Uint8Array = new Uint8Array(0);
    for (;;) {
      if (one.length === 0) one = await nextPiece(left);
      if (other.length === 0) other = await nextPiece(right);
      const length = Math.min(one.length, other.length);
      if (length === 0) return one.length === other.length;
      if (!Buffer.from(one.buffer, one.byteOffset, length).equals(other.subarray(0, length))) return false;
      one = one.subarray(length);
      other = other.subarray(length);
    }
  } catch (error) {
    if (!isVmdkError(error)) throw error;
    problems.push(`${b.partition}:${b.path}: ${error.message.split('\n')[0]}`);
    return false;
  }
}

async function nextPiece(pieces: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  const { value, done } = await pieces.next();
  return done === true ? new Uint8Array(0) : value;
}

function bytesOf({ chain, found }: Side, file: MappedFile, task: TaskOptions): AsyncGenerator<Uint8Array> {
  const volume = found.volumes.find(({ number }) => number === file.partition);
  return readFile(chain, volume!.fileSystem as FileSystem, file.node, { signal: task.signal });
}

/** Lengths of what either list covers; both are in order. */
function* union(
  ...lists: readonly (readonly (readonly [start: number, end: number])[])[]
): Generator<number> {
  const all = lists.flat().sort((x, y) => x[0] - y[0]);
  let end = 0;
  for (const [from, to] of all) {
    if (to <= end) continue;
    yield to - Math.max(from, end);
    end = to;
  }
}
