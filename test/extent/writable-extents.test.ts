// What a writable extent puts into its file, and in which order, when much is asked of it at once over a file that
// answers late: at no moment may the file say more than is there.
import { describe, expect, it } from 'vitest';
import { sectorRange } from '../../src/block/sector-range.ts';
import type { Sectors } from '../../src/core/units.ts';
import { openWritableCowdExtent } from '../../src/extent/writable-cowd-extent.ts';
import { openWritableSparseExtent } from '../../src/extent/writable-sparse-extent.ts';
import { parseCowdHeader } from '../../src/format/cowd-header.ts';
import { encodeEmptyCowd, cowdFileBytes, layOutCowd } from '../../src/format/cowd-layout.ts';
import { parseSparseHeader, SPARSE_FLAGS } from '../../src/format/sparse-header.ts';
import { encodeEmptySparse, layOutSparse } from '../../src/format/sparse-layout.ts';
import { decodeTable } from '../../src/format/tables.ts';
import type { WritableFile } from '../../src/storage/file-store.ts';
import { createMemoryFileStore } from '../../src/storage/memory-file-store.ts';
import { seededNumbers } from '../support/qemu-images.ts';

async function fileOf(
  parts: readonly { at: number; data: Uint8Array }[],
  size: number,
): Promise<WritableFile> {
  const store = createMemoryFileStore();
  const file = await store.create('/extent');
  for (const { at, data } of parts) await file.write(data, at);
  await file.resize(size);
  // The extent closes its file; the tests look into it after that.
  return { ...file, close: () => Promise.resolve() };
}

async function bytesOf(file: WritableFile, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await file.readExactly(bytes, at);
  return bytes;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const ignore = (): void => undefined;

describe('a writable hosted sparse extent', () => {
  const layout = layOutSparse(128 * 100, 128, 0);

  it('declares zero grains in its header before any table says zero, also when several are zeroed at once', async () => {
    const inner = await fileOf(encodeEmptySparse(layout), layout.overHead * 512);
    let open: () => void = ignore;
    let gate: Promise<void> = Promise.resolve();
    const file: WritableFile = {
      ...inner,
      async write(data, at) {
        if (at === 0) await gate;
        await inner.write(data, at);
      },
    };
    const extent = await openWritableSparseExtent(file, undefined, ignore);
    await extent.begin();
    gate = new Promise((resolve) => (open = resolve));
    const zeroing = [0, 1, 2].map((grain) => extent.zero(sectorRange(grain * 128, 128), true));
    await turns(3);
    await extent.flush();
    const table = (layout.gdOffset + layout.directorySectors) * 512;
    expect([...decodeTable(await bytesOf(inner, table, 12))]).toEqual([0, 0, 0]);
    open();
    await Promise.all(zeroing);
    await extent.flush();
    expect([...decodeTable(await bytesOf(inner, table, 12))]).toEqual([1, 1, 1]);
    const header = parseSparseHeader(await bytesOf(inner, 0, 512), '/extent');
    expect(header).toMatchObject({ version: 2, uncleanShutdown: true });
    expect(header.flags & SPARSE_FLAGS.zeroedGrains).toBe(SPARSE_FLAGS.zeroedGrains);
    await extent.close();
  });

  it('declares zero grains when asked again after the header could not be written', async () => {
    const inner = await fileOf(encodeEmptySparse(layout), layout.overHead * 512);
    let failing = false;
    const file: WritableFile = {
      ...inner,
      write: (data, at) => (failing ? Promise.reject(new Error('no space')) : inner.write(data, at)),
    };
    const extent = await openWritableSparseExtent(file, undefined, ignore);
    await extent.begin();
    failing = true;
    await expect(extent.zero(sectorRange(0, 128), true)).rejects.toThrow('no space');
    failing = false;
    await extent.zero(sectorRange(0, 128), true);
    await extent.close();
    expect(parseSparseHeader(await bytesOf(inner, 0, 512), '/extent').version).toBe(2);
  });
});

describe('a writable ESX delta', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'never points past its freeSector, whatever is flushed at once (seed %i)',
    async (seed) => {
      const layout = layOutCowd(20_000, 1);
      const inner = await fileOf(encodeEmptyCowd(layout), cowdFileBytes(layout));
      const next = seededNumbers(seed);
      const freeSector = async (): Promise<number> =>
        parseCowdHeader(await bytesOf(inner, 0, 2048), '/extent').freeSector;
      /** Behind the last sector that the directory or a table on file points to. */
      const lastPointedTo = async (): Promise<number> => {
        let end = 0;
        const size = await inner.size();
        for (const table of decodeTable(await bytesOf(inner, layout.gdOffset * 512, layout.entries * 4))) {
          if (table === 0 || (table + 32) * 512 > size) continue;
          const entries = decodeTable(await bytesOf(inner, table * 512, 32 * 512));
          end = Math.max(end, table + 32, ...entries.map((entry) => entry + 1));
        }
        return end;
      };
      const beyond: string[] = [];
      const file: WritableFile = {
        ...inner,
        async write(data, at) {
          await turns(next(4));
          await inner.write(data, at);
          const [free, end] = [await freeSector(), await lastPointedTo()];
          if (end > free) beyond.push(`${end} > ${free}`);
        },
        async sync() {
          await turns(next(3));
        },
      };
      const extent = await openWritableCowdExtent(file, undefined, ignore);
      await extent.begin();
      await Promise.all(
        Array.from({ length: 12 }, async (_, lane) => {
          for (let round = 0; round < 8; round++) {
            const at = lane * 1600 + round * 150;
            await extent.write(at as Sectors, Buffer.alloc(512 * (1 + next(20)), 1 + lane));
            if (next(2) === 0) await extent.flush();
          }
        }),
      );
      await extent.flush();
      expect(await freeSector()).toBe((await inner.size()) / 512);
      expect(beyond).toEqual([]);
      await extent.close();
      expect(await bytesOf(inner, 1648, 4)).toEqual(Buffer.alloc(4));
    },
  );
});
