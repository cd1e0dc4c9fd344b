// Disks of 2 TiB and 62 TiB are opened, mapped and checked in bounded memory: measured in processes of their own, because
// what a test runner holds is nobody's business. The peak of all is the peak of each.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { encodeTable } from '../../src/format/tables.ts';
import { layOutSparse } from '../../src/format/sparse-layout.ts';
import type { CheckReport } from '../../src/operations/check-disk.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { buildCommand } from '../support/command.ts';
import { seSparseDiskWithScatteredGrains, sparseDiskWithScatteredGrains } from '../support/large-images.ts';
import { PEAK_MIB } from '../support/peak-memory.ts';

const MIB = 2 ** 20;
const TIB_SECTORS = 2 ** 31;
const folder = mkdtempSync(join(tmpdir(), 'vmdkit-check-'));
beforeAll(() => buildCommand());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Measured {
  readonly peakMiB: number;
  readonly sectors: number;
  readonly runs: number;
  readonly report: CheckReport;
}

/** Maps and checks a disk in a fresh process; the engine as built, because Node 20 runs no TypeScript. */
function mapAndCheck(path: string): Measured {
  const script = `
    import { readFileSync } from 'node:fs';
    import { checkDisk, openDisk, walkRuns } from '${new URL('../../dist/index.js', import.meta.url).href}';
    const disk = await openDisk(process.argv[1]);
    let runs = 0, sectors = 0;
    for await (const list of walkRuns(disk, { start: 0, count: disk.capacity })) {
      runs += list.length;
      sectors += list.end - list.start;
    }
    await disk.close();
    const report = await checkDisk(process.argv[1]);
    console.log(JSON.stringify({ peakMiB: ${PEAK_MIB}, sectors, runs, report }));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, path]);
  return JSON.parse(String(output)) as Measured;
}

describe('a very large disk is opened, mapped and checked under 300 MiB', () => {
  it('hosted sparse, just under 2 TiB, with grains all over it', { timeout: 120_000 }, async () => {
    const capacity = (2 * TIB_SECTORS - MIB) as Sectors;
    const { path, grains } = await sparseDiskWithScatteredGrains(folder, capacity);
    const { peakMiB, sectors, runs, report } = mapAndCheck(path);
    expect(report).toMatchObject({ verdict: 'sound', problems: [], 'allocated-clusters': grains });
    expect(sectors).toBe(capacity);
    expect(runs).toBeGreaterThanOrEqual(2 * grains - 1);
    expect(peakMiB).toBeLessThan(300);
  });

  it('hosted sparse, 1 TiB, every grain of it allocated', { timeout: 120_000 }, async () => {
    const path = join(folder, 'dense.vmdk');
    await createDisk(path, bytes(TIB_SECTORS * SECTOR_BYTES), { type: 'monolithicSparse' });
    const layout = layOutSparse(TIB_SECTORS, 128, 20);
    const grains = TIB_SECTORS / 128;
    const file = await open(path, 'r+');
    const places = new Uint32Array(MIB);
    for (let first = 0; first < grains; first += MIB) {
      for (let index = 0; index < MIB; index++) places[index] = layout.overHead + (first + index) * 128;
      const entries = encodeTable(places);
      for (const directory of [layout.gdOffset, layout.rgdOffset]) {
        const at = (directory + layout.directorySectors) * SECTOR_BYTES + first * 4;
        await file.write(entries, 0, entries.length, at);
      }
    }
    await file.truncate((layout.overHead + TIB_SECTORS) * SECTOR_BYTES);
    await file.close();
    const { peakMiB, sectors, report } = mapAndCheck(path);
    expect(report).toMatchObject({ verdict: 'sound', problems: [], 'allocated-clusters': grains });
    expect(sectors).toBe(TIB_SECTORS);
    expect(peakMiB).toBeLessThan(300);
  });

  it('seSparse, 62 TiB, with grain tables all over it', { timeout: 120_000 }, async () => {
    const capacity = (62 * TIB_SECTORS) as Sectors;
    const { path, grains } = await seSparseDiskWithScatteredGrains(folder, capacity);
    const { peakMiB, sectors, runs, report } = mapAndCheck(path);
    expect(report).toMatchObject({ verdict: 'sound', 'allocated-clusters': grains });
    expect(sectors).toBe(capacity);
    expect(runs).toBeGreaterThanOrEqual(2 * grains - 1);
    expect(peakMiB).toBeLessThan(300);
  });
});
