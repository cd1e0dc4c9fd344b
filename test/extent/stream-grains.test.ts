// The grains of a streamOptimized disk, one by one: each proves itself by marker and checksum, is never inflated past its
// size, and a scan for them takes no memory or time by the numbers in the file.
import { deflateRawSync, deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openDisk } from '../../src/disk/open-disk.ts';
import { KDMV, marked, poke, pokeEntry, SECTOR, storeOf } from '../support/craft.ts';
import { craftStream, marker, type CraftedStream, type StreamSpec } from '../support/craft-stream.ts';
import { bounded, contentOf, expectSame, failureOf, readAll } from '../support/hostile.ts';

const DISK = '/vm/stream.vmdk';
const GRAIN = 128;

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

describe('a grain of a stream', () => {
  const packed = (pack: (content: Buffer, number: number) => Buffer) => sample({ pack }).bytes;
  /** Only grain 2 is other than it should be. */
  const spoilt = (pack: (content: Buffer) => Buffer) =>
    packed((content, number) => (number === 2 ? pack(content) : deflateSync(content)));
  const damaged = { kind: 'corrupt', code: 'grain-damaged', context: { path: DISK, sector: 2 * GRAIN } };
  const flip = (data: Buffer, at: number): Buffer => {
    const copy = Buffer.from(data);
    copy[at < 0 ? copy.length + at : at]! ^= 0x55;
    return copy;
  };

  it('is damaged when its checksum does not fit, or any byte of it', async () => {
    expect(await failure(spoilt((content) => flip(deflateSync(content), -1)))).toMatchObject(damaged);
    for (const at of [0, 1, 40, 200]) {
      expect(await failure(spoilt((content) => flip(deflateSync(content), at)))).toMatchObject(damaged);
    }
  });

  it('is damaged when it inflates to too little', async () => {
    for (const sectors of [0, 1, 127]) {
      const bytes = spoilt((content) => deflateSync(content.subarray(0, sectors * SECTOR)));
      expect(await failure(bytes)).toMatchObject(damaged);
    }
  });

  it('is damaged when it inflates to more than a grain, by one byte or by a gibibyte', async () => {
    const more = spoilt((content) => deflateSync(Buffer.concat([content, Buffer.alloc(1)])));
    expect(await failure(more)).toMatchObject(damaged);
    // 120 KiB of deflate that would be 120 MiB.
    const bomb = deflateSync(Buffer.alloc(120 << 20));
    expect(await failure(spoilt(() => bomb))).toMatchObject(damaged);
  });

  it('is damaged when it is no zlib stream: bare deflate, nothing, noise', async () => {
    for (const content of ['raw', 'noise', 'cut'] as const) {
      const bytes = spoilt((data) => {
        if (content === 'raw') return deflateRawSync(data);
        return content === 'noise' ? Buffer.alloc(3000, 0xa7) : deflateSync(data).subarray(0, -5);
      });
      expect(await failure(bytes), content).toMatchObject(damaged);
    }
  });

  it('is read when bytes follow its zlib stream', async () => {
    const trailing = packed((content) => Buffer.concat([deflateSync(content), Buffer.from('trailing')]));
    expectSame(await read(trailing), SAMPLE);
  });

  it.each([0, 2 * GRAIN * SECTOR + 1, 0x7fffffff, 0xffffffff])(
    'of stored size %i is damaged',
    async (size) => {
      for (const layout of ['front', 'footer'] as const) {
        const { bytes, grains } = sample({ layout });
        bytes.writeUInt32LE(size, grains.get(2)! * SECTOR + 8);
        expect(await failure(bytes)).toMatchObject(damaged);
      }
    },
  );

  it('of a stored size past the end of the file is damaged', async () => {
    const { bytes, grains } = sample({ layout: 'qemu' });
    bytes.writeUInt32LE(60_000, grains.get(LAST)! * SECTOR + 8);
    expect(await failure(bytes)).toMatchObject({ ...damaged, context: { sector: LAST * GRAIN } });
  });

  it.each([0n, 128n, 257n, 2n ** 63n, BigInt(CAPACITY)])(
    'that says it belongs to sector %i is damaged',
    async (lba) => {
      const { bytes, grains } = sample();
      bytes.writeBigUInt64LE(lba, grains.get(2)! * SECTOR);
      expect(await failure(bytes)).toMatchObject({
        ...damaged,
        context: { found: `sector ${lba}`, expected: '256' },
      });
    },
  );

  it('that two table entries name belongs to one of them: the other is an error, also read after it', async () => {
    const { bytes, grains, tables } = sample();
    pokeEntry(bytes, tables[0]!, 3, grains.get(2)!);
    const disk = await openDisk(DISK, { fs: fsOf(bytes) });
    const content = await contentOf(disk, 3 * GRAIN);
    expectSame(content, SAMPLE.subarray(0, 3 * GRAIN * SECTOR));
    expect(await failureOf(contentOf(disk))).toMatchObject({
      code: 'grain-damaged',
      context: { sector: 3 * GRAIN, found: 'sector 256', expected: '384' },
    });
    await disk.close();
  });

  it('cannot stand in the header, in a table or past the end of the file', async () => {
    for (const [sector, code] of [
      [2, 'grain-damaged'],
      [21, 'grain-damaged'],
      [0x7fffffff, 'grain-out-of-range'],
    ] as const) {
      const { bytes, tables } = sample({ layout: 'front' });
      pokeEntry(bytes, tables[0]!, 2, sector);
      expect(await failure(bytes)).toMatchObject({ code });
    }
  });
});

