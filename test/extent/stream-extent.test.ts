// streamOptimized disks in every layout, sound and damaged. A grain proves itself by its own marker and checksum; a lost
// directory is rebuilt with a warning; a stream cut short is an error that names the first missing grain.
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openDisk } from '../../src/disk/open-disk.ts';
import { KDMV, marked, poke, pokeEntry, SECTOR, storeOf } from '../support/craft.ts';
import { craftStream, marker, type CraftedStream, type StreamSpec } from '../support/craft-stream.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';

const DISK = '/vm/stream.vmdk';
const GRAIN = 128;
const LAYOUTS = ['footer', 'front', 'qemu'] as const;

const grain = (number: number): readonly [number, Buffer] => [number, marked('s', number * GRAIN, GRAIN)];
/** Of a table: few, so that a disk of two tables is short to read. */
const ENTRIES = 16;
/** Two tables: grains 1, 2 and 5 in the first, the last in the second. */
const LAST = ENTRIES + 1;
const NUMBERS = [1, 2, 5, LAST];
const CAPACITY = 24 * GRAIN;
const sample = (more: Partial<StreamSpec> = {}): CraftedStream =>
  craftStream({ capacity: CAPACITY, entriesPerTable: ENTRIES, grains: NUMBERS.map(grain), ...more });

function contentWith(numbers: readonly number[], capacity = CAPACITY): Buffer {
  const content = Buffer.alloc(capacity * SECTOR);
  for (const number of numbers) content.set(grain(number)[1], number * GRAIN * SECTOR);
  return content;
}
const SAMPLE = contentWith(NUMBERS);

const fsOf = (bytes: Buffer) => storeOf({ [DISK]: bytes });
const read = (bytes: Buffer, sectors?: number) => readAll(DISK, { fs: fsOf(bytes) }, sectors);
const failure = (bytes: Buffer) => bounded(() => failureOf(read(bytes)));
/** Reads all of it and gives what was said on the way. */
async function readSaying(bytes: Buffer): Promise<{ content: Buffer; said: string[] }> {
  const disk = await openDisk(DISK, { fs: fsOf(bytes) });
  try {
    return {
      content: await contentOf(disk),
      said: disk.findings.map(({ code, severity }) => `${severity} ${code}`),
    };
  } finally {
    await disk.close();
  }
}

describe('a streamOptimized disk', () => {
  it.each(LAYOUTS)('of layout %s is read, with nothing to say', async (layout) => {
    const { content, said } = await readSaying(sample({ layout }).bytes);
    expectSame(content, SAMPLE);
    expect(said).toEqual([]);
  });

  it.each(LAYOUTS)('of layout %s without a grain is zeros', async (layout) => {
    const { content, said } = await readSaying(sample({ layout, grains: [] }).bytes);
    expectSame(content, contentWith([]));
    expect(said).toEqual([]);
  });

  it('may end in a grain shorter than the others, or in one padded to full length', async () => {
    const capacity = 2 * GRAIN + 46;
    for (const length of [46, GRAIN]) {
      const { bytes } = craftStream({
        capacity,
        grains: [grain(2)],
        pack: (content) => deflateSync(content.subarray(0, length * SECTOR)),
      });
      const expected = Buffer.concat([Buffer.alloc(2 * GRAIN * SECTOR), marked('s', 2 * GRAIN, 46)]);
      expectSame(await read(bytes), expected);
    }
  });

  it('may have progress markers between its grains', async () => {
    const { bytes } = sample({ before: marker(7, 4) });
    expectSame(await read(bytes), SAMPLE);
    // Also when the grains are found by their markers.
    const lost = poke(Buffer.from(bytes), KDMV, { magic: 0 }, bytes.length - 2 * SECTOR);
    expectSame((await readSaying(lost)).content, SAMPLE);
  });

  it('is read when both the header and a footer name the directory: the header counts', async () => {
    const { bytes, gd } = sample();
    poke(bytes, KDMV, { gdOffset: gd });
    expectSame(await read(bytes), SAMPLE);
    poke(bytes, KDMV, { gdOffset: 0xffffff }, bytes.length - 2 * SECTOR);
    expectSame(await read(bytes), SAMPLE);
  });

  it('may have its grains in any order', async () => {
    for (const layout of LAYOUTS) {
      const { bytes } = sample({ layout, grains: [5, 2, 1, LAST].map(grain) });
      expectSame(await read(bytes), SAMPLE, layout);
    }
  });

  it('is read with a tail that is not a whole sector', async () => {
    expectSame(await read(Buffer.concat([sample().bytes, Buffer.from('tail')])), SAMPLE);
  });

  it('without markers is not read: readers disagree on what such grains are', async () => {
    const { bytes } = sample({ layout: 'front' });
    poke(bytes, KDMV, { flags: 0x10001 });
    expect(await failure(bytes)).toMatchObject({ kind: 'unsupported', code: 'stream-without-markers' });
  });
});

