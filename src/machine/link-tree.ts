// All links that the disks of one machine are made of: the running point's and every snapshot's, as one tree by
// identity. Facts only; every file is closed again. Rule: a file is part of one link, or nothing may be changed.
import { posix } from 'node:path';
import type { ChainOptions } from '../chain/chain-options.ts';
import { openChain } from '../chain/open-chain.ts';
import { isVmdkError, VmdkError } from '../core/errors.ts';
import type { Disk } from '../disk/disk.ts';
import type { Descriptor, ExtentLine } from '../format/descriptor.ts';
import type { FileStore } from '../storage/file-store.ts';
import { storeFor } from '../storage/promises-file-store.ts';

export interface TreeLink {
  /** Real path of the descriptor, or of the file that holds it. */
  readonly path: string;
  readonly identity: string;
  /** Identity of the link below. */
  readonly parent: string | undefined;
  readonly descriptor: Descriptor;
  readonly createType: string;
  readonly embedded: boolean;
  readonly capacity: Disk['capacity'];
  /** Real paths of everything it is made of, the file that opens it first. */
  readonly files: readonly string[];
  /** Its extents in order; `path`: the real path of the file, where it is one. */
  readonly extents: readonly { readonly line: ExtentLine; readonly path: string | undefined }[];
  /** Its change tracking file, when there is one. */
  readonly tracking: string | undefined;
  /** Bytes that its files occupy. */
  readonly occupied: number;
  /** Sectors; undefined where there are no grains. */
  readonly grainSize: number | undefined;
  /** Sectors of the first extent, where there are several. */
  readonly splitSectors: number | undefined;
}

export interface LinkTree {
  readonly links: ReadonlyMap<string, TreeLink>;
  /** Identity of the link that each of the asked paths leads to. */
  readonly idOf: ReadonlyMap<string, string>;
}

/** Opens every disk of `paths` with all below it. @throws VmdkError whatever opening a chain finds. */
export async function openLinkTree(paths: Iterable<string>, options: ChainOptions): Promise<LinkTree> {
  const store = storeFor(options.fs);
  const links = new Map<string, TreeLink>();
  const idOf = new Map<string, string>();
  for (const path of new Set(paths)) {
    const chain = await openChain(path, 'read', { ...options, fs: store, onFinding: undefined });
    try {
      for (const [index, disk] of chain.links.entries()) {
        if (links.has(disk.identity)) break;
        links.set(disk.identity, await factsOf(store, disk, chain.links[index + 1]?.identity));
      }
      idOf.set(path, chain.leaf.identity);
    } finally {
      await chain.close();
    }
  }
  await assertFilesApart(store, links);
  return { links, idOf };
}

async function factsOf(store: FileStore, disk: Disk, parent: string | undefined): Promise<TreeLink> {
  const extents = disk.extents.map(({ extent, line }) => ({ line, path: extent.path }));
  const files = [...new Set([disk.path, ...extents.flatMap(({ path }) => path ?? [])])];
  let occupied = 0;
  for (const file of files) occupied += (await store.resolve(file)).allocated;
  const { path, identity, descriptor, createType, embedded, capacity } = disk;
  const tracking = await trackingOf(store, path, descriptor.changeTrackPath);
  const grain = disk.extents.find(({ extent }) => extent.grainSize > 1)?.extent.grainSize;
  const split = disk.extents.length > 1 ? disk.extents[0]!.line.sectors : undefined;
  const shape = { grainSize: grain, splitSectors: split };
  return {
    path,
    identity,
    parent,
    descriptor,
    createType,
    embedded,
    capacity,
    files,
    extents,
    tracking,
    occupied,
    ...shape,
  };
}

/** A name alone, beside the disk: anything else is not what VMware writes, and stays where it is. */
async function trackingOf(
  store: FileStore,
  path: string,
  name: string | undefined,
): Promise<string | undefined> {
  if (name === undefined || !/-ctk\.vmdk$/i.test(name) || posix.basename(name) !== name) return undefined;
  const tracking = posix.join(posix.dirname(path), name);
  try {
    const found = await store.resolve(tracking);
    return found.path === tracking && found.kind === 'file' ? tracking : undefined;
  } catch (error) {
    if (isVmdkError(error)) return undefined;
    throw error;
  }
}

/** A descriptor may name any file beside it: one that two links are made of must not go with one of them. */
async function assertFilesApart(store: FileStore, links: ReadonlyMap<string, TreeLink>): Promise<void> {
  const owners = new Map<string, TreeLink>();
  for (const link of links.values()) {
    for (const file of link.files) {
      const { identity } = await store.resolve(file);
      const other = owners.get(identity);
      if (other !== undefined && other !== link) {
        throw new VmdkError('refused', 'extent-shared', 'two disks are made of the same file', {
          path: link.path,
          found: `${file}, which ${other.path} is made of as well`,
          expected: 'files of its own for each disk',
          hint: 'One of the two descriptors is wrong: look at both before anything is changed.',
        });
      }
      owners.set(identity, link);
    }
  }
}