describe('a stream that is scanned', () => {
  const scanned = (change: (stream: CraftedStream) => void, more: Partial<StreamSpec> = {}): Buffer => {
    const stream = sample(more);
    stream.bytes.fill(0, stream.footerMarker * SECTOR, (stream.footer + 1) * SECTOR);
    change(stream);
    return stream.bytes;
  };
  const FAR = { kind: 'corrupt', code: 'stream-damaged', context: { path: DISK } };

  it.each([129n, BigInt(CAPACITY), 2n ** 63n])('is not followed past a grain of sector %i', async (lba) => {
    const bytes = scanned(({ bytes: all, grains }) => all.writeBigUInt64LE(lba, grains.get(2)! * SECTOR));
    expect(await failure(bytes)).toMatchObject(FAR);
  });

  it('is not followed past an impossible size or an unknown marker', async () => {
    const size = scanned(({ bytes, grains }) => bytes.writeUInt32LE(0x7fffffff, grains.get(2)! * SECTOR + 8));
    expect(await failure(size)).toMatchObject(FAR);
    expect(await failure(scanned(() => undefined, { before: marker(0, 5) }))).toMatchObject(FAR);
    expect(await failure(scanned(() => undefined, { before: marker(1, 0xffffffff) }))).toMatchObject(FAR);
  });

  it('passes over a table marker with a wrong count only by whole plausible sectors', async () => {
    const bytes = scanned(({ bytes: all, tables }) =>
      all.writeBigUInt64LE(2n ** 60n, (tables[0]! - 1) * SECTOR),
    );
    expect(await failure(bytes)).toMatchObject({ kind: 'corrupt' });
  });

  it('takes no memory by the capacity it claims', async () => {
    // 64 TiB in a file of a few sectors; one grain at the very end.
    const capacity = 2 ** 37;
    const last = capacity / GRAIN - 1;
    const tiny = craftStream({ capacity: CAPACITY, grains: [grain(1)] });
    poke(tiny.bytes, KDMV, { capacity });
    tiny.bytes.writeBigUInt64LE(BigInt(last * GRAIN), tiny.grains.get(1)! * SECTOR);
    tiny.bytes.write(`RW ${capacity} SPARSE "s"`, tiny.bytes.indexOf('RW '), 'latin1');
    await bounded(async () => {
      const outcome = await openDisk(DISK, { fs: fsOf(tiny.bytes) });
      const tail = Buffer.alloc(SECTOR, 0xee);
      await outcome.read({ start: (last * GRAIN) as never, count: 1 as never }, tail);
      expectSame(tail, marked('s', GRAIN, 1));
      await outcome.close();
    });
  });

  it('keeps grains that end in a hole of less than a grain, as QEMU leaves them', async () => {
    const { bytes } = sample({ layout: 'qemu' });
    poke(bytes, KDMV, { gdOffset: 0xffffff });
    expectSame((await readSaying(Buffer.concat([bytes, Buffer.alloc(100 * SECTOR)]))).content, SAMPLE);
  });
});

describe('the grain size of a stream', () => {
  it('is bounded, since each grain is inflated whole', async () => {
    const { bytes } = craftStream({ capacity: 2 ** 21, grainSize: 8, grains: [], layout: 'front' });
    poke(bytes, KDMV, { grainSize: 2 ** 21 });
    expect(await failure(bytes)).toMatchObject({ code: 'bad-header', context: { field: 'grainSize' } });
  });

  it.each([1, 8, 64, 256, 2048])('of %i sectors is read', async (grainSize) => {
    const data = marked('g', grainSize, grainSize);
    const { bytes } = craftStream({ capacity: 3 * grainSize, grainSize, grains: [[1, data]] });
    const blank = Buffer.alloc(data.length);
    expectSame(await read(bytes), Buffer.concat([blank, data, blank]));
  });
});
