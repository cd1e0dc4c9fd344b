// Layout of ESX deltas against the sizes that VMware's document and rewriting tools give.
import { describe, expect, it } from 'vitest';
import { parseCowdHeader } from '../../src/format/cowd-header.ts';
import {
  COWD_MAX_CAPACITY,
  cowdFileBytes,
  encodeEmptyCowd,
  layOutCowd,
} from '../../src/format/cowd-layout.ts';

describe('the layout of an ESX delta', () => {
  it('of 40 GiB has 20480 entries in 160 sectors, and its first table goes to sector 164', () => {
    expect(layOutCowd(40 * 2 ** 21, 1)).toMatchObject({
      gdOffset: 4,
      entries: 20480,
      directorySectors: 160,
      freeSector: 164,
    });
  });

  it('covers the largest capacity that the header can say', () => {
    const layout = layOutCowd(COWD_MAX_CAPACITY, 1);
    expect(layout.entries).toBe(2 ** 20);
    expect(parseCowdHeader(encodeEmptyCowd(layout)[0]!.data, 'x').capacity).toBe(2 ** 32 - 1);
  });

  it('keeps freeSector within the file, whose length is whole 4 KiB blocks', () => {
    for (const capacity of [1, 4096, 2 ** 20, 40 * 2 ** 21, 123456789]) {
      const layout = layOutCowd(capacity, 1);
      expect(cowdFileBytes(layout) % 4096).toBe(0);
      expect(cowdFileBytes(layout)).toBeGreaterThan(layout.freeSector * 512);
    }
  });

  it('gives a header that the reader takes for what was laid out', () => {
    const layout = layOutCowd(100001, 16);
    expect(parseCowdHeader(encodeEmptyCowd(layout)[0]!.data, 'x')).toEqual({
      flags: 3,
      capacity: 100001,
      grainSize: 16,
      gdOffset: 4,
      numGDEntries: 2,
      freeSector: 5,
      uncleanShutdown: false,
    });
  });
});
