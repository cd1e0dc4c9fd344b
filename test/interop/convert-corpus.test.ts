// Disks that others made, there and back: each through every type in turn, and the content is what the corpus says that
// other readers make of it. Large ones, which are nearly empty, are compared instead of hashed.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { compareChains } from '../../src/operations/compare-chains.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { CONVERTED_TYPES } from '../../src/operations/plan-disk.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

interface CorpusDisk {
  readonly name: string;
  readonly role: string;
  readonly virtualSize: number;
  readonly rawSha256?: string;
}

const MIB = 2 ** 20;
const TYPES = ['raw', ...CONVERTED_TYPES] as const;
const SPARSE = ['monolithicSparse', 'streamOptimized', 'twoGbMaxExtentSparse'] as const;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vmdkit-corpus-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function shaOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function differing(a: string, b: string): Promise<number> {
  const chains = await Promise.all([openChain(a, 'read'), openChain(b, 'read')]);
  const { differingBytes } = await compareChains(...chains);
  await Promise.all(chains.map((chain) => chain.close()));
  return differingBytes;
}

describeWithCorpus('the corpus, converted there and back', (corpus) => {
  const { files } = JSON.parse(readFileSync(join(corpus, 'expected.json'), 'utf8')) as {
    files: CorpusDisk[];
  };
  const disks = files.filter(({ role }) => role === 'disk');
  const small = disks.filter(
    ({ virtualSize, rawSha256 }) => virtualSize <= 10 * MIB && rawSha256 !== undefined,
  );
  const large = disks.filter(({ virtualSize }) => virtualSize >= 8 * 1024 * MIB);

  it('has small disks of many kinds, and large ones', () => {
    expect(small.length).toBeGreaterThan(20);
    expect(large.length).toBeGreaterThan(3);
  });

  it.each(small.map((disk, index) => ({ ...disk, type: TYPES[index % TYPES.length]! })))(
    '$name by $type',
    async ({ name, type, rawSha256 }) => {
      const there = join(folder, type === 'raw' ? 'there.raw' : 'there.vmdk');
      const split = type.startsWith('twoGb') ? { splitSectors: 4096 } : {};
      await convertDisk(join(corpus, 'files', name), there, { type, durable: false, ...split });
      const back = join(folder, 'back.vmdk');
      const from = type === 'raw' ? 'raw' : 'vmdk';
      await convertDisk(there, back, { from, type: 'monolithicSparse', durable: false });
      await convertDisk(back, join(folder, 'back.raw'), { durable: false });
      expect(await shaOf(join(folder, 'back.raw'))).toBe(rawSha256);
    },
  );

  it.each(large.map((disk, index) => ({ ...disk, type: SPARSE[index % SPARSE.length]! })))(
    '$name by $type',
    async ({ name, type }) => {
      const source = join(corpus, 'files', name);
      await convertDisk(source, join(folder, 'there.vmdk'), { type, durable: false });
      await convertDisk(join(folder, 'there.vmdk'), join(folder, 'back.vmdk'), {
        type: 'monolithicSparse',
        durable: false,
      });
      expect(await differing(source, join(folder, 'back.vmdk'))).toBe(0);
    },
  );
});
