// All hashes of a disk: what it reads as, what each link has itself, the files of each link. Rule: each byte is read once
// for all algorithms, and a hole is never read.
import type { Chain } from '../chain/chain.ts';
import type { TaskOptions } from '../core/task.ts';
import { hashContents } from '../operations/content-hash.ts';
import type { FileStore } from '../storage/file-store.ts';
import type { Algorithm, DigestSet } from './digests.ts';
import { digestFile } from './file-digest.ts';
import { hashBytes, hashFile, ownData, wholeDisk, type HashedBytes } from './hash-bytes.ts';
import { createPieceDigester, type PieceHash } from './piece-digests.ts';

export interface HashDiskOptions extends TaskOptions {
  /** Where the files are. */
  readonly fs: FileStore;
  readonly algorithms: readonly Algorithm[];
  /** Hash each link's own data and its files as well. */
  readonly perLink?: boolean | undefined;
  /** Hash pieces of so many bytes as well, each handed over as it is known. */
  readonly pieceBytes?: number | undefined;
  readonly onPiece?: ((piece: PieceHash) => Promise<void> | undefined) | undefined;
  /** Leave out what takes time in proportion to the size of the disk: its merged content. */
  readonly linksOnly?: boolean | undefined;
  /** Also the hash that costs only data: see `hashContents`. */
  readonly sparse?: boolean | undefined;
  /** Leave out every hash of zeros: of files as well there is the sparse hash alone, of the merged content its pieces. */
  readonly sparseOnly?: boolean | undefined;
}

export interface FileHash {
  readonly path: string;
  readonly size: number;
  /** Empty with `sparseOnly`. */
  readonly digests: DigestSet;
  /** With `sparseOnly`. */
  readonly sparseSha256?: string;
}

export interface LinkHash {
  /** Real path of the descriptor, or of the file that holds it. */
  readonly path: string;
  /** 0 is the leaf. */
  readonly depth: number;
  /** The sectors that this link has as data, one after the other; nothing stands for the others. */
  readonly data: { readonly bytes: number; readonly digests: DigestSet };
  /** The descriptor and every extent. */
  readonly files: readonly FileHash[];
}

export interface DiskHash {
  /** Missing with `linksOnly` and `sparseOnly`. */
  readonly merged?: HashedBytes;
  /** SHA-256 of the blocks that are not all zero, with their numbers; with `sparse`. */
  readonly sparse?: string;
  readonly links: readonly LinkHash[];
}

/** Owns nothing: the chain stays open. */
export async function hashDisk(chain: Chain, options: HashDiskOptions): Promise<DiskHash> {
  const { algorithms, pieceBytes, sparseOnly = false, onPiece = () => undefined } = options;
  const task = { signal: options.signal, onProgress: options.onProgress };
  const links: LinkHash[] = [];
  if (options.perLink === true) {
    const known = new Map<string, FileHash>();
    for (const [depth, link] of chain.links.entries()) {
      const { digests, bytes } = await hashBytes(ownData(link, 0), algorithms, task);
      const paths = [...new Set([link.path, ...link.extents.flatMap(({ extent }) => extent.path ?? [])])];
      const files: FileHash[] = [];
      for (const path of paths) {
        const file = known.get(path) ?? (await fileHash(path, options, task));
        known.set(path, file);
        files.push(file);
      }
      links.push({ path: link.path, depth, data: { bytes, digests }, files });
    }
  }
  const pieces = pieceBytes === undefined ? undefined : createPieceDigester(algorithms, pieceBytes, onPiece);
  const passes = options.linksOnly !== true && (!sparseOnly || pieces !== undefined);
  const passed = passes
    ? await hashBytes(wholeDisk(chain), sparseOnly ? [] : algorithms, { ...task, pieces })
    : undefined;
  const merged = sparseOnly ? undefined : passed;
  const sparse = options.sparse === true ? (await hashContents(chain, task)).toString('hex') : undefined;
  return {
    ...(merged === undefined ? {} : { merged }),
    ...(sparse === undefined ? {} : { sparse }),
    links,
  };
}

async function fileHash(
  path: string,
  { fs, algorithms, sparseOnly }: HashDiskOptions,
  task: TaskOptions,
): Promise<FileHash> {
  if (sparseOnly === true) {
    const { size } = await fs.resolve(path);
    return { path, size, digests: {}, ...(await digestFile(fs, path, 'sparse', task)) };
  }
  const { digests, bytes } = await hashFile(fs, path, algorithms, task);
  return { path, size: bytes, digests };
}
