// What diff writes leads from one disk to the other, as a delta and as a patch; bent patches change nothing.
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { wholeOf } from '../../src/block/read-runs.ts';
import { openChain } from '../../src/chain/open-chain.ts';
import { VmdkError } from '../../src/core/errors.ts';
import type { Progress } from '../../src/core/task.ts';
import { bytes, SECTOR_BYTES, type Sectors } from '../../src/core/units.ts';
import { patchDisk, type PatchDiskOptions } from '../../src/machine/patch-disk.ts';
import { applyPatch } from '../../src/operations/apply-patch.ts';
import { checkDisk } from '../../src/operations/check-disk.ts';
import { hashContents } from '../../src/operations/content-hash.ts';
import { convertDisk } from '../../src/operations/convert-disk.ts';
import { createDelta } from '../../src/operations/create-delta.ts';
import { createDisk } from '../../src/operations/create-disk.ts';
import { createDifferenceDelta } from '../../src/operations/difference-delta.ts';
import { settleChangeSets } from '../../src/operations/settle-changes.ts';
import { writePatch } from '../../src/operations/write-patch.ts';
import type { FileStore } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { hashFile, pattern } from '../support/chain-model.ts';
import { runsOf } from '../support/clone-bench.ts';
import { createCrashStore, isPowerCut } from '../support/crash-store.ts';

const SIZE = 512 << 10;

let store: FileStore;
beforeEach(() => {
  store = createMemoryFileStore();
});

async function put(path: string, at: number, count: number, seed: number, on = store): Promise<void> {
  const chain = await openChain(path, 'update', { fs: on });
  if (seed === 0) await chain.zero({ start: at as Sectors, count: count as Sectors });
  else await chain.write(at as Sectors, pattern(count * SECTOR_BYTES, seed));
  await chain.close();
}

async function contents(path: string, on = store): Promise<Buffer> {
  const chain = await openChain(path, 'read', { fs: on });
  const all = Buffer.alloc(chain.capacity * SECTOR_BYTES);
  await chain.read(wholeOf(chain), all);
  await chain.close();
  return all;
}

/** `/a.vmdk` and `/b.vmdk` with different contents; `/base.vmdk` below a. */
async function makePair(on = store): Promise<void> {
  await createDisk('/base.vmdk', bytes(SIZE), { fs: on });
  await put('/base.vmdk', 0, 500, 3, on);
  await createDelta('/a.vmdk', '/base.vmdk', { fs: on });
  await put('/a.vmdk', 700, 100, 4, on);
  await createDisk('/b.vmdk', bytes(SIZE), { fs: on, type: 'monolithicFlat' });
  await put('/b.vmdk', 0, 300, 3, on);
  await put('/b.vmdk', 690, 20, 9, on);
}

async function patchOf(a: string, b: string, on = store): Promise<Buffer> {
  const [left, right] = [await openChain(a, 'read', { fs: on }), await openChain(b, 'read', { fs: on })];
  const pieces: Buffer[] = [];
  await writePatch(left, right, async (data) => void pieces.push(Buffer.from(data)), { fs: on });
  await Promise.all([left.close(), right.close()]);
  return Buffer.concat(pieces);
}

async function apply(patch: Uint8Array, path: string, force = false, on = store) {
  await on.replace('/patch', patch);
  const file = await on.open('/patch', 'read');
  const chain = await openChain(path, 'update', { fs: on });
  try {
    return await applyPatch(file, chain, { force });
  } finally {
    await chain.close();
    await file.close();
  }
}

