// A chain of three small disks with known contents, made by our own engine: base, mid and leaf of 8 MiB with grains of
// 64 KiB. The merged contents are known as a plain buffer.
import { join } from 'node:path';
import { writeBytes } from '../../src/block/byte-access.ts';
import { sectorRange } from '../../src/block/sector-range.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, SECTOR_BYTES, type Bytes } from '../../src/core/units.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import type { FileStore } from '../../src/storage/file-store.ts';

export const CHAIN_BYTES = 8 << 20;
const MIB = 1 << 20;
const GRAIN = 64 << 10;

export interface SmallChain {
  readonly base: string;
  readonly mid: string;
  readonly leaf: string;
  /** What the leaf reads as. */
  readonly contents: Buffer;
}

/** Writes the chain into `folder`, which must exist. Without `fs` into the real file system. */
export async function makeSmallChain(folder: string, fs?: FileStore): Promise<SmallChain> {
  const [base, mid, leaf] = ['base', 'mid', 'leaf'].map((name) => join(folder, `${name}.vmdk`)) as [
    string,
    string,
    string,
  ];
  const contents = Buffer.alloc(CHAIN_BYTES);
  const put = async (path: string, at: number, length: number, byte: number): Promise<void> => {
    const chain = await openChain(path, 'update', { fs });
    await writeBytes(chain, at as Bytes, Buffer.alloc(length, byte));
    await chain.close();
    contents.fill(byte, at, at + length);
  };
  await createDisk(base, bytes(CHAIN_BYTES), { fs });
  await put(base, MIB, 3 * GRAIN, 0xb1);
  await createDelta(mid, base, { fs });
  await put(mid, MIB + GRAIN, GRAIN, 0xb2);
  await createDelta(leaf, mid, { fs });
  await put(leaf, 4 * MIB, GRAIN, 0xb3);
  const chain = await openChain(leaf, 'update', { fs });
  await chain.zero(sectorRange((MIB + 2 * GRAIN) / SECTOR_BYTES, GRAIN / SECTOR_BYTES));
  await chain.close();
  contents.fill(0, MIB + 2 * GRAIN, MIB + 3 * GRAIN);
  return { base, mid, leaf, contents };
}
