// The bytes of one file, in pieces, and the way from a path to it. Holes and reserved space read as zeros, whatever the
// sectors hold; nothing past the file's end is given.
import { sectorRange } from '../block/sector-range.ts';
import type { SectorSource } from '../block/sector-source.ts';
import { VmdkError } from '../core/errors.ts';
import { throwIfAborted, type TaskOptions } from '../core/task.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import type { FileNode, FileSystem } from './file-system.ts';

const PIECE = 1 << 20;
const ZEROS = Buffer.alloc(PIECE);

/** Pieces of at most 1 MiB, which may be used again after the next one was asked for. */
export async function* readFile(
  source: SectorSource,
  fileSystem: FileSystem,
  node: FileNode,
  task: TaskOptions = {},
): AsyncGenerator<Uint8Array> {
  const { stretches, inline } = await fileSystem.contents(node);
  if (inline !== undefined) {
    if (inline.length > 0) yield inline;
    return;
  }
  let done = 0;
  for (const { offset, start, count, unwritten } of stretches) {
    if (offset >= node.size) break;
    if (offset < done) throw fileSystem.volume.damaged(`two pieces of file ${node.inode} overlap`);
    yield* zeros(offset - done, task);
    const length = Math.min(count * SECTOR_BYTES, node.size - offset);
    if (unwritten === true) yield* zeros(length, task);
    else yield* readStretch(source, start, length, task);
    done = offset + length;
  }
  yield* zeros(node.size - done, task);
}

function* zeros(length: number, task: TaskOptions): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= PIECE) {
    throwIfAborted(task);
    yield ZEROS.subarray(0, Math.min(left, PIECE));
  }
}

async function* readStretch(
  source: SectorSource,
  start: number,
  length: number,
  task: TaskOptions,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length; at += PIECE) {
    throwIfAborted(task);
    const wanted = Math.min(PIECE, length - at);
    const count = Math.ceil(wanted / SECTOR_BYTES);
    const piece = Buffer.allocUnsafe(count * SECTOR_BYTES);
    await source.read(sectorRange(start + at / SECTOR_BYTES, count), piece);
    yield piece.subarray(0, wanted);
  }
}

/**
 * The file or folder at `path` (`/etc/hosts`); FAT does not tell cases apart. Symbolic links are not followed.
 * @throws VmdkError `file-not-in-file-system`.
 */
export async function findFile(fileSystem: FileSystem, path: string): Promise<FileNode> {
  const sameName = fileSystem.kind.startsWith('fat')
    ? (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
    : (a: string, b: string) => a === b;
  let node = fileSystem.root;
  let walked = '';
  for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
    const found =
      node.kind === 'folder'
        ? (await fileSystem.list(node)).find((entry) => sameName(entry.name, name))
        : undefined;
    if (found === undefined) {
      const where = walked === '' ? '/' : walked;
      const outcome =
        node.kind === 'folder' ? `nothing of that name in ${where}` : `${where} is a ${node.kind}`;
      throw new VmdkError('missing', 'file-not-in-file-system', `there is no ${walked}/${name}`, {
        path: fileSystem.volume.path,
        found: outcome,
        ...(node.kind === 'link' ? { hint: 'Symbolic links are not followed.' } : {}),
      });
    }
    node = found;
    walked += `/${found.name}`;
  }
  return node;
}