describe('a patch', () => {
  it('makes of any copy of the first disk what the second holds', async () => {
    const work = fc.array(
      fc.record({ at: fc.nat(900), count: fc.integer({ min: 1, max: 100 }), seed: fc.nat(9) }),
      { maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(work, work, async (inA, inB) => {
        store = createMemoryFileStore();
        for (const [path, changes] of [
          ['/a.vmdk', inA],
          ['/b.vmdk', inB],
        ] as const) {
          await createDisk(path, bytes(SIZE), { fs: store });
          for (const { at, count, seed } of changes) await put(path, at, count, seed);
        }
        const wanted = await contents('/b.vmdk');
        await apply(await patchOf('/a.vmdk', '/b.vmdk'), '/a.vmdk');
        expect((await contents('/a.vmdk')).equals(wanted)).toBe(true);
      }),
      { numRuns: 20, seed: 4102 },
    );
  });

  it('writes into the leaf alone, and not at all when the disk is up to date', async () => {
    await makePair();
    const below = await hashFile(store, '/base.vmdk');
    const patch = await patchOf('/a.vmdk', '/b.vmdk');
    expect(await apply(patch, '/a.vmdk')).toMatchObject({ already: false });
    const made = await hashFile(store, '/a.vmdk');
    expect(await apply(patch, '/a.vmdk')).toMatchObject({ already: true, changed: 0 });
    expect(await hashFile(store, '/a.vmdk')).toBe(made);
    expect(await hashFile(store, '/base.vmdk')).toBe(below);
  });

  it('goes on no other disk, unless forced, and then tells that the result is another', async () => {
    await makePair();
    const patch = await patchOf('/a.vmdk', '/b.vmdk');
    const before = await hashFile(store, '/base.vmdk');
    await expect(apply(patch, '/base.vmdk')).rejects.toMatchObject({
      code: 'patch-does-not-fit',
      kind: 'refused',
    });
    expect(await hashFile(store, '/base.vmdk')).toBe(before);
    await createDisk('/other.vmdk', bytes(SIZE), { fs: store });
    await put('/other.vmdk', 1000, 1, 5);
    await expect(apply(patch, '/other.vmdk', true)).rejects.toMatchObject({ code: 'patch-result-differs' });
    await createDisk('/large.vmdk', bytes(2 * SIZE), { fs: store });
    await expect(apply(patch, '/large.vmdk')).rejects.toMatchObject({ code: 'sizes-differ' });
    await expect(patchOf('/a.vmdk', '/large.vmdk')).rejects.toMatchObject({ code: 'sizes-differ' });
  });

  it('is refused whole when one byte of it is another, or its end is missing', async () => {
    await makePair();
    const patch = await patchOf('/a.vmdk', '/b.vmdk');
    const before = await hashFile(store, '/a.vmdk');
    for (let at = 0; at < patch.length; at += 37) {
      const bent = Buffer.from(patch);
      bent[at]! ^= 0x41;
      await expect(apply(bent, '/a.vmdk')).rejects.toMatchObject({ name: 'VmdkError' });
    }
    for (const length of [0, 100, 128, 140, 152, patch.length - 33, patch.length - 1]) {
      await expect(apply(patch.subarray(0, length), '/a.vmdk')).rejects.toMatchObject({
        code: 'not-a-patch',
      });
    }
    await expect(apply(Buffer.concat([patch, Buffer.alloc(1)]), '/a.vmdk')).rejects.toMatchObject({
      code: 'not-a-patch',
    });
    expect(await hashFile(store, '/a.vmdk')).toBe(before);
  });

  it('can be gone on with after any interruption', async () => {
    const plain = createMemoryFileStore();
    await makePair(plain);
    const wanted = await contents('/b.vmdk', plain);
    const patch = await patchOf('/a.vmdk', '/b.vmdk', plain);
    const seen = new Set<string>();
    for (let cut = 0; ; cut += 3) {
      const crash = await createCrashStore();
      await makePair(crash);
      await crash.replace('/patch', patch);
      crash.settle();
      crash.crashAt(cut);
      const failed = await apply(patch, '/a.vmdk', false, crash).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failed === undefined) break;
      expect(isPowerCut(failed)).toBe(true);
      for await (const found of crash.afterCrash(cut, 3, seen)) {
        await apply(patch, '/a.vmdk', true, found);
        expect((await contents('/a.vmdk', found)).equals(wanted)).toBe(true);
        expect((await contents('/base.vmdk', found)).equals(await contents('/base.vmdk', plain))).toBe(true);
      }
    }
  });
});

