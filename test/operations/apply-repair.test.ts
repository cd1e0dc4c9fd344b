// Carrying out a repair: only the plan that was made, on the disk it was made of, under locks, with a record first; and
// the plug pulled at every step, after which the disk is settled by the same command or by taking the repair back.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isVmdkError } from '../../src/core/errors.ts';
import { applyRepair, parseRepairPlan, undoRepair } from '../../src/operations/apply-repair.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { planRepair } from '../../src/operations/plan-repair.ts';
import { readWhole } from '../../src/operations/tidy.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createCrashStore, crashStoreOf, isPowerCut } from '../support/crash-store.ts';
import { sparseImage } from './check-images.ts';
import { expectHolds } from './repair-bench.ts';

const DISK = '/vm/disk.vmdk';
const RECORD = '/vm/disk.vmdk.undo';

/** Damage that is mended in a header, in tables, and by a shorter file. */
function damaged(): Record<string, Uint8Array> {
  const image = sparseImage();
  image.bytes.writeUInt32LE(0, image.entryAt(5));
  image.bytes.writeUInt32LE(0x7fffffff, image.layout.gdOffset * 512 + 4);
  image.bytes.writeUInt32LE(0, image.copyAt(700));
  return { [DISK]: Buffer.concat([image.bytes, Buffer.alloc(700, 3)]), '/vm/other': Buffer.from('other') };
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isVmdkError(error) ? error.code : String(error);
}

async function writeInto(store: FileStore, path: string, at: number, byte: number): Promise<void> {
  const file = await store.open(path, 'update');
  await file.write(Buffer.from([byte]), at);
  await file.close();
}

describe('a repair', () => {
  it('is not carried out on a disk that changed since it was planned', async () => {
    const store = createMemoryFileStore(damaged());
    const plan = await planRepair(DISK, { fs: store });
    const image = sparseImage();
    await writeInto(store, DISK, image.copyAt(1), 7);
    expect(await failureOf(applyRepair(DISK, plan, { fs: store }))).toBe('changed-since');
    expect(await store.exists(RECORD)).toBe(false);
  });

  it('does nothing that a forged plan asks for', async () => {
    const store = createMemoryFileStore(damaged());
    const plan = await planRepair(DISK, { fs: store });
    const forged = {
      ...plan,
      files: plan.files.map((file) => ({ ...file, path: '/vm/other' })),
    };
    expect(await failureOf(applyRepair(DISK, forged, { fs: store }))).toBe('changed-since');
    await expectHolds(store, damaged());
    for (const text of ['', 'null', '{}', '[]', '{"schema":"vmdkit-repair-plan/v1"}']) {
      expect(() => parseRepairPlan(Buffer.from(text), 'p')).toThrow(/no plan of a repair/);
    }
  });

  it('is refused while the disk is in use, and leaves no lock of its own', async () => {
    const files = { ...damaged(), [`${DISK}.lck`]: Buffer.alloc(1) };
    const store = createMemoryFileStore(files);
    const plan = await planRepair(DISK, { fs: store });
    expect(await failureOf(applyRepair(DISK, plan, { fs: store }))).toBe('disk-locked');
    await expectHolds(store, files);
    const free = createMemoryFileStore(damaged());
    await applyRepair(DISK, plan, { fs: free }).catch(() => undefined);
    expect((await free.list('/vm')).filter((name) => name.endsWith('.lck'))).toEqual([]);
  });

  it('is not carried out over the record of another', async () => {
    const store = createMemoryFileStore(damaged());
    const plan = await planRepair(DISK, { fs: store });
    await applyRepair(DISK, plan, { fs: store });
    expect(await failureOf(applyRepair(DISK, plan, { fs: store }))).toBe('undo-record-exists');
    const other = createMemoryFileStore({ ...damaged(), [RECORD]: Buffer.from('mine') });
    expect(await failureOf(applyRepair(DISK, await planRepair(DISK, { fs: other }), { fs: other }))).toBe(
      'not-an-undo-record',
    );
    await expectHolds(other, damaged());
  });
});

