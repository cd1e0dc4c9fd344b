// Disks of 2 TiB and 62 TiB are opened and mapped in bounded memory: measured in processes of their own, because
// what a test runner holds is nobody's business.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Sectors } from '../../src/core/units.ts';
import { seSparseDiskWithScatteredGrains, sparseDiskWithScatteredGrains } from '../support/large-images.ts';
import { PEAK_MIB } from '../support/peak-memory.ts';

const MIB = 2 ** 20;
const TIB_SECTORS = 2 ** 31;
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-large-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Measured {
  readonly peakMiB: number;
  readonly sectors: number;
  readonly runs: number;
}

/** Opens and maps a disk in a fresh process; the engine as built, because Node 20 runs no TypeScript. */
function openAndMap(path: string): Measured {
  const script = `
    import { readFileSync } from 'node:fs';
    import { openDisk, walkRuns } from '${new URL('../../dist/index.js', import.meta.url).href}';
    const disk = await openDisk(process.argv[1]);
    let runs = 0, sectors = 0;
    for await (const list of walkRuns(disk, { start: 0, count: disk.capacity })) {
      runs += list.length;
      sectors += list.end - list.start;
    }
    await disk.close();
    console.log(JSON.stringify({ peakMiB: ${PEAK_MIB}, sectors, runs }));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, path]);
  return JSON.parse(String(output)) as Measured;
}

describe('a very large disk is opened and mapped under 300 MiB', () => {
  it('hosted sparse, just under 2 TiB, with grains all over it', { timeout: 120_000 }, async () => {
    const capacity = (2 * TIB_SECTORS - MIB) as Sectors;
    const { path, grains } = await sparseDiskWithScatteredGrains(folder, capacity);
    const { peakMiB, sectors, runs } = openAndMap(path);
    expect(sectors).toBe(capacity);
    expect(runs).toBeGreaterThanOrEqual(2 * grains - 1);
    expect(peakMiB).toBeLessThan(300);
  });

  it('seSparse, 62 TiB, with grain tables all over it', { timeout: 120_000 }, async () => {
    const capacity = (62 * TIB_SECTORS) as Sectors;
    const { path, grains } = await seSparseDiskWithScatteredGrains(folder, capacity);
    const { peakMiB, sectors, runs } = openAndMap(path);
    expect(sectors).toBe(capacity);
    expect(runs).toBeGreaterThanOrEqual(2 * grains - 1);
    expect(peakMiB).toBeLessThan(300);
  });
});