describe('a patch over a disk that says so', () => {
  /** The patch stands in the store already. */
  const patchOver = async (path: string, options: PatchDiskOptions = {}) => {
    const on = (options.fs as FileStore | undefined) ?? store;
    const file = await on.open('/patch', 'read');
    try {
      return await patchDisk(file, path, { ...options, fs: on });
    } finally {
      await file.close();
    }
  };
  const isMarked = async (path: string, on = store): Promise<boolean> => {
    const { problems } = await checkDisk(path, { fs: on });
    return problems.some(({ code }) => code === 'DESC-HALF-PATCHED');
  };

  it.each(['monolithicSparse', 'twoGbMaxExtentSparse', 'monolithicFlat'])(
    'that is stopped leaves a mark, and is finished by the same patch alone: %s',
    async (type) => {
      await createDisk('/a.vmdk', bytes(SIZE), { fs: store, type });
      await createDisk('/b.vmdk', bytes(SIZE), { fs: store });
      await put('/a.vmdk', 0, 300, 1);
      for (const at of [0, 300, 700, 900]) await put('/b.vmdk', at, 100, 2 + at);
      const wanted = await contents('/b.vmdk');
      const other = await patchOf('/b.vmdk', '/a.vmdk');
      await store.replace('/patch', await patchOf('/a.vmdk', '/b.vmdk'));
      const stop = new AbortController();
      const onProgress = ({ phase }: Progress): void => {
        if (phase === 'applying') stop.abort();
      };
      await expect(patchOver('/a.vmdk', { signal: stop.signal, onProgress })).rejects.toThrow();
      expect(await isMarked('/a.vmdk')).toBe(true);
      const refused = { kind: 'refused', code: 'half-patched' };
      await expect(convertDisk('/a.vmdk', '/c.vmdk', { fs: store })).rejects.toMatchObject(refused);
      await expect(createDelta('/d.vmdk', '/a.vmdk', { fs: store })).rejects.toMatchObject(refused);
      await store.replace('/patch-back', other);
      const back = await store.open('/patch-back', 'read');
      const wrong = { code: 'patch-does-not-fit' };
      await expect(patchDisk(back, '/a.vmdk', { fs: store })).rejects.toMatchObject(wrong);
      await back.close();

      expect(await patchOver('/a.vmdk')).toMatchObject({ already: false });
      expect(await isMarked('/a.vmdk')).toBe(false);
      expect((await contents('/a.vmdk')).equals(wanted)).toBe(true);
      expect((await store.list('/')).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  );

  it('is told as over when all of it is there, and only then', async () => {
    await makePair();
    await store.replace('/patch', await patchOf('/a.vmdk', '/b.vmdk'));
    await createDisk('/other.vmdk', bytes(SIZE), { fs: store });
    await put('/other.vmdk', 1000, 1, 5);
    const differs = { code: 'patch-result-differs' };
    await expect(patchOver('/other.vmdk', { force: true })).rejects.toMatchObject(differs);
    expect(await isMarked('/other.vmdk')).toBe(false);
  });

  it('holds what it held, what it is to hold, or says that it is between, wherever the power goes', async () => {
    const plain = createMemoryFileStore();
    await makePair(plain);
    const [old, wanted] = [await contents('/a.vmdk', plain), await contents('/b.vmdk', plain)];
    const patch = await patchOf('/a.vmdk', '/b.vmdk', plain);
    const seen = new Set<string>();
    let marked = 0;
    for (let cut = 0; ; cut += 5) {
      const crash = await createCrashStore();
      await makePair(crash);
      await crash.replace('/patch', patch);
      crash.settle();
      crash.crashAt(cut);
      const failed = await patchOver('/a.vmdk', { fs: crash, runs: runsOf(1) }).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failed === undefined) break;
      expect(isPowerCut(failed) || (failed instanceof VmdkError && isPowerCut(failed.cause))).toBe(true);
      for await (const found of crash.afterCrash(cut, 2, seen)) {
        await settleChangeSets(found, '/', { runs: runsOf(2) });
        if (await isMarked('/a.vmdk', found)) marked++;
        else {
          const now = await contents('/a.vmdk', found);
          expect(now.equals(old) || now.equals(wanted)).toBe(true);
        }
        // The locks of the run that is dead are this process's own.
        await patchOver('/a.vmdk', { fs: found, locked: 'ignore', runs: runsOf(2) });
        expect(await isMarked('/a.vmdk', found)).toBe(false);
        expect((await contents('/a.vmdk', found)).equals(wanted)).toBe(true);
        expect((await contents('/base.vmdk', found)).equals(await contents('/base.vmdk', plain))).toBe(true);
      }
    }
    expect(marked).toBeGreaterThan(3);
  });
});

describe('a difference as a delta', () => {
  it.each(['monolithicSparse', 'vmfsSparse', 'twoGbMaxExtentSparse'])(
    'reads as the second disk: %s',
    async (type) => {
      await makePair();
      const files = await Promise.all(
        ['/base.vmdk', '/a.vmdk', '/b.vmdk'].map((path) => hashFile(store, path)),
      );
      const [a, b] = [
        await openChain('/a.vmdk', 'read', { fs: store }),
        await openChain('/b.vmdk', 'read', { fs: store }),
      ];
      const { createType } = await createDifferenceDelta('/d.vmdk', a, b, { fs: store, type });
      expect(createType).toBe(type);
      await expect(createDifferenceDelta('/d.vmdk', a, b, { fs: store, type })).rejects.toMatchObject({
        code: 'target-exists',
      });
      await Promise.all([a.close(), b.close()]);
      expect((await contents('/d.vmdk')).equals(await contents('/b.vmdk'))).toBe(true);
      expect(
        await Promise.all(['/base.vmdk', '/a.vmdk', '/b.vmdk'].map((path) => hashFile(store, path))),
      ).toEqual(files);
      expect((await store.list('/')).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  );
});

describe('the hash of contents', () => {
  it('is of what a disk holds, whatever its type and its zeros', async () => {
    await makePair();
    await createDelta('/same.vmdk', '/b.vmdk', { fs: store });
    await put('/same.vmdk', 400, 10, 0);
    const hashes = [];
    for (const path of ['/a.vmdk', '/b.vmdk', '/same.vmdk']) {
      const chain = await openChain(path, 'read', { fs: store });
      hashes.push((await hashContents(chain)).toString('hex'));
      await chain.close();
    }
    expect(hashes[1]).toBe(hashes[2]);
    expect(hashes[0]).not.toBe(hashes[1]);
  });
});
