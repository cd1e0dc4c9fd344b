// A chain of three small disks with known contents, a fixture: base, mid and leaf of 8 MiB with grains of 64 KiB. The merged
// contents are known as a plain buffer.
import { join } from 'node:path';
import { fill, fixtureSpec } from '../../src/fixture/spec-builder.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { fillByte, placeFixture } from './fixture-disks.ts';

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

const { spec } = fixtureSpec('small chain')
  .disk('base', CHAIN_BYTES, { writes: [fillByte(MIB, 3 * GRAIN, 0xb1)] })
  .delta('mid', 'base', { writes: [fillByte(MIB + GRAIN, GRAIN, 0xb2)] })
  .delta('leaf', 'mid', {
    writes: [fillByte(4 * MIB, GRAIN, 0xb3), fill.zero(MIB + 2 * GRAIN, GRAIN)],
  });

/** Writes the chain into `folder`, which must exist. Without `fs` into the real file system. */
export async function makeSmallChain(folder: string, fs?: FileStore): Promise<SmallChain> {
  await placeFixture(spec, folder, fs);
  const contents = Buffer.alloc(CHAIN_BYTES);
  contents.fill(0xb1, MIB, MIB + GRAIN);
  contents.fill(0xb2, MIB + GRAIN, MIB + 2 * GRAIN);
  contents.fill(0xb3, 4 * MIB, 4 * MIB + GRAIN);
  const at = (name: string): string => join(folder, `${name}.vmdk`);
  return { base: at('base'), mid: at('mid'), leaf: at('leaf'), contents };
}
