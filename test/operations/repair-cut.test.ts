// A sparse disk without grains whose file was cut off within its tables: made whole to the byte where its redundant tables
// prove that nothing was ever in it, and else left alone, however it is cut.
import { describe, expect, it } from 'vitest';
import { openChain } from '../../src/chain/open-chain.ts';
import { bytes, type Sectors } from '../../src/core/units.ts';
import { SparseExtentHeader } from '../../src/format/sparse-header.ts';
import { layOutSparse } from '../../src/format/sparse-layout.ts';
import { applyRepair } from '../../src/operations/apply-repair.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { recoverDisk } from '../../src/operations/recover.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { pattern } from '../support/chain-model.ts';
import { mendAndUndo } from './repair-bench.ts';

const DISK = '/vm/disk.vmdk';
const MIB = 1 << 20;
const layout = layOutSparse((80 * MIB) / 512, 128, 20);
const GD = layout.gdOffset * 512;
const END = layout.overHead * 512;

async function made({ write = false, parent = false } = {}): Promise<Record<string, Buffer>> {
  const fs = createMemoryFileStore();
  await fs.makeFolder('/vm');
  const base = parent ? '/vm/base.vmdk' : DISK;
  await createDisk(base, bytes(80 * MIB), { fs, grainSize: 128 });
  if (parent) await createDelta(DISK, base, { fs, type: 'monolithicSparse' });
  if (write) {
    const chain = await openChain(DISK, 'update', { fs });
    await chain.write((40 * 2048) as Sectors, pattern(512, 1));
    await chain.close();
  }
  return { [DISK]: await readWhole(fs, DISK), ...(parent ? { [base]: await readWhole(fs, base) } : {}) };
}

/** Every few bytes, and both sides of every border of sectors. */
function cutsBetween(from: number, to: number): number[] {
  const cuts: number[] = [];
  for (let at = from; at < to; at += 1531) cuts.push(at, at - (at % 512) + 512);
  return [...new Set(cuts)].filter((at) => at >= from && at < to);
}

async function repaired(files: Record<string, Buffer>): Promise<{ verdict: string; bytes: Buffer }> {
  const fs = createMemoryFileStore(files);
  const plan = await planRepair(DISK, { fs });
  if (plan.files.length > 0) await applyRepair(DISK, plan, { fs });
  return { verdict: (await checkDisk(DISK, { fs })).verdict, bytes: await readWhole(fs, DISK) };
}

describe('an empty sparse disk that is cut within its metadata', () => {
  it.each([false, true])(
    'is made whole to the byte behind whole redundant tables; a delta: %s',
    async (parent) => {
      const files = await made({ parent });
      const whole = files[DISK]!;
      expect(whole).toHaveLength(END);
      for (const cut of cutsBetween(GD, END)) {
        const found = await repaired({ ...files, [DISK]: whole.subarray(0, cut) });
        expect(found.verdict, `cut at ${cut}`).toBe('sound');
        expect(found.bytes.equals(whole), `cut at ${cut}`).toBe(true);
      }
    },
  );

  it('is planned, recorded and taken back as every repair', async () => {
    const files = await made();
    const cut = { [DISK]: files[DISK]!.subarray(0, GD + 700) };
    const { plan, after } = await mendAndUndo(cut);
    expect(plan).toMatchObject({ 'changes-content': false, left: [], 'verdict-after': 'sound' });
    expect(new Set(plan.mended.map(({ code }) => code))).toEqual(new Set(['TRUNC', 'GD-RANGE']));
    expect(after.problems).toEqual([]);
  });

  it('is recovered whole, and nothing is said to be lost', async () => {
    const files = await made();
    const fs = createMemoryFileStore({ [DISK]: files[DISK]!.subarray(0, GD + 700) });
    const report = await recoverDisk([DISK], '/vm/saved.vmdk', { fs });
    expect(report.lost).toEqual([]);
    expect((await checkDisk('/vm/saved.vmdk', { fs })).verdict).toBe('sound');
  });

  it('keeps the marks of zeros that its tables have', async () => {
    const files = await made();
    const whole = Buffer.from(files[DISK]!);
    const raw = SparseExtentHeader.decode(whole);
    whole.set(SparseExtentHeader.encode({ ...raw, version: 2, flags: raw.flags | 4 }));
    for (const half of [layout.rgdOffset, layout.gdOffset])
      whole.writeUInt32LE(1, (half + layout.directorySectors) * 512 + 40);
    const found = await repaired({ [DISK]: whole.subarray(0, GD + 100) });
    expect(found.bytes.equals(whole)).toBe(true);
  });

  it('is left as it is where the redundant tables are cut: nobody knows what the rest had', async () => {
    const files = await made();
    for (const cut of cutsBetween((layout.rgdOffset + 1) * 512 + 1, GD)) {
      const found = await repaired({ [DISK]: files[DISK]!.subarray(0, cut) });
      expect(found.verdict, `cut at ${cut}`).toBe('damaged');
      expect(found.bytes.length).toBeLessThanOrEqual(cut);
    }
  });

  it.each([
    ['it had a grain', (file: Buffer) => file, true],
    ['it was not closed', (file: Buffer) => withField(file, { uncleanShutdown: 1 }), false],
    ['what is left of a table is not what the copy has', (file: Buffer) => noted(file), false],
  ])('is not called whole where %s', async (_, spoil, write) => {
    const files = await made({ write });
    const cut = spoil(Buffer.from(files[DISK]!)).subarray(0, END - 100);
    const { plan } = await mendAndUndo({ [DISK]: cut });
    expect(plan['verdict-after']).toBe('damaged');
    expect(plan.files.every((file) => file['size-after'] !== END)).toBe(true);
  });
});

function withField(file: Buffer, change: object): Buffer {
  file.set(SparseExtentHeader.encode({ ...SparseExtentHeader.decode(file), ...change }));
  return file;
}

/** A primary entry that leads behind the end. */
function noted(file: Buffer): Buffer {
  file.writeUInt32LE(layout.overHead, (layout.gdOffset + layout.directorySectors) * 512 + 40);
  return file;
}