describe('a stream whose footer or directory is lost', () => {
  const LOSSES: Record<string, (stream: CraftedStream) => void> = {
    'no footer marker': ({ bytes, footerMarker }) =>
      bytes.fill(0, footerMarker * SECTOR, (footerMarker + 1) * SECTOR),
    'a footer marker of another type': ({ bytes, footerMarker }) =>
      bytes.writeUInt32LE(2, footerMarker * SECTOR + 12),
    'a footer marker with a size': ({ bytes, footerMarker }) =>
      bytes.writeUInt32LE(9, footerMarker * SECTOR + 8),
    'a footer of zeros': ({ bytes, footer }) => bytes.fill(0, footer * SECTOR, (footer + 1) * SECTOR),
    'a footer that says "see the footer"': ({ bytes, footer }) =>
      poke(bytes, KDMV, { gdOffset: 0xffff_ffff_ffff_ffffn }, footer * SECTOR),
    'a footer of another version': ({ bytes, footer }) => poke(bytes, KDMV, { version: 1 }, footer * SECTOR),
    'a footer of another capacity': ({ bytes, footer }) =>
      poke(bytes, KDMV, { capacity: 128 }, footer * SECTOR),
    'a footer of another grain size': ({ bytes, footer }) =>
      poke(bytes, KDMV, { grainSize: 8 }, footer * SECTOR),
    'a directory past the end of the file': ({ bytes, footer }) =>
      poke(bytes, KDMV, { gdOffset: 0xffffff }, footer * SECTOR),
    'a directory at sector 0': ({ bytes, footer }) => poke(bytes, KDMV, { gdOffset: 0 }, footer * SECTOR),
    'a directory where there are zeros': ({ bytes, footer }) =>
      poke(bytes, KDMV, { gdOffset: bytes.length / SECTOR - 1 }, footer * SECTOR),
    'a directory where there is descriptor padding': ({ bytes, footer }) =>
      poke(bytes, KDMV, { gdOffset: 18 }, footer * SECTOR),
    'a directory of tables past the end of the file': ({ bytes, gd }) => {
      pokeEntry(bytes, gd, 0, 0x7fffffff);
      pokeEntry(bytes, gd, 1, 0x7fffffff);
    },
    'a footer with unknown incompatible flags': ({ bytes, footer }) =>
      poke(bytes, KDMV, { flags: 0x80030001 }, footer * SECTOR),
  };

  it.each(Object.keys(LOSSES))('by %s is read by its markers, with a warning', async (loss) => {
    const stream = sample();
    LOSSES[loss]!(stream);
    const { content, said } = await readSaying(stream.bytes);
    expectSame(content, SAMPLE);
    expect(said).toEqual(['warning GD-RANGE']);
  });

  it('by bytes behind the end mark is read by its markers, with a warning', async () => {
    for (const extra of [1, 3, 100]) {
      const { content, said } = await readSaying(
        Buffer.concat([sample().bytes, Buffer.alloc(extra * SECTOR, 'x')]),
      );
      expectSame(content, SAMPLE);
      expect(said).toEqual(['warning GD-RANGE']);
    }
  });

  it('by a missing end mark is read by its markers, with a warning', async () => {
    const { bytes, footer } = sample();
    const { content, said } = await readSaying(bytes.subarray(0, (footer + 1) * SECTOR));
    expectSame(content, SAMPLE);
    expect(said).toEqual(['warning GD-RANGE']);
  });

  it('is cut off anywhere behind the marker of its directory and still read', async () => {
    const { bytes, gdMarker } = sample();
    for (let end = gdMarker + 1; end < bytes.length / SECTOR; end++) {
      const { content, said } = await readSaying(bytes.subarray(0, end * SECTOR));
      expectSame(content, SAMPLE, `cut at sector ${end}`);
      expect(said).toEqual(['warning GD-RANGE']);
    }
  });

  it.each(['front', 'qemu'] as const)('in front (layout %s) is read by its markers', async (layout) => {
    for (const gdOffset of [0, 0xffffff, 100]) {
      const { bytes } = sample({ layout });
      poke(bytes, KDMV, { gdOffset });
      const padded = layout === 'qemu' ? Buffer.concat([bytes, Buffer.alloc(127 * SECTOR)]) : bytes;
      const { content, said } = await readSaying(padded);
      expectSame(content, SAMPLE, `gdOffset ${gdOffset}`);
      expect(said).toEqual(['warning GD-RANGE']);
    }
  });

  it('takes the last of two grains of one place, as the directory would, and says so', async () => {
    const other: readonly [number, Buffer] = [2, marked('old', 2 * GRAIN, GRAIN)];
    const stream = sample({ grains: [grain(1), other, grain(2), grain(5), grain(LAST)] });
    LOSSES['no footer marker']!(stream);
    const { content, said } = await readSaying(stream.bytes);
    expectSame(content, SAMPLE);
    expect(said).toEqual(['warning GRAIN-LBA', 'warning GD-RANGE']);
  });
});