describe('taking a repair back', () => {
  it('is refused once somebody wrote to the disk, and never done over what nobody knows of', async () => {
    const store = createMemoryFileStore(damaged());
    const plan = await planRepair(DISK, { fs: store });
    await applyRepair(DISK, plan, { fs: store });
    await new Promise((resolve) => void setTimeout(resolve, 5));
    const image = sparseImage();
    await writeInto(store, DISK, image.sectorOf(0) * 512, 99);
    expect(await failureOf(undoRepair(DISK, RECORD, { fs: store }))).toBe('changed-since');
    await writeInto(store, DISK, image.entryAt(5), 99);
    expect(await failureOf(undoRepair(DISK, RECORD, { fs: store, force: true }))).toBe('changed-since');
    expect(await store.exists(RECORD)).toBe(true);
  });

  it('is refused with a record of which one bit is another by now', async () => {
    const store = createMemoryFileStore(damaged());
    await applyRepair(DISK, await planRepair(DISK, { fs: store }), { fs: store });
    const record = await readWhole(store, RECORD);
    const repaired = await readWhole(store, DISK);
    for (let at = 3; at < record.length; at += 29) {
      const rotten = Buffer.from(record);
      rotten.writeUInt8(rotten.readUInt8(at) ^ 1, at);
      await store.replace(RECORD, rotten);
      expect(await failureOf(undoRepair(DISK, RECORD, { fs: store, force: true }))).toBe(
        'not-an-undo-record',
      );
    }
    await expectHolds(store, { [DISK]: repaired });
    await store.replace(RECORD, record);
    await undoRepair(DISK, RECORD, { fs: store });
    await expectHolds(store, damaged());
  });

  it('is refused with the record of another disk, and with a forged one', async () => {
    const store = createMemoryFileStore({ ...damaged(), '/vm/second.vmdk': sparseImage().bytes });
    await applyRepair(DISK, await planRepair(DISK, { fs: store }), { fs: store });
    expect(await failureOf(undoRepair('/vm/second.vmdk', RECORD, { fs: store }))).toBe('not-its-undo-record');
    const forged = {
      schema: 'vmdkit-undo/v1',
      state: 'begun',
      'plan-sha256': '0',
      filename: DISK,
      'changes-content': false,
      files: [
        {
          path: '/vm/other',
          'size-before': 5,
          'size-after': 5,
          patches: [{ at: 0, old: 'AAAA', data: Buffer.from('oth').toString('base64') }],
        },
      ],
    };
    const sha256 = createHash('sha256').update(JSON.stringify(forged)).digest('hex');
    await store.replace('/vm/forged', Buffer.from(JSON.stringify({ ...forged, sha256 })));
    expect(await failureOf(undoRepair(DISK, '/vm/forged', { fs: store }))).toBe('not-its-undo-record');
    await expectHolds(store, { '/vm/other': Buffer.from('other') });
  });
});

/** An empty disk that ends within its tables: its repair makes the file longer. */
function cutShort(): Record<string, Uint8Array> {
  const { bytes, layout } = sparseImage([]);
  return { [DISK]: bytes.subarray(0, layout.gdOffset * 512 + 700) };
}

describe.each<[string, () => Record<string, Uint8Array>, number]>([
  ['a repair', damaged, 30],
  ['a repair that makes a file longer', cutShort, 15],
])('%s whose power is cut', (_, make, least) => {
  it('is settled by the same command, or taken back byte for byte', async () => {
    const files = make();
    const outcomes = new Map<string, number>();
    const seen = new Set<string>();
    for (let n = 0; ; n++) {
      const store = await createCrashStore(files);
      const plan = await planRepair(DISK, { fs: store });
      store.crashAt(n);
      const cut = await cutIn(() => applyRepair(DISK, plan, { fs: store, locked: 'ignore' }));
      for await (const state of store.afterCrash(n, 3, seen)) {
        const options = { fs: state, locked: 'ignore' } as const;
        if (await state.exists(RECORD)) {
          const again = await crashStoreOf(state);
          await undoRepair(DISK, RECORD, { ...options, fs: again, force: true });
          await expectHolds(again, files);
          expect(await again.exists(RECORD)).toBe(false);
        } else await expectHolds(state, files);
        const code = await failureOf(applyRepair(DISK, plan, options));
        const outcome = code === 'undefined' ? 'settled' : code;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        expect((await checkDisk(DISK, { fs: state })).verdict).toBe('sound');
        await undoRepair(DISK, RECORD, { ...options, force: true });
        await expectHolds(state, files);
      }
      if (!cut) break;
    }
    expect([...outcomes.keys()].sort()).toEqual(['settled', 'undo-record-exists']);
    expect(outcomes.get('settled')).toBeGreaterThan(least);
  });

  it('while it is taken back, is taken back by the same command', async () => {
    const files = make();
    const repaired = createMemoryFileStore(files);
    await applyRepair(DISK, await planRepair(DISK, { fs: repaired }), { fs: repaired });
    const seen = new Set<string>();
    for (let n = 0; ; n++) {
      const store = await crashStoreOf(repaired);
      store.crashAt(n);
      const options = { locked: 'ignore', force: true } as const;
      const cut = await cutIn(() => undoRepair(DISK, RECORD, { ...options, fs: store }));
      for await (const state of store.afterCrash(n, 3, seen)) {
        if (await state.exists(RECORD)) await undoRepair(DISK, RECORD, { ...options, fs: state });
        await expectHolds(state, files);
      }
      if (!cut) break;
      expect(n).toBeLessThan(200);
    }
  });
});

async function cutIn(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (isPowerCut(error) || (isVmdkError(error) && isPowerCut(error.cause))) return true;
    throw error;
  }
}
