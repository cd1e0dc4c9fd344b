// Before a leaf is written: its extents must be files of its own. A descriptor may name any file beside it, also its
// parent's or itself; a write would then change what is below the leaf, whatever the types say.
import { VmdkError } from '../core/errors.ts';
import type { Disk, WritableDisk } from '../disk/disk.ts';
import type { FileStore } from '../storage/file-store.ts';

/** A stretch of a file that the leaf writes, in sectors. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly writable: boolean;
}

/** @throws VmdkError `extent-shared` when a file or part of one that the leaf may write is anybody's else, too. */
export async function assertLeafApart(
  store: FileStore,
  leaf: WritableDisk,
  below: readonly Disk[],
): Promise<void> {
  const others = new Map<string, string>();
  if (!leaf.embedded) others.set(leaf.identity, `the descriptor ${leaf.path}`);
  for (const disk of below) {
    others.set(disk.identity, disk.path);
    for (const { extent } of disk.extents) {
      if (extent.path !== undefined) others.set(await identityOf(store, extent.path), disk.path);
    }
  }
  const own = new Map<string, Stretch[]>();
  for (const { extent, line } of leaf.extents) {
    if (extent.path === undefined) continue;
    const identity = await identityOf(store, extent.path);
    const flat = extent.kind === 'flat';
    const start = flat ? line.offset : 0;
    const writable = line.access === 'RW';
    const stretch = { start, end: flat ? start + line.sectors : Infinity, line: line.line, writable };
    const shared = own.get(identity);
    const crossed = shared?.find(
      (other) => other.start < stretch.end && start < other.end && (writable || other.writable),
    );
    if (crossed !== undefined)
      throw notApart(leaf, line.line, extent.path, `line ${crossed.line} has it, too`);
    const owner = others.get(identity);
    if (owner !== undefined && writable)
      throw notApart(leaf, line.line, extent.path, `it belongs to ${owner}`);
    if (shared === undefined) own.set(identity, [stretch]);
    else shared.push(stretch);
  }
}

async function identityOf(store: FileStore, path: string): Promise<string> {
  return (await store.resolve(path)).identity;
}

function notApart(leaf: Disk, line: number, extentPath: string, found: string): VmdkError {
  return new VmdkError('refused', 'extent-shared', 'a disk must not be written whose extent is not its own', {
    path: leaf.path,
    line,
    found: `${extentPath}: ${found}`,
    expected: 'a file, or a part of one, that nothing else is made of',
  });
}