describe('a stream that was cut short', () => {
  it('names the first grain that is missing, wherever it was cut', async () => {
    const { bytes, grains, tables, gdMarker } = sample();
    const cutAt: [end: number, grain: number][] = [
      [grains.get(1)! * SECTOR, 0],
      [grains.get(1)! * SECTOR + 7, 0],
      [grains.get(1)! * SECTOR + 600, 1],
      [grains.get(2)! * SECTOR, 2],
      [grains.get(5)! * SECTOR, 3],
      [grains.get(5)! * SECTOR + 513, 5],
      [tables[0]! * SECTOR, 6],
      [grains.get(LAST)! * SECTOR, 6],
      [tables[1]! * SECTOR, LAST + 1],
      [gdMarker * SECTOR, LAST + 1],
    ];
    for (const [end, missing] of cutAt) {
      const error = await failure(bytes.subarray(0, end));
      expect(error).toMatchObject({
        code: 'stream-cut-short',
        context: { path: DISK, sector: missing * GRAIN, found: `end of file at byte ${end}` },
      });
      expect(error.message).toContain(`grain ${missing} is the first that is missing`);
    }
  });

  it('and filled up with zeros by a broken download is cut short all the same', async () => {
    const { bytes, grains } = sample();
    const cut = grains.get(5)! * SECTOR;
    const filled = Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(bytes.length - cut)]);
    expect(await failure(filled)).toMatchObject({ code: 'stream-cut-short', context: { sector: 3 * GRAIN } });
  });

  it('with its directory in front fails at the first grain that is missing, and not before', async () => {
    for (const layout of ['front', 'qemu'] as const) {
      const { bytes, grains } = sample({ layout });
      const cut = bytes.subarray(0, grains.get(5)! * SECTOR);
      expectSame(await read(cut, 3 * GRAIN), SAMPLE.subarray(0, 3 * GRAIN * SECTOR));
      const error = await failure(cut);
      expect(error.code).toBe('grain-out-of-range');
      expect(error.message).toContain('grain 5 ');
    }
  });

  it('in the middle of a grain, directory in front, says that the grain is cut', async () => {
    const { bytes, grains } = sample({
      layout: 'front',
      pack: (content) => deflateSync(content, { level: 0 }),
    });
    const error = await failure(bytes.subarray(0, grains.get(LAST)! * SECTOR + 100 * SECTOR));
    expect(error).toMatchObject({ code: 'grain-damaged', context: { sector: LAST * GRAIN } });
  });

  it('at a hole of a tebibyte is told within seconds', async () => {
    const { bytes, grains } = sample();
    const fs = fsOf(bytes.subarray(0, grains.get(5)! * SECTOR));
    const file = await fs.open(DISK, 'update');
    await file.resize(2 ** 40);
    await file.close();
    const error = await bounded(() => failureOf(readAll(DISK, { fs })));
    expect(error).toMatchObject({ code: 'stream-cut-short', context: { sector: 3 * GRAIN } });
  });
});
