// A disk of 2 TiB is examined in bounded memory, in a process of its own: slack, signs, which, and the hashes that cost
// only data.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sectors } from '../../src/core/units.ts';
import { buildCommand } from '../support/command.ts';
import { sparseDiskWithScatteredGrains } from '../support/large-images.ts';
import { PEAK_MIB } from '../support/peak-memory.ts';

const TIB_SECTORS = 2 ** 31;
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-examine-'));
beforeAll(() => buildCommand());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Measured {
  readonly peakMiB: number;
  readonly items: number;
  readonly signs: readonly unknown[];
  readonly ownBytes: number;
  readonly sparse: string;
}

/** The engine as built, because Node 20 runs no TypeScript. */
function examineIn(path: string): Measured {
  const script = `
    import { readFileSync } from 'node:fs';
    import { createNodeFileStore, findSigns, findSlack, hashDisk, openChain, whichLink } from '${new URL('../../dist/index.js', import.meta.url).href}';
    const fs = createNodeFileStore();
    const chain = await openChain(process.argv[1], 'read', { fs });
    let items = 0;
    await findSlack(chain, { fs, onItem: async () => { items++; } });
    const signs = await findSigns(fs, { chain });
    await whichLink(chain, chain.capacity - 1);
    const hashed = await hashDisk(chain, { fs, algorithms: ['sha256'], perLink: true, linksOnly: true, sparse: true });
    const ownBytes = hashed.links[0].data.bytes;
    console.log(JSON.stringify({ peakMiB: ${PEAK_MIB}, items, signs, ownBytes, sparse: hashed.sparse }));`;
  return JSON.parse(
    String(execFileSync(process.execPath, ['--input-type=module', '-e', script, path])),
  ) as Measured;
}

describe('a very large disk is examined under 300 MiB', () => {
  it('hosted sparse, just under 2 TiB', { timeout: 180_000 }, async () => {
    const capacity = (2 * TIB_SECTORS - 2 ** 20) as Sectors;
    const { path, grains } = await sparseDiskWithScatteredGrains(folder, capacity);
    const { peakMiB, signs, ownBytes, sparse } = examineIn(path);
    expect({ signs, ownBytes }).toEqual({ signs: [], ownBytes: grains * 65_536 });
    expect(sparse).toMatch(/^[0-9a-f]{64}$/);
    expect(peakMiB).toBeLessThan(300);
  });
});
