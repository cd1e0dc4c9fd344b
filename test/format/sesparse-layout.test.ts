// Layout of seSparse extents against the one that ESXi has shown.
import { describe, expect, it } from 'vitest';
import { parseSeSparseHeader, SeSparseVolatileHeader } from '../../src/format/sesparse-header.ts';
import { encodeSeSparseHeaders, layOutSeSparse, seSparseBytes } from '../../src/format/sesparse-layout.ts';

describe('the layout of a seSparse extent', () => {
  it('of 100 MiB is that of a delta made by ESXi', () => {
    expect(layOutSeSparse(204800)).toEqual({
      capacity: 204800,
      tables: 7,
      grainDirectory: { offset: 4096, size: 2048 },
      grainTables: { offset: 6144, size: 2048 },
      freeBitmap: { offset: 8192, size: 2048 },
      backMap: { offset: 10240, size: 2048 },
      grains: { offset: 12288, size: 204800 },
    });
  });

  it('grows by whole MiB: 4 GiB of tables and of back map for 2 TiB, no region over another', () => {
    const layout = layOutSeSparse(2 ** 32);
    expect(layout.grainTables.size * 512).toBe(2 ** 32);
    expect(layout.backMap.size * 512).toBe(2 ** 32);
    expect(layout.freeBitmap.size * 512).toBe(2 ** 26);
    const regions = [
      layout.grainDirectory,
      layout.grainTables,
      layout.freeBitmap,
      layout.backMap,
      layout.grains,
    ];
    for (const [index, { offset, size }] of regions.slice(0, -1).entries()) {
      expect(regions[index + 1]!.offset).toBe(offset + size);
    }
  });

  it('gives headers that the reader takes for what was laid out', () => {
    const layout = layOutSeSparse(204801);
    const parts = encodeSeSparseHeaders(layout, 3);
    expect(parts.map(({ at }) => at)).toEqual([512, 0]);
    expect(parseSeSparseHeader(parts[1]!.data, 'x')).toMatchObject({
      capacity: 204801,
      grainDirectoryOffset: 4096,
      grainTablesOffset: 6144,
      grainOffset: 12288,
      grainSectors: 204808,
      volatileHeaderOffset: 1,
    });
    const volatileHeader = SeSparseVolatileHeader.decode(parts[0]!.data);
    expect(volatileHeader).toMatchObject({ freeGTNumber: 3n, replayJournal: 0n, nextTxnSeqNumber: 0n });
  });

  it('ends the file with the last grain, on a whole MiB', () => {
    const layout = layOutSeSparse(204800);
    expect(seSparseBytes(layout, 0)).toBe(12288 * 512);
    expect(seSparseBytes(layout, 1)).toBe((12288 + 2048) * 512);
    expect(seSparseBytes(layout, 257)).toBe((12288 + 4096) * 512);
  });
});
