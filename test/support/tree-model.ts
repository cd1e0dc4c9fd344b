// A tree of disks in one store and the plain Buffers that they must equal: grown at random, changed by the commands that
// look after chains. Each link is read through the chain of a leaf, so that every hint and CID is proved on the way.
import { posix } from 'node:path';
import { expect } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { MergedSource } from '../../src/chain/chain.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk, type CreateDiskOptions } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { pattern } from './chain-model.ts';

export const TREE_SECTORS = 330;
export const TREE_FOLDERS = ['/t/a', '/t/b', '/t/c'] as const;

export interface ModelDisk {
  path: string;
  parent: ModelDisk | undefined;
  content: Buffer;
}

const BASES: readonly CreateDiskOptions[] = [
  { type: 'monolithicSparse', grainSize: 16 },
  { type: 'monolithicFlat' },
  { type: 'twoGbMaxExtentSparse', splitSectors: 128 },
  { type: 'twoGbMaxExtentFlat', splitSectors: 128 },
  { type: 'vmfs', thin: true },
];
const DELTAS: readonly { type: string; grainSize?: number; splitSectors?: number }[] = [
  { type: 'monolithicSparse', grainSize: 8 },
  { type: 'monolithicSparse' },
  { type: 'twoGbMaxExtentSparse', grainSize: 16, splitSectors: 128 },
  { type: 'vmfsSparse' },
  { type: 'seSparse' },
];

export class ModelTree {
  readonly store: FileStore;
  readonly disks: ModelDisk[] = [];
  #names = 0;

  constructor(store: FileStore) {
    this.store = store;
  }

  static async open(store: FileStore): Promise<ModelTree> {
    for (const folder of ['/t', ...TREE_FOLDERS]) await store.makeFolder(folder);
    return new ModelTree(store);
  }

  newPath(seed: number): string {
    return posix.join(TREE_FOLDERS[seed % TREE_FOLDERS.length]!, `d${this.#names++}.vmdk`);
  }

  async addBase(seed: number): Promise<ModelDisk> {
    const path = this.newPath(seed);
    await createDisk(path, bytes(TREE_SECTORS * SECTOR_BYTES), {
      ...BASES[seed % BASES.length]!,
      fs: this.store,
    });
    const disk = { path, parent: undefined, content: Buffer.alloc(TREE_SECTORS * SECTOR_BYTES) };
    await this.write(disk, seed);
    this.disks.push(disk);
    return disk;
  }

  /** A delta with content of its own; what cannot be written is made as a copy of what can. */
  async addDelta(parent: ModelDisk, seed: number): Promise<ModelDisk> {
    const shape = DELTAS[seed % DELTAS.length]!;
    const path = this.newPath(seed >> 3);
    const disk: ModelDisk = { path, parent, content: Buffer.from(parent.content) };
    if (shape.type === 'seSparse') {
      const made = { ...disk, path: '/t/scratch.vmdk' };
      await createDelta(made.path, parent.path, { fs: this.store, type: 'monolithicSparse' });
      await this.write(made, seed);
      await convertDisk(made.path, path, { fs: this.store, type: 'seSparse', backing: parent.path });
      await this.store.remove(made.path);
    } else {
      await createDelta(path, parent.path, { fs: this.store, ...shape });
      await this.write(disk, seed);
    }
    this.disks.push(disk);
    return disk;
  }

  /** Data, zeros and data again somewhere, on the disk and in the model. */
  async write(disk: ModelDisk, seed: number): Promise<void> {
    const chain = await openChain(disk.path, 'update', { fs: this.store });
    const capacity = disk.content.length / SECTOR_BYTES;
    for (const [turn, zero] of [false, true, false].entries()) {
      const at = ((seed + 1) * (turn + 3) * 7919) % capacity;
      const count = Math.min(1 + ((seed * 31 + turn * 17) % 60), capacity - at);
      const data = pattern(count * SECTOR_BYTES, seed + turn);
      if (zero) {
        data.fill(0);
        await chain.zero({ start: at as Sectors, count: count as Sectors });
      } else await chain.write(at as Sectors, data);
      data.copy(disk.content, at * SECTOR_BYTES);
    }
    await chain.close();
  }

  childrenOf(disk: ModelDisk): ModelDisk[] {
    return this.disks.filter(({ parent }) => parent === disk);
  }

  /** The disk and all below it, leaf first. */
  chainOf(disk: ModelDisk): ModelDisk[] {
    const links: ModelDisk[] = [];
    for (let at: ModelDisk | undefined = disk; at !== undefined; at = at.parent) links.push(at);
    return links;
  }

  drop(disk: ModelDisk): void {
    this.disks.splice(this.disks.indexOf(disk), 1);
  }

  /** Every disk reads as the model says, through the parents that the model says, and no journal is left. */
  async verify(store: FileStore = this.store): Promise<void> {
    const seen = new Set<ModelDisk>();
    for (const leaf of this.disks) {
      if (this.childrenOf(leaf).length > 0) continue;
      const chain = await openChain(leaf.path, 'read', { fs: store });
      try {
        const links = this.chainOf(leaf);
        expect(chain.links.map(({ path }) => path)).toEqual(links.map(({ path }) => path));
        for (const [depth, disk] of links.entries()) {
          if (seen.has(disk)) continue;
          seen.add(disk);
          const found = Buffer.alloc(disk.content.length, 0xee);
          const source = new MergedSource(chain.links.slice(depth));
          expect(source.capacity * SECTOR_BYTES).toBe(found.length);
          await source.read(wholeOf(source), found);
          expectSame(disk, found);
        }
      } finally {
        await chain.close();
      }
    }
    expect(seen.size).toBe(this.disks.length);
    for (const folder of TREE_FOLDERS) {
      const left = (await store.list(folder)).filter((name) => name.startsWith('.vmdkit-change'));
      expect(left).toEqual([]);
    }
  }
}

function expectSame({ path, content }: ModelDisk, found: Buffer): void {
  if (found.equals(content)) return;
  const at = found.findIndex((byte, index) => byte !== content[index]);
  expect.fail(
    `${path}: sector ${Math.floor(at / SECTOR_BYTES)} holds ${found[at]}, the model ${content[at]}`,
  );
}
