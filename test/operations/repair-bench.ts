// Carries out a repair in memory and takes it back: what every test of a repair begins with.
import { expect } from 'vitest';
import { checkDisk, type CheckReport } from '../../src/operations/check-disk.ts';
import { applyRepair, parseRepairPlan, undoRepair } from '../../src/operations/apply-repair.ts';
import { planRepair, type RepairOptions, type RepairPlan } from '../../src/operations/plan-repair.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';

export type Files = Readonly<Record<string, Uint8Array>>;

export interface Mended {
  readonly plan: RepairPlan;
  readonly after: CheckReport;
}

export async function mendAndUndo(
  files: Files,
  { named = '/vm/disk.vmdk', ...options }: RepairOptions & { named?: string } = {},
): Promise<Mended> {
  const store = createMemoryFileStore(files);
  const plan = await planRepair(named, { fs: store, ...options });
  await expectHolds(store, files);
  // A plan is carried out as it was read back from its file.
  const read = parseRepairPlan(Buffer.from(JSON.stringify(plan)), 'plan.json');
  const applied = await applyRepair(named, read, { fs: store, ...options });
  const after = await checkDisk(named, { fs: store, ...options });
  expect(after.verdict).toBe(plan['verdict-after']);
  if (plan.files.length > 0) {
    expect(applied).toMatchObject({ outcome: 'applied', undoRecord: `${named}.undo` });
    await undoRepair(named, applied.undoRecord!, { fs: store, ...options });
  } else expect(applied).toMatchObject({ outcome: 'unchanged', undoRecord: undefined });
  await expectHolds(store, files);
  expect(await store.exists(`${named}.undo`)).toBe(false);
  return { plan, after };
}

export async function expectHolds(store: FileStore, files: Files): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    const file = await store.open(path, 'read');
    const now = Buffer.alloc(await file.size());
    await file.readExactly(now, 0);
    await file.close();
    expect(now.equals(Buffer.from(bytes)), path).toBe(true);
  }
}
