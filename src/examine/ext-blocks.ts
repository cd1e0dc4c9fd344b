// Where the blocks of an ext file are: a tree of extents, or the older map of direct and indirect blocks. Rule: a tree
// gets flatter with each step and visits a limited number of blocks, so that no circle is ever walked.
import { blockNumberAt, decodeExtentNode } from '../format/ext.ts';
import type { FileStretchOnDisk } from './file-system.ts';
import { Stretches } from './stretches.ts';
import type { Volume } from './volume.ts';

/** Blocks of pointers looked at for one file: 4 TiB by the older map, far more by extents. */
const MOST_POINTER_BLOCKS = 1 << 20;
const DEEPEST_TREE = 5;
const DIRECT = 12;

interface Walk {
  readonly volume: Volume;
  readonly blockBytes: number;
  readonly stretches: Stretches;
  /** Also what holds pointers: sectors that belong to the file without being its contents. */
  pointers: number;
}

/** `root` is `i_block`; `blocks` is how many the size of the file needs. */
export async function extentStretches(
  volume: Volume,
  blockBytes: number,
  root: Uint8Array,
): Promise<FileStretchOnDisk[]> {
  const walk: Walk = { volume, blockBytes, stretches: new Stretches(volume), pointers: 0 };
  await followExtents(walk, root, DEEPEST_TREE + 1);
  return walk.stretches.list.sort((a, b) => a.offset - b.offset);
}

async function followExtents(walk: Walk, node: Uint8Array, above: number): Promise<void> {
  const { volume, blockBytes, stretches } = walk;
  const decoded = decodeExtentNode(node);
  if (decoded === undefined) throw volume.damaged('an extent tree has a node that is none');
  if (decoded.depth >= above) {
    throw volume.damaged('an extent tree does not get flatter', {
      found: decoded.depth,
      expected: `less than ${above}`,
    });
  }
  for (const { block, count, start, unwritten } of decoded.extents) {
    stretches.add(block * blockBytes, start * blockBytes, count * blockBytes, unwritten);
  }
  for (const block of decoded.below) {
    await followExtents(walk, await pointerBlock(walk, block), decoded.depth);
  }
}

async function pointerBlock(walk: Walk, block: number): Promise<Buffer> {
  if (++walk.pointers > MOST_POINTER_BLOCKS) {
    throw walk.volume.damaged('a file has more blocks of pointers than are ever followed');
  }
  return walk.volume.read(block * walk.blockBytes, walk.blockBytes);
}

/** The map of ext2 and ext3: 12 blocks, then one, two and three steps of indirection. */
export async function mappedStretches(
  volume: Volume,
  blockBytes: number,
  root: Uint8Array,
  blocks: number,
): Promise<FileStretchOnDisk[]> {
  const walk: Walk = { volume, blockBytes, stretches: new Stretches(volume), pointers: 0 };
  addBlocks(walk, root, 0, Math.min(DIRECT, blocks));
  let first = DIRECT;
  let span = 1;
  for (let level = 1; level <= 3 && first < blocks; level++) {
    span *= blockBytes / 4;
    await followMap(walk, blockNumberAt(root, DIRECT + level - 1), level, first, span, blocks);
    first += span;
  }
  return walk.stretches.list;
}

/** A pointer that covers `span` blocks of the file from `first` on; 0 is a hole. */
async function followMap(
  walk: Walk,
  block: number,
  level: number,
  first: number,
  span: number,
  blocks: number,
): Promise<void> {
  if (block === 0 || first >= blocks) return;
  const pointers = await pointerBlock(walk, block);
  const entries = walk.blockBytes / 4;
  if (level === 1) return addBlocks(walk, pointers, first, Math.min(entries, blocks - first));
  const below = span / entries;
  for (let index = 0; index < entries && first + index * below < blocks; index++) {
    await followMap(walk, blockNumberAt(pointers, index), level - 1, first + index * below, below, blocks);
  }
}

function addBlocks(
  { stretches, blockBytes }: Walk,
  pointers: Uint8Array,
  first: number,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    const block = blockNumberAt(pointers, index);
    if (block !== 0) stretches.add((first + index) * blockBytes, block * blockBytes, blockBytes);
  }
}
